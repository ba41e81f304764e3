//! The circuit breaker of one endpoint: after so many failures in a row nothing is attempted there but one probe now and then.
//!
//! Closed → open after `failures` in a row → a probe after `probe_min`, then at intervals that double up to `probe_max` →
//! closed by the first success. What comes back slowly after that is [`crate::rate::SlowStart`] and
//! [`crate::limit::Limit::restart`]. A probe is an ordinary delivery that is due; none is made up. The scheduler keeps one for
//! each lane. Times are passed in, and may jump.

use std::time::Duration;

use crate::time::Timestamp;

/// When a breaker opens and how it probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// It opens after so many failures in a row; 0: never.
    pub failures: u32,
    /// The wait before the first probe.
    pub probe_min: Duration,
    /// The longest wait before a probe.
    pub probe_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures: 100,
            probe_min: Duration::from_secs(1),
            probe_max: Duration::from_secs(60),
        }
    }
}

/// What an ended attempt did to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It opened.
    Opened,
    /// It closed: the endpoint is back.
    Closed,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    wait: Duration,
    /// From when on a probe may begin.
    probe_at: Timestamp,
    /// One is under way.
    probing: bool,
}

impl Breaker {
    /// Whether nothing but probes may be attempted.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next probe may begin; `None` when it is closed, or while a probe is under way.
    pub fn probe_at(&self) -> Option<Timestamp> {
        self.open.filter(|open| !open.probing).map(|open| open.probe_at)
    }

    /// Whether an attempt may begin at `now`: any when closed, a probe when open. A clock that was set back delays a probe by
    /// no more than one wait.
    pub fn allows(&mut self, now: Timestamp) -> bool {
        let Some(open) = &mut self.open else { return true };
        open.probe_at = open.probe_at.min(now.plus(open.wait));
        !open.probing && open.probe_at <= now
    }

    /// An attempt begins that [`Self::allows`] allowed; answers whether it is a probe.
    pub fn begin(&mut self) -> bool {
        if let Some(open) = &mut self.open {
            open.probing = true;
        }
        self.is_open()
    }

    /// An attempt succeeded, whenever it was begun.
    pub fn succeeded(&mut self) -> Option<Turned> {
        self.failures = 0;
        self.open.take().map(|_| Turned::Closed)
    }

    /// An attempt failed; `probe` is what [`Self::begin`] said. What was begun before it opened and fails later moves no probe.
    pub fn failed(&mut self, probe: bool, settings: Settings, now: Timestamp) -> Option<Turned> {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            Some(open) if probe => {
                open.wait = (open.wait * 2).min(settings.probe_max).max(settings.probe_min);
                open.probe_at = now.plus(open.wait);
                open.probing = false;
                None
            }
            Some(_) => None,
            None if settings.failures > 0 && self.failures >= settings.failures => {
                self.open = Some(Open {
                    wait: settings.probe_min,
                    probe_at: now.plus(settings.probe_min),
                    probing: false,
                });
                Some(Turned::Opened)
            }
            None => None,
        }
    }

    /// A probe was begun and nothing was attempted: it is tried again after the same wait.
    pub fn not_attempted(&mut self, probe: bool, now: Timestamp) {
        if let Some(open) = self.open.as_mut().filter(|_| probe) {
            open.probe_at = now.plus(open.wait);
            open.probing = false;
        }
    }

    /// Somebody changed something: the next probe may begin at once.
    pub fn probe_soon(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.probe_at = open.probe_at.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_766_000_000);
    const SETTINGS: Settings = Settings {
        failures: 3,
        probe_min: Duration::from_secs(1),
        probe_max: Duration::from_secs(60),
    };

    fn opened(now: Timestamp) -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..=3 {
            let turned = breaker.failed(false, SETTINGS, now);
            assert_eq!(turned, (n == 3).then_some(Turned::Opened));
        }
        breaker
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_a_success_begins_a_new_row() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 0..2 {
                assert_eq!(breaker.failed(false, SETTINGS, START), None);
            }
            assert_eq!(breaker.succeeded(), None);
        }
        assert!(breaker.allows(START) && !breaker.begin());
        assert!(opened(START).is_open());
    }

    #[test]
    fn it_never_opens_when_it_is_off() {
        let off = Settings {
            failures: 0,
            ..SETTINGS
        };
        let mut breaker = Breaker::default();
        for _ in 0..1_000 {
            assert_eq!(breaker.failed(false, off, START), None);
        }
        assert_eq!(breaker.failures(), 1_000);
    }

    #[test]
    fn probes_come_one_at_a_time_at_waits_that_double_up_to_a_minute() {
        let (mut breaker, mut now) = (opened(START), START);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let at = breaker.probe_at().unwrap();
            assert!(!breaker.allows(at.minus(Duration::from_micros(1))));
            assert!(breaker.allows(at) && breaker.begin());
            assert!(!breaker.allows(at.plus(Duration::from_secs(3_600))), "one at a time");
            waits.push(at.since(now).as_secs());
            now = at;
            assert_eq!(breaker.failed(true, SETTINGS, now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn any_success_closes_it_and_a_failure_from_before_moves_no_probe() {
        let mut breaker = opened(START);
        let at = breaker.probe_at();
        breaker.failed(false, SETTINGS, START.plus(Duration::from_millis(900)));
        assert_eq!(breaker.probe_at(), at);
        assert_eq!(breaker.succeeded(), Some(Turned::Closed));
        assert!(breaker.allows(START) && breaker.failures() == 0);
    }

    #[test]
    fn a_probe_that_was_not_attempted_is_tried_again() {
        let mut breaker = opened(START);
        let at = breaker.probe_at().unwrap();
        assert!(breaker.allows(at) && breaker.begin());
        breaker.not_attempted(true, at);
        assert!(!breaker.allows(at) && breaker.allows(at.plus(SETTINGS.probe_min)));
        breaker.probe_soon(at);
        assert!(breaker.allows(at));
    }

    #[derive(Debug, Clone)]
    enum Event {
        Pass(i64),
        Begin,
        End(bool),
        EndNothing,
        EndOld(bool),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (-100_000i64..100_000).prop_map(Event::Pass),
            Just(Event::Begin),
            any::<bool>().prop_map(Event::End),
            Just(Event::EndNothing),
            prop::bool::weighted(0.1).prop_map(Event::EndOld),
        ]
    }

    proptest! {
        #[test]
        fn at_most_one_probe_is_out_and_the_next_one_is_never_further_than_its_longest_wait(
            events in prop::collection::vec(event(), 0..300),
        ) {
            let (mut breaker, mut now, mut probes) = (Breaker::default(), START, 0u32);
            for event in events {
                match event {
                    Event::Pass(millis) => now = Timestamp::from_micros(now.micros() + millis * 1_000),
                    Event::Begin if breaker.allows(now) && breaker.begin() => probes += 1,
                    Event::End(succeeded) if probes > 0 => {
                        probes -= 1;
                        let turned = if succeeded { breaker.succeeded() } else { breaker.failed(true, SETTINGS, now) };
                        prop_assert!(!succeeded || turned == Some(Turned::Closed));
                    }
                    Event::EndNothing if probes > 0 => {
                        probes -= 1;
                        breaker.not_attempted(true, now);
                    }
                    Event::EndOld(true) => {
                        breaker.succeeded();
                        probes = 0;
                    }
                    Event::EndOld(false) => drop(breaker.failed(false, SETTINGS, now)),
                    _ => {}
                }
                prop_assert!(probes <= 1);
                prop_assert_eq!(breaker.is_open(), breaker.failures() >= 3);
                if breaker.is_open() {
                    breaker.allows(now);
                    let next = breaker.probe_at();
                    prop_assert_eq!(next.is_none(), probes == 1);
                    prop_assert!(next.is_none_or(|at| at.since(now) <= SETTINGS.probe_max));
                }
            }
        }
    }
}
