//! Why a body cannot be read.

/// Why a body is not what its content type says. The same body is refused again, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is in another encoding, or not text at all.
    #[error("the body is not UTF-8 (byte {at}){}; send UTF-8", but(said))]
    NotUtf8 {
        /// The first byte that is wrong, from 0.
        at: usize,
        /// The character set of the content type.
        said: Option<String>,
    },
    /// It does not follow the rules of its format, or ends too early.
    #[error("the body is no {format}: {what}")]
    Malformed {
        /// Which format.
        format: &'static str,
        /// What is wrong, and where.
        what: String,
    },
    /// It asks for what is never done for it.
    #[error("the body is refused: {what}")]
    Refused {
        /// What it asks for.
        what: String,
    },
    /// It is nested more deeply than allowed.
    #[error("the body is nested more than {max} levels deep")]
    TooDeep {
        /// How deep it may be.
        max: usize,
    },
    /// It holds more than allowed.
    #[error("the body has more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
}

impl DecodeError {
    pub(super) fn malformed(format: &'static str, what: impl Into<String>) -> Self {
        Self::Malformed {
            format,
            what: what.into(),
        }
    }
}

fn but(said: &Option<String>) -> String {
    said.as_ref()
        .map(|charset| format!(" but, by its content type, {charset}"))
        .unwrap_or_default()
}

/// A name from the body, shortened: for error texts.
pub(super) fn name(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    match name.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &name[..end]),
        None => format!("`{name}`"),
    }
}
