//! The endpoints of a run: what each wants, how it answers, and how much the server may have in flight to it.

use std::time::Duration;

use crate::payload::Messages;

/// How an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 200 at once.
    Fast,
    /// 500 to the first one to three tries of every third message, then 200: so retries stretch over kills.
    Failing,
    /// 200 after a while: so attempts are under way at every kill.
    Slow(Duration),
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

    /// A word for the summary.
    pub(crate) fn word(&self) -> &'static str {
        match (self.manner, self.only) {
            (Manner::Fast, None) => "fast",
            (Manner::Fast, Some(_)) => "filtered",
            (Manner::Failing, _) => "failing",
            (Manner::Slow(_), _) => "slow",
        }
    }
}

/// So many endpoints: a fast one, a failing one, a slow one, one with a filter, and from there the same again.
pub(crate) fn endpoints(count: usize) -> Vec<Endpoint> {
    let kinds = [
        (Manner::Fast, None, 16),
        (Manner::Failing, None, 8),
        (Manner::Slow(Duration::from_millis(40)), None, 24),
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
    fn a_filtered_endpoint_wants_a_part() {
        let endpoints = endpoints(4);
        let wanted = |at: usize| (0..30).filter(|seq| endpoints[at].wants(*seq)).count();
        assert_eq!((wanted(0), wanted(3)), (30, 10));
    }
}
