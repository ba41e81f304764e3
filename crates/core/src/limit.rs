//! The adaptive limit on attempts at once at one endpoint: more while it keeps up, fewer when it says or shows that it cannot.
//!
//! Additive increase, multiplicative decrease, as TCP does it: one more per limit's worth of successes, half after a 429, a 503
//! or a timeout, a tenth less when answers take far longer than they used to. A decrease counts once per round trip: what was
//! begun before the limit fell says nothing about the new one. The scheduler keeps one for each lane. Knows no clock.

use std::time::Duration;

use crate::attempt::Outcome;

/// Between what a limit may move. `min` is at least 1; a `max` below `min` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer attempts at once.
    pub min: u16,
    /// Never more.
    pub max: u16,
}

impl Bounds {
    fn clamp(self, limit: f32) -> f32 {
        limit.max(f32::from(self.min)).min(f32::from(self.max)).max(1.0)
    }
}

/// What an attempt says about the load that an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It succeeded, after so long.
    Succeeded(Duration),
    /// The endpoint has too much to do: 429, 503, or no answer in time.
    Overloaded,
    /// It failed in a way that says nothing about load.
    Failed,
}

impl Signal {
    /// Reads it from an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        match &outcome.failure {
            None => Self::Succeeded(outcome.duration),
            Some(failure) if failure.reason.starts_with("timeout") => Self::Overloaded,
            Some(_) if matches!(outcome.status_code, 429 | 503) => Self::Overloaded,
            Some(_) => Self::Failed,
        }
    }
}

/// Answers are slow beyond so many times the baseline …
const SLOW_FACTOR: f32 = 2.0;
/// … plus this.
const SLOW_EXTRA_MS: f32 = 50.0;
/// What is left of the limit when answers are slow.
const SLOW: f32 = 0.9;
/// What is left of it when the endpoint is overloaded.
const OVERLOADED: f32 = 0.5;
/// How fast the baseline follows faster answers, and slower ones: an endpoint that has become slower for good is believed after
/// a few hundred answers.
const FASTER: f32 = 0.2;
const SLOWER: f32 = 0.001;
/// How fast the shown latency follows.
const SHOWN: f32 = 0.1;

/// Names the limit under which an attempt was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round(u32);

/// How many attempts an endpoint takes at once, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    limit: f32,
    /// Every success counts one: the limit doubles per round.
    doubling: bool,
    /// How long answers take when nothing is in the way; negative before the first. Milliseconds.
    baseline_ms: f32,
    /// How long they take lately.
    latency_ms: f32,
    round: u32,
}

impl Limit {
    /// Begins at its upper bound: most endpoints never need another.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            limit: bounds.clamp(f32::INFINITY),
            doubling: false,
            baseline_ms: -1.0,
            latency_ms: -1.0,
            round: 0,
        }
    }

    /// How many attempts may be under way at once: at least 1, within the bounds.
    pub fn get(&self, bounds: Bounds) -> usize {
        bounds.clamp(self.limit) as usize
    }

    /// What an attempt that begins now gives back when it ends.
    pub fn round(&self) -> Round {
        Round(self.round)
    }

    /// How long a successful answer takes lately; `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        (self.latency_ms >= 0.0).then(|| Duration::from_secs_f32(self.latency_ms / 1_000.0))
    }

    /// An attempt that was begun in `round` has ended.
    pub fn ended(&mut self, signal: Signal, round: Round, bounds: Bounds) {
        // Bounds may have changed since.
        self.limit = bounds.clamp(self.limit);
        match signal {
            Signal::Succeeded(latency) => {
                if self.is_slow(latency) {
                    self.fall(SLOW, round, bounds);
                } else {
                    let step = if self.doubling { 1.0 } else { 1.0 / self.limit };
                    self.limit = bounds.clamp(self.limit + step);
                }
            }
            Signal::Overloaded => self.fall(OVERLOADED, round, bounds),
            Signal::Failed => {}
        }
    }

    /// Begins anew at the lower bound, and doubles with each round of successes up to the upper one.
    pub fn restart(&mut self, bounds: Bounds) {
        self.limit = bounds.clamp(0.0);
        self.doubling = true;
        self.round = self.round.wrapping_add(1);
    }

    /// Whether an answer took far longer than usual. Learns from it, too.
    fn is_slow(&mut self, latency: Duration) -> bool {
        let ms = latency.as_secs_f32() * 1_000.0;
        if self.baseline_ms < 0.0 {
            (self.baseline_ms, self.latency_ms) = (ms, ms);
            return false;
        }
        let slow = ms > SLOW_FACTOR * self.baseline_ms + SLOW_EXTRA_MS;
        let follow = if ms < self.baseline_ms { FASTER } else { SLOWER };
        self.baseline_ms += (ms - self.baseline_ms) * follow;
        self.latency_ms += (ms - self.latency_ms) * SHOWN;
        slow
    }

    fn fall(&mut self, to: f32, round: Round, bounds: Bounds) {
        if round.0 == self.round {
            self.limit = bounds.clamp(self.limit * to);
            self.doubling = false;
            self.round = self.round.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attempt::Failure, time::Timestamp};
    use bytes::Bytes;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 32 };
    const FAST: Signal = Signal::Succeeded(Duration::from_millis(10));

    /// A round of attempts that all end alike.
    fn round(limit: &mut Limit, signal: Signal) {
        let begun = limit.round();
        for _ in 0..limit.get(BOUNDS) {
            limit.ended(signal, begun, BOUNDS);
        }
    }

    #[test]
    fn it_begins_at_its_upper_bound_and_halves_once_per_round() {
        let mut limit = Limit::new(BOUNDS);
        let mut seen = Vec::new();
        for _ in 0..6 {
            round(&mut limit, Signal::Overloaded);
            seen.push(limit.get(BOUNDS));
        }
        assert_eq!(seen, [16, 8, 4, 2, 1, 1]);
    }

    #[test]
    fn it_grows_by_one_per_round_of_successes() {
        let mut limit = Limit::new(BOUNDS);
        round(&mut limit, Signal::Overloaded);
        for n in 1..=8 {
            round(&mut limit, FAST);
            let grown = limit.get(BOUNDS);
            assert!((15 + n..=16 + n).contains(&grown), "{grown} after {n} rounds");
        }
    }

    #[test]
    fn after_a_restart_it_doubles_per_round_until_it_is_told_to_stop() {
        let mut limit = Limit::new(BOUNDS);
        limit.restart(BOUNDS);
        let mut seen = vec![limit.get(BOUNDS)];
        for _ in 0..4 {
            round(&mut limit, FAST);
            seen.push(limit.get(BOUNDS));
        }
        assert_eq!(seen, [1, 2, 4, 8, 16]);
        round(&mut limit, Signal::Overloaded);
        round(&mut limit, FAST);
        assert!(limit.get(BOUNDS) <= 9);
    }

    #[test]
    fn answers_far_above_the_baseline_lower_it_and_a_new_baseline_is_believed_in_the_end() {
        let mut limit = Limit::new(BOUNDS);
        round(&mut limit, FAST);
        let slow = Signal::Succeeded(Duration::from_millis(200));
        for _ in 0..8 {
            round(&mut limit, slow);
        }
        assert!(limit.get(BOUNDS) < 20, "{}", limit.get(BOUNDS));
        for _ in 0..2_000 {
            round(&mut limit, slow);
        }
        assert_eq!(limit.get(BOUNDS), 32);
        assert!(limit.latency().unwrap() > Duration::from_millis(190));
    }

    #[test]
    fn an_answer_within_the_usual_changes_nothing_at_the_upper_bound() {
        let mut limit = Limit::new(BOUNDS);
        for ms in [10, 40, 60, 12, 69] {
            round(&mut limit, Signal::Succeeded(Duration::from_millis(ms)));
            assert_eq!(limit.get(BOUNDS), 32);
        }
    }

    #[test]
    fn overload_is_429_503_and_silence() {
        let outcome = |status_code, reason: Option<&'static str>| Outcome {
            started_at: Timestamp::MIN,
            duration: Duration::from_millis(5),
            url: String::new(),
            status_code,
            failure: reason.map(|reason| Failure {
                reason,
                detail: String::new(),
            }),
            response: Bytes::new(),
            response_headers: Vec::new(),
            signature: String::new(),
            retry_after: None,
        };
        let of = |status, reason| Signal::of(&outcome(status, reason));
        assert_eq!(of(204, None), Signal::Succeeded(Duration::from_millis(5)));
        assert_eq!(of(429, Some("status_429")), Signal::Overloaded);
        assert_eq!(of(503, Some("status_503")), Signal::Overloaded);
        assert_eq!(of(200, Some("timeout_body")), Signal::Overloaded);
        assert_eq!(of(0, Some("connection_refused")), Signal::Failed);
        assert_eq!(of(500, Some("status_500")), Signal::Failed);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_whatever_happens(
            events in prop::collection::vec((0u8..5, 0u64..60_000, 0u32..4, 1u16..200, 0u16..200), 0..400),
        ) {
            let mut limit = Limit::new(BOUNDS);
            for (what, ms, late, min, extra) in events {
                // The bounds change at any time; an upper bound below the lower one counts.
                let bounds = Bounds { min, max: if extra == 0 { 1 } else { min + extra } };
                let begun = Round(limit.round.wrapping_sub(late));
                match what {
                    0 => limit.restart(bounds),
                    1 => limit.ended(Signal::Overloaded, begun, bounds),
                    2 => limit.ended(Signal::Failed, begun, bounds),
                    _ => limit.ended(Signal::Succeeded(Duration::from_millis(ms)), begun, bounds),
                }
                let now = limit.get(bounds);
                prop_assert!(now >= 1 && now <= usize::from(bounds.max));
                prop_assert!(now >= usize::from(bounds.min.min(bounds.max)));
                prop_assert!(limit.limit.is_finite());
            }
        }

        #[test]
        fn it_comes_back_to_its_upper_bound_when_all_is_well(failures in prop::collection::vec(0u8..3, 0..100)) {
            let mut limit = Limit::new(BOUNDS);
            for what in failures {
                match what {
                    0 => limit.restart(BOUNDS),
                    1 => round(&mut limit, Signal::Overloaded),
                    _ => round(&mut limit, Signal::Failed),
                }
            }
            for _ in 0..64 {
                round(&mut limit, FAST);
            }
            prop_assert_eq!(limit.get(BOUNDS), 32);
        }
    }
}
