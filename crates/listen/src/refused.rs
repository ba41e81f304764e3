//! Why a request is not trusted: a reason for programs, and words for the person who has to mend it.

use std::fmt;

/// What is wrong, for programs and metrics. [`Reason::name`] is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The source's settings cannot verify anything, such as an empty secret.
    Settings,
    /// Something that must be there is not: a header, a parameter, a field.
    Missing,
    /// It is there and cannot be read.
    MalformedHeader,
    /// The signature is written in another encoding than the provider uses.
    WrongEncoding,
    /// Signed too long ago or in the future.
    Clock,
    /// Signed with a secret that is not valid any more.
    OldSecret,
    /// The secret in the settings is not the provider's, or is given in another form.
    SecretForm,
    /// The body changed on the way.
    BodyChanged,
    /// The URL signed is not the URL called.
    UrlChanged,
    /// Another algorithm or another content was signed.
    OtherContent,
    /// It does not match, and nothing that was tried makes it match.
    Mismatch,
    /// A certificate has to be fetched first: [`Refused::fetch`].
    Fetch,
    /// A certificate or its address is not one to trust.
    Certificate,
    /// The address that connected is not on the list.
    Address,
}

impl Reason {
    /// The name in JSON, metrics and lists.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Missing => "missing",
            Self::MalformedHeader => "malformed-header",
            Self::WrongEncoding => "wrong-encoding",
            Self::Clock => "clock",
            Self::OldSecret => "old-secret",
            Self::SecretForm => "secret-form",
            Self::BodyChanged => "body-changed",
            Self::UrlChanged => "url-changed",
            Self::OtherContent => "other-content",
            Self::Mismatch => "mismatch",
            Self::Fetch => "fetch",
            Self::Certificate => "certificate",
            Self::Address => "address",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request that is not trusted. The words never hold a secret, and at most a short piece of what the sender wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refused {
    /// For programs.
    pub reason: Reason,
    /// For people: what is wrong and what to do.
    pub words: String,
    /// With [`Reason::Fetch`]: the URL whose content is needed. It is on the provider's own host; verify again with
    /// [`crate::Request::fetched`].
    pub fetch: Option<String>,
}

impl Refused {
    pub(crate) fn new(reason: Reason, words: impl Into<String>) -> Self {
        Self {
            reason,
            words: words.into(),
            fetch: None,
        }
    }

    pub(crate) fn missing(what: impl fmt::Display) -> Self {
        Self::new(
            Reason::Missing,
            format!("missing {what}; check that the provider signs, and that no proxy or framework strips it"),
        )
    }

    pub(crate) fn malformed(words: impl Into<String>) -> Self {
        Self::new(Reason::MalformedHeader, words)
    }

    pub(crate) fn mismatch() -> Self {
        Self::new(
            Reason::Mismatch,
            "the signature does not match: the secret is another one, or what was signed changed on the way; \
             compare the raw bytes",
        )
    }
}

/// At most 40 characters of what a stranger sent, control characters escaped.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}
