//! What people changed: who, when, by which operation, and what it was before and after.
//!
//! An entry is a [`crate::Change`] of its own and is put with the changes that it tells of, so that both are durable or neither
//! is. What is secret is never in it: that it changed is ([`HIDDEN`]). How two versions of a thing differ is [`difference`].

mod difference;

use std::time::Duration;

use bellwire_core::{
    id::{AppId, AuditId, EnvironmentId, TokenId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::difference::{Told, told};

/// How long entries are kept.
pub const KEPT: Duration = Duration::from_secs(400 * 86_400);
/// What stands for a secret.
pub const HIDDEN: &str = "(hidden)";

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its id, which is in the order of time.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Where.
    pub environment: EnvironmentId,
    /// About which application, when it is about one.
    pub app: Option<AppId>,
    /// Who.
    pub actor: Actor,
    /// From which address.
    pub peer: Option<String>,
    /// By which operation of the API, as its table names it.
    pub operation: String,
    /// About what.
    pub about: Vec<Subject>,
    /// What is different now.
    pub changes: Vec<Changed>,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// In what role.
    pub kind: ActorKind,
    /// By which token, when it was one of the store's.
    pub token: Option<TokenId>,
    /// The token's name as it was then.
    pub name: String,
    /// What the token was allowed.
    pub scope: String,
}

/// In what role somebody did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// With a token.
    Token,
    /// With the operator's own token.
    Operator,
    /// By the hooks file.
    HooksFile,
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What kind of thing: `endpoint`, `application`…
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What people call it: its uid, name or URL.
    pub name: String,
}

/// One member of a thing, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The thing's id.
    pub about: String,
    /// The member; empty when the thing was made or removed.
    pub member: String,
    /// What it was; null when it was not there.
    pub before: Value,
    /// What it is; null when it is no longer there.
    pub after: Value,
}

/// Conditions on entries. `None` is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this application.
    pub app: Option<AppId>,
    /// By this token, or (`Some(None)`) by the operator's own.
    pub token: Option<Option<TokenId>>,
    /// By this operation.
    pub operation: Option<String>,
    /// About the thing with this id.
    pub about: Option<String>,
    /// From then on…
    pub since: Option<Timestamp>,
    /// …and before then.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether an entry is meant.
    pub fn takes(&self, entry: &AuditEntry) -> bool {
        let by = |wanted: Option<TokenId>| match wanted {
            Some(token) => entry.actor.token == Some(token),
            None => entry.actor.kind == ActorKind::Operator,
        };
        self.app.is_none_or(|app| entry.app == Some(app))
            && self.token.is_none_or(by)
            && self.operation.as_ref().is_none_or(|wanted| entry.operation == *wanted)
            && self
                .about
                .as_ref()
                .is_none_or(|wanted| entry.about.iter().any(|subject| subject.id == *wanted))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}
