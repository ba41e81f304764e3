//! Whether attempts may be begun: only while it is certain that nobody else has this node's place, and that the configuration
//! in force is the newest. Both are certain for a while after the database has said so; the time counts from when it was asked.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// So long after it has said that it is alive a node is certain that its place is not another's: less than after how much silence others
/// take it.
pub(super) const ALIVE: Duration = Duration::from_secs(4);
/// So long after it has asked for the configuration's version it is certain that it has what is in force.
pub(super) const CURRENT: Duration = Duration::from_secs(1);

/// Opens and closes by time.
#[derive(Debug)]
pub(super) struct Gate {
    begun: Instant,
    alive_at: AtomicU64,
    alive_until: AtomicU64,
    current_until: AtomicU64,
    /// Somebody keeps a configuration in memory.
    is_followed: AtomicBool,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            alive_at: AtomicU64::new(0),
            alive_until: AtomicU64::new(0),
            current_until: AtomicU64::new(0),
            is_followed: AtomicBool::new(false),
        }
    }
}

impl Gate {
    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        let now = self.micros(Instant::now());
        now < self.alive_until.load(Ordering::Acquire)
            && (!self.is_followed.load(Ordering::Relaxed) || now < self.current_until.load(Ordering::Acquire))
    }

    /// The place was ours when it was asked, at this moment.
    pub fn was_alive(&self, asked: Instant) {
        self.alive_at.store(self.micros(asked), Ordering::Relaxed);
        self.alive_until.store(self.micros(asked + ALIVE), Ordering::Release);
    }

    /// Time since the place was certainly ours, whether the gate was closed meanwhile or not.
    pub fn alive_age(&self) -> Duration {
        let now = self.micros(Instant::now());
        Duration::from_micros(now.saturating_sub(self.alive_at.load(Ordering::Relaxed)))
    }

    /// What is in force was the newest when it was asked, at this moment.
    pub fn was_current(&self, asked: Instant) {
        self.current_until
            .fetch_max(self.micros(asked + CURRENT), Ordering::AcqRel);
    }

    /// Time since what is in force was certainly the newest; none while nobody keeps a configuration.
    pub fn current_age(&self) -> Duration {
        if !self.is_followed.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let now = self.micros(Instant::now() + CURRENT);
        Duration::from_micros(now.saturating_sub(self.current_until.load(Ordering::Acquire)))
    }

    /// From now on it counts what is in force.
    pub fn follow(&self) {
        self.is_followed.store(true, Ordering::Relaxed);
    }

    /// The place may be another's by now.
    pub fn close(&self) {
        self.alive_until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_for_a_while_after_the_database_has_said_so() {
        let gate = Gate::default();
        assert!(!gate.is_open());
        let now = Instant::now();
        gate.was_alive(now);
        assert!(gate.is_open());
        gate.was_alive(now.checked_sub(ALIVE).unwrap());
        assert!(!gate.is_open(), "it was too long ago");
        gate.was_alive(now);
        gate.close();
        assert!(!gate.is_open());
    }

    #[test]
    fn who_keeps_a_configuration_must_know_that_it_is_the_newest() {
        let gate = Gate::default();
        gate.was_alive(Instant::now());
        gate.is_followed.store(true, Ordering::Relaxed);
        assert!(!gate.is_open());
        gate.was_current(Instant::now());
        assert!(gate.is_open());
        gate.was_current(gate.begun);
        assert!(gate.is_open(), "an older answer takes nothing back");
    }

    #[test]
    fn its_ages_count_from_when_the_database_was_asked() {
        let long = Duration::from_secs(30);
        let gate = Gate {
            begun: Instant::now().checked_sub(long).unwrap(),
            ..Gate::default()
        };
        assert!(gate.alive_age() >= long);
        assert_eq!(gate.current_age(), Duration::ZERO, "nobody keeps a configuration");
        gate.follow();
        assert!(gate.current_age() >= long);
        gate.was_alive(Instant::now());
        gate.was_current(Instant::now());
        gate.close();
        assert!(gate.alive_age() < long && gate.current_age() < long);
    }
}
