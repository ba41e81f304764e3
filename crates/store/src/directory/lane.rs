//! What the outside sees of an endpoint's lane: a few numbers that its owner writes and everybody reads, and its status, which its
//! owner writes about once a second while it does anything.

mod status;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
};

use bellwire_core::{decide::Health, time::Timestamp};

pub use self::status::{BreakerState, LaneState, LaneStatus, LimitStatus, WaitsFor};
use super::EndpointEntry;

/// Shared between the directory (routing), the scheduler (which owns the lane) and whoever shows it.
#[derive(Debug)]
pub struct LaneGauge {
    backlogged: AtomicBool,
    /// Microseconds since the epoch; -1 when the last attempt succeeded.
    failing_since: AtomicI64,
    in_flight: AtomicU32,
    waiting: AtomicU64,
    /// None while there is nothing to say: most endpoints do nothing most of the time.
    status: Mutex<Option<Box<LaneStatus>>>,
}

impl LaneGauge {
    /// A lane that starts in this state of health.
    pub fn new(health: Health) -> Self {
        let gauge = Self {
            backlogged: AtomicBool::new(false),
            failing_since: AtomicI64::new(-1),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU64::new(0),
            status: Mutex::new(None),
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

    /// For the directory, which keeps the sum ([`super::Directory::note_waiting`]). Returns how many waited before.
    pub fn set_waiting(&self, waiting: u64) -> u64 {
        self.waiting.swap(waiting, Ordering::Relaxed)
    }

    /// How many attempts are under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Set by the lane's owner whenever an attempt begins or ends.
    pub fn set_in_flight(&self, attempts: u32) {
        self.in_flight.store(attempts, Ordering::Relaxed);
    }

    /// How the lane stands, as its owner last said: about a second ago at most, except for what is under way and what waits in the
    /// store, which are as of now. A lane that nothing was said of is idle. What the endpoint's settings say on top of it is in
    /// [`EndpointEntry::status`].
    pub fn status(&self) -> LaneStatus {
        let known = self.told().as_deref().cloned();
        LaneStatus {
            in_flight: self.in_flight(),
            waiting: self.waiting(),
            ..known.unwrap_or_default()
        }
    }

    /// Says how the lane stands; `None`: it has nothing to do and nothing to remember. For the lane's owner.
    pub fn tell(&self, status: Option<LaneStatus>) {
        let mut told = self.told();
        match (told.as_deref_mut(), status) {
            (Some(told), Some(status)) => *told = status,
            (_, status) => *told = status.map(Box::new),
        }
    }

    fn told(&self) -> MutexGuard<'_, Option<Box<LaneStatus>>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointEntry {
    /// How its lane stands. That it is paused or disabled is taken from its settings, which the lane learns a moment later.
    pub fn status(&self) -> LaneStatus {
        let mut status = self.lane.status();
        if self.endpoint.disabled.is_some() {
            (status.state, status.waits_for) = (LaneState::Disabled, WaitsFor::BeingEnabled);
        } else if self.endpoint.paused {
            (status.state, status.waits_for) = (LaneState::Paused, WaitsFor::BeingResumed);
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_lane_costs_little() {
        assert!(size_of::<LaneGauge>() <= 48, "{} bytes", size_of::<LaneGauge>());
        assert!(size_of::<LaneStatus>() <= 256, "{} bytes", size_of::<LaneStatus>());
    }

    #[test]
    fn a_lane_that_nothing_was_said_of_is_idle_and_shows_what_waits() {
        let gauge = LaneGauge::new(Health::default());
        gauge.set_waiting(7);
        gauge.set_in_flight(2);
        let status = gauge.status();
        assert_eq!(
            (status.state, status.waiting, status.in_flight),
            (LaneState::Idle, 7, 2)
        );
        gauge.tell(Some(LaneStatus {
            state: LaneState::Parked,
            waiting: 0,
            ..LaneStatus::default()
        }));
        let status = gauge.status();
        assert_eq!((status.state, status.waiting), (LaneState::Parked, 7));
        gauge.tell(None);
        assert_eq!(gauge.status().state, LaneState::Idle);
    }
}
