//! The endpoints of a run: what each wants, how it answers, and how much the server may have in flight to it.

use std::time::Duration;

use crate::payload::Messages;

/// A slow endpoint crawls for so many messages, then is quicker for twice as many.
const CRAWL_MESSAGES: u64 = 1_000;

/// How an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 200 at once.
    Fast,
    /// 500 to the first one to three tries of every third message, then 200: so retries stretch over kills.
    Failing,
    /// 200 after a while: so attempts are under way at every kill. Now and then it takes so long that more is published than
    /// it takes, and a part of it has to be parked in the store.
    Slow,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) manner: Manner,
    /// Wants this event type only (an index of `EVENT_TYPES`).
    pub(crate) only: Option<usize>,
    /// `maxInFlight` as it is set up.
    pub(crate) in_flight_max: u32,
}

impl Endpoint {
    /// Whether a message is to be delivered here.
    pub(crate) fn wants(&self, seq: u64) -> bool {
        self.only.is_none_or(|kind| kind == Messages::event_type(seq))
    }

    /// Whether a try is refused that comes after so many refused ones of the same message.
    pub(crate) fn refuses(&self, seq: u64, refused: u8) -> bool {
        self.manner == Manner::Failing && seq % 3 == 1 && u64::from(refused) < 1 + seq / 3 % 3
    }

    /// How long an answer takes.
    pub(crate) fn delay(&self, seq: u64) -> Duration {
        match self.manner {
            Manner::Fast | Manner::Failing => Duration::ZERO,
            Manner::Slow if seq / CRAWL_MESSAGES % 3 == 1 => Duration::from_millis(200),
            Manner::Slow => Duration::from_millis(30),
        }
    }

    /// A word for the summary.
    pub(crate) fn word(&self) -> &'static str {
        match (self.manner, self.only) {
            (Manner::Fast, None) => "fast",
            (Manner::Fast, Some(_)) => "filtered",
            (Manner::Failing, _) => "failing",
            (Manner::Slow, _) => "slow",
        }
    }
}

/// So many endpoints: a fast one, a failing one, a slow one, one with a filter, and from there the same again.
pub(crate) fn endpoints(count: usize) -> Vec<Endpoint> {
    let kinds = [
        (Manner::Fast, None, 16),
        (Manner::Failing, None, 8),
        (Manner::Slow, None, 24),
        (Manner::Fast, Some(1), 8),
    ];
    let endpoint = |(manner, only, in_flight_max)| Endpoint {
        manner,
        only,
        in_flight_max,
    };
    kinds.into_iter().cycle().take(count).map(endpoint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_endpoint_gives_in_after_three_refusals_at_most() {
        let endpoints = endpoints(4);
        let failing = &endpoints[1];
        assert!((0..100).all(|seq| !failing.refuses(seq, 3)));
        assert!((0..100).any(|seq| failing.refuses(seq, 2)));
        assert!((0..100).filter(|seq| failing.refuses(*seq, 0)).count() > 30);
        assert!((0..100).all(|seq| !endpoints[0].refuses(seq, 0)));
    }

    #[test]
    fn a_slow_endpoint_takes_less_than_is_published_for_a_while_and_more_in_the_mean() {
        let slow = &endpoints(3)[2];
        let per_second = |seq| f64::from(slow.in_flight_max) / slow.delay(seq).as_secs_f64();
        assert!(per_second(CRAWL_MESSAGES) < 150.0 && per_second(0) > 500.0);
        let seconds: f64 = (0..3 * CRAWL_MESSAGES).map(|seq| 1.0 / per_second(seq)).sum();
        assert!(3.0 * CRAWL_MESSAGES as f64 / seconds > 250.0);
        assert_eq!(endpoints(3)[0].delay(CRAWL_MESSAGES), Duration::ZERO);
    }

    #[test]
    fn a_filtered_endpoint_wants_a_part() {
        let endpoints = endpoints(4);
        let wanted = |at: usize| (0..30).filter(|seq| endpoints[at].wants(*seq)).count();
        assert_eq!((wanted(0), wanted(3)), (30, 10));
    }
}
