//! One delivery, once: check, act, decide. Knows no store and no queue.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    attempt::{Failure, Outcome},
    decide::{self, Decision, Next, Notice, Policy},
    delivery::Work,
    endpoint::Disabled,
};
use bellwire_store::{
    Directory, Settlement, Verdict,
    directory::EndpointEntry,
    operational::{self, LastAttempt, OperationalEvent},
};
use bytes::Bytes;

use crate::{
    action::{Acted, Action, Order},
    config::DeliverConfig,
};

/// What a run leaves to be done.
#[derive(Debug)]
pub(crate) struct Ran {
    /// To be written.
    pub settlement: Settlement,
    /// The endpoint asked for a rest.
    pub rest: Option<Duration>,
    /// The endpoint is to be disabled.
    pub disable: Option<Disabled>,
}

/// Tries a delivery once.
pub(crate) async fn run(work: &Work, directory: &Directory, action: &dyn Action, config: &DeliverConfig) -> Ran {
    let Some(entry) = directory.endpoint_by_id(work.endpoint) else {
        return ends(work, Verdict::Cancelled);
    };
    if entry.endpoint.disabled.is_some() {
        return ends(work, Verdict::Cancelled);
    }
    if entry.endpoint.paused {
        return ends(work, Verdict::Park(work.due_at));
    }
    let started_at = directory.now();
    let Some(body) = work.message.payload.clone() else {
        let outcome = expired(&entry, started_at);
        return decided(work, &entry, outcome, directory, config, Some(Next::Failed));
    };
    let may_begin = || {
        directory
            .endpoint_by_id(work.endpoint)
            .is_some_and(|now| now.endpoint.accepts_attempts())
    };
    let order = Order {
        endpoint: &entry,
        work,
        body,
        started_at,
        timeout: entry.endpoint.timeout.unwrap_or(config.timeout).min(config.timeout_max),
        may_begin: &may_begin,
    };
    match action.act(order).await {
        Acted::Attempted(outcome) => decided(work, &entry, outcome, directory, config, None),
        Acted::Withheld => match directory.endpoint_by_id(work.endpoint) {
            Some(now) if now.endpoint.disabled.is_none() => ends(work, Verdict::Park(work.due_at)),
            _ => ends(work, Verdict::Cancelled),
        },
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
        rest: None,
        disable: None,
    }
}

fn expired(entry: &Arc<EndpointEntry>, started_at: bellwire_core::time::Timestamp) -> Outcome {
    Outcome {
        started_at,
        duration: Duration::ZERO,
        url: entry.endpoint.url.clone(),
        status_code: 0,
        failure: Some(Failure {
            reason: "payload_expired",
            detail: "the payload expired or was expunged before it could be delivered; nothing was sent".to_owned(),
        }),
        response: Bytes::new(),
        response_headers: Vec::new(),
        signature: String::new(),
        retry_after: None,
    }
}

/// Turns an outcome into what is to be written. `forced` overrides what becomes of the delivery.
fn decided(
    work: &Work,
    entry: &Arc<EndpointEntry>,
    outcome: Outcome,
    directory: &Directory,
    config: &DeliverConfig,
    forced: Option<Next>,
) -> Ran {
    let before = entry.lane.health();
    let policy = Policy {
        schedule: entry
            .endpoint
            .retry_schedule
            .as_deref()
            .unwrap_or(&config.retry_schedule),
        disable_after: config.disable_after,
    };
    // An attempt that was never made says nothing about the endpoint.
    let Decision {
        next,
        health,
        disable,
        rest,
        notices,
    } = match forced {
        None => decide::decide(work.progress, &outcome, policy, before, fastrand::f64()),
        Some(next) => Decision {
            next,
            health: before,
            disable: None,
            rest: None,
            notices: vec![Notice::Exhausted],
        },
    };
    if health != before {
        entry.lane.set_health(health);
    }
    let attempt_id = (!notices.is_empty()).then(|| directory.new_id());
    let last = LastAttempt {
        endpoint: &entry.endpoint,
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
            endpoint: &entry.endpoint,
            fail_since: failing_since,
        },
    };
    let notices = notices
        .iter()
        .filter_map(|notice| operational::event(directory, entry.environment, told(notice)))
        .collect();
    let disable = disable.map(|reason| Disabled {
        since: outcome.ended_at(),
        reason,
    });
    let verdict = match next {
        Next::Succeeded => Verdict::Succeeded,
        Next::RetryAt(at) => Verdict::RetryAt(at),
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
            health: (health != before).then_some(health),
            notices,
            outcome: Some(outcome),
        },
        rest,
        disable,
    }
}
