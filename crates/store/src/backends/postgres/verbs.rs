//! The contract, verb by verb: each says only whether it is read or written, and where.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{
    delivery::DeliveryState,
    id::{AppId, EndpointId, EnvironmentId, Id as _, MessageId, SourceId, TaskId},
    message::{Message, NewMessage},
    task::{Task, TaskStatus},
    time::Timestamp,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    Jobs, Postgres,
    arrival::{self, Answer},
    attempt, audit, change, check, claim, closed, configuration, delivery, find,
    gate::CURRENT,
    hand, held, known, lines, members, message, partition,
    queue::{AppendJob, SettleJob},
    refused,
    retain::{self, Step},
    stream, survey,
    tend::{self, Blocked},
    upkeep, wish,
    word::Word,
};
use crate::{
    audit::{AuditEntry, AuditFilter},
    contract::{
        Appended, Arrival, Arrived, Change, ClaimRequest, Claimed, Freed, Handoff, LaneHead, Lead, News, Released,
        Settlement, Store, StoredAnswer,
    },
    error::{AppendError, StoreError},
    query::{
        AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, Backlog, CheckReport, Configuration, Cutoffs,
        DeliveryCounts, DeliveryRow, EndpointMessage, LineQuery, LineRow, MessageFilter, NodeRow, Page, RefusedRequest,
        ReplayCandidate, Requeue, Retained, Rows, StoreHealth, StreamQuery, StreamRow, Tending,
    },
    scan::{Scan, Scanned},
    survey::{FailedAttempt, FailureQuery, Sample, SampleQuery},
};

/// Messages erased in one transaction.
const ERASED_PER_COMMIT: usize = 500;
/// Endpoints sealed anew in one transaction.
const SEALED_PER_COMMIT: usize = 500;
/// Streams forgotten in one transaction.
const STREAMS_PER_COMMIT: usize = 4_000;
/// Held messages whose wait is made longer in one transaction.
const HELD_PER_COMMIT: usize = 4_000;
/// Deliveries started anew in one transaction.
const STARTED_PER_COMMIT: usize = 1_000;
/// How often it is looked whether the others have a version in force, where nobody says so.
const CONFIRMED: Duration = Duration::from_millis(15);
/// Steps of forgetting that one call takes.
const STEPS_PER_CALL: usize = 250;

/// Reads in a snapshot of its own.
macro_rules! read {
    ($pool:expr, |$snapshot:ident| $read:expr) => {{
        let $snapshot = $pool.snapshot().await?;
        let answer = $read.await;
        $snapshot.end(answer).await
    }};
}

/// Writes in a transaction of its own, all of it or nothing.
macro_rules! write {
    ($store:expr, |$tx:ident| $write:expr) => {
        $store.write(move |$tx| Box::pin(async move { $write.await })).await
    };
}

#[async_trait]
impl Store for Postgres {
    fn attach(&self, handoff: Arc<dyn Handoff>) {
        self.shared.attach(handoff);
    }

    async fn append(&self, message: NewMessage) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.queue.append(AppendJob { message, reply }).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let wall = self.options.clock.now();
        let mut granted = claim::claim(&self.claimers, &self.shared.leases, request, wall).await?;
        let gone = std::mem::take(&mut granted.gone);
        if !gone.is_empty() {
            let endpoint = request.endpoint.number();
            let turn = write!(self, |tx| hand::forget_gone(tx, endpoint, &gone))?;
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
        let shards = self.cluster.owned.all();
        read!(self.claimers, |snapshot| claim::lanes(
            &snapshot,
            &self.shared.leases,
            &shards
        ))
    }

    async fn lines(&self, endpoint: EndpointId, query: LineQuery) -> Result<Rows<LineRow>, StoreError> {
        read!(self.readers, |snapshot| lines::lines(&snapshot, endpoint, &query))
    }

    async fn tend_line(&self, endpoint: EndpointId, key: Option<String>, tending: Tending) -> Result<u64, StoreError> {
        let endpoint = endpoint.number();
        let what = match tending {
            Tending::Unblock(at) => Blocked::Open(at),
            Tending::Skip => Blocked::Skip,
            Tending::Discard => {
                let jobs = Jobs(Arc::clone(&self.queue));
                if self.cluster.owned.serves(endpoint) {
                    return wish::discard(&jobs, endpoint, key).await;
                }
                return wish::ask(&jobs, &self.readers, &self.cluster, endpoint, key).await;
            }
        };
        let (mut changed, mut next) = (0, Some(String::new()));
        while let Some(from) = next.take() {
            let key = key.clone();
            let piece = write!(self, |tx| tend::tend_blocked(tx, endpoint, key.as_deref(), &from, what))?;
            changed += piece.changed;
            next = piece.next;
        }
        Ok(changed)
    }

    async fn backlog(&self, endpoint: EndpointId) -> Result<Backlog, StoreError> {
        read!(self.readers, |snapshot| lines::backlog(
            &snapshot,
            &self.shared.leases,
            endpoint
        ))
    }

    async fn arrive(&self, arrival: Arrival) -> Result<Arrived, AppendError> {
        let Answer { mut arrived, mut more } = write!(self, |tx| arrival::arrive(tx, arrival))??;
        while let Some(name) = more.take() {
            let stream = name.clone();
            match write!(self, |tx| arrival::go_on(tx, &stream)) {
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
            let piece = write!(self, |tx| arrival::release(tx, now, left))?;
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
            let n = write!(self, |tx| held::prolong(tx, app, until, HELD_PER_COMMIT))?;
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
            let piece = write!(self, |tx| arrival::reset(tx, &stream))?;
            known |= piece.known;
            freed.extend(piece.freed);
            if !piece.more {
                return Ok(known.then_some(freed));
            }
        }
    }

    async fn streams(&self, app: AppId, query: StreamQuery) -> Result<Rows<StreamRow>, StoreError> {
        read!(self.readers, |snapshot| stream::streams(&snapshot, app, &query))
    }

    async fn refuse(&self, batch: Vec<RefusedRequest>) -> Result<(), StoreError> {
        write!(self, |tx| async { refused::refuse(tx, &batch) })
    }

    async fn refused(&self, source: SourceId, page: Page) -> Result<Rows<RefusedRequest>, StoreError> {
        read!(self.readers, |snapshot| refused::refused(&snapshot, source, page))
    }

    async fn requeue(&self, batch: Vec<Requeue>) -> Result<u64, StoreError> {
        let mut started = 0;
        for piece in batch.chunks(STARTED_PER_COMMIT) {
            let wishes = piece.to_vec();
            let there = write!(self, |tx| hand::start_anew(tx, &wishes))?;
            started += piece
                .iter()
                .filter(|wish| there.contains(&(wish.message.number(), wish.endpoint.number())))
                .count() as u64;
        }
        Ok(started)
    }

    async fn cancel(&self, endpoint: EndpointId, limit: usize) -> Result<u64, StoreError> {
        let endpoint = endpoint.number();
        let mut cancelled = 0;
        loop {
            let left = limit - cancelled;
            let piece = write!(self, |tx| hand::cancel(tx, endpoint, left))?;
            cancelled += piece.changed as usize;
            if piece.next.is_none() || cancelled >= limit {
                return Ok(cancelled as u64);
            }
        }
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        read!(self.readers, |snapshot| configuration::configuration(
            &snapshot,
            &self.options.vault
        ))
    }

    async fn apply(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<Option<u64>, StoreError> {
        let (vault, cluster) = (Arc::clone(&self.options.vault), Arc::clone(&self.cluster));
        let applied = write!(self, |tx| configuration::apply(tx, &vault, &cluster, changes, answer));
        let version = applied?;
        if let Some(version) = version {
            self.cluster.has_version(version);
            self.cluster.say(Word::Version(version));
        }
        Ok(version)
    }

    async fn answer(&self, key: [u8; 32], now: Timestamp) -> Result<Option<StoredAnswer>, StoreError> {
        read!(self.readers, |snapshot| configuration::answer(&snapshot, key, now))
    }

    async fn message(&self, app: AppId, id: MessageId, with_payload: bool) -> Result<Option<Message>, StoreError> {
        let now = self.options.clock.now();
        read!(self.readers, |snapshot| message::message(
            &snapshot,
            app,
            id,
            with_payload,
            now
        ))
    }

    async fn message_by_event_id(&self, app: AppId, event_id: &str) -> Result<Option<MessageId>, StoreError> {
        read!(self.readers, |snapshot| async {
            let days = partition::read(&snapshot).await?;
            let Some(id) = known::by_event_id(&snapshot, app, event_id).await? else {
                return Ok(None);
            };
            let found = message::stored(&snapshot, &days, super::columns::number(id)).await?;
            Ok(found.map(|found| found.message.id))
        })
    }

    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<Message>, StoreError> {
        let now = self.options.clock.now();
        read!(self.readers, |snapshot| message::messages(
            &snapshot,
            app,
            &filter,
            page,
            with_payload,
            now
        ))
    }

    async fn find_message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        read!(self.readers, |snapshot| find::message(&snapshot, id))
    }

    async fn find_event_id(&self, apps: Vec<AppId>, event_id: String) -> Result<Vec<Message>, StoreError> {
        read!(self.readers, |snapshot| find::by_event_id(&snapshot, &apps, &event_id))
    }

    async fn scan(&self, scan: Scan) -> Result<Scanned, StoreError> {
        let now = self.options.clock.now();
        read!(self.readers, |snapshot| find::scan(&snapshot, &scan, now))
    }

    async fn expunge_payload(&self, app: AppId, id: MessageId) -> Result<bool, StoreError> {
        write!(self, |tx| upkeep::expunge_payload(tx, app, id))
    }

    async fn deliveries(&self, app: AppId, message: MessageId, page: Page) -> Result<Rows<DeliveryRow>, StoreError> {
        read!(self.readers, |snapshot| delivery::deliveries(
            &snapshot, app, message, page
        ))
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
        read!(self.readers, |snapshot| delivery::endpoint_messages(
            &snapshot, &query, now
        ))
    }

    async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Rows<AttemptRow>, StoreError> {
        read!(self.readers, |snapshot| attempt::of_message(
            &snapshot, app, message, &filter, page
        ))
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
        read!(self.readers, |snapshot| attempt::of_endpoint(&snapshot, &query, now))
    }

    async fn attempt(&self, key: AttemptKey) -> Result<Option<AttemptRow>, StoreError> {
        read!(self.readers, |snapshot| attempt::one(&snapshot, key))
    }

    async fn expunge_attempt(&self, key: AttemptKey) -> Result<bool, StoreError> {
        write!(self, |tx| upkeep::expunge_attempt(tx, key))
    }

    async fn delivery_counts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts, StoreError> {
        read!(self.readers, |snapshot| delivery::counts(
            &snapshot, endpoint, since, until
        ))
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
        read!(self.readers, |snapshot| attempt::counts(&snapshot, &query))
    }

    async fn sample_attempts(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError> {
        read!(self.readers, |snapshot| survey::sample(&snapshot, &query))
    }

    async fn failed_attempts(&self, query: FailureQuery) -> Result<Vec<FailedAttempt>, StoreError> {
        read!(self.readers, |snapshot| survey::failures(&snapshot, &query))
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
        read!(self.readers, |snapshot| delivery::replay_candidates(
            &snapshot, app, endpoint, &filter, after, limit
        ))
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        read!(self.readers, |snapshot| configuration::task(&snapshot, id))
    }

    async fn tasks(
        &self,
        environment: Option<EnvironmentId>,
        status: Option<TaskStatus>,
        page: Page,
    ) -> Result<Rows<Task>, StoreError> {
        read!(self.readers, |snapshot| configuration::tasks(
            &snapshot,
            environment,
            status,
            page
        ))
    }

    async fn audit(
        &self,
        environment: EnvironmentId,
        filter: AuditFilter,
        page: Page,
    ) -> Result<Rows<AuditEntry>, StoreError> {
        read!(self.readers, |snapshot| audit::entries(
            &snapshot,
            environment,
            &filter,
            page
        ))
    }

    async fn retain(&self, cutoffs: Cutoffs) -> Result<Retained, StoreError> {
        let now = self.options.clock.now();
        write!(self, |tx| upkeep::make_ahead(tx))?;
        let victims = read!(self.readers, |snapshot| retain::victims(&snapshot, cutoffs, now))?;
        let mut retained = Retained::default();
        let mut steps = 0;
        while write!(self, |tx| audit::forget(tx, now))? {
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
                match write!(self, |tx| retain::step(tx, victim, after))? {
                    Step::Gone => break,
                    Step::GoOn(next) => after = next,
                }
            }
            retained.partitions += 1;
        }
        let day = cutoffs.messages.day();
        while write!(self, |tx| stream::forget_unused(tx, day, STREAMS_PER_COMMIT))? == STREAMS_PER_COMMIT {
            steps += 1;
            if steps >= STEPS_PER_CALL {
                return Ok(Retained { more: true, ..retained });
            }
        }
        Ok(retained)
    }

    async fn erase_app(&self, app: AppId, limit: usize) -> Result<u64, StoreError> {
        let mut erased = 0;
        while erased < limit as u64 {
            let wanted = ERASED_PER_COMMIT.min(limit - erased as usize);
            let now_erased = write!(self, |tx| retain::erase_app(tx, app, wanted))?;
            erased += now_erased;
            if now_erased < wanted as u64 {
                while write!(self, |tx| stream::forget_of_app(tx, app, STREAMS_PER_COMMIT))? == STREAMS_PER_COMMIT {}
                break;
            }
        }
        Ok(erased)
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.display();
        Err(StoreError::Unavailable(format!(
            "a store in PostgreSQL is not written to {to}; use pg_dump, pg_basebackup or your provider's backups"
        )))
    }

    async fn check(&self) -> Result<CheckReport, StoreError> {
        read!(self.readers, |snapshot| check::check(&snapshot))
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        let mut sealed = 0;
        loop {
            let vault = Arc::clone(&self.options.vault);
            match write!(self, |tx| upkeep::reseal(tx, &vault, SEALED_PER_COMMIT))? {
                0 => return Ok(sealed),
                more => sealed += more,
            }
        }
    }

    async fn health(&self) -> StoreHealth {
        let shards = self.cluster.owned.all();
        let seen = async {
            read!(self.claimers, |snapshot| async {
                let heads = claim::lanes(&snapshot, &self.shared.leases, &shards).await?;
                let oldest = heads.into_iter().map(|head| head.due_at).min();
                Ok((oldest, upkeep::bytes_on_disk(&snapshot).await?))
            })
        };
        // Whoever asks is not kept waiting for a database that is away.
        let unwritable = self.shared.unwritable();
        let seen: Result<_, StoreError> = match unwritable {
            None => seen.await,
            Some(_) => Ok(Default::default()),
        };
        let (oldest_due, bytes) = seen.unwrap_or_default();
        StoreHealth {
            unwritable,
            waiting: self.shared.backlogs().total(),
            oldest_due,
            bytes,
            commits: self.shared.commits.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.shared.commit_micros.load(Ordering::Relaxed)),
            pauses: self.shared.pauses.load(Ordering::Relaxed),
            pause_time: Duration::from_micros(self.shared.pause_micros.load(Ordering::Relaxed)),
            commit_buckets: self.shared.commit_buckets(),
            node: Some(members::health(self)),
        }
    }

    async fn close(&self) {
        self.close_orderly().await;
    }

    fn node(&self) -> u16 {
        self.cluster.own.number.unsigned_abs()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn serves(&self, endpoint: EndpointId) -> bool {
        self.cluster.owned.serves(endpoint.number())
    }

    fn may_attempt(&self) -> bool {
        self.cluster.gate.is_open()
    }

    fn lead(&self) -> Option<Lead> {
        self.cluster.lead()
    }

    async fn ousted(&self) {
        self.cluster.ousted().await;
    }

    async fn news(&self, since: u64) -> Result<News, StoreError> {
        read!(self.readers, |snapshot| change::since(
            &snapshot,
            &self.options.vault,
            since
        ))
    }

    async fn newer(&self, than: u64) {
        self.cluster.newer(than).await;
    }

    fn in_force(&self, version: u64) {
        self.cluster.set_in_force(version);
    }

    async fn in_force_everywhere(&self, version: u64) {
        let begun = Instant::now();
        while begun.elapsed() < CURRENT {
            match self.is_behind(version).await {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => tracing::debug!(%error, "the other nodes' versions could not be read"),
            }
            tokio::select! {
                () = self.cluster.confirms.notified() => {}
                () = sleep(CONFIRMED) => {}
            }
        }
        tracing::warn!(
            version,
            "a node has not taken over a change of the configuration; it begins no attempt until it has"
        );
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let own = self.cluster.own.number;
        read!(self.readers, |snapshot| members::nodes(&snapshot, own))
    }
}

impl Postgres {
    /// Whether another node keeps an older version of the configuration in memory.
    async fn is_behind(&self, version: u64) -> Result<bool, StoreError> {
        let own = self.cluster.own.number;
        read!(self.claimers, |snapshot| members::is_behind(&snapshot, own, version))
    }
}
