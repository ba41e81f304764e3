//! Attempts.

use std::collections::BTreeMap;

use bellwire_core::time::Timestamp;
use serde::Deserialize;

use super::state::{State, of_delivery};

/// One try of a delivery.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    pub id: String,
    pub url: String,
    pub msg_id: String,
    pub endpoint_id: String,
    pub timestamp: Timestamp,
    #[serde(default)]
    pub response: String,
    #[serde(default)]
    pub response_status_code: i64,
    #[serde(default)]
    pub response_duration_ms: i64,
    pub status_text: String,
    #[serde(default)]
    pub trigger_type: u8,
    pub attempt_number: u64,
    pub failure: Option<String>,
}

impl Attempt {
    pub fn state(&self) -> State {
        of_delivery(&self.status_text)
    }

    pub fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// What came back, in a few characters.
    pub fn answered(&self) -> String {
        match (self.response_status_code, &self.failure) {
            (0, Some(reason)) => reason.clone(),
            (0, None) => "done".to_owned(),
            (code, _) => code.to_string(),
        }
    }

    /// Whether somebody asked for it, rather than the schedule.
    pub fn is_manual(&self) -> bool {
        self.trigger_type == 1
    }
}

/// The headers that went out and came back.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Headers {
    pub sent_headers: BTreeMap<String, String>,
    #[serde(default)]
    pub sensitive: Vec<String>,
    pub response_headers: Option<Vec<(String, String)>>,
}
