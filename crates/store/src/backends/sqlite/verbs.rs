//! The contract, verb by verb: each says only whether it is read or written, and where.

use std::{
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{
    delivery::DeliveryState,
    id::{AppId, EndpointId, EnvironmentId, MessageId, SourceId, TaskId},
    message::{Message, NewMessage},
    task::{Task, TaskStatus},
    time::Timestamp,
};
use tokio::sync::oneshot;

use super::{
    Sqlite,
    arrival::{self, Answer},
    attempt, audit, check, claim, closed, configuration, delivery, find, hand, held, ingest, lines, message,
    partition::Days,
    queue::{AppendJob, SettleJob},
    refused,
    retain::{self, Step},
    stream, survey,
    tend::{self, Blocked, Discarding},
    upkeep,
};
use crate::{
    audit::{AuditEntry, AuditFilter},
    contract::{
        Appended, Arrival, Arrived, Change, ClaimRequest, Claimed, Freed, Handoff, LaneHead, Released, Settlement,
        Store, StoredAnswer,
    },
    error::{AppendError, StoreError},
    query::{
        AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, Backlog, CheckReport, Configuration, Cutoffs,
        DeliveryCounts, DeliveryRow, EndpointMessage, LineQuery, LineRow, MessageFilter, Page, RefusedRequest,
        ReplayCandidate, Requeue, Retained, Rows, StoreHealth, StreamQuery, StreamRow, Tending,
    },
    scan::{Scan, Scanned},
    survey::{FailedAttempt, FailureQuery, Sample, SampleQuery},
};

use bellwire_core::id::Id as _;

/// Messages erased in one transaction.
const ERASED_PER_COMMIT: usize = 200;
/// Endpoints sealed anew in one transaction.
const SEALED_PER_COMMIT: usize = 500;
/// Streams forgotten in one transaction.
const STREAMS_PER_COMMIT: usize = 4_000;
/// Held messages whose wait is made longer in one transaction.
const HELD_PER_COMMIT: usize = 4_000;
/// Steps of forgetting that one call takes.
const STEPS_PER_CALL: usize = 250;

#[async_trait]
impl Store for Sqlite {
    fn attach(&self, handoff: Arc<dyn Handoff>) {
        self.shared.attach(handoff);
    }

    async fn append(&self, message: NewMessage) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.queue.append(AppendJob { message, reply }).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let leases = Arc::clone(&self.shared.leases);
        let wall = self.options.clock.now();
        let mut granted = self
            .claimers
            .read(move |connection| claim::claim(connection, &leases, request, wall))
            .await?;
        let gone = std::mem::take(&mut granted.gone);
        if !gone.is_empty() {
            let endpoint = request.endpoint.number();
            let turn = self.write(move |tx| hand::forget_gone(tx, endpoint, &gone)).await?;
            granted.remains(turn);
        }
        Ok(granted.accept())
    }

    async fn settle(&self, batch: Arc<Vec<Settlement>>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.queue.settle(SettleJob { batch, reply }).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn lanes(&self) -> Result<Vec<LaneHead>, StoreError> {
        let leases = Arc::clone(&self.shared.leases);
        self.claimers
            .read(move |connection| claim::lanes(connection, &leases))
            .await
    }

    async fn lines(&self, endpoint: EndpointId, query: LineQuery) -> Result<Rows<LineRow>, StoreError> {
        self.read(move |connection| lines::lines(connection, endpoint, &query))
            .await
    }

    async fn tend_line(&self, endpoint: EndpointId, key: Option<String>, tending: Tending) -> Result<u64, StoreError> {
        let endpoint = endpoint.number();
        let what = match tending {
            Tending::Unblock(at) => Blocked::Open(at),
            Tending::Skip => Blocked::Skip,
            Tending::Discard => return self.discard(endpoint, key).await,
        };
        let (mut changed, mut next) = (0, Some(String::new()));
        while let Some(from) = next.take() {
            let key = key.clone();
            let piece = self
                .write(move |tx| tend::tend_blocked(tx, endpoint, key.as_deref(), &from, what))
                .await?;
            changed += piece.changed;
            next = piece.next;
        }
        Ok(changed)
    }

    async fn backlog(&self, endpoint: EndpointId) -> Result<Backlog, StoreError> {
        let leases = Arc::clone(&self.shared.leases);
        self.read(move |connection| lines::backlog(connection, &leases, endpoint))
            .await
    }

    async fn arrive(&self, arrival: Arrival) -> Result<Arrived, AppendError> {
        let Answer { mut arrived, mut more } = self.write(move |tx| arrival::arrive(tx, arrival)).await??;
        while let Some(name) = more.take() {
            let stream = name.clone();
            match self.write(move |tx| arrival::go_on(tx, &stream)).await {
                Ok(turns) => {
                    if let Arrived::Accepted { freed, .. } = &mut arrived {
                        freed.extend(turns.freed);
                    }
                    more = turns.more.then_some(name);
                }
                // What is left is due, and released later. The arrival itself is durable.
                Err(error) => tracing::warn!(%error, "messages that have their turn are accepted later"),
            }
        }
        Ok(arrived)
    }

    async fn release(&self, now: Timestamp, limit: usize) -> Result<Released, StoreError> {
        let (mut freed, mut given) = (Vec::new(), 0);
        loop {
            let left = limit - given;
            let piece = self.write(move |tx| arrival::release(tx, now, left)).await?;
            freed.extend(piece.released.freed);
            given += piece.given;
            if !piece.more || given >= limit {
                let next = piece.released.next;
                return Ok(Released { freed, next });
            }
        }
    }

    async fn prolong(&self, app: AppId, until: Timestamp) -> Result<u64, StoreError> {
        let mut changed = 0;
        loop {
            let n = self
                .write(move |tx| held::prolong(tx, app, until, HELD_PER_COMMIT))
                .await?;
            changed += n as u64;
            if n < HELD_PER_COMMIT {
                return Ok(changed);
            }
        }
    }

    async fn reset_stream(&self, app: AppId, key: String) -> Result<Option<Vec<Freed>>, StoreError> {
        let name = stream::Name { app, okey: key };
        let (mut known, mut freed) = (false, Vec::new());
        loop {
            let stream = name.clone();
            let piece = self.write(move |tx| arrival::reset(tx, &stream)).await?;
            known |= piece.known;
            freed.extend(piece.freed);
            if !piece.more {
                return Ok(known.then_some(freed));
            }
        }
    }

    async fn streams(&self, app: AppId, query: StreamQuery) -> Result<Rows<StreamRow>, StoreError> {
        self.read(move |connection| stream::streams(connection, app, &query))
            .await
    }

    async fn refuse(&self, batch: Vec<RefusedRequest>) -> Result<(), StoreError> {
        self.write(move |tx| refused::refuse(tx, &batch)).await
    }

    async fn refused(&self, source: SourceId, page: Page) -> Result<Rows<RefusedRequest>, StoreError> {
        self.read(move |connection| refused::refused(connection, source, page))
            .await
    }

    async fn requeue(&self, batch: Vec<Requeue>) -> Result<u64, StoreError> {
        self.write(move |tx| hand::requeue(tx, &batch)).await
    }

    async fn cancel(&self, endpoint: EndpointId, limit: usize) -> Result<u64, StoreError> {
        let endpoint = endpoint.number();
        let mut cancelled = 0;
        loop {
            let left = limit - cancelled;
            let piece = self.write(move |tx| hand::cancel(tx, endpoint, left)).await?;
            cancelled += piece.changed as usize;
            if piece.next.is_none() || cancelled >= limit {
                return Ok(cancelled as u64);
            }
        }
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        let vault = Arc::clone(&self.options.vault);
        self.read(move |connection| configuration::configuration(connection, &vault))
            .await
    }

    async fn apply(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<Option<u64>, StoreError> {
        let vault = Arc::clone(&self.options.vault);
        let erases = changes.iter().any(|change| {
            matches!(
                change,
                Change::DeleteApp(_) | Change::DeleteEndpoint(_) | Change::DeleteSource(_)
            )
        });
        self.administer(erases, move |tx| configuration::apply(tx, &vault, changes, answer))
            .await?;
        Ok(None)
    }

    async fn answer(&self, key: [u8; 32], now: Timestamp) -> Result<Option<StoredAnswer>, StoreError> {
        self.read(move |connection| configuration::answer(connection, key, now))
            .await
    }

    async fn message(&self, app: AppId, id: MessageId, with_payload: bool) -> Result<Option<Message>, StoreError> {
        let now = self.options.clock.now();
        self.read(move |connection| message::message(connection, app, id, with_payload, now))
            .await
    }

    async fn message_by_event_id(&self, app: AppId, event_id: &str) -> Result<Option<MessageId>, StoreError> {
        let event_id = event_id.to_owned();
        self.read(move |connection| {
            let days = Days::read(connection)?;
            let Some(id) = ingest::by_event_id(connection, super::row::key(app.number()), &event_id)? else {
                return Ok(None);
            };
            let found = message::stored(connection, &days, super::row::number(id))?;
            Ok(found.map(|found| found.message.id))
        })
        .await
    }

    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<Message>, StoreError> {
        let now = self.options.clock.now();
        self.read(move |connection| message::messages(connection, app, &filter, page, with_payload, now))
            .await
    }

    async fn find_message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.read(move |connection| find::message(connection, id)).await
    }

    async fn find_event_id(&self, apps: Vec<AppId>, event_id: String) -> Result<Vec<Message>, StoreError> {
        self.read(move |connection| find::by_event_id(connection, &apps, &event_id))
            .await
    }

    async fn scan(&self, scan: Scan) -> Result<Scanned, StoreError> {
        let now = self.options.clock.now();
        self.read(move |connection| find::scan(connection, &scan, now)).await
    }

    async fn expunge_payload(&self, app: AppId, id: MessageId) -> Result<bool, StoreError> {
        self.erase(move |tx| upkeep::expunge_payload(tx, app, id)).await
    }

    async fn deliveries(&self, app: AppId, message: MessageId, page: Page) -> Result<Rows<DeliveryRow>, StoreError> {
        self.read(move |connection| delivery::deliveries(connection, app, message, page))
            .await
    }

    async fn endpoint_messages(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: MessageFilter,
        state: Option<DeliveryState>,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<EndpointMessage>, StoreError> {
        let now = self.options.clock.now();
        let query = delivery::EndpointQuery {
            app,
            endpoint,
            filter,
            state,
            page,
            with_payload,
        };
        self.read(move |connection| delivery::endpoint_messages(connection, &query, now))
            .await
    }

    async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Rows<AttemptRow>, StoreError> {
        self.read(move |connection| attempt::of_message(connection, app, message, &filter, page))
            .await
    }

    async fn attempts_of_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<AttemptRow>, StoreError> {
        let now = self.options.clock.now();
        let query = attempt::EndpointQuery {
            app,
            endpoint,
            filter,
            page,
            with_payload,
        };
        self.read(move |connection| attempt::of_endpoint(connection, &query, now))
            .await
    }

    async fn attempt(&self, key: AttemptKey) -> Result<Option<AttemptRow>, StoreError> {
        self.read(move |connection| attempt::one(connection, key)).await
    }

    async fn expunge_attempt(&self, key: AttemptKey) -> Result<bool, StoreError> {
        self.erase(move |tx| upkeep::expunge_attempt(tx, key)).await
    }

    async fn delivery_counts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts, StoreError> {
        self.read(move |connection| delivery::counts(connection, endpoint, since, until))
            .await
    }

    async fn attempt_counts(
        &self,
        endpoints: Vec<EndpointId>,
        event_types: Vec<String>,
        since: Timestamp,
        bucket: Duration,
        n: usize,
    ) -> Result<Vec<AttemptCounts>, StoreError> {
        let query = attempt::CountQuery {
            endpoints,
            event_types,
            since,
            bucket,
            n,
        };
        self.read(move |connection| attempt::counts(connection, &query)).await
    }

    async fn sample_attempts(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError> {
        self.read(move |connection| survey::sample(connection, &query)).await
    }

    async fn failed_attempts(&self, query: FailureQuery) -> Result<Vec<FailedAttempt>, StoreError> {
        self.read(move |connection| survey::failures(connection, &query)).await
    }

    async fn replay_candidates(
        &self,
        app: AppId,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
        after: u64,
        limit: usize,
    ) -> Result<Rows<ReplayCandidate>, StoreError> {
        let filter = MessageFilter {
            after: Some(since),
            before: Some(until),
            ..MessageFilter::default()
        };
        self.read(move |connection| delivery::replay_candidates(connection, app, endpoint, &filter, after, limit))
            .await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.read(move |connection| configuration::task(connection, id)).await
    }

    async fn tasks(
        &self,
        environment: Option<EnvironmentId>,
        status: Option<TaskStatus>,
        page: Page,
    ) -> Result<Rows<Task>, StoreError> {
        self.read(move |connection| configuration::tasks(connection, environment, status, page))
            .await
    }

    async fn audit(
        &self,
        environment: EnvironmentId,
        filter: AuditFilter,
        page: Page,
    ) -> Result<Rows<AuditEntry>, StoreError> {
        self.read(move |connection| audit::entries(connection, environment, &filter, page))
            .await
    }

    async fn retain(&self, cutoffs: Cutoffs) -> Result<Retained, StoreError> {
        let now = self.options.clock.now();
        let victims = self
            .read(move |connection| retain::victims(connection, cutoffs, now))
            .await?;
        let mut retained = Retained::default();
        let mut steps = 0;
        while self.write(move |tx| audit::forget(tx, now)).await? {
            steps += 1;
            if steps >= STEPS_PER_CALL {
                return Ok(Retained { more: true, ..retained });
            }
        }
        for victim in victims {
            let mut after = 0;
            loop {
                if steps == STEPS_PER_CALL {
                    return Ok(Retained { more: true, ..retained });
                }
                steps += 1;
                match self.write(move |tx| retain::step(tx, victim, after)).await? {
                    Step::Gone => break,
                    Step::GoOn(next) => after = next,
                }
            }
            retained.partitions += 1;
        }
        let day = cutoffs.messages.day();
        while self
            .write(move |tx| stream::forget_unused(tx, day, STREAMS_PER_COMMIT))
            .await?
            == STREAMS_PER_COMMIT
        {
            steps += 1;
            if steps >= STEPS_PER_CALL {
                return Ok(Retained { more: true, ..retained });
            }
        }
        Ok(retained)
    }

    async fn erase_app(&self, app: AppId, limit: usize) -> Result<u64, StoreError> {
        let is_blank = || self.blanked.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_blank().contains(&app) {
            let mut place = Some(held::Place::first());
            while let Some(after) = place {
                place = self
                    .erase(move |tx| held::blank(tx, app, &after, ERASED_PER_COMMIT))
                    .await?;
            }
            let mut after = None;
            loop {
                after = match self
                    .erase(move |tx| retain::blank(tx, app, after, ERASED_PER_COMMIT))
                    .await?
                {
                    None => break,
                    more => more,
                };
            }
            is_blank().insert(app);
        }
        let mut erased = 0;
        while erased < limit as u64 {
            let wanted = ERASED_PER_COMMIT.min(limit - erased as usize);
            let now_erased = self.erase(move |tx| retain::erase_app(tx, app, wanted)).await?;
            erased += now_erased;
            if now_erased < wanted as u64 {
                is_blank().remove(&app);
                self.forget_streams(app).await?;
                break;
            }
        }
        Ok(erased)
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.readers
            .read(move |connection| upkeep::backup(connection, &to))
            .await
    }

    async fn check(&self) -> Result<CheckReport, StoreError> {
        self.read(check::check).await
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        let mut sealed = 0;
        loop {
            let vault = Arc::clone(&self.options.vault);
            match self
                .write(move |tx| upkeep::reseal(tx, &vault, SEALED_PER_COMMIT))
                .await?
            {
                0 => return Ok(sealed),
                more => sealed += more,
            }
        }
    }

    async fn health(&self) -> StoreHealth {
        let path = self.path.clone();
        let leases = Arc::clone(&self.shared.leases);
        let seen = self
            .claimers
            .read(move |connection| {
                let oldest = claim::lanes(connection, &leases)?
                    .into_iter()
                    .map(|head| head.due_at)
                    .min();
                Ok((oldest, upkeep::bytes_on_disk(&path)))
            })
            .await;
        let (oldest_due, bytes) = seen.unwrap_or_default();
        StoreHealth {
            unwritable: self.shared.unwritable(),
            waiting: self.shared.backlogs().total(),
            oldest_due,
            bytes,
            commits: self.shared.commits.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.shared.commit_micros.load(Ordering::Relaxed)),
            pauses: self.shared.pauses.load(Ordering::Relaxed),
            pause_time: Duration::from_micros(self.shared.pause_micros.load(Ordering::Relaxed)),
            commit_buckets: self.shared.commit_buckets(),
            node: None,
        }
    }

    async fn close(&self) {
        self.close_orderly().await;
    }
}

impl Sqlite {
    async fn forget_streams(&self, app: AppId) -> Result<(), StoreError> {
        while self
            .erase(move |tx| stream::forget_of_app(tx, app, STREAMS_PER_COMMIT))
            .await?
            == STREAMS_PER_COMMIT
        {}
        Ok(())
    }

    async fn discard(&self, endpoint: u64, key: Option<String>) -> Result<u64, StoreError> {
        let (mut changed, mut next) = (0, Some(Discarding::begin()));
        while let Some(state) = next.take() {
            let key = key.clone();
            let piece = self
                .write(move |tx| tend::discard(tx, endpoint, key.as_deref(), state))
                .await?;
            changed += piece.changed;
            next = piece.next;
        }
        Ok(changed)
    }
}
