//! What the API counts, as values that the binary registers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Which operation was answered how.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The operation's id.
    pub operation: &'static str,
    /// The answer's status code.
    pub status: u16,
}

/// Which operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Operated {
    /// The operation's id.
    pub operation: &'static str,
}

/// Counters of the API.
#[derive(Debug)]
pub struct ApiMetrics {
    /// Messages accepted (repetitions not counted).
    pub messages_accepted: Counter,
    /// Requests answered.
    pub requests: Family<Answered, Counter>,
    /// How long answers took.
    pub request_seconds: Family<Operated, Histogram>,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        // 0.25 ms to 16 s, each bucket four times the one before.
        let histogram = || Histogram::new((0..9).map(|n| 0.000_25 * 4f64.powi(n)));
        Self {
            messages_accepted: Counter::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
        }
    }
}

impl ApiMetrics {
    /// Makes them part of a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "bellwire_messages_accepted",
            "Messages accepted",
            self.messages_accepted.clone(),
        );
        registry.register(
            "bellwire_api_requests",
            "API requests by operation and status",
            self.requests.clone(),
        );
        registry.register(
            "bellwire_api_request_seconds",
            "Time from the request's arrival to its answer",
            self.request_seconds.clone(),
        );
    }
}
