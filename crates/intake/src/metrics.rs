//! What the way in counts, as values that the binary registers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedBecause {
    /// A name from a closed set.
    pub reason: &'static str,
}

/// Counters of sources.
#[derive(Debug)]
pub struct IntakeMetrics {
    /// Messages accepted (repetitions not counted, those held counted when they are held).
    pub accepted: Counter,
    /// Events that were there already.
    pub duplicates: Counter,
    /// Deliveries that had failed and were begun anew because their event came again.
    pub revived: Counter,
    /// Messages that were held until their turn.
    pub held: Counter,
    /// Held messages that were accepted because their wait was over.
    pub released: Counter,
    /// Messages that came after their turn.
    pub stale: Counter,
    /// Handshakes answered.
    pub handshakes: Counter,
    /// Requests refused.
    pub refused: Family<RefusedBecause, Counter>,
    /// How long answers took, from when the request was there to the answer.
    pub seconds: Histogram,
}

impl Default for IntakeMetrics {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            duplicates: Counter::default(),
            revived: Counter::default(),
            held: Counter::default(),
            released: Counter::default(),
            stale: Counter::default(),
            handshakes: Counter::default(),
            refused: Family::default(),
            // 0.25 ms to 16 s, each bucket four times the one before.
            seconds: Histogram::new((0..9).map(|n| 0.000_25 * 4f64.powi(n))),
        }
    }
}

impl IntakeMetrics {
    /// One request was refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedBecause { reason }).inc();
    }

    /// Makes them part of a registry.
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            ("accepted", "Messages that sources brought", &self.accepted),
            (
                "duplicates",
                "Events of sources that were there already",
                &self.duplicates,
            ),
            (
                "revived",
                "Failed deliveries begun anew because their event came again",
                &self.revived,
            ),
            (
                "held",
                "Messages of sources that were held until their turn",
                &self.held,
            ),
            (
                "released",
                "Held messages accepted because their wait was over",
                &self.released,
            ),
            ("stale", "Messages of sources that came after their turn", &self.stale),
            ("handshakes", "Handshakes of providers answered", &self.handshakes),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("bellwire_intake_{name}"), help, counter.clone());
        }
        registry.register(
            "bellwire_intake_refused",
            "Requests to sources refused, by reason",
            self.refused.clone(),
        );
        registry.register(
            "bellwire_intake_request_seconds",
            "Time from a request to a source being there to its answer",
            self.seconds.clone(),
        );
    }
}
