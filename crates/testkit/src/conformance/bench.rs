//! The workbench of the suite: a store with an application in it, and short words for what tests do all the time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::{
    app::{App, AppKind, Environment},
    attempt::{Failure, Outcome},
    delivery::{DeliveryKey, DeliveryState, Work},
    endpoint::{Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId, Id, IdGenerator, MessageId},
    message::{IdempotencyKey, NewMessage, Route},
    order::Line,
    secret::SigningKey,
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Appended, Change, ClaimRequest, Claimed, Clock, Handoff, LaneHead, Settlement, Store, StoreError,
    Verdict,
    query::{
        AttemptFilter, AttemptRow, Backlog, CheckReport, DeliveryRow, LineQuery, LineRow, Order, Page, Requeue, Start,
        Tending,
    },
};
use bytes::Bytes;

use super::Backend;
use crate::clock::ManualClock;

/// When every test begins: noon, so that a few hours do not change the day.
pub const NOON: Timestamp = Timestamp::from_secs(1_766_059_200);
/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// A second.
pub const SECOND: Duration = Duration::from_secs(1);

/// All rows on one page, oldest first.
pub const ALL: Page = Page {
    limit: 10_000,
    start: Start::First,
    order: Order::Ascending,
};

/// A store under test, with an environment and an application in it.
pub struct Bench<B> {
    backend: Option<B>,
    /// What the store goes by.
    pub clock: Arc<ManualClock>,
    ids: Mutex<IdGenerator>,
    /// The environment.
    pub environment: EnvironmentId,
    /// The application.
    pub app: AppId,
}

impl<B: Backend> Bench<B> {
    /// A new store with one environment and one application.
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        let backend = B::create(Arc::clone(&clock)).await;
        let mut ids = IdGenerator::new(0, 0);
        let bench = Self {
            backend: Some(backend),
            clock,
            environment: ids.next(NOON),
            app: ids.next(NOON),
            ids: Mutex::new(ids),
        };
        let environment = Environment {
            id: bench.environment,
            name: "test".to_owned(),
            validate_payloads: false,
            created_at: NOON,
            updated_at: NOON,
        };
        let app = bench.new_app(bench.app, None);
        bench
            .apply(vec![Change::PutEnvironment(environment), Change::PutApp(app)])
            .await;
        bench
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.backend.as_ref().map(Backend::store).unwrap()
    }

    /// What the store is in.
    pub fn backend(&self) -> &B {
        self.backend.as_ref().unwrap()
    }

    /// What the store is in, to be changed.
    pub fn backend_mut(&mut self) -> &mut B {
        self.backend.as_mut().unwrap()
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A second passes.
    pub fn tick(&self) -> Timestamp {
        self.clock.advance(SECOND)
    }

    /// The process is killed, and another one opens what it left.
    pub async fn crash(&mut self) {
        let killed = self.backend.take().unwrap();
        self.backend = Some(killed.crash().await);
        self.sound().await;
    }

    /// What is stored adds up.
    pub async fn sound(&self) -> CheckReport {
        let report = self.store().check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        let counts = report.counts;
        assert_eq!(
            counts.succeeded + counts.failed + counts.cancelled + counts.pending,
            report.deliveries,
            "{report:?}"
        );
        report
    }

    // -- things ----------------------------------------------------------------------------------------------------

    /// A new id.
    pub fn id<T: Id>(&self) -> T {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(self.now())
    }

    /// An application of the environment, not stored yet.
    pub fn new_app(&self, id: AppId, uid: Option<&str>) -> App {
        App {
            id,
            environment: self.environment,
            uid: uid.map(str::to_owned),
            name: "an application".to_owned(),
            throttle_rate: None,
            publish_rate: None,
            metadata: [("plan".to_owned(), "gold".to_owned())].into(),
            kind: AppKind::Tenant,
            validate_payloads: None,
            created_at: self.now(),
            updated_at: self.now(),
        }
    }

    /// An endpoint of the application, not stored yet.
    pub fn new_endpoint(&self, app: AppId, uid: Option<&str>) -> Endpoint {
        let key = SigningKey::generate_symmetric([7; 24]);
        Endpoint {
            id: self.id(),
            app,
            uid: uid.map(str::to_owned),
            url: "https://example.com/hooks".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: None,
            channels: None,
            throttle_rate: None,
            metadata: [("team".to_owned(), "billing".to_owned())].into(),
            headers: [("x-tenant".to_owned(), "secret-7".to_owned())].into(),
            keys: vec![LiveKey { key, expires_at: None }],
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: Default::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: self.now(),
            updated_at: self.now(),
        }
    }

    /// Makes changes of the configuration.
    pub async fn apply(&self, changes: Vec<Change>) {
        self.store().apply(changes, None).await.unwrap();
    }

    /// A stored application.
    pub async fn app(&self) -> AppId {
        let id = self.id();
        self.apply(vec![Change::PutApp(self.new_app(id, None))]).await;
        id
    }

    /// A stored endpoint of the application.
    pub async fn endpoint(&self) -> EndpointId {
        let endpoint = self.new_endpoint(self.app, None);
        let id = endpoint.id;
        self.apply(vec![Change::PutEndpoint(Box::new(endpoint))]).await;
        id
    }

    // -- publishing ------------------------------------------------------------------------------------------------

    /// A message of the application to these endpoints.
    pub fn message(&self, to: &[EndpointId]) -> NewMessage {
        NewMessage {
            app: self.app,
            event_type: "invoice.paid".to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: Bytes::from_static(br#"{"amount":  12.50, "currency":"EUR"}"#),
            payload_expires_at: self.now().plus(90 * DAY),
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            routes: to
                .iter()
                .map(|endpoint| Route {
                    endpoint: *endpoint,
                    stored: false,
                    line: None,
                })
                .collect(),
            idempotency: None,
        }
    }

    /// Publishes.
    pub async fn append(&self, message: NewMessage) -> Result<Appended, AppendError> {
        let appended = self.store().append(message).await;
        self.sound().await;
        appended
    }

    /// Publishes to these endpoints.
    pub async fn publish(&self, to: &[EndpointId]) -> MessageId {
        self.append(self.message(to)).await.unwrap().id
    }

    /// A message to this endpoint, in the line of a key (empty: of the whole endpoint), routed in an era of its settings.
    pub fn in_line(&self, endpoint: EndpointId, key: &str, era: u32) -> NewMessage {
        let mut new = self.message(&[endpoint]);
        new.ordering_key = (!key.is_empty()).then(|| key.to_owned());
        new.routes[0].line = Some(Line { key: key.into(), era });
        new
    }

    /// Publishes to this endpoint, in the line of a key, in era 1.
    pub async fn publish_in(&self, endpoint: EndpointId, key: &str) -> MessageId {
        self.publish_in_era(endpoint, key, 1).await
    }

    /// Publishes to this endpoint, in the line of a key.
    pub async fn publish_in_era(&self, endpoint: EndpointId, key: &str, era: u32) -> MessageId {
        self.append(self.in_line(endpoint, key, era)).await.unwrap().id
    }

    /// Somebody takes deliveries in memory from now on.
    pub fn attach(&self) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        self.store().attach(Arc::clone(&inbox) as Arc<dyn Handoff>);
        inbox
    }

    // -- delivering ------------------------------------------------------------------------------------------------

    /// Claims what is due now.
    pub async fn claim(&self, endpoint: EndpointId, limit: usize) -> Claimed {
        self.claim_at(endpoint, self.now(), limit).await
    }

    /// Claims what is due at a time.
    pub async fn claim_at(&self, endpoint: EndpointId, now: Timestamp, limit: usize) -> Claimed {
        let claimed = self.store().claim(ClaimRequest { endpoint, now, limit }).await.unwrap();
        self.sound().await;
        claimed
    }

    /// Claims the only delivery that is due.
    pub async fn claim_one(&self, endpoint: EndpointId) -> Work {
        let mut work = self.claim(endpoint, 10).await.work;
        assert_eq!(work.len(), 1, "one delivery is due");
        work.remove(0)
    }

    /// What the answer was: a status code, or none (0).
    pub fn outcome(&self, status_code: u16) -> Outcome {
        let failed = !(200..300).contains(&status_code);
        let reason = if status_code == 0 {
            "connection_refused"
        } else {
            "status_500"
        };
        let body = if status_code == 0 {
            Bytes::new()
        } else {
            Bytes::from(format!("answer {status_code}"))
        };
        Outcome {
            started_at: self.now(),
            duration: Duration::from_millis(20),
            url: "https://example.com/hooks".to_owned(),
            status_code,
            failure: failed.then(|| Failure {
                reason,
                detail: "the receiver is out".to_owned(),
            }),
            response: body,
            response_headers: if failed {
                vec![("x-answer".to_owned(), "no".to_owned())]
            } else {
                Vec::new()
            },
            signature: "v1,abc".to_owned(),
            retry_after: None,
        }
    }

    /// The settlement of a delivery after an attempt with this answer, or without one.
    pub fn settlement(&self, work: &Work, verdict: Verdict, status_code: Option<u16>) -> Settlement {
        Settlement {
            key: work.key(),
            app: work.message.app,
            lease: work.lease,
            progress: work.progress,
            attempt_id: None,
            outcome: status_code.map(|status_code| self.outcome(status_code)),
            verdict,
            health: None,
            notices: Vec::new(),
        }
    }

    /// Settles.
    pub async fn settle(&self, batch: Vec<Settlement>) {
        self.store().settle(Arc::new(batch)).await.unwrap();
        self.sound().await;
    }

    /// Settles one, with the answer that goes with the verdict.
    pub async fn end(&self, work: &Work, verdict: Verdict) {
        let status_code = match verdict {
            Verdict::Succeeded => Some(200),
            Verdict::RetryAt(_) | Verdict::Failed | Verdict::Blocked => Some(500),
            Verdict::Cancelled | Verdict::Park(_) => None,
        };
        self.settle(vec![self.settlement(work, verdict, status_code)]).await;
    }

    /// Attempts what is due at an endpoint, always with the same answer and verdict. Returns how many.
    pub async fn attempt_all(&self, endpoint: EndpointId, verdict: Verdict, status_code: u16) -> usize {
        let claimed = self.claim(endpoint, 10_000).await.work;
        let batch: Vec<_> = claimed
            .iter()
            .map(|work| self.settlement(work, verdict, Some(status_code)))
            .collect();
        let n = batch.len();
        self.settle(batch).await;
        n
    }

    /// Starts deliveries anew.
    pub async fn requeue(&self, batch: Vec<Requeue>) -> u64 {
        let started = self.store().requeue(batch).await.unwrap();
        self.sound().await;
        started
    }

    /// Does something about a line, or all of them.
    pub async fn tend(&self, endpoint: EndpointId, key: Option<&str>, tending: Tending) -> u64 {
        let key = key.map(str::to_owned);
        let changed = self.store().tend_line(endpoint, key, tending).await.unwrap();
        self.sound().await;
        changed
    }

    // -- looking ---------------------------------------------------------------------------------------------------

    /// What waits for an endpoint.
    pub async fn head(&self, endpoint: EndpointId) -> Option<Timestamp> {
        let heads = self.store().lanes().await.unwrap();
        let of_endpoint: Vec<_> = heads.iter().filter(|head| head.endpoint == endpoint).collect();
        assert!(of_endpoint.len() <= 1, "one head for each endpoint");
        of_endpoint.first().map(|head| head.due_at)
    }

    /// How a delivery stands.
    pub async fn delivery(&self, message: MessageId, endpoint: EndpointId) -> Option<DeliveryRow> {
        let rows = self.store().deliveries(self.app, message, ALL).await.unwrap();
        rows.items.into_iter().find(|row| row.endpoint == endpoint)
    }

    /// How a line stands.
    pub async fn line(&self, endpoint: EndpointId, key: &str) -> Option<LineRow> {
        let query = LineQuery {
            key: Some(key.to_owned()),
            blocked: false,
            after: None,
            limit: 10,
        };
        let rows = self.store().lines(endpoint, query).await.unwrap();
        assert!(rows.items.len() <= 1 && !rows.more, "{rows:?}");
        rows.items.into_iter().next()
    }

    /// What waits for an endpoint.
    pub async fn backlog(&self, endpoint: EndpointId) -> Backlog {
        self.store().backlog(endpoint).await.unwrap()
    }

    /// In which state a delivery is.
    pub async fn state(&self, key: DeliveryKey) -> Option<DeliveryState> {
        self.delivery(key.message, key.endpoint).await.map(|row| row.state)
    }

    /// In which state the delivery of a message to an endpoint is.
    pub async fn state_at(&self, message: MessageId, endpoint: EndpointId) -> Option<DeliveryState> {
        self.state(DeliveryKey { message, endpoint }).await
    }

    /// All attempts of a message, oldest first.
    pub async fn attempts(&self, message: MessageId) -> Vec<AttemptRow> {
        let filter = AttemptFilter::default();
        self.store()
            .attempts_of_message(self.app, message, filter, ALL)
            .await
            .unwrap()
            .items
    }
}

/// Key, number and the last number that succeeded, as the receiver is told.
pub fn place_of(work: &Work) -> (String, u64, Option<u64>) {
    let place = work.place.as_deref().expect("it has a place in a line");
    (place.key.to_string(), place.sequence, place.previous)
}

/// A place as [`place_of`] answers it.
pub fn place(key: &str, sequence: u64, previous: impl Into<Option<u64>>) -> (String, u64, Option<u64>) {
    (key.to_owned(), sequence, previous.into())
}

/// The messages of these.
pub fn ids(work: &[Work]) -> Vec<MessageId> {
    work.iter().map(|work| work.message.id).collect()
}

/// A key for idempotent publication.
pub fn idempotency(key: u8, body: u8) -> Option<IdempotencyKey> {
    Some(IdempotencyKey {
        key: [key; 32],
        body: [body; 32],
    })
}

/// That a call was refused because the store cannot be used.
pub fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

/// Takes what is handed over.
#[derive(Debug, Default)]
pub struct Inbox {
    fresh: Mutex<Vec<Work>>,
    stored: Mutex<Vec<LaneHead>>,
    waiting: Mutex<BTreeMap<EndpointId, u64>>,
}

impl Inbox {
    /// The deliveries that were handed over since this was last asked.
    pub fn take(&self) -> Vec<Work> {
        std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was told to wait in the store since this was last asked.
    pub fn take_stored(&self) -> Vec<LaneHead> {
        std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inbox {
    /// How many deliveries wait for an endpoint, as far as it was told.
    pub fn waiting(&self, endpoint: EndpointId) -> u64 {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&endpoint).copied().unwrap_or(0)
    }
}

impl Handoff for Inbox {
    fn fresh(&self, work: Vec<Work>) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).extend(work);
    }

    fn stored(&self, head: LaneHead) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    }

    fn waiting(&self, counts: &[(EndpointId, u64)]) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(counts.iter().copied());
    }
}
