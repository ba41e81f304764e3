//! One delivery, or a batch of them, once: check, act, decide. Knows no store and no queue.

mod shape;
mod share;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    attempt::{Failure, Outcome},
    decide::{self, Decision, Health, Next, Notice, Policy},
    delivery::Work,
    endpoint::Disabled,
    order::OnExhausted,
    time::Timestamp,
};
use bellwire_store::{
    Directory, Settlement, Verdict,
    directory::EndpointEntry,
    operational::{self, LastAttempt, OperationalEvent},
};
use bytes::Bytes;

use self::{
    shape::{Unsent, shape},
    share::{Share, shares},
};
use crate::{
    action::{Acted, Action, Order},
    config::DeliverConfig,
};

/// What a run leaves to be done.
#[derive(Debug)]
pub(crate) struct Ran {
    /// To be written.
    pub settlement: Settlement,
    /// Its outcome says something about the endpoint: it was asked, or tried to be, and the failure is not the message's own.
    pub asked: bool,
    /// The endpoint asked for a rest.
    pub rest: Option<Duration>,
    /// The endpoint is to be disabled.
    pub disable: Option<Disabled>,
}

/// Makes one request for deliveries at one endpoint: what becomes of each, in the order given.
///
/// Each gets an attempt of its own with the same outcome, and a decision of its own, by the same jitter, so that those equally
/// far come due together again. What the outcome says of the endpoint (health, rest, disabling) is in the first that was sent
/// and in no other. One whose payload is gone fails alone; one that does not go together with the others
/// ([`bellwire_core::batch::Filling`]) is parked until it was due, with nothing lost. A message that the endpoint's settings
/// hold back, or cannot make into what is to be sent, has an attempt that says so; the endpoint is not asked.
pub(crate) async fn run_batch(
    works: &[Work],
    directory: &Directory,
    action: &dyn Action,
    config: &DeliverConfig,
) -> Vec<Ran> {
    let Some(endpoint) = works.first().map(|work| work.endpoint) else {
        return Vec::new();
    };
    let all = |verdict: fn(&Work) -> Verdict| works.iter().map(|work| ends(work, verdict(work))).collect();
    let Some(entry) = directory.endpoint_by_id(endpoint) else {
        return all(|_| Verdict::Cancelled);
    };
    if entry.endpoint.disabled.is_some() {
        return all(|_| Verdict::Cancelled);
    }
    if entry.endpoint.paused {
        return all(|work| Verdict::Park(work.due_at));
    }
    let started_at = directory.now();
    let reshapes = shape::reshapes(&entry);
    let batch = entry.endpoint.batch.filter(|_| !reshapes);
    let (shares, letter) = shares(works, batch, &config.server);
    let carried = works.iter().zip(&shares).filter(|(_, share)| **share == Share::Sent);
    let carried: Vec<&Work> = carried.map(|(work, _)| work).collect();
    let (mut reservation, mut counts) = (None, Counts::Attempt);
    let letter = match (letter, carried.first()) {
        (Some(letter), Some(work)) if reshapes => match shape(&entry, work, letter, started_at, &config.server) {
            Ok(shaped) => {
                reservation = shaped.reservation;
                Ok(Some(shaped.letter))
            }
            Err(Unsent { failure, counts: so }) => {
                counts = so;
                Err(failure)
            }
        },
        (letter, _) => Ok(letter),
    };
    let acted = match letter {
        // Nothing to send: every payload is gone.
        Ok(None) => Acted::Withheld,
        Err(failure) => Acted::Attempted(unsent(&entry, started_at, failure)),
        Ok(Some(letter)) => {
            let may_begin = || {
                let now = directory.endpoint_by_id(endpoint);
                directory.may_attempt() && now.is_some_and(|now| now.endpoint.accepts_attempts())
            };
            let order = Order {
                endpoint: &entry,
                works: carried,
                letter,
                started_at,
                timeout: entry.endpoint.timeout.unwrap_or(config.timeout).min(config.timeout_max),
                may_begin: &may_begin,
            };
            action.act(order).await
        }
    };
    let mut outcomes = match acted {
        Acted::Attempted(outcome) => {
            if let Some(reservation) = reservation.filter(|_| outcome.failure.is_none()) {
                reservation.succeeded();
            }
            let sent = shares.iter().filter(|share| **share == Share::Sent).count();
            Some(std::iter::repeat_n(outcome, sent))
        }
        Acted::Withheld => None,
    };
    let mut deciding = Deciding {
        entry: &entry,
        directory,
        config,
        before: entry.lane.health(),
        jitter: fastrand::f64(),
        first: true,
    };
    works
        .iter()
        .zip(shares)
        .map(|(work, share)| match (share, &mut outcomes) {
            (Share::Expired, _) => {
                let outcome = unsent(&entry, started_at, expired());
                deciding.decided(work, outcome, Counts::GivenUp)
            }
            (Share::Later, _) => ends(work, Verdict::Park(work.due_at)),
            (Share::Sent, Some(outcomes)) => match outcomes.next() {
                Some(outcome) => deciding.decided(work, outcome, counts),
                None => ends(work, Verdict::Park(work.due_at)),
            },
            (Share::Sent, None) => withheld(work, directory),
        })
        .collect()
}

/// Nothing was sent, because the endpoint was paused, disabled or deleted at the last moment, or another process may have changed
/// something or taken its place.
fn withheld(work: &Work, directory: &Directory) -> Ran {
    match directory.endpoint_by_id(work.endpoint) {
        Some(now) if now.endpoint.disabled.is_none() => ends(work, Verdict::Park(work.due_at)),
        _ => ends(work, Verdict::Cancelled),
    }
}

/// A settlement without an attempt.
pub(crate) fn without_attempt(work: &Work, verdict: Verdict) -> Settlement {
    Settlement {
        key: work.key(),
        app: work.message.app,
        lease: work.lease,
        progress: work.progress,
        attempt_id: None,
        outcome: None,
        verdict,
        health: None,
        notices: Vec::new(),
    }
}

fn ends(work: &Work, verdict: Verdict) -> Ran {
    Ran {
        settlement: without_attempt(work, verdict),
        asked: false,
        rest: None,
        disable: None,
    }
}

/// What an outcome counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// All that an attempt counts for.
    Attempt,
    /// The endpoint was not asked, and will not be: the same message would end in the same way until a person changes something.
    GivenUp,
    /// The delivery was held back: it is over, and nobody did anything wrong.
    HeldBack,
}

/// An attempt at which nothing was sent.
fn unsent(entry: &Arc<EndpointEntry>, started_at: Timestamp, failure: Failure) -> Outcome {
    Outcome {
        started_at,
        duration: Duration::ZERO,
        url: entry.endpoint.url.clone(),
        status_code: 0,
        failure: Some(failure),
        response: Bytes::new(),
        response_headers: Vec::new(),
        signature: String::new(),
        retry_after: None,
    }
}

fn expired() -> Failure {
    Failure {
        reason: "payload_expired",
        detail: "the payload expired or was expunged before it could be delivered; nothing was sent".to_owned(),
    }
}

/// Decides for one delivery after the other what follows from one request.
struct Deciding<'a> {
    entry: &'a Arc<EndpointEntry>,
    directory: &'a Directory,
    config: &'a DeliverConfig,
    /// How the endpoint was doing before.
    before: Health,
    jitter: f64,
    /// No attempt of this request has been decided yet: the first one speaks for the endpoint.
    first: bool,
}

impl Deciding<'_> {
    /// Turns an outcome into what is to be written.
    fn decided(&mut self, work: &Work, outcome: Outcome, counts: Counts) -> Ran {
        let endpoint = &self.entry.endpoint;
        let mut decision = match counts {
            Counts::Attempt => decide::decide(work.progress, &outcome, self.policy(), self.before, self.jitter),
            Counts::GivenUp => Decision::given_up(self.before),
            Counts::HeldBack => Decision {
                notices: Vec::new(),
                ..Decision::given_up(self.before)
            },
        };
        let asked = decision.speaks;
        let speaks = asked && std::mem::replace(&mut self.first, false);
        if !speaks {
            decision.disable = None;
            decision.rest = None;
            decision
                .notices
                .retain(|notice| !matches!(notice, Notice::Disabled { .. }));
        }
        let health = (speaks && decision.health != self.before).then_some(decision.health);
        if let Some(health) = health {
            self.entry.lane.set_health(health);
        }
        let attempt_id = (!decision.notices.is_empty()).then(|| self.directory.new_id());
        let last = LastAttempt {
            endpoint,
            message: work.message.id,
            event_id: work.message.event_id.as_deref(),
            id: attempt_id,
            status_code: outcome.status_code,
            at: outcome.started_at,
        };
        let told = |notice: &Notice| match *notice {
            Notice::Failing => OperationalEvent::AttemptFailing(last),
            Notice::Exhausted => OperationalEvent::AttemptExhausted(last),
            Notice::Recovered => OperationalEvent::AttemptRecovered(last),
            Notice::Disabled { failing_since } => OperationalEvent::EndpointDisabled {
                endpoint,
                fail_since: failing_since,
            },
        };
        let notices = decision
            .notices
            .iter()
            .filter_map(|notice| operational::event(self.directory, self.entry.environment, told(notice)))
            .collect();
        let disable = decision.disable.map(|reason| Disabled {
            since: outcome.ended_at(),
            reason,
        });
        let verdict = match decision.next {
            _ if counts == Counts::HeldBack => Verdict::Cancelled,
            Next::Succeeded => Verdict::Succeeded,
            Next::RetryAt(at) => Verdict::RetryAt(at),
            // What has no place is in no line that could wait.
            Next::Failed if work.place.is_some() && endpoint.order.on_exhausted == OnExhausted::Block => {
                Verdict::Blocked
            }
            Next::Failed => Verdict::Failed,
        };
        Ran {
            settlement: Settlement {
                key: work.key(),
                app: work.message.app,
                lease: work.lease,
                progress: work.progress,
                attempt_id,
                verdict,
                health,
                notices,
                outcome: Some(outcome),
            },
            asked,
            rest: decision.rest,
            disable,
        }
    }

    fn policy(&self) -> Policy<'_> {
        let own = self.entry.endpoint.retry_schedule.as_deref();
        Policy {
            schedule: own.unwrap_or(&self.config.retry_schedule),
            disable_after: self.config.disable_after,
        }
    }
}
