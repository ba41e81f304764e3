//! A source: where messages come in besides the API.
//!
//! A source owns an application of its own ([`crate::app::AppKind::Source`]): what comes in becomes that application's
//! messages, and what is done with it are that application's endpoints. So retries, order, limits and records are those of
//! every other delivery.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    id::{AppId, EnvironmentId, Id as _, SourceId},
    time::{Timestamp, span::Span},
    token::base62,
};

/// The kind of a source that publishes by a schedule.
pub const CRON: &str = "cron";
/// The kind of a source that watches something.
pub const MONITOR: &str = "monitor";
/// Longest uid of a source, in characters.
pub const UID_MAX: usize = 60;

/// Whether a text may be a source's uid: letters, digits, `-` and `_`, not starting as an id does. It is a part of a URL.
pub fn is_uid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= UID_MAX && text.bytes().all(allowed) && !text.starts_with(SourceId::PREFIX)
}

/// The unguessable part of a source's URL, made of random bytes: 43 letters and digits.
pub fn new_token(entropy: &[u8; 32]) -> String {
    base62(entropy)
}

/// Whether a text has the form of what [`new_token`] makes.
pub fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Where messages come in: an inbound webhook URL, a schedule, or a watch.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// The environment it belongs to.
    pub environment: EnvironmentId,
    /// The application that its messages and endpoints belong to; made and deleted with it.
    pub app: AppId,
    /// The owner's own name for it, unique in the environment, and a part of its URL.
    pub uid: Option<String>,
    /// A name for people.
    pub name: String,
    /// What it is: a provider of the listener's table, or `cron` or `monitor`.
    pub kind: String,
    /// The unguessable part of its URL; replaced when it is rotated.
    pub token: String,
    /// Those that rotations replaced and that are good for a while, the newest first.
    pub former_tokens: Vec<FormerToken>,
    /// What its kind needs: names and values, the newest first. Some are secret: sealed at rest, never shown.
    pub settings: BTreeMap<String, Vec<String>>,
    /// What is done with what comes in before it becomes messages.
    pub rules: SourceRules,
    /// The hooks file says how it is: the API does not change it.
    pub managed: bool,
    /// The owner's notes.
    pub metadata: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A part of a URL that a rotation replaced: providers may call it until they have been told of the new one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerToken {
    /// The unguessable part.
    pub token: String,
    /// From then on it is unknown.
    pub until: Timestamp,
}

impl Source {
    /// The same with another URL; the one of now, and those of before, are good until `until` at the latest.
    #[must_use]
    pub fn rotated(&self, token: String, now: Timestamp, until: Timestamp) -> Self {
        let mut next = Self {
            token,
            updated_at: now,
            ..self.clone()
        };
        let replaced = FormerToken {
            token: self.token.clone(),
            until,
        };
        next.former_tokens.insert(0, replaced);
        for former in &mut next.former_tokens {
            former.until = former.until.min(until);
        }
        next.former_tokens.retain(|former| former.until > now);
        next
    }

    /// Whether this part of a URL opens it.
    pub fn is_opened_by(&self, token: &str, now: Timestamp) -> bool {
        let former = |former: &FormerToken| former.token == token && former.until > now;
        self.token == token || self.former_tokens.iter().any(former)
    }

    /// All parts of URLs that open it, or did.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        let former = self.former_tokens.iter().map(|former| former.token.as_str());
        std::iter::once(self.token.as_str()).chain(former)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.id)
            .field("uid", &self.uid)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What is done with a trusted request before it becomes messages. Expressions are the house's one language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRules {
    /// An expression whose value is a list: each item becomes a message of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// An expression for the event type; the provider's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// An expression for the id by which repetitions are recognised; the provider's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// In which order messages are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<SourceOrder>,
}

/// How what comes in is put in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceOrder {
    /// An expression for the key: what the message is about. Messages of different keys do not wait for each other.
    pub by: String,
    /// An expression for the message's number; numbers of one key follow each other without gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The first number of each key; without it the least that comes within the wait is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// How long a message waits for those before it; [`SourceOrder::WAIT`] when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Span>,
    /// An expression for a version or time: a message that is older than the newest of its key is stale, and nothing is done with
    /// it. One that is as new is accepted, because many senders tell no more than seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl SourceOrder {
    /// The wait for those before it, when nobody says.
    pub const WAIT: Duration = Duration::from_secs(5);
    /// The longest wait.
    pub const WAIT_MAX: Duration = Duration::from_secs(3_600);

    /// How long a message waits for those before it.
    pub fn waits(&self) -> Duration {
        self.wait.map_or(Self::WAIT, |wait| wait.0.min(Self::WAIT_MAX))
    }
}

/// How a message came in, kept with it and shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// By which source.
    pub source: SourceId,
    /// The request's method; empty for what no request brought (`cron`, `monitor`).
    #[serde(default)]
    pub method: String,
    /// Path and query of the URL that was called.
    #[serde(default)]
    pub target: String,
    /// The request's headers in their order, names in lower case, without credentials.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Who connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Why it was trusted, in words.
    #[serde(default)]
    pub verdict: String,
    /// What the source's rules could not do with it, and what keeping order meant for it, in words: it waited, followed a gap, was
    /// stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Which item of its request it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("source", &self.source)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

/// One item of a request that brought several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its place, from 0.
    pub index: u32,
    /// How many the request brought.
    pub count: u32,
    /// The request's body without the list, as JSON; `None` when the list was all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_fits_into_a_url_and_is_not_like_an_id() {
        assert!(is_uid("stripe-eu_2") && is_uid(&"a".repeat(60)));
        assert!(!is_uid("") && !is_uid("src_1") && !is_uid("a.b") && !is_uid("a/b") && !is_uid(&"a".repeat(61)));
    }

    #[test]
    fn a_rotation_leaves_the_old_token_good_for_a_while() {
        let at = Timestamp::from_secs;
        let first = Source {
            id: SourceId::from_number(1),
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(1),
            uid: None,
            name: String::new(),
            kind: "github".to_owned(),
            token: "a".to_owned(),
            former_tokens: Vec::new(),
            settings: BTreeMap::new(),
            rules: SourceRules::default(),
            managed: false,
            metadata: BTreeMap::new(),
            created_at: at(0),
            updated_at: at(0),
        };
        let second = first.rotated("b".to_owned(), at(10), at(20));
        let third = second.rotated("c".to_owned(), at(12), at(30));
        let opened = |source: &Source, token: &str, time| source.is_opened_by(token, at(time));
        assert!(
            opened(&third, "a", 19) && !opened(&third, "a", 20),
            "its own end is kept"
        );
        assert!(opened(&third, "b", 29) && !opened(&third, "b", 30));
        assert!(opened(&third, "c", 99) && !opened(&third, "d", 12));
        assert_eq!(third.tokens().collect::<Vec<_>>(), ["c", "b", "a"]);
        let none = third.rotated("d".to_owned(), at(13), at(13));
        assert_eq!(none.tokens().collect::<Vec<_>>(), ["d"], "no grace ends all of them");
    }

    #[test]
    fn a_token_is_letters_and_digits() {
        let token = new_token(&[0xFF; 32]);
        assert!(
            is_token(&token) && is_token(&new_token(&[0; 32])) && !is_token("github"),
            "{token}"
        );
        assert_ne!(token, new_token(&[0xFE; 32]));
    }
}
