//! Endpoints: settings and how they stand.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::state::{State, of_endpoint};

/// Where messages go.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    pub id: String,
    pub url: String,
    #[serde(default)]
    pub description: String,
    pub kind: String,
    pub action: Option<Value>,
    pub disabled: bool,
    pub disabled_reason: Option<String>,
    pub disabled_since: Option<Timestamp>,
    pub failing_since: Option<Timestamp>,
    pub paused: bool,
    pub event_types: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    pub filter: Option<String>,
    pub transformation: Option<String>,
    pub format: String,
    pub ordering: String,
    pub ordering_key_expression: Option<String>,
    pub retry_schedule: Option<Vec<Value>>,
    pub timeout_ms: Option<u64>,
    pub throttle_rate: Option<u64>,
    pub max_in_flight: Option<u64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// What is shown first: the description where there is one, otherwise where it leads.
    pub fn label(&self) -> &str {
        match self.description.trim() {
            "" => self.place(),
            words => words,
        }
    }

    /// Where it leads.
    pub fn place(&self) -> &str {
        match self.url.as_str() {
            "" => &self.kind,
            url => url,
        }
    }

    pub fn state(&self) -> State {
        of_endpoint(self.disabled, self.paused, self.failing_since.is_some())
    }

    /// Whether it is called as endpoints are: by its URL, and not by the settings of an action.
    pub fn is_http(&self) -> bool {
        self.kind == "http" && self.action.is_none()
    }

    /// Which messages it wants, in words.
    pub fn wants(&self) -> String {
        let types = match self.event_types.as_deref() {
            None | Some([]) => "all event types".to_owned(),
            Some(types) => types.join(", "),
        };
        let channels = match self.channels.as_deref() {
            None | Some([]) => String::new(),
            Some(channels) => format!(" on {}", channels.join(", ")),
        };
        let filter = if self.filter.is_some() { ", filtered" } else { "" };
        format!("{types}{channels}{filter}")
    }

    /// What its lists say, a name a line.
    pub fn lines(list: Option<&Vec<String>>) -> String {
        list.map(|names| names.join("\n")).unwrap_or_default()
    }

    /// The waits before its retries, as they are written in settings.
    pub fn schedule(&self) -> Option<String> {
        let waits = self.retry_schedule.as_ref()?;
        let wait = |wait: &Value| match (wait.as_u64(), wait.as_str()) {
            (Some(secs), _) => crate::words::span(Duration::from_secs(secs)),
            (_, Some(text)) => text.to_owned(),
            _ => wait.to_string(),
        };
        Some(match waits.is_empty() {
            true => "none: a single attempt".to_owned(),
            false => waits.iter().map(wait).collect::<Vec<_>>().join(", "),
        })
    }
}

/// How its lane stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lane {
    pub state: String,
    pub waits_for: String,
    pub in_flight: u64,
    pub latency_ms: Option<f64>,
    pub attempts: Lately,
    pub backlog: Backlog,
    pub breaker: Breaker,
    pub limit: Option<Limit>,
    pub rate: Rate,
}

/// Outcomes of late.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Lately {
    pub succeeded: u64,
    pub failed: u64,
}

/// What waits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backlog {
    pub waiting: u64,
    pub oldest_due: Option<Timestamp>,
    pub oldest_age_seconds: u64,
    #[serde(default)]
    pub blocked_lines: u64,
}

/// The breaker.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Breaker {
    pub state: String,
    pub failures_in_a_row: u64,
    pub next_probe: Option<Timestamp>,
}

/// Attempts at once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Limit {
    pub now: u64,
    pub max: u64,
}

/// Attempts a second.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Rate {
    pub now: f64,
    pub limit: Option<f64>,
    pub learned: Option<f64>,
}

/// Deliveries by state.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Stats {
    pub success: u64,
    pub pending: u64,
    pub sending: u64,
    pub fail: u64,
    pub canceled: u64,
}

/// A secret, shown because somebody asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secret {
    pub key: String,
    pub public_key: Option<String>,
}
