//! Looking at many attempts at once, at a bounded cost: how attempts went over time, and which failed why.
//!
//! A store counts and samples; what a part of a span says about the whole of it is decided here, so that all backends answer
//! alike. An attempt belongs to the time at which it was over (that of its id): what is past does not change any more.

use std::time::Duration;

use bellwire_core::{
    id::{AttemptId, EndpointId, Id as _, MessageId},
    time::Timestamp,
};

/// Asks how attempts went in equal spans of time, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleQuery {
    /// At these endpoints.
    pub endpoints: Vec<EndpointId>,
    /// Where the first span begins.
    pub since: Timestamp,
    /// How long each is, at least a millisecond.
    pub width: Duration,
    /// How many there are.
    pub n: usize,
    /// Of each endpoint and span, at most so many attempts are counted; what lies behind them is projected.
    pub counted: usize,
    /// Of each endpoint and span, at most so many attempts are timed.
    pub timed: usize,
}

impl SampleQuery {
    /// Where a span begins; that of the one behind the last is where it ends.
    pub fn begin(&self, span: usize) -> Timestamp {
        let width = i64::try_from(self.width.as_millis()).unwrap_or(i64::MAX).max(1);
        let offset = width.saturating_mul(i64::try_from(span).unwrap_or(i64::MAX));
        Timestamp::from_millis(self.since.millis().saturating_add(offset))
    }
}

/// How attempts went in one span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// How many there were.
    pub attempts: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Some were projected, not counted.
    pub projected: bool,
    /// How long some of them took, the first of each endpoint.
    pub timings: Vec<Timing>,
}

/// How long one attempt took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the begin of the attempt until it was over: theirs.
    pub answer: Duration,
    /// From when the message was accepted, or was to be delivered, until its first attempt began: ours. `None` for a retry and
    /// for what a person asked for.
    pub lag: Option<Duration>,
}

/// What was counted of one endpoint within a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Attempts, at most as many as were asked for.
    pub attempts: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// When the last of them was over.
    pub reached: Timestamp,
}

impl Sample {
    /// Adds what was counted of one endpoint between `begin` and `end`: when the count stopped at `most`, the rest of the span
    /// is taken to have gone like its beginning.
    pub fn add(&mut self, counted: Counted, most: usize, begin: Timestamp, end: Timestamp) {
        let whole = counted.attempts < most as u64;
        let (seen, all) = (counted.reached.since(begin), end.since(begin));
        // Those of the last millisecond were not all seen.
        let seen = seen.max(Duration::from_millis(1));
        if whole || seen >= all {
            self.attempts += counted.attempts;
            self.failed += counted.failed;
            self.projected |= !whole;
            return;
        }
        let scale = |n: u64| (u128::from(n) * all.as_millis()).div_ceil(seen.as_millis()) as u64;
        self.attempts += scale(counted.attempts);
        self.failed += scale(counted.failed);
        self.projected = true;
    }
}

/// Asks which attempts failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureQuery {
    /// At these endpoints.
    pub endpoints: Vec<EndpointId>,
    /// Over from then on…
    pub since: Timestamp,
    /// …and before then.
    pub until: Timestamp,
    /// Of each endpoint at most so many, the newest.
    pub per_endpoint: usize,
}

/// A failed attempt, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Where.
    pub endpoint: EndpointId,
    /// Of which message.
    pub message: MessageId,
    /// Which.
    pub attempt: AttemptId,
    /// The stable name of why.
    pub reason: String,
    /// The receiver's status code; 0 when there was no answer.
    pub status_code: u16,
    /// Whether it was the last attempt of its run: the delivery was given up.
    pub last: bool,
}

impl FailedAttempt {
    /// When it was over.
    pub fn at(&self) -> Timestamp {
        self.attempt.created_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn at(millis: u64) -> Timestamp {
        NOON.plus(Duration::from_millis(millis))
    }

    fn counted(attempts: u64, failed: u64, reached: u64) -> Counted {
        Counted {
            attempts,
            failed,
            reached: at(reached),
        }
    }

    #[test]
    fn what_was_counted_to_the_end_is_exact_and_the_rest_goes_on_as_it_began() {
        let mut sample = Sample::default();
        sample.add(counted(7, 2, 900), 10, NOON, at(1_000));
        assert_eq!((sample.attempts, sample.failed, sample.projected), (7, 2, false));
        sample.add(counted(10, 1, 250), 10, NOON, at(1_000));
        assert_eq!((sample.attempts, sample.failed, sample.projected), (47, 6, true));
    }

    #[test]
    fn a_count_that_stopped_at_once_or_at_the_very_end_is_not_blown_up() {
        let mut sample = Sample::default();
        sample.add(counted(10, 0, 1_000), 10, NOON, at(1_000));
        assert_eq!((sample.attempts, sample.projected), (10, true));
        let mut sample = Sample::default();
        sample.add(counted(10, 0, 0), 10, NOON, at(100));
        assert_eq!(sample.attempts, 1_000, "ten in a millisecond");
    }

    #[test]
    fn spans_follow_each_other() {
        let query = SampleQuery {
            endpoints: Vec::new(),
            since: NOON,
            width: Duration::from_secs(2),
            n: 3,
            counted: 1,
            timed: 1,
        };
        assert_eq!((query.begin(0), query.begin(3)), (NOON, at(6_000)));
    }
}
