//! What a hooks file asks for: sources and endpoints as they are to be.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bellwire_core::{
    endpoint::{ActionSettings, Workflow},
    order::Ordering,
    source::SourceRules,
};

use serde_json::Value;

use crate::{finding::Mark, veil::Veil};

/// Everything that a file asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The hooks, in the order of the file.
    pub hooks: Vec<Hook>,
    pub(crate) veil: Veil,
}

impl Desired {
    /// The hook of that name.
    pub fn hook(&self, name: &str) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.name == name)
    }

    /// A text about the file as people may see it: the values that references were replaced by are hidden.
    pub fn veiled(&self, text: &str) -> String {
        self.veil.over(text)
    }

    /// The same for an error, which may hold pieces of what was replaced.
    pub fn veiled_error(&self, text: &str) -> String {
        self.veil.over_excerpts(text)
    }

    /// As [`Self::veiled`], all texts of a value.
    pub fn veiled_json(&self, mut value: Value) -> Value {
        self.veil.over_json(&mut value);
        value
    }
}

/// A hook: a source, and the endpoints that act on what it brings.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name: the source's uid, and the last part of its URL.
    pub name: String,
    /// Where it is written.
    pub at: Mark,
    /// What the source is: a provider's row, `cron` or `monitor`.
    pub kind: String,
    /// The source's settings.
    pub settings: BTreeMap<String, Vec<String>>,
    /// What is done before something becomes a message.
    pub rules: SourceRules,
    /// What is done with a message.
    pub actions: Vec<HookAction>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("settings", &self.settings.keys())
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// An action of a hook: an endpoint of the source's application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAction {
    /// Its name, or `{kind}-{n}`: the endpoint's uid.
    pub uid: String,
    /// Where it is written.
    pub at: Mark,
    /// What stands for a URL.
    pub url: String,
    /// What it does.
    pub action: ActionSettings,
    /// On which messages, and in which form.
    pub workflow: Workflow,
    /// Whether messages wait for each other.
    pub ordering: Ordering,
    /// The waits before each retry; `None` is the server's.
    pub retry_schedule: Option<Vec<Duration>>,
    /// How long one attempt may take; `None` is the server's, or the kind's.
    pub timeout: Option<Duration>,
    /// How many attempts may run at once; `None` is the server's.
    pub max_in_flight: Option<u16>,
    /// What is to be done waits until it is resumed.
    pub paused: bool,
    /// Nothing is done for now.
    pub disabled: bool,
}

impl HookAction {
    /// The name of its kind.
    pub fn kind(&self) -> &Arc<str> {
        &self.action.kind
    }
}
