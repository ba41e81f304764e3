//! Workers: each holds a slot and attempts one delivery (or batch) of its lane after the other, until it is told that it is over.

use std::{ops::Deref, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bellwire_core::{delivery::Work, endpoint::Disabled, id::EndpointId, limit::Signal};
use bellwire_store::{Change, StoreError, Verdict, feed::FeedEvent};
use futures_util::FutureExt as _;

use super::{
    Scheduler,
    lane::{Report, Ticket},
    state::Turn,
};
use crate::{
    metrics::{self, DeliverMetrics},
    run,
};

/// How often it is asked again whether attempts may be made.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The wait after an attempt ended in a panic.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// What a worker was given: mostly one, which needs no allocation.
enum Works {
    One([Work; 1]),
    Several(Vec<Work>),
}

impl Deref for Works {
    type Target = [Work];

    fn deref(&self) -> &[Work] {
        match self {
            Self::One(one) => one,
            Self::Several(works) => works,
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Scheduler {
    /// A worker: takes deliveries of one lane until there are none, or it is another lane's turn.
    pub(super) async fn work(self: Arc<Self>, endpoint: EndpointId) {
        let (mut done, mut report) = (0, None);
        let cut_off = self.cut_off.cancelled();
        tokio::pin!(cut_off);
        loop {
            self.settler.brake().await;
            self.until_it_may_attempt().await;
            let turn = self.with(|state, now, effects| state.next(endpoint, done, report.take(), now, effects));
            let (works, ticket) = match turn {
                Turn::Over => return,
                Turn::Attempt(work, ticket) => (Works::One([work]), ticket),
                Turn::Batch(works, ticket) => (Works::Several(works), ticket),
            };
            done += 1;
            tokio::select! {
                biased;
                ended = self.attempt(&works, ticket) => report = Some(ended),
                // Left as it is: it is taken up again at the next start.
                () = &mut cut_off => return,
            }
        }
    }

    /// Waits while the store does not know whether attempts are this process's to make; not longer than until it stops.
    async fn until_it_may_attempt(&self) {
        while !(self.parts.store.may_attempt() || self.ending.is_cancelled()) {
            let _ = self.ending.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await;
        }
    }

    /// Makes one request for these deliveries, of one endpoint, and leaves what becomes of them to be written.
    async fn attempt(self: &Arc<Self>, works: &[Work], ticket: Ticket) -> Report {
        let parts = &self.parts;
        let running = run::run_batch(works, &parts.directory, &*parts.action, &parts.config);
        let mut report = Report {
            ticket,
            given: count(works.len()),
            attempted: 0,
            back: 0,
            signal: None,
            rest_until: None,
        };
        // A defect that one message brings to light must cost neither the lane's slot nor the delivery.
        let Ok(ran) = AssertUnwindSafe(running).catch_unwind().await else {
            let first = works
                .first()
                .map(|work| (work.message.id.to_string(), work.endpoint.to_string()));
            let (message, endpoint) = first.unwrap_or_default();
            tracing::error!(message, endpoint, "an attempt ended in a panic; it is tried again");
            let later = Verdict::Park(self.now().plus(AFTER_PANIC));
            self.settler
                .put(works.iter().map(|work| run::without_attempt(work, later)));
            report.back = report.given;
            return report;
        };
        let (mut rest, mut disable) = (None, None);
        for (work, ran) in works.iter().zip(&ran) {
            self.tell(work, &ran.settlement);
            let goes_back = matches!(ran.settlement.verdict, Verdict::RetryAt(_) | Verdict::Park(_));
            report.back += u32::from(goes_back);
            if let Some(outcome) = ran.settlement.outcome.as_ref().filter(|_| ran.asked) {
                report.attempted += 1;
                report.signal = report.signal.or_else(|| Some(Signal::of(outcome)));
            }
            rest = rest.max(ran.rest);
            disable = disable.or(ran.disable);
        }
        report.rest_until = rest.map(|rest| self.now().plus(rest));
        // First, so that whoever is told of it by the settlement's notice finds it so.
        if let (Some(disabled), Some(work)) = (disable, works.first()) {
            self.disable(work.endpoint, disabled).await;
        }
        self.settler.put(ran.into_iter().map(|ran| ran.settlement));
        report
    }

    fn tell(&self, work: &Work, settlement: &bellwire_store::Settlement) {
        let metrics = &self.metrics;
        let next_at = match settlement.verdict {
            Verdict::Succeeded => {
                DeliverMetrics::up(&metrics.delivered);
                None
            }
            Verdict::RetryAt(at) => {
                DeliverMetrics::up(&metrics.retried);
                Some(at)
            }
            Verdict::Failed | Verdict::Blocked => {
                DeliverMetrics::up(&metrics.exhausted);
                None
            }
            Verdict::Cancelled => {
                DeliverMetrics::up(&metrics.cancelled);
                None
            }
            Verdict::Park(_) => None,
        };
        let Some(outcome) = &settlement.outcome else { return };
        if let Some(failure) = &outcome.failure {
            metrics.attempt_failed(failure.reason);
        } else if let Some(after) = metrics::latency(work, outcome.ended_at()) {
            metrics.arrived(after);
        }
        if !self.parts.feed.is_watched() {
            return;
        }
        let Some(entry) = self.parts.directory.endpoint_by_id(work.endpoint) else {
            return;
        };
        self.parts.feed.tell(|| FeedEvent::Attempt {
            environment: entry.environment,
            app: work.message.app,
            message: work.message.id,
            event_type: work.message.event_type.clone(),
            endpoint: work.endpoint,
            number: work.progress.tries.saturating_add(1),
            status_code: outcome.status_code,
            failure: outcome
                .failure
                .as_ref()
                .map(|failure| (failure.reason.to_owned(), failure.detail.clone())),
            next_at,
            duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
            at: outcome.started_at,
        });
    }

    /// Disables an endpoint, unless somebody did it already.
    async fn disable(&self, id: EndpointId, disabled: Disabled) {
        let directory = &self.parts.directory;
        let build = || {
            let Some(entry) = directory.endpoint_by_id(id) else {
                return Ok(Vec::new());
            };
            if entry.endpoint.disabled.is_some() {
                return Ok(Vec::new());
            }
            let mut endpoint = entry.endpoint.clone();
            endpoint.disabled = Some(disabled);
            endpoint.updated_at = directory.now();
            Ok::<_, StoreError>(vec![Change::PutEndpoint(Box::new(endpoint))])
        };
        match directory.commit_with(None, build).await {
            Ok(()) => tracing::warn!(endpoint = %id, reason = ?disabled.reason, "endpoint disabled"),
            // The next failure decides it again.
            Err(error) => tracing::error!(endpoint = %id, %error, "endpoint could not be disabled"),
        }
    }
}
