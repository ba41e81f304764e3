//! A quota of requests per second with room for a short burst: a token bucket, as a value.
//!
//! The API keeps one bucket per application that has a quota and asks it before a publication is read. Unlike
//! [`crate::rate`], which spreads deliveries evenly, it lets a second's worth through at once: publishers come in bursts, and
//! one that stays below its rate in the long run is not to notice that there is one.
//!
//! It counts in millionths of a token, so that no rate is rounded.

use std::time::Duration;

use crate::time::Timestamp;

const TOKEN: u64 = 1_000_000;

/// The span that a full bucket is worth: what `RateLimit-Policy` says as `w`.
pub const WINDOW: Duration = Duration::from_secs(1);

/// What is left of a quota. A new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// In millionths of a token; `None` until it is first asked.
    level: Option<u64>,
    at: Timestamp,
}

/// How a quota stands after it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// So many more would be let through now.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// What a quota answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// `None` when it was let through; otherwise how long to wait until one is. Never zero.
    pub wait: Option<Duration>,
    /// How it stands now.
    pub standing: Standing,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            level: None,
            at: Timestamp::MIN,
        }
    }
}

impl Bucket {
    /// Asks for one, at `per_second` in the long run and as many at once (0 counts as 1). A rate that changed holds from now on.
    ///
    /// When the clock was set back, nothing is given for the time before and what was left stays.
    pub fn take(&mut self, per_second: u32, now: Timestamp) -> Asked {
        let rate = u64::from(per_second.max(1));
        let level = self.level_at(rate, now);
        let (level, wait) = match level.checked_sub(TOKEN) {
            Some(rest) => (rest, None),
            None => (level, Some(span_for(TOKEN - level, rate))),
        };
        self.level = Some(level);
        self.at = now;
        Asked {
            wait,
            standing: Standing {
                remaining: level / TOKEN,
                reset: span_for(full(rate) - level, rate),
            },
        }
    }

    /// Whether it stands as a new one would, whatever its rate: it was not asked for a whole [`WINDOW`], and need not be kept.
    pub fn is_as_new(&self, now: Timestamp) -> bool {
        self.level.is_none() || now.since(self.at) >= WINDOW
    }

    fn level_at(&self, rate: u64, now: Timestamp) -> u64 {
        let Some(level) = self.level else { return full(rate) };
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        // A microsecond is worth `rate` millionths.
        level.saturating_add(micros.saturating_mul(rate)).min(full(rate))
    }
}

const fn full(rate: u64) -> u64 {
    rate * TOKEN
}

/// How long it takes until so many millionths are there, rounded up.
const fn span_for(millionths: u64, rate: u64) -> Duration {
    Duration::from_micros(millionths.div_ceil(rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_766_000_000);

    /// The times at which one was let through, asked after each of these waits.
    fn taken(rate: u32, gaps: &[u64]) -> Vec<Timestamp> {
        let mut bucket = Bucket::default();
        let mut now = START;
        let mut taken = Vec::new();
        for gap in gaps {
            now = now.plus(Duration::from_micros(*gap));
            if bucket.take(rate, now).wait.is_none() {
                taken.push(now);
            }
        }
        taken
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_the_rate_and_one_burst(rate in 1u32..2_000, gaps in prop::collection::vec(0u64..20_000, 1..400)) {
            let taken = taken(rate, &gaps);
            for (first, begins) in taken.iter().enumerate() {
                for (last, ends) in taken.iter().enumerate().skip(first) {
                    let micros = ends.since(*begins).as_micros();
                    let most = u128::from(rate) + micros * u128::from(rate) / 1_000_000;
                    prop_assert!((last - first + 1) as u128 <= most, "{} in {micros} us", last - first + 1);
                }
            }
        }

        #[test]
        fn whoever_waits_as_told_is_let_through(rate in 1u32..1_000_000, n in 1u32..300, burst in 0u32..5_000) {
            let mut bucket = Bucket::default();
            let mut now = START;
            for _ in 0..burst {
                bucket.take(rate, now);
            }
            let began = now;
            for _ in 0..n {
                if let Some(wait) = bucket.take(rate, now).wait {
                    prop_assert!(!wait.is_zero() && wait <= Duration::from_secs(1));
                    now = now.plus(wait);
                    prop_assert_eq!(bucket.take(rate, now).wait, None);
                }
            }
            // In the long run it is the rate, not less; each wait is rounded up by less than a microsecond.
            let most = u64::from(n) * 1_000_000 / u64::from(rate) + u64::from(n);
            prop_assert!(now.since(began) <= Duration::from_micros(most));
        }

        #[test]
        fn what_is_said_to_remain_is_there(rate in 1u32..500, asked in 0u32..600, wait in 0u64..2_000_000) {
            let mut bucket = Bucket::default();
            for _ in 0..asked {
                bucket.take(rate, START);
            }
            let now = START.plus(Duration::from_micros(wait));
            let standing = bucket.take(rate, now).standing;
            prop_assert!(standing.remaining < u64::from(rate));
            let mut copy = bucket;
            for _ in 0..standing.remaining {
                prop_assert_eq!(copy.take(rate, now).wait, None);
            }
            prop_assert!(copy.take(rate, now).wait.is_some());
            let later = now.plus(standing.reset);
            prop_assert_eq!(bucket.level_at(rate.into(), later), full(rate.into()));
            prop_assert!(!bucket.is_as_new(now) && standing.reset <= WINDOW);
            prop_assert_eq!(bucket.level_at(rate.into(), now.plus(WINDOW)), full(rate.into()));
        }

        #[test]
        fn a_clock_that_jumps_gives_no_more_than_time_went_forward(
            rate in 1u32..500, steps in prop::collection::vec(-3_000_000i64..1_000_000, 1..300),
        ) {
            let mut bucket = Bucket::default();
            let (mut now, mut forward, mut through) = (START, 0, 0);
            for step in steps {
                let before = now;
                now = Timestamp::from_micros(now.micros() + step);
                forward += now.since(before).as_micros();
                through += u128::from(bucket.take(rate, now).wait.is_none());
            }
            prop_assert!(through <= u128::from(rate) + forward * u128::from(rate) / 1_000_000);
        }
    }

    #[test]
    fn a_clock_set_back_holds_nobody_up() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(2, START).wait, None);
        let earlier = START.minus(Duration::from_secs(3_600));
        assert_eq!(bucket.take(2, earlier).wait, None, "what was left stays");
        let wait = bucket.take(2, earlier).wait.unwrap();
        assert_eq!(wait, Duration::from_millis(500));
        assert_eq!(bucket.take(2, earlier.plus(wait)).wait, None);
    }

    #[test]
    fn a_lower_rate_holds_at_once() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(1_000, START).standing.remaining, 999);
        assert_eq!(bucket.take(10, START).standing.remaining, 9);
    }
}
