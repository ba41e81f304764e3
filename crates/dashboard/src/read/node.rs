//! Servers that share the store.

use bellwire_core::time::Timestamp;
use serde::Deserialize;

/// One that takes part.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    pub number: u64,
    pub role: String,
    pub host: String,
    pub since: Timestamp,
    pub seen_at: Timestamp,
    pub shards: u64,
    pub version: u64,
    pub leads: bool,
    pub answers: bool,
}

impl Node {
    /// What its role means.
    pub fn does(&self) -> &'static str {
        match self.role.as_str() {
            "api" => "takes in",
            "worker" => "sends",
            _ => "takes in and sends",
        }
    }
}
