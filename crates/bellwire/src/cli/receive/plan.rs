//! How the receiver behaves: pure decisions about the answer to one request.

use std::time::Duration;

/// What the receiver was told to do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Misbehave on the first so many tries of each message.
    pub fail_first: Option<u32>,
    /// Misbehave this often, 0 to 1.
    pub fail_rate: Option<f64>,
    /// Misbehave by this status; 500 when not told.
    pub status: Option<u16>,
    /// Misbehave by keeping the connection open so long and closing it without an answer.
    pub hang: Option<Duration>,
    /// Wait so long before every answer.
    pub slow: Duration,
}

/// What to do with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answer this status.
    Status(u16),
    /// Answer 401: the signature does not match.
    Refuse,
    /// Close the connection without an answer after this time.
    Hang(Duration),
}

impl Plan {
    /// The answer to the try with this number (from 1) of a message; `roll` is evenly distributed over 0 to 1. `forged`
    /// says that its signature was checked and does not match.
    ///
    /// Told neither how many nor how often, the receiver misbehaves always when it was told how.
    pub fn answer(&self, number: u32, roll: f64, forged: bool) -> Answer {
        let misbehaves = match (self.fail_first, self.fail_rate) {
            (None, None) => self.status.is_some() || self.hang.is_some(),
            (first, rate) => first.is_some_and(|first| number <= first) || rate.is_some_and(|rate| roll < rate),
        };
        match (misbehaves, self.hang) {
            (false, _) if forged => Answer::Refuse,
            (false, _) => Answer::Status(200),
            (true, Some(hang)) => Answer::Hang(hang),
            (true, None) => Answer::Status(self.status.unwrap_or(500)),
        }
    }
}

impl Answer {
    /// Whether the sender will take it as delivered.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_nothing_it_answers_200() {
        assert_eq!(Plan::default().answer(1, 0.0, false), Answer::Status(200));
    }

    #[test]
    fn the_first_tries_fail_and_then_it_recovers() {
        let plan = Plan {
            fail_first: Some(2),
            ..Plan::default()
        };
        let answers = [1, 2, 3].map(|number| plan.answer(number, 0.5, false));
        assert_eq!(answers, [Answer::Status(500), Answer::Status(500), Answer::Status(200)]);
        let plan = Plan {
            fail_first: Some(1),
            status: Some(503),
            ..Plan::default()
        };
        assert_eq!(
            (plan.answer(1, 0.5, false), plan.answer(2, 0.5, false)),
            (Answer::Status(503), Answer::Status(200))
        );
    }

    #[test]
    fn a_status_or_a_hang_alone_holds_always() {
        let plan = Plan {
            status: Some(410),
            ..Plan::default()
        };
        assert_eq!(plan.answer(99, 0.99, false), Answer::Status(410));
        let hang = Duration::from_secs(3);
        assert_eq!(
            Plan {
                hang: Some(hang),
                ..Plan::default()
            }
            .answer(99, 0.99, false),
            Answer::Hang(hang)
        );
    }

    #[test]
    fn a_forged_request_is_refused_unless_told_to_misbehave_anyway() {
        assert_eq!(Plan::default().answer(1, 0.5, true), Answer::Refuse);
        let plan = Plan {
            fail_first: Some(1),
            ..Plan::default()
        };
        assert_eq!(
            (plan.answer(1, 0.5, true), plan.answer(2, 0.5, true)),
            (Answer::Status(500), Answer::Refuse)
        );
    }

    #[test]
    fn a_rate_decides_by_the_roll() {
        let plan = Plan {
            fail_rate: Some(0.25),
            ..Plan::default()
        };
        assert_eq!(
            (plan.answer(1, 0.2, false), plan.answer(1, 0.25, false)),
            (Answer::Status(500), Answer::Status(200))
        );
        assert_eq!(
            Plan {
                fail_rate: Some(1.0),
                ..Plan::default()
            }
            .answer(1, 0.999, false),
            Answer::Status(500)
        );
    }
}
