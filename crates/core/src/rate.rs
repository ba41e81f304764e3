//! A rate limit that lets requests through evenly: the generic cell rate algorithm, as a value.

use std::time::Duration;

use crate::time::Timestamp;

/// How far ahead of its even pace a burst may run: what keeps high rates reachable with timers of a millisecond.
const BURST: Duration = Duration::from_millis(10);

/// When the next one would be due if all kept exactly to the rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    next_at: Timestamp,
}

impl Pace {
    /// Lets one through at `now`, at `per_second` in the long run (0 counts as 1).
    ///
    /// # Errors
    /// When it is too early: the time from which on one will be let through.
    pub fn take(&mut self, per_second: u16, now: Timestamp) -> Result<(), Timestamp> {
        let interval = Duration::from_secs(1) / u32::from(per_second.max(1));
        // A clock that was set back must not hold anybody up for longer than one interval.
        let next_at = self.next_at.min(now.plus(interval + BURST));
        let earliest = next_at.minus(BURST.min(interval));
        if now < earliest {
            self.next_at = next_at;
            return Err(earliest);
        }
        self.next_at = next_at.max(now).plus(interval);
        Ok(())
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
}
