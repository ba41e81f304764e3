//! The one place that says what happens after an attempt.
//!
//! `(progress, outcome, policy, health, jitter) -> Decision`, pure: first tries, retries, resends and replays all end here.

use std::time::Duration;

use crate::{
    attempt::{GONE, Outcome},
    delivery::Progress,
    endpoint::DisabledReason,
    retry::{self, RETRY_AFTER_MAX},
    time::Timestamp,
};

/// From this failed try of a run on, people are told that a delivery is failing.
pub const FAILING_AFTER_TRIES: u16 = 4;

/// How long an endpoint rests when it asks for a rest without saying how long.
pub const DEFAULT_REST: Duration = Duration::from_secs(1);

/// The longest that one answer lets a whole endpoint rest. The delivery itself waits as long as it was asked to.
pub const REST_MAX: Duration = Duration::from_secs(60);

/// What is in force for a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The waits before each retry.
    pub schedule: &'a [Duration],
    /// An endpoint that has only failed for this long is disabled; `None` is never.
    pub disable_after: Option<Duration>,
}

/// How an endpoint has been doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// When the first of an unbroken row of failures ended; `None` when the last attempt succeeded.
    pub failing_since: Option<Timestamp>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Delivered.
    Succeeded,
    /// Tried again at this time.
    RetryAt(Timestamp),
    /// Given up: visible as failed until somebody resends it.
    Failed,
}

/// What people are told, as operational events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The delivery keeps failing (told once per run).
    Failing,
    /// The delivery was given up.
    Exhausted,
    /// The delivery succeeded after people were told that it was failing.
    Recovered,
    /// The endpoint was disabled; it has been failing since then.
    Disabled {
        /// When its unbroken row of failures began.
        failing_since: Timestamp,
    },
}

/// Everything that follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the delivery.
    pub next: Next,
    /// How the endpoint is doing now.
    pub health: Health,
    /// The endpoint is to be disabled.
    pub disable: Option<DisabledReason>,
    /// The endpoint asked for a rest: nothing is begun there for so long.
    pub rest: Option<Duration>,
    /// What people are told.
    pub notices: Vec<Notice>,
    /// The outcome says something about the endpoint: its breaker and its limit learn of it.
    pub speaks: bool,
}

impl Decision {
    /// The delivery is given up for a reason that lies in its message or in settings: the endpoint, of this health, is not blamed.
    pub fn given_up(health: Health) -> Self {
        Self {
            next: Next::Failed,
            health,
            disable: None,
            rest: None,
            notices: vec![Notice::Exhausted],
            speaks: false,
        }
    }
}

/// What follows from `outcome`, the attempt after `progress.tries` others of its run.
///
/// `jitter` is from 0 to 1.
pub fn decide(progress: Progress, outcome: &Outcome, policy: Policy<'_>, health: Health, jitter: f64) -> Decision {
    let Some(failure) = &outcome.failure else {
        let told = progress.tries >= FAILING_AFTER_TRIES;
        return Decision {
            next: Next::Succeeded,
            health: Health { failing_since: None },
            disable: None,
            rest: None,
            notices: if told { vec![Notice::Recovered] } else { Vec::new() },
            speaks: true,
        };
    };
    if failure.is_final() {
        return Decision::given_up(health);
    }
    let ended_at = outcome.ended_at();
    let failing_since = health.failing_since.unwrap_or(ended_at).min(ended_at);
    let disable = match policy.disable_after {
        // Not any answer of 410: what an action asks for may be gone, and the service is still there.
        _ if failure.reason == GONE => Some(DisabledReason::Gone),
        Some(limit) if ended_at.since(failing_since) >= limit => Some(DisabledReason::Failing),
        _ => None,
    };
    let tries = progress.tries.saturating_add(1);
    let wait = retry::next_wait(policy.schedule, tries, jitter, outcome.retry_after).filter(|_| disable.is_none());
    let mut notices = Vec::new();
    let next = match wait {
        Some(wait) => {
            if tries == FAILING_AFTER_TRIES {
                notices.push(Notice::Failing);
            }
            Next::RetryAt(ended_at.plus(wait))
        }
        None => {
            notices.push(Notice::Exhausted);
            Next::Failed
        }
    };
    if disable.is_some() {
        notices.push(Notice::Disabled { failing_since });
    }
    let asks_for_rest = matches!(outcome.status_code, 429 | 502 | 503 | 504);
    let rest = asks_for_rest.then(|| {
        outcome
            .retry_after
            .unwrap_or(DEFAULT_REST)
            .min(RETRY_AFTER_MAX)
            .min(REST_MAX)
    });
    Decision {
        next,
        health: Health {
            failing_since: Some(failing_since),
        },
        disable,
        rest,
        notices,
        speaks: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attempt::{FINAL, Failure},
        delivery::Trigger,
        retry::STANDARD_SCHEDULE,
    };
    use bytes::Bytes;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);
    const POLICY: Policy<'static> = Policy {
        schedule: &STANDARD_SCHEDULE,
        disable_after: Some(Duration::from_secs(5 * 86_400)),
    };

    fn answered(status_code: u16) -> Outcome {
        let failed = !(200..300).contains(&status_code);
        Outcome {
            started_at: NOON,
            duration: Duration::from_millis(20),
            url: "https://example.com/".to_owned(),
            status_code,
            failure: failed.then(|| Failure {
                reason: if status_code == 410 { GONE } else { "status_5xx" },
                detail: String::new(),
            }),
            response: Bytes::new(),
            response_headers: Vec::new(),
            signature: String::new(),
            retry_after: None,
        }
    }

    fn after(tries: u16) -> Progress {
        Progress {
            run: 0,
            tries,
            trigger: Trigger::Scheduled,
        }
    }

    #[test]
    fn success_ends_the_delivery_and_clears_the_row_of_failures() {
        let health = Health {
            failing_since: Some(NOON),
        };
        let decision = decide(after(0), &answered(204), POLICY, health, 0.5);
        assert_eq!(decision.next, Next::Succeeded);
        assert_eq!(decision.health.failing_since, None);
        assert!(decision.notices.is_empty());
    }

    #[test]
    fn people_are_told_once_that_it_fails_and_once_that_it_recovered() {
        let told: Vec<_> = (0..9)
            .map(|tries| decide(after(tries), &answered(500), POLICY, Health::default(), 0.0).notices)
            .collect();
        assert_eq!(
            told.iter().filter(|notices| notices.contains(&Notice::Failing)).count(),
            1
        );
        assert_eq!(told[3], [Notice::Failing]);
        assert!(
            decide(after(3), &answered(200), POLICY, Health::default(), 0.0)
                .notices
                .is_empty()
        );
        assert_eq!(
            decide(after(4), &answered(200), POLICY, Health::default(), 0.0).notices,
            [Notice::Recovered]
        );
    }

    #[test]
    fn the_tenth_failure_exhausts_the_standard_schedule() {
        let ninth = decide(after(8), &answered(500), POLICY, Health::default(), 0.0);
        assert_eq!(
            ninth.next,
            Next::RetryAt(NOON.plus(Duration::from_millis(20) + STANDARD_SCHEDULE[8]))
        );
        let tenth = decide(after(9), &answered(500), POLICY, Health::default(), 0.0);
        assert_eq!(tenth.next, Next::Failed);
        assert_eq!(tenth.notices, [Notice::Exhausted]);
    }

    #[test]
    fn gone_disables_at_once_and_is_not_retried() {
        let decision = decide(after(0), &answered(410), POLICY, Health::default(), 0.0);
        assert_eq!(
            (decision.next, decision.disable),
            (Next::Failed, Some(DisabledReason::Gone))
        );
        assert_eq!(decision.notices.len(), 2);
    }

    #[test]
    fn what_would_fail_again_is_given_up_at_once_and_the_endpoint_is_not_blamed() {
        // It has been failing for long: one more failure of its own would disable it.
        let health = Health {
            failing_since: Some(NOON.minus(Duration::from_secs(30 * 86_400))),
        };
        for reason in FINAL {
            let mut outcome = answered(500);
            outcome.failure = Some(Failure {
                reason,
                detail: String::new(),
            });
            outcome.retry_after = Some(Duration::from_secs(5));
            let decision = decide(after(0), &outcome, POLICY, health, 0.0);
            assert_eq!(decision, Decision::given_up(health), "{reason}");
        }
    }

    #[test]
    fn an_answer_of_410_that_means_something_else_is_retried() {
        let mut outcome = answered(410);
        outcome.failure = Some(Failure {
            reason: "status_4xx",
            detail: String::new(),
        });
        let decision = decide(after(0), &outcome, POLICY, Health::default(), 0.0);
        assert_eq!(decision.disable, None);
        assert!(matches!(decision.next, Next::RetryAt(_)));
    }

    #[test]
    fn five_days_of_nothing_but_failures_disable_and_a_moment_less_does_not() {
        let limit = Duration::from_secs(5 * 86_400);
        let ended = answered(500).ended_at();
        let since = |at| {
            decide(
                after(0),
                &answered(500),
                POLICY,
                Health {
                    failing_since: Some(at),
                },
                0.0,
            )
            .disable
        };
        assert_eq!(since(ended.minus(limit)), Some(DisabledReason::Failing));
        assert_eq!(since(ended.minus(limit - Duration::from_micros(1))), None);
    }

    #[test]
    fn retry_after_moves_the_delivery_in_full_and_rests_the_endpoint_for_a_bounded_time() {
        let mut outcome = answered(503);
        outcome.retry_after = Some(Duration::from_secs(3_600));
        let decision = decide(after(0), &outcome, POLICY, Health::default(), 0.0);
        assert_eq!(
            decision.next,
            Next::RetryAt(outcome.ended_at().plus(Duration::from_secs(3_600)))
        );
        assert_eq!(decision.rest, Some(REST_MAX));
        assert_eq!(
            decide(after(0), &answered(429), POLICY, Health::default(), 0.0).rest,
            Some(DEFAULT_REST)
        );
        assert_eq!(
            decide(after(0), &answered(500), POLICY, Health::default(), 0.0).rest,
            None
        );
    }
}
