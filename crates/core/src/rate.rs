//! Rates: a limit that lets requests through evenly, a measure of how fast an endpoint takes them, and the ceiling under which
//! it comes back after an outage. Values without a clock: the time is passed in, and may jump.
//!
//! The scheduler keeps a [`Pace`] for each lane and each application, and a [`Learned`] and a [`SlowStart`] for each lane.

use std::time::Duration;

use crate::time::Timestamp;

/// How far ahead of its even pace a burst may run: what keeps high rates reachable with timers of a millisecond.
const BURST: Duration = Duration::from_millis(10);

/// The time between two, at a rate of `per_second`: whole microseconds, rounded up so that the rate is never exceeded. From one
/// microsecond to a day.
pub fn interval(per_second: f64) -> Duration {
    const DAY_US: f64 = 86_400e6;
    let micros = (1e6 / per_second.max(f64::MIN_POSITIVE)).ceil().clamp(1.0, DAY_US);
    Duration::from_micros(micros as u64)
}

/// A rate limit that lets requests through evenly: the generic cell rate algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// When the next one would be due if all kept exactly to the rate.
    next_at: Timestamp,
    /// How far the last step went: no honest clock has `next_at` further ahead.
    step: Duration,
}

impl Pace {
    /// Lets one through at `now`, at `per_second` in the long run (0 counts as 1).
    ///
    /// # Errors
    /// When it is too early: the time from which on one will be let through.
    pub fn take(&mut self, per_second: u16, now: Timestamp) -> Result<(), Timestamp> {
        self.take_many(Duration::from_secs(1) / u32::from(per_second.max(1)), 1, now)
    }

    /// Lets `n` through together at `now`, with `interval` for each in the long run: what follows waits for all of them.
    ///
    /// # Errors
    /// When it is too early: the time from which on they will be let through.
    pub fn take_many(&mut self, interval: Duration, n: u32, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(at) = self.opens_at(interval, now) {
            return Err(at);
        }
        self.step = interval.saturating_mul(n);
        self.next_at = self.next_at.max(now).plus(self.step);
        Ok(())
    }

    /// The time from which on one will be let through; `None` when that is now. A clock that was set back holds nobody up for
    /// longer than the last step took.
    pub fn opens_at(&mut self, interval: Duration, now: Timestamp) -> Option<Timestamp> {
        self.next_at = self.next_at.min(now.plus(self.step.max(interval) + BURST));
        let earliest = self.next_at.minus(BURST.min(interval));
        (now < earliest).then_some(earliest)
    }
}

/// A rate is measured over stretches of at least so long.
const STRETCH: Duration = Duration::from_secs(10);
/// A first rate is told after so long, when there is no better.
const STRETCH_MIN: Duration = Duration::from_secs(1);
/// How much a new stretch counts.
const WEIGHT: f32 = 0.3;

/// How many deliveries per second an endpoint takes, measured by those that succeed. It stands still while none does, so after
/// an outage it still says how fast the endpoint was before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Learned {
    /// Since when `count` were counted; `None` before the first.
    since: Option<Timestamp>,
    last: Timestamp,
    count: u32,
    per_second: Option<f32>,
}

impl Learned {
    /// `n` deliveries succeeded.
    pub fn succeeded(&mut self, n: u32, now: Timestamp) {
        let Some(since) = self.since.filter(|since| *since <= now && self.last <= now) else {
            // The first one begins the stretch and is not in it. So it is after the clock was set back.
            (self.since, self.last, self.count) = (Some(now), now, 0);
            return;
        };
        self.count = self.count.saturating_add(n);
        self.last = now;
        let span = now.since(since);
        if span >= STRETCH {
            let sample = self.count as f32 / span.as_secs_f32();
            self.per_second = Some(self.per_second.map_or(sample, |rate| rate + (sample - rate) * WEIGHT));
            (self.since, self.count) = (Some(now), 0);
        }
    }

    /// What is counted now is not the endpoint's own pace: the next success begins a new stretch.
    pub fn interrupt(&mut self) {
        if let Some(rate) = self.per_second() {
            self.per_second = Some(rate as f32);
        }
        (self.since, self.count) = (None, 0);
    }

    /// Deliveries per second; `None` when too little was seen.
    pub fn per_second(&self) -> Option<f64> {
        let first = || {
            let span = self.last.since(self.since?);
            (span >= STRETCH_MIN && self.count > 0).then(|| self.count as f32 / span.as_secs_f32())
        };
        self.per_second.or_else(first).map(f64::from)
    }
}

/// So many times its learned rate is what an endpoint gets at most in its first minute: twice, less what a burst and a first
/// batch may run ahead.
const COMEBACK: f64 = 1.9;
/// The lowest ceiling: one delivery per second.
const CEILING_MIN: f64 = 1.0;
/// The first ceiling for an endpoint whose rate is not known, in deliveries per second.
const CEILING_UNKNOWN: f64 = 10.0;
/// For so long a learned ceiling stands.
const FIRST: Duration = Duration::from_secs(60);
/// After so long it doubles, again and again.
const DOUBLES: Duration = Duration::from_secs(5);
/// After so long of doubling it is lifted.
const LIFTED: Duration = Duration::from_secs(60);

/// The ceiling on an endpoint's rate after an outage: at most twice the rate it had before for a minute, then doubling every
/// five seconds for another minute. Where no rate is known: 10/s, doubling from the beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    since: Timestamp,
    learned: Option<f64>,
}

impl SlowStart {
    /// Begins at `now`.
    pub fn new(learned: Option<f64>, now: Timestamp) -> Self {
        Self { since: now, learned }
    }

    /// Deliveries per second at most; `None` when it is over. When the clock was set back, it begins anew.
    pub fn ceiling(&mut self, now: Timestamp) -> Option<f64> {
        self.since = self.since.min(now);
        let (first, stands) = match self.learned {
            Some(learned) => ((learned * COMEBACK).max(CEILING_MIN), FIRST),
            None => (CEILING_UNKNOWN, Duration::ZERO),
        };
        let doubling = now.since(self.since).saturating_sub(stands);
        (doubling < LIFTED).then(|| first * f64::from(1u32 << (doubling.as_secs() / DOUBLES.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_766_000_000);

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_rate_and_a_small_burst(per_second in 1u16..2_000, gaps in prop::collection::vec(0u64..5_000, 1..400)) {
            let mut pace = Pace::default();
            let mut now = START;
            let mut taken = Vec::new();
            for gap in gaps {
                now = now.plus(Duration::from_micros(gap));
                if pace.take(per_second, now).is_ok() {
                    taken.push(now);
                }
            }
            let burst = 2 + u64::from(per_second) / 100;
            for (at, first) in taken.iter().enumerate() {
                let within = taken[at..].iter().take_while(|later| later.since(*first) < Duration::from_secs(1)).count();
                prop_assert!(within as u64 <= u64::from(per_second) + burst);
            }
        }

        #[test]
        fn whoever_waits_as_told_is_let_through(per_second in 1u16..2_000, n in 1usize..200) {
            let mut pace = Pace::default();
            let mut now = START;
            for _ in 0..n {
                if let Err(at) = pace.take(per_second, now) {
                    prop_assert!(at > now && at.since(now) <= Duration::from_secs(1));
                    now = at;
                    prop_assert_eq!(pace.take(per_second, now), Ok(()));
                }
            }
            // In the long run it is the rate, not less.
            let most = Duration::from_secs(1) / u32::from(per_second) * n as u32;
            prop_assert!(now.since(START) <= most);
        }
    }

    #[test]
    fn a_clock_set_back_holds_nobody_up_for_long() {
        let mut pace = Pace::default();
        pace.take(1, START).unwrap();
        let earlier = START.minus(Duration::from_secs(86_400));
        let at = pace.take(1, earlier).unwrap_err();
        assert!(at.since(earlier) <= Duration::from_secs(2));
    }

    #[test]
    fn a_batch_takes_the_time_of_all_that_are_in_it() {
        let mut pace = Pace::default();
        let interval = Duration::from_millis(100);
        pace.take_many(interval, 10, START).unwrap();
        let at = pace.take_many(interval, 10, START).unwrap_err();
        assert_eq!(at.since(START), Duration::from_millis(990));
    }

    #[test]
    fn intervals_are_rounded_so_that_the_rate_is_kept() {
        assert_eq!(interval(24_000.0), Duration::from_micros(42));
        assert_eq!(interval(0.0), Duration::from_secs(86_400));
        assert_eq!(interval(f64::INFINITY), Duration::from_micros(1));
    }

    fn at(micros: u64) -> Timestamp {
        START.plus(Duration::from_micros(micros))
    }

    #[test]
    fn a_rate_is_learned_and_stands_while_nothing_succeeds() {
        let mut learned = Learned::default();
        for n in 0..=400 {
            learned.succeeded(1, at(n * 50_000));
        }
        let rate = learned.per_second().unwrap();
        assert!((rate - 20.0).abs() < 0.2, "{rate}");
        learned.interrupt();
        // An hour later it is still what it was, and the hour does not count.
        learned.succeeded(1, at(3_600_000_000));
        assert!((learned.per_second().unwrap() - 20.0).abs() < 0.2);
    }

    #[test]
    fn a_rate_that_was_seen_for_a_second_is_better_than_none() {
        let mut learned = Learned::default();
        learned.succeeded(1, START);
        assert_eq!(learned.per_second(), None);
        learned.succeeded(99, at(990_000));
        assert_eq!(learned.per_second(), None);
        learned.succeeded(1, at(1_000_000));
        learned.interrupt();
        assert_eq!(learned.per_second(), Some(100.0));
    }

    #[test]
    fn an_unknown_rate_begins_at_ten_and_doubles_every_five_seconds() {
        let mut start = SlowStart::new(None, START);
        let ceilings: Vec<_> = [0, 4, 5, 10, 59, 60].map(|s| start.ceiling(at(s * 1_000_000))).to_vec();
        let expected = [Some(10.0), Some(10.0), Some(20.0), Some(40.0), Some(20_480.0), None];
        assert_eq!(ceilings, expected);
    }

    proptest! {
        #[test]
        fn the_first_minute_sees_at_most_twice_the_learned_rate(rate in 0.6f64..20_000.0, looks in 1u64..400, batch in 1u32..300) {
            let mut start = SlowStart::new(Some(rate), START);
            let mut pace = Pace::default();
            let mut taken = 0u64;
            // A lane that wants as much as it can get, and a timer that looks at it now and then.
            let end = at(60_000_000);
            let mut now = START;
            while now < end {
                let ceiling = start.ceiling(now).unwrap();
                let n = batch.min(ceiling as u32).max(1);
                match pace.take_many(interval(ceiling), n, now) {
                    Ok(()) => taken += u64::from(n),
                    Err(at) => now = at.plus(Duration::from_micros(looks)),
                }
            }
            prop_assert!(taken as f64 <= 120.0 * rate, "{taken} at {rate}/s");
            if batch == 1 && looks < 5 && rate < 1_000.0 {
                prop_assert!(taken as f64 >= 0.9 * 60.0 * (rate * COMEBACK).max(1.0), "{taken} at {rate}/s");
            }
        }

        #[test]
        fn a_ceiling_never_falls_and_ends_whatever_the_clock_does(rate in proptest::option::of(0.0f64..1e6), jumps in prop::collection::vec(-200i64..200, 0..50)) {
            let mut start = SlowStart::new(rate, START);
            let mut now = START;
            for jump in jumps {
                let before = start.ceiling(now);
                now = Timestamp::from_micros(now.micros() + jump * 1_000_000);
                let after = start.ceiling(now);
                if jump >= 0 && let (Some(before), Some(after)) = (before, after) {
                    prop_assert!(after >= before);
                }
                prop_assert!(after.is_none_or(|ceiling| ceiling >= CEILING_MIN));
            }
            prop_assert_eq!(start.ceiling(now.plus(FIRST + LIFTED)), None);
        }

        #[test]
        fn a_learned_rate_lies_between_the_slowest_and_the_fastest_seen(gaps in prop::collection::vec(1u64..3_000, 2..500)) {
            let mut learned = Learned::default();
            let mut now = START;
            learned.succeeded(1, now);
            let (slowest, fastest) = (*gaps.iter().max().unwrap(), *gaps.iter().min().unwrap());
            for gap in gaps {
                now = now.plus(Duration::from_millis(gap));
                learned.succeeded(1, now);
            }
            if let Some(rate) = learned.per_second() {
                prop_assert!(rate >= 999.0 / slowest as f64 && rate <= 1_001.0 / fastest as f64);
            }
        }

        #[test]
        fn whatever_the_clock_does_a_pace_opens_within_its_last_step(per_second in 1u16..2_000, n in 1u32..50, jumps in prop::collection::vec(-100_000i64..100_000, 1..50)) {
            let mut pace = Pace::default();
            let mut now = START;
            let interval = interval(f64::from(per_second));
            for jump in jumps {
                now = Timestamp::from_micros(now.micros() + jump * 1_000);
                if let Err(at) = pace.take_many(interval, n, now) {
                    prop_assert!(at > now && at.since(now) <= interval * n + BURST);
                }
            }
        }
    }
}
