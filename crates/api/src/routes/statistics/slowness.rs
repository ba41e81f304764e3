//! Is it slow because of us or of them? Pure.

use std::time::Duration;

use bellwire_store::survey::Timing;
use schemars::JsonSchema;
use serde::Serialize;

use super::series::percentiles;

/// Milliseconds from which on an answer is slow (at 95 %).
const ANSWER_SLOW_MS: f64 = 1_000.0;
/// Milliseconds from which on we are late (at 95 %).
const LAG_SLOW_MS: f64 = 1_000.0;

/// Whose fault it is that it is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SlownessBecause")]
enum Because {
    /// It is not slow.
    Nobody,
    /// First attempts begin late.
    Us,
    /// Receivers take long.
    Them,
    /// Both; where receivers are slow, what waits for them is late.
    Both,
    /// Nothing was attempted.
    Unknown,
}

/// How long answers take and how late attempts begin, and what follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slowness {
    /// Both at 95 %, in milliseconds.
    answer: Option<f64>,
    lag: Option<f64>,
}

/// Is it slow because of us or of them.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct SlownessOut {
    because: Because,
    /// In words, with the numbers.
    words: String,
}

impl Slowness {
    pub fn of(timings: &[Timing]) -> Self {
        let lags = timings.iter().filter_map(|timing| timing.lag);
        let p95 = |spans: &mut dyn Iterator<Item = Duration>| percentiles(spans).map(|found| found.p95);
        Self {
            answer: p95(&mut timings.iter().map(|timing| timing.answer)),
            lag: p95(&mut lags.into_iter()),
        }
    }

    pub fn out(self) -> SlownessOut {
        let Some(answer) = self.answer else {
            return SlownessOut {
                because: Because::Unknown,
                words: "nothing was attempted in this span of time".to_owned(),
            };
        };
        let lag = self.lag.unwrap_or(0.0);
        let (answer_words, lag_words) = (in_words(answer), in_words(lag));
        let numbers = match self.lag {
            Some(_) => format!("95 of 100 attempts were answered within {answer_words} and begun within {lag_words}"),
            None => format!("95 of 100 attempts were answered within {answer_words}; all of them were retries"),
        };
        let (because, what) = match (lag >= LAG_SLOW_MS, answer >= ANSWER_SLOW_MS) {
            (false, false) => (Because::Nobody, "it is not slow"),
            (true, false) => (
                Because::Us,
                "attempts begin late although receivers answer fast: look at limits, rate limits, pauses and lines in order",
            ),
            (false, true) => (Because::Them, "receivers take long to answer; attempts begin in time"),
            (true, true) => (
                Because::Both,
                "receivers take long to answer, and what waits for them is late for it",
            ),
        };
        SlownessOut {
            because,
            words: format!("{what}: {numbers}"),
        }
    }
}

fn in_words(millis: f64) -> String {
    match millis {
        millis if millis < 1_000.0 => format!("{millis:.0} ms"),
        millis if millis < 120_000.0 => format!("{:.1} s", millis / 1_000.0),
        millis => format!("{:.0} min", millis / 60_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(answer: u64, lag: Option<u64>) -> Timing {
        Timing {
            answer: Duration::from_millis(answer),
            lag: lag.map(Duration::from_millis),
        }
    }

    fn because(answer: u64, lag: Option<u64>) -> Because {
        Slowness::of(&[timing(answer, lag)]).out().because
    }

    #[test]
    fn it_is_slow_because_of_whoever_takes_long() {
        assert_eq!(because(20, Some(5)), Because::Nobody);
        assert_eq!(because(20, Some(60_000)), Because::Us);
        assert_eq!(because(4_000, Some(5)), Because::Them);
        assert_eq!(because(4_000, Some(60_000)), Because::Both);
        assert_eq!(because(20, None), Because::Nobody);
        assert_eq!(Slowness::of(&[]).out().because, Because::Unknown);
    }

    #[test]
    fn the_words_have_the_numbers() {
        let words = Slowness::of(&[timing(2_500, Some(3))]).out().words;
        assert!(words.contains("2.5 s") && words.contains("3 ms"), "{words}");
    }
}
