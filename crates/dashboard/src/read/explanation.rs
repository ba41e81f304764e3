//! Why an endpoint got a message, or did not.

use bellwire_core::time::Timestamp;
use serde::Deserialize;

use super::state::{State, of_reason};

/// What a message has to do with one endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    pub endpoint_id: String,
    pub clauses: Vec<Clause>,
    pub reason: String,
    pub summary: String,
    pub advice: Option<String>,
    pub status_text: Option<String>,
    pub next_attempt: Option<Timestamp>,
    pub sequence: Option<u64>,
}

impl Explanation {
    pub fn state(&self) -> State {
        of_reason(&self.reason, self.status_text.as_deref())
    }

    /// Whether the endpoint was given the message.
    pub fn was_given(&self) -> bool {
        self.status_text.is_some()
    }
}

/// One thing that the endpoint asks of its messages.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Clause {
    pub clause: String,
    pub holds: bool,
    #[serde(default)]
    pub wants: Vec<String>,
    #[serde(default)]
    pub found: Vec<Found>,
    pub error: Option<String>,
}

impl Clause {
    pub fn title(&self) -> &str {
        match self.clause.as_str() {
            "eventTypes" => "event type",
            "channels" => "channel",
            other => other,
        }
    }

    pub fn wanted(&self) -> String {
        self.wants.join(", ")
    }
}

/// What a clause found in the message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    pub path: String,
    pub value: Option<String>,
}

impl Found {
    pub fn shown(&self) -> &str {
        self.value.as_deref().unwrap_or("nothing")
    }
}
