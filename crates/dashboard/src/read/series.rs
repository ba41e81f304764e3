//! Counts and times over a span.

use bellwire_core::time::Timestamp;
use serde::Deserialize;

/// What happened, in even steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Series {
    pub since: Timestamp,
    pub until: Timestamp,
    #[serde(default = "yes")]
    pub exact: bool,
    pub points: Vec<Point>,
    pub total: Point,
    pub queue: Option<Queue>,
    pub slowness: Option<Slowness>,
}

const fn yes() -> bool {
    true
}

/// One step, or all of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Point {
    pub at: Option<Timestamp>,
    #[serde(default)]
    pub attempts: u64,
    #[serde(default)]
    pub succeeded: u64,
    #[serde(default)]
    pub failed: u64,
    pub answer_ms: Option<Percentiles>,
    pub lag_ms: Option<Percentiles>,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// What waits now.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queue {
    pub waiting: u64,
    pub oldest_due: Option<Timestamp>,
    #[serde(default)]
    pub oldest_age_seconds: u64,
    #[serde(default)]
    pub in_flight: u64,
}

/// Whether it is slow, and because of whom.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Slowness {
    pub words: String,
}
