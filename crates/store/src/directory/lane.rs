//! What the outside sees of an endpoint's lane: a few numbers that its owner writes and everybody reads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use bellwire_core::{decide::Health, time::Timestamp};

/// Shared between the directory (routing), the scheduler (which owns the lane) and whoever shows it.
#[derive(Debug)]
pub struct LaneGauge {
    backlogged: AtomicBool,
    /// Microseconds since the epoch; -1 when the last attempt succeeded.
    failing_since: AtomicI64,
    in_flight: AtomicU32,
    waiting: AtomicU64,
}

impl LaneGauge {
    /// A lane that starts in this state of health.
    pub fn new(health: Health) -> Self {
        let gauge = Self {
            backlogged: AtomicBool::new(false),
            failing_since: AtomicI64::new(-1),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU64::new(0),
        };
        gauge.set_health(health);
        gauge
    }

    /// Whether new deliveries wait in the store instead of being handed over in memory.
    pub fn is_backlogged(&self) -> bool {
        self.backlogged.load(Ordering::Relaxed)
    }

    /// Set by the lane's owner. A delivery that was routed just before still arrives in the old way; both ways are safe.
    pub fn set_backlogged(&self, backlogged: bool) {
        self.backlogged.store(backlogged, Ordering::Relaxed);
    }

    /// How the endpoint is doing.
    pub fn health(&self) -> Health {
        let micros = self.failing_since.load(Ordering::Relaxed);
        Health {
            failing_since: (micros >= 0).then(|| Timestamp::from_micros(micros)),
        }
    }

    /// Set by the lane's owner after each attempt that changed it.
    pub fn set_health(&self, health: Health) {
        let micros = health.failing_since.map_or(-1, Timestamp::micros);
        self.failing_since.store(micros, Ordering::Relaxed);
    }

    /// How many deliveries wait for it in the store.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns how many waited before.
    pub(super) fn set_waiting(&self, waiting: u64) -> u64 {
        self.waiting.swap(waiting, Ordering::Relaxed)
    }

    /// How many attempts are under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// An attempt begins. Returns how many are under way now.
    pub fn begin(&self) -> u32 {
        self.in_flight.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An attempt ended.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
