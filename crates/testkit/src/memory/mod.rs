//! A store in memory: the plainest implementation of the contract, to compare others with and to simulate on.
//!
//! Everything is a sorted map behind one lock; a call is one change of it, so it is atomic as it stands. What a crash would
//! leave is what the maps hold, without the leases: [`MemoryStore::reopen`].
//!
//! Deliberately absent: sealing ([`Store::reseal`] has nothing to do), files ([`Store::backup`] is refused), speed.

mod config;
mod lists;
mod look;
mod order;
mod queue;
mod state;
mod streams;
mod upkeep;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{
    delivery::{DeliveryState, Work},
    id::{AppId, EndpointId, EnvironmentId, MessageId, SourceId, TaskId},
    message::{Message, NewMessage},
    task::{Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Appended, Arrival, Arrived, Change, ClaimRequest, Claimed, Clock, Freed, Handoff, LaneHead, Released,
    Settlement, Store, StoreError, StoredAnswer,
    audit::{AuditEntry, AuditFilter},
    query::{
        AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, Backlog, CheckReport, Configuration, Cutoffs,
        DeliveryCounts, DeliveryRow, EndpointMessage, LineQuery, LineRow, MessageFilter, Page, RefusedRequest,
        ReplayCandidate, Requeue, Retained, Rows, StoreHealth, StreamQuery, StreamRow, Tending,
    },
    scan::{Scan, Scanned},
    survey::{FailedAttempt, FailureQuery, Sample, SampleQuery},
};

pub use self::order::Placed;
use self::state::State;
use crate::faults::{FaultPlan, Verb};

/// A store in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    faults: Arc<FaultPlan>,
    state: Mutex<State>,
    handoff: Mutex<Option<Arc<dyn Handoff>>>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// What a change leaves to be told to the one who is handed deliveries.
#[derive(Debug, Default)]
struct Told {
    fresh: Vec<Work>,
    stored: Vec<LaneHead>,
}

impl MemoryStore {
    /// An empty store that never fails.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_faults(clock, Arc::new(FaultPlan::new(0)))
    }

    /// An empty store that fails as planned.
    pub fn with_faults(clock: Arc<dyn Clock>, faults: Arc<FaultPlan>) -> Self {
        Self {
            clock,
            faults,
            state: Mutex::default(),
            handoff: Mutex::default(),
        }
    }

    /// What a new process finds after this one has crashed: everything durable, and nothing leased or handed over. This one
    /// answers `Unavailable` from now on.
    pub fn reopen(&self) -> Self {
        let mut state = std::mem::take(&mut *self.locked());
        self.locked().closed = true;
        *self.handoff.lock().unwrap_or_else(PoisonError::into_inner) = None;
        state.closed = false;
        state.forget_leases(self.clock.now());
        Self {
            clock: Arc::clone(&self.clock),
            faults: Arc::clone(&self.faults),
            state: Mutex::new(state),
            handoff: Mutex::default(),
        }
    }

    /// What [`Store::check`] answers, at once and without faults.
    pub fn check_now(&self) -> CheckReport {
        self.locked().check()
    }

    /// Every endpoint there is, at once and without faults.
    pub fn all_endpoints(&self) -> Vec<bellwire_core::endpoint::Endpoint> {
        self.locked().configuration().endpoints
    }

    /// Every delivery there is, for comparison with what should be there.
    pub fn all_deliveries(&self) -> Vec<DeliveryRow> {
        self.locked().all_deliveries()
    }

    /// Every delivery with a number, or those of one endpoint, at once and without faults.
    pub fn placed(&self, endpoint: Option<EndpointId>) -> Vec<Placed> {
        self.locked().placed(endpoint)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handoff(&self) -> Option<Arc<dyn Handoff>> {
        self.handoff.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One call: takes its time, fails as planned (then nothing is changed), does its work, hands over, and answers.
    async fn call<T: Send, E: From<StoreError> + Send>(
        &self,
        verb: Verb,
        work: impl FnOnce(&mut State, Timestamp, &mut Told) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.faults.pause().await;
        self.faults.judge(verb)?;
        let handoff = self.handoff();
        let mut told = Told::default();
        let (answer, waiting) = {
            let mut state = self.locked();
            if state.closed {
                return Err(StoreError::Unavailable("it is closed".to_owned()).into());
            }
            state.attached = handoff.is_some();
            let answer = work(&mut state, self.clock.now(), &mut told)?;
            (answer, state.news_of_waiting())
        };
        if let Some(handoff) = handoff {
            if !waiting.is_empty() {
                handoff.waiting(&waiting);
            }
            if !told.fresh.is_empty() {
                handoff.fresh(told.fresh);
            }
            for head in told.stored {
                handoff.stored(head);
            }
        }
        self.faults.pause().await;
        Ok(answer)
    }

    async fn read<T: Send>(&self, read: impl FnOnce(&State) -> T + Send) -> Result<T, StoreError> {
        self.call(Verb::Other, |state, _, _| Ok(read(state))).await
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn attach(&self, handoff: Arc<dyn Handoff>) {
        *self.handoff.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&handoff));
        let waiting = {
            let mut state = self.locked();
            state.told_waiting.clear();
            state.touched = state.endpoints.keys().copied().collect();
            state.news_of_waiting()
        };
        handoff.waiting(&waiting);
    }

    async fn append(&self, message: NewMessage) -> Result<Appended, AppendError> {
        self.call(Verb::Append, |state, now, told| state.append(message, now, told))
            .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        self.call(Verb::Claim, |state, _, _| Ok(state.claim(request))).await
    }

    async fn settle(&self, batch: Arc<Vec<Settlement>>) -> Result<(), StoreError> {
        self.call(Verb::Settle, |state, now, told| {
            state.settle(batch.as_ref().clone(), now, told)
        })
        .await
    }

    async fn lanes(&self) -> Result<Vec<LaneHead>, StoreError> {
        self.call(Verb::Lanes, |state, _, _| Ok(state.lanes())).await
    }

    async fn lines(&self, endpoint: EndpointId, query: LineQuery) -> Result<Rows<LineRow>, StoreError> {
        self.read(|state| state.line_rows(endpoint, &query)).await
    }

    async fn tend_line(&self, endpoint: EndpointId, key: Option<String>, tending: Tending) -> Result<u64, StoreError> {
        self.call(Verb::Requeue, |state, now, told| {
            Ok(state.tend_line(endpoint, key.as_deref(), tending, now, told))
        })
        .await
    }

    async fn backlog(&self, endpoint: EndpointId) -> Result<Backlog, StoreError> {
        self.read(|state| state.backlog(endpoint)).await
    }

    async fn arrive(&self, arrival: Arrival) -> Result<Arrived, AppendError> {
        self.call(Verb::Append, |state, now, told| state.arrive(arrival, now, told))
            .await
    }

    async fn release(&self, now: Timestamp, limit: usize) -> Result<Released, StoreError> {
        self.call(Verb::Append, |state, at, told| Ok(state.release(now, limit, at, told)))
            .await
    }

    async fn prolong(&self, app: AppId, until: Timestamp) -> Result<u64, StoreError> {
        self.call(Verb::Append, |state, _, _| Ok(state.prolong(app, until)))
            .await
    }

    async fn reset_stream(&self, app: AppId, key: String) -> Result<Option<Vec<Freed>>, StoreError> {
        self.call(Verb::Append, |state, now, told| {
            Ok(state.reset_stream(app, key, now, told))
        })
        .await
    }

    async fn streams(&self, app: AppId, query: StreamQuery) -> Result<Rows<StreamRow>, StoreError> {
        self.read(|state| state.stream_rows(app, &query)).await
    }

    async fn refuse(&self, batch: Vec<RefusedRequest>) -> Result<(), StoreError> {
        self.call(Verb::Other, |state, _, _| {
            state.refuse(batch);
            Ok(())
        })
        .await
    }

    async fn refused(&self, source: SourceId, page: Page) -> Result<Rows<RefusedRequest>, StoreError> {
        self.read(|state| state.refused(source, page)).await
    }

    async fn requeue(&self, batch: Vec<Requeue>) -> Result<u64, StoreError> {
        self.call(Verb::Requeue, |state, _, told| Ok(state.requeue(&batch, told)))
            .await
    }

    async fn cancel(&self, endpoint: EndpointId, limit: usize) -> Result<u64, StoreError> {
        self.call(Verb::Cancel, |state, _, _| Ok(state.cancel(endpoint, limit)))
            .await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        self.read(State::configuration).await
    }

    async fn apply(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<Option<u64>, StoreError> {
        self.call(Verb::Apply, |state, _, _| state.apply(changes, answer))
            .await?;
        Ok(None)
    }

    async fn answer(&self, key: [u8; 32], now: Timestamp) -> Result<Option<StoredAnswer>, StoreError> {
        self.read(|state| state.answer(key, now)).await
    }

    async fn message(&self, app: AppId, id: MessageId, with_payload: bool) -> Result<Option<Message>, StoreError> {
        self.read(|state| state.message(app, id, with_payload)).await
    }

    async fn message_by_event_id(&self, app: AppId, event_id: &str) -> Result<Option<MessageId>, StoreError> {
        self.read(|state| state.message_by_event_id(app, event_id)).await
    }

    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<Message>, StoreError> {
        self.read(|state| state.messages(app, &filter, page, with_payload))
            .await
    }

    async fn find_message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.read(|state| state.find_message(id)).await
    }

    async fn find_event_id(&self, apps: Vec<AppId>, event_id: String) -> Result<Vec<Message>, StoreError> {
        self.read(|state| state.find_event_id(&apps, &event_id)).await
    }

    async fn scan(&self, scan: Scan) -> Result<Scanned, StoreError> {
        self.read(|state| state.scan(&scan)).await
    }

    async fn expunge_payload(&self, app: AppId, id: MessageId) -> Result<bool, StoreError> {
        self.call(Verb::Other, |state, _, _| Ok(state.expunge_payload(app, id)))
            .await
    }

    async fn deliveries(&self, app: AppId, message: MessageId, page: Page) -> Result<Rows<DeliveryRow>, StoreError> {
        self.read(|state| state.deliveries(app, message, page)).await
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
        self.read(|all| all.endpoint_messages(app, endpoint, &filter, state, page, with_payload))
            .await
    }

    async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Rows<AttemptRow>, StoreError> {
        self.read(|state| state.attempts(app, &filter, page, false, |attempt| attempt.message == message))
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
        self.read(|state| state.attempts(app, &filter, page, with_payload, |attempt| attempt.endpoint == endpoint))
            .await
    }

    async fn attempt(&self, key: AttemptKey) -> Result<Option<AttemptRow>, StoreError> {
        self.read(|state| state.attempt(key)).await
    }

    async fn expunge_attempt(&self, key: AttemptKey) -> Result<bool, StoreError> {
        self.call(Verb::Other, |state, _, _| Ok(state.expunge_attempt(key)))
            .await
    }

    async fn delivery_counts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts, StoreError> {
        self.read(|state| state.delivery_counts(endpoint, since, until)).await
    }

    async fn attempt_counts(
        &self,
        endpoints: Vec<EndpointId>,
        event_types: Vec<String>,
        since: Timestamp,
        bucket: Duration,
        n: usize,
    ) -> Result<Vec<AttemptCounts>, StoreError> {
        self.read(|state| state.attempt_counts(&endpoints, &event_types, since, bucket, n))
            .await
    }

    async fn sample_attempts(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError> {
        self.read(|state| state.sample_attempts(&query)).await
    }

    async fn failed_attempts(&self, query: FailureQuery) -> Result<Vec<FailedAttempt>, StoreError> {
        self.read(|state| state.failed_attempts(&query)).await
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
        self.read(|state| state.replay_candidates(app, endpoint, since..until, after, limit))
            .await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.read(|state| state.tasks.get(&id).cloned()).await
    }

    async fn tasks(
        &self,
        environment: Option<EnvironmentId>,
        status: Option<TaskStatus>,
        page: Page,
    ) -> Result<Rows<Task>, StoreError> {
        self.read(|state| state.task_rows(environment, status, page)).await
    }

    async fn audit(
        &self,
        environment: EnvironmentId,
        filter: AuditFilter,
        page: Page,
    ) -> Result<Rows<AuditEntry>, StoreError> {
        self.read(|state| state.audit_rows(environment, &filter, page)).await
    }

    async fn retain(&self, cutoffs: Cutoffs) -> Result<Retained, StoreError> {
        self.call(Verb::Other, |state, now, told| Ok(state.retain(cutoffs, now, told)))
            .await
    }

    async fn erase_app(&self, app: AppId, limit: usize) -> Result<u64, StoreError> {
        self.call(Verb::Other, |state, now, told| {
            Ok(state.erase_app(app, limit, now, told))
        })
        .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.display();
        Err(StoreError::Unavailable(format!(
            "a store in memory cannot be written to {to}; use one with files"
        )))
    }

    async fn check(&self) -> Result<CheckReport, StoreError> {
        self.read(State::check).await
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        self.read(|_| 0).await
    }

    async fn health(&self) -> StoreHealth {
        self.locked().health()
    }

    async fn close(&self) {
        self.locked().closed = true;
    }
}
