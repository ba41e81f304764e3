//! Tests of what is the SQLite backend's own: crashes, full disks, time partitions, query plans, opening. What every backend
//! must do is tested by the conformance suite.

mod arriving;
mod backlog;
mod crash;
mod erasure;
mod failure;
mod hot;
mod migration;
mod opening;
mod order;
mod order_by_hand;
mod order_random;
mod plans;
mod reading;
mod retention;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    attempt::{Failure, Outcome},
    delivery::{DeliveryKey, Work},
    id::{AppId, EndpointId, Id, MessageId, SourceId},
    message::{NewMessage, Route},
    order::Line,
    seal::{Keyring, MainSecret},
    source::Inbound,
    time::Timestamp,
};
use bytes::Bytes;

use super::Sqlite;
use crate::{
    backends::OpenOptions,
    clock::Clock,
    contract::{Arrival, ArrivalPlace, ClaimRequest, Handoff, LaneHead, Settlement, Store, Verdict},
    error::OpenError,
    vault::Vault,
};

/// 2026-01-05T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_767_614_400);
const DAY: Duration = Duration::from_secs(86_400);
const APP: u64 = 1;

/// A clock that goes only when it is told to.
#[derive(Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(start.micros())))
    }

    fn advance(&self, span: Duration) {
        self.0
            .fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Remembers what it was handed.
#[derive(Default)]
struct Received {
    work: Mutex<Vec<Work>>,
    heads: Mutex<Vec<LaneHead>>,
    hand_overs: AtomicI64,
    waiting: Mutex<HashMap<EndpointId, u64>>,
}

impl Received {
    fn take(&self) -> Vec<Work> {
        std::mem::take(&mut self.work.lock().unwrap())
    }

    fn take_heads(&self) -> Vec<LaneHead> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }

    /// How many wait for an endpoint, as was told last; `None` when nothing was told.
    fn told(&self, endpoint: u64) -> Option<u64> {
        self.waiting.lock().unwrap().get(&ep(endpoint)).copied()
    }
}

impl Handoff for Received {
    fn fresh(&self, work: Vec<Work>) {
        self.hand_overs.fetch_add(1, Ordering::SeqCst);
        self.work.lock().unwrap().extend(work);
    }

    fn stored(&self, head: LaneHead) {
        self.heads.lock().unwrap().push(head);
    }

    fn waiting(&self, counts: &[(EndpointId, u64)]) {
        self.waiting.lock().unwrap().extend(counts.iter().copied());
    }
}

/// An open store in a folder of its own.
struct Fixture {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
    store: Arc<Sqlite>,
    received: Arc<Received>,
}

fn vault(byte: u8) -> Vault {
    Vault::new(Keyring::new(MainSecret::from_bytes([byte; 32]).unwrap()))
}

async fn open(folder: &Path, clock: &Arc<TestClock>) -> Result<Arc<Sqlite>, OpenError> {
    let mut options = OpenOptions::new(Arc::clone(clock) as Arc<dyn Clock>, vault(7));
    options.settle_linger = Duration::ZERO;
    Sqlite::open(folder.to_str().unwrap(), options).await
}

impl Fixture {
    async fn new() -> Self {
        let clock = TestClock::at(NOON);
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &clock).await.unwrap();
        let received = Arc::new(Received::default());
        store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
        Self {
            folder,
            clock,
            store,
            received,
        }
    }

    /// What a crash at this moment leaves behind, opened.
    async fn after_crash(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // While somebody reads, the log is neither emptied nor begun anew: both files are of one moment.
        let reader = rusqlite::Connection::open(self.folder.path().join("bellwire.db")).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            .unwrap();
        for file in ["bellwire.db", "bellwire.db-wal"] {
            std::fs::copy(self.folder.path().join(file), folder.path().join(file)).unwrap();
        }
        drop(reader);
        let store = open(folder.path(), &self.clock).await.unwrap();
        Self {
            folder,
            clock: Arc::clone(&self.clock),
            store,
            received: Arc::default(),
        }
    }

    /// Publishes to these endpoints and returns what was handed over for it.
    async fn publish(&self, routes: &[(u64, bool)]) -> (MessageId, Vec<Work>) {
        let id = self.store.append(message(routes)).await.unwrap().id;
        (id, self.received.take())
    }

    async fn claim(&self, endpoint: u64) -> Vec<Work> {
        let request = ClaimRequest {
            endpoint: ep(endpoint),
            now: self.clock.now(),
            limit: 100,
        };
        self.store.claim(request).await.unwrap().work
    }

    /// Publishes in line at endpoint 10.
    async fn publish_in(&self, key: &str, era: u32) -> (MessageId, Vec<Work>) {
        let id = self.store.append(in_line(10, key, era)).await.unwrap().id;
        (id, self.received.take())
    }

    async fn settle(&self, work: &Work, verdict: Verdict) {
        self.store
            .settle(Arc::new(vec![settlement(work, verdict)]))
            .await
            .unwrap();
    }

    /// The proof holds; answers succeeded, pending, failed, cancelled.
    async fn proven(&self) -> (u64, u64, u64, u64) {
        let report = self.store.check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        let counts = report.counts;
        assert_eq!(
            counts.succeeded + counts.pending + counts.failed + counts.cancelled,
            report.deliveries
        );
        (counts.succeeded, counts.pending, counts.failed, counts.cancelled)
    }
}

fn ep(number: u64) -> EndpointId {
    EndpointId::from_number(number)
}

fn app() -> AppId {
    AppId::from_number(APP)
}

fn message(routes: &[(u64, bool)]) -> NewMessage {
    NewMessage {
        app: app(),
        event_type: "invoice.paid".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Bytes::from_static(br#"{"amount":100}"#),
        payload_expires_at: NOON.plus(30 * DAY),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        routes: routes
            .iter()
            .map(|(endpoint, stored)| Route {
                endpoint: ep(*endpoint),
                stored: *stored,
                line: None,
            })
            .collect(),
        idempotency: None,
    }
}

/// A message of a stream whose numbers begin with 1, that goes nowhere. Its event id is `key/number`.
fn numbered(key: &str, number: u64) -> Arrival {
    let mut message = message(&[]);
    message.event_id = Some(format!("{key}/{number}"));
    message.inbound = Some(Arc::new(Inbound {
        source: SourceId::from_number(1),
        method: "POST".to_owned(),
        target: "/in/shop".to_owned(),
        headers: Vec::new(),
        peer: None,
        verdict: "signed".to_owned(),
        note: None,
        item: None,
    }));
    Arrival {
        message,
        key: key.to_owned(),
        place: ArrivalPlace::Sequence {
            number,
            start: Some(1),
            wait: Duration::from_secs(5),
        },
    }
}

/// A message that goes to one endpoint, in line.
fn in_line(endpoint: u64, key: &str, era: u32) -> NewMessage {
    let mut message = message(&[(endpoint, false)]);
    message.ordering_key = Some(key.to_owned());
    message.routes[0].line = Some(Line { key: key.into(), era });
    message
}

/// Key, number and the last one before that succeeded.
fn place(work: &Work) -> (&str, u64, Option<u64>) {
    let place = work.place.as_ref().unwrap();
    (&place.key, place.sequence, place.previous)
}

fn outcome(status_code: u16, at: Timestamp) -> Outcome {
    let failed = !(200..300).contains(&status_code);
    Outcome {
        started_at: at,
        duration: Duration::from_millis(12),
        url: "https://example.com/hook".to_owned(),
        status_code,
        failure: failed.then(|| Failure {
            reason: "status_500",
            detail: "the receiver failed".to_owned(),
        }),
        response: Bytes::from_static(b"answer"),
        response_headers: if failed {
            vec![("x-a".to_owned(), "b".to_owned())]
        } else {
            Vec::new()
        },
        signature: "v1,abc".to_owned(),
        retry_after: None,
    }
}

fn settlement(work: &Work, verdict: Verdict) -> Settlement {
    let outcome = match verdict {
        Verdict::Succeeded => Some(outcome(204, work.due_at)),
        Verdict::RetryAt(_) | Verdict::Failed | Verdict::Blocked => Some(outcome(500, work.due_at)),
        Verdict::Cancelled | Verdict::Park(_) => None,
    };
    Settlement {
        key: DeliveryKey {
            message: work.message.id,
            endpoint: work.endpoint,
        },
        app: work.message.app,
        lease: work.lease,
        progress: work.progress,
        attempt_id: None,
        outcome,
        verdict,
        health: None,
        notices: Vec::new(),
    }
}
