//! What the API counts, as values that the binary registers.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
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

/// Why a request was refused before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Too many publications were under way.
    InFlight,
    /// The bodies of requests took all the memory they may have.
    BodyBytes,
    /// Too many deliveries waited in the store.
    HighWater,
    /// The application published faster than it may.
    AppRate,
    /// Too many deliveries waited for the application's endpoints.
    AppWaiting,
}

impl Refused {
    const ALL: [Self; 5] = [
        Self::InFlight,
        Self::BodyBytes,
        Self::HighWater,
        Self::AppRate,
        Self::AppWaiting,
    ];
}

impl EncodeLabelValue for Refused {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::InFlight => "in_flight",
            Self::BodyBytes => "body_bytes",
            Self::HighWater => "high_water",
            Self::AppRate => "app_rate",
            Self::AppWaiting => "app_waiting",
        };
        name.encode(encoder)
    }
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedBecause {
    /// The reason.
    pub reason: Refused,
}

/// Counters of the API.
#[derive(Debug)]
pub struct ApiMetrics {
    /// Requests refused before they were read.
    pub refused: Family<RefusedBecause, Counter>,
    /// Publications under way.
    pub publishes_in_flight: Gauge,
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
        let refused = Family::<RefusedBecause, Counter>::default();
        // Shown from the start, so that a first one is an increase.
        for reason in Refused::ALL {
            drop(refused.get_or_create(&RefusedBecause { reason }));
        }
        Self {
            refused,
            publishes_in_flight: Gauge::default(),
            messages_accepted: Counter::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
        }
    }
}

impl ApiMetrics {
    /// One request was refused.
    pub(crate) fn refused(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedBecause { reason }).inc();
    }

    /// Makes them part of a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "bellwire_messages_accepted",
            "Messages accepted",
            self.messages_accepted.clone(),
        );
        registry.register(
            "bellwire_requests_refused",
            "Requests refused before they were read, by reason",
            self.refused.clone(),
        );
        registry.register(
            "bellwire_publishes_in_flight",
            "Publications under way",
            self.publishes_in_flight.clone(),
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
