//! What people changed, and what a change would break.

use bellwire_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One change.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub at: Timestamp,
    pub operation: String,
    pub actor: Actor,
    pub peer: Option<String>,
    #[serde(default)]
    pub about: Vec<About>,
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// Who.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Actor {
    pub kind: String,
    pub name: Option<String>,
}

impl Actor {
    pub fn shown(&self) -> &str {
        match (self.kind.as_str(), self.name.as_deref()) {
            ("operator", _) => "the operator's token",
            ("hooks_file", _) => "the hooks file",
            (_, Some(name)) => name,
            (kind, None) => kind,
        }
    }
}

/// What about.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct About {
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
}

impl About {
    pub fn shown(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }

    pub fn kind(&self) -> String {
        self.kind.replace('_', " ")
    }
}

/// A member before and after.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Change {
    pub member: String,
    #[serde(default)]
    pub before: Value,
    #[serde(default)]
    pub after: Value,
}

impl Change {
    pub fn was(&self) -> String {
        shown(&self.before)
    }

    pub fn is(&self) -> String {
        shown(&self.after)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a change would break.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Impact {
    pub about: About,
    #[serde(default)]
    pub pending: u64,
    #[serde(default)]
    pub breaks: Vec<Break>,
    pub undo: Option<String>,
}

impl Impact {
    /// What people call the thing.
    pub fn name(&self) -> &str {
        self.about.shown()
    }
}

/// One thing that would.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Break {
    pub name: Option<String>,
    pub words: String,
}

/// What other settings would have done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backtest {
    pub seen: u64,
    pub matched_before: u64,
    pub matched_after: u64,
    #[serde(default)]
    pub gained: u64,
    #[serde(default)]
    pub lost: u64,
    #[serde(default)]
    pub bodies_changed: u64,
    #[serde(default)]
    pub failed: u64,
    #[serde(default)]
    pub unknown: u64,
    #[serde(default)]
    pub rows: Vec<Differs>,
}

/// A message that would have fared otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Differs {
    pub msg_id: String,
    pub event_type: String,
    pub timestamp: Timestamp,
    pub before: bool,
    pub after: bool,
    pub because: Option<String>,
    pub body: Option<Bodies>,
}

impl Differs {
    pub fn words(&self) -> &'static str {
        match (self.before, self.after) {
            (true, false) => "no longer sent",
            (false, true) => "now sent",
            _ => "sent otherwise",
        }
    }
}

/// How the body differs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Bodies {
    #[serde(default)]
    pub difference: String,
}

impl Bodies {
    /// Its lines, with whether each is new, gone or neither.
    pub fn lines(&self) -> Vec<(&'static str, &str)> {
        let line = |line| match str::as_bytes(line).first() {
            Some(b'+') => ("new", line),
            Some(b'-') => ("gone", line),
            _ => ("same", line),
        };
        self.difference.lines().map(line).collect()
    }
}
