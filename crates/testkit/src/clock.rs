//! Clocks that are told the time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bellwire_core::time::Timestamp;
use bellwire_store::Clock;
use tokio::time::Instant;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at this time.
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.micros()))
    }

    /// Sets it, forth or back.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.micros(), Ordering::SeqCst);
    }

    /// Moves it forth; answers the new time.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let at = self.now().plus(by);
        self.set(at);
        at
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A wall clock that follows tokio's (paused) clock, and can be set besides.
///
/// It outlives runtimes: [`Self::enter`] inside a new one, [`Self::leave`] before that one is dropped. Between the two it
/// stands still.
#[derive(Debug)]
pub struct SimClock {
    state: Mutex<SimTime>,
}

#[derive(Debug, Clone, Copy)]
struct SimTime {
    /// The wall clock's time at `origin`, or now when there is none.
    wall: Timestamp,
    /// Time that has passed before `origin`, not counting how the clock was set.
    passed: Duration,
    origin: Option<Instant>,
}

impl SimTime {
    fn since_origin(&self) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| {
            Instant::now().saturating_duration_since(origin)
        })
    }
}

impl SimClock {
    /// Stands at this time until a runtime is entered.
    pub fn new(at: Timestamp) -> Self {
        Self {
            state: Mutex::new(SimTime {
                wall: at,
                passed: Duration::ZERO,
                origin: None,
            }),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut SimTime) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows the clock of the runtime that this is called in.
    pub fn enter(&self) {
        self.leave();
        self.with(|time| time.origin = Some(Instant::now()));
    }

    /// Stands still from now on.
    pub fn leave(&self) {
        self.with(|time| {
            let since = time.since_origin();
            time.wall = time.wall.plus(since);
            time.passed += since;
            time.origin = None;
        });
    }

    /// Sets the wall clock forth.
    pub fn jump_forth(&self, by: Duration) {
        self.with(|time| time.wall = time.wall.plus(by));
    }

    /// Sets the wall clock back.
    pub fn jump_back(&self, by: Duration) {
        self.with(|time| time.wall = time.wall.minus(by));
    }

    /// How much time has really passed since the beginning, however the wall clock was set.
    pub fn passed(&self) -> Duration {
        self.with(|time| time.passed + time.since_origin())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.with(|time| time.wall.plus(time.since_origin()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[tokio::test(start_paused = true)]
    async fn the_simulated_clock_follows_tokio_and_can_be_set() {
        let clock = SimClock::new(NOON);
        assert_eq!(clock.now(), NOON);
        clock.enter();
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), NOON.plus(Duration::from_secs(90)));
        clock.jump_back(Duration::from_secs(3_600));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(
            clock.now(),
            NOON.plus(Duration::from_secs(100)).minus(Duration::from_secs(3_600))
        );
        assert_eq!(clock.passed(), Duration::from_secs(100));
        clock.leave();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(clock.passed(), Duration::from_secs(100));
    }
}
