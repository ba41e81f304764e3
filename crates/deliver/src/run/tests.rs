//! One request for several deliveries: each has its own end, the endpoint has one.

mod reshaped;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{
    app::{App, AppKind, Environment},
    batch::{BatchFormat, BatchSettings},
    delivery::{DeliveryKey, Lease, Progress},
    endpoint::{DisabledReason, Endpoint},
    id::{AppId, EndpointId, EnvironmentId, Id as _, MessageId},
    message::Message,
    order::{OrderSettings, Ordering, Place},
    seal::{Keyring, MainSecret},
    time::{Timestamp, span::Span},
};
use bellwire_store::{Change, Store, SystemClock, backends, backends::OpenOptions, vault::Vault};

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

/// A delivery at endpoint 7; without a payload, it has expired.
pub(super) fn work(number: u64, payload: Option<&str>, content_type: Option<&str>) -> Work {
    let message = Message {
        id: MessageId::from_number(number),
        app: AppId::from_number(2),
        event_type: "a".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: Some("k".to_owned()),
        payload: payload.map(|text| Bytes::from(text.to_owned())),
        payload_expires_at: Timestamp::MAX,
        deliver_at: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        content_type: content_type.map(str::to_owned),
        inbound: None,
        created_at: NOON,
    };
    Work {
        message: Arc::new(message),
        endpoint: EndpointId::from_number(7),
        lease: Lease(number),
        progress: Progress::default(),
        due_at: NOON.plus(Duration::from_secs(number)),
        place: Some(Arc::new(Place {
            key: Arc::from("k"),
            sequence: number,
            previous: Some(number - 1),
        })),
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: EndpointId::from_number(7),
        app: AppId::from_number(2),
        uid: None,
        url: "https://example.com/".to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        keys: Vec::new(),
        retry_schedule: Some(vec![Duration::from_secs(5)]),
        timeout: None,
        max_in_flight: None,
        order: OrderSettings::default(),
        batch: Some(BatchSettings {
            messages_max: 3,
            wait: Span(Duration::ZERO),
            format: BatchFormat::Json,
        }),
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: NOON,
        updated_at: NOON,
    }
}

/// A directory over a store of its own, with one endpoint.
struct House {
    directory: Directory,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl House {
    async fn with(endpoint: Endpoint) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(Keyring::new(MainSecret::from_bytes([3; 32]).unwrap()));
        let options = OpenOptions::new(Arc::new(SystemClock), vault);
        let url = format!("sqlite:{}", folder.path().display());
        let store = backends::open(&url, options).await.unwrap();
        let directory = Directory::open(Arc::clone(&store), Arc::new(SystemClock))
            .await
            .unwrap();
        let environment = Environment {
            id: EnvironmentId::from_number(1),
            name: "test".to_owned(),
            validate_payloads: false,
            created_at: NOON,
            updated_at: NOON,
        };
        let app = App {
            id: AppId::from_number(2),
            environment: environment.id,
            uid: None,
            name: "an application".to_owned(),
            throttle_rate: None,
            publish_rate: None,
            metadata: BTreeMap::new(),
            kind: AppKind::Tenant,
            validate_payloads: None,
            created_at: NOON,
            updated_at: NOON,
        };
        let changes = vec![
            Change::PutEnvironment(environment),
            Change::PutApp(app),
            Change::PutEndpoint(Box::new(endpoint)),
        ];
        directory.commit(changes, None).await.unwrap();
        Self {
            directory,
            store,
            _folder: folder,
        }
    }

    async fn run(&self, receiver: &dyn Action, works: &[Work]) -> Vec<Ran> {
        run_batch(works, &self.directory, receiver, &DeliverConfig::default()).await
    }

    async fn end(self) {
        self.store.close().await;
    }
}

/// Answers everything with one status, and remembers what came.
struct Receiver {
    status: u16,
    orders: Mutex<Vec<(String, Vec<DeliveryKey>)>>,
    letters: Mutex<Vec<Sent>>,
}

/// A letter that came.
#[derive(Debug, Clone)]
struct Sent {
    body: Bytes,
    content_type: String,
    json: Option<Bytes>,
    headers: Vec<(String, String)>,
}

impl Receiver {
    fn answering(status: u16) -> Self {
        Self {
            status,
            orders: Mutex::default(),
            letters: Mutex::default(),
        }
    }
}

#[async_trait]
impl Action for Receiver {
    async fn act(&self, order: Order<'_>) -> Acted {
        if !(order.may_begin)() {
            return Acted::Withheld;
        }
        let carried = order.works.iter().map(|work| work.key()).collect();
        self.orders.lock().unwrap().push((order.letter.id.clone(), carried));
        self.letters.lock().unwrap().push(Sent {
            body: order.letter.body.clone(),
            content_type: order.letter.content_type.to_owned(),
            json: order.letter.json.clone(),
            headers: order.letter.headers.clone(),
        });
        let failed = !(200..300).contains(&self.status);
        Acted::Attempted(Outcome {
            started_at: order.started_at,
            duration: Duration::from_millis(3),
            url: String::new(),
            status_code: self.status,
            failure: failed.then(|| Failure {
                reason: if self.status == 410 {
                    "status_gone"
                } else {
                    "status_5xx"
                },
                detail: String::new(),
            }),
            response: Bytes::new(),
            response_headers: Vec::new(),
            signature: String::new(),
            retry_after: None,
        })
    }

    fn forget(&self, _: EndpointId) {}
}

/// Fails for a reason that lies in the message.
struct Hopeless;

#[async_trait]
impl Action for Hopeless {
    async fn act(&self, order: Order<'_>) -> Acted {
        let failure = Failure {
            reason: "template_failed",
            detail: String::new(),
        };
        Acted::Attempted(unsent(order.endpoint, order.started_at, failure))
    }

    fn forget(&self, _: EndpointId) {}
}

#[tokio::test]
async fn what_a_message_alone_is_to_blame_for_says_nothing_of_its_endpoint() {
    let house = House::with(endpoint()).await;
    let ran = house.run(&Hopeless, &[work(1, Some("{}"), None)]).await;
    assert_eq!(verdicts(&ran), [Verdict::Failed]);
    assert!(!ran[0].asked && ran[0].disable.is_none() && ran[0].settlement.health.is_none());
}

fn verdicts(ran: &[Ran]) -> Vec<Verdict> {
    ran.iter().map(|ran| ran.settlement.verdict).collect()
}

#[tokio::test]
async fn one_request_ends_every_delivery_it_carries_and_the_expired_one_alone() {
    let house = House::with(endpoint()).await;
    let receiver = Receiver::answering(200);
    let works = [
        work(1, None, None),
        work(2, Some("{}"), None),
        work(3, Some("text"), Some("text/plain")),
        work(4, Some("{}"), None),
    ];
    let ran = house.run(&receiver, &works).await;
    assert_eq!(
        verdicts(&ran),
        [
            Verdict::Failed,
            Verdict::Succeeded,
            Verdict::Park(works[2].due_at),
            Verdict::Succeeded
        ]
    );
    let reasons: Vec<_> = ran
        .iter()
        .map(|ran| {
            ran.settlement
                .outcome
                .as_ref()
                .map(|outcome| outcome.failure.as_ref().map(|failure| failure.reason))
        })
        .collect();
    assert_eq!(reasons, [Some(Some("payload_expired")), Some(None), None, Some(None)]);
    let leases: Vec<_> = ran.iter().map(|ran| ran.settlement.lease.0).collect();
    assert_eq!(leases, [1, 2, 3, 4], "in the order given");
    let orders = receiver.orders.lock().unwrap().clone();
    assert_eq!(orders.len(), 1);
    assert!(orders[0].0.starts_with("batch_"));
    assert_eq!(orders[0].1, [works[1].key(), works[3].key()]);
    house.end().await;
}

#[tokio::test]
async fn the_endpoint_is_judged_once_and_equal_deliveries_come_due_together() {
    let house = House::with(endpoint()).await;
    let receiver = Receiver::answering(503);
    let mut works = [
        work(1, Some("{}"), None),
        work(2, Some("{}"), None),
        work(3, Some("{}"), None),
    ];
    works[2].progress.tries = 1;
    let ran = house.run(&receiver, &works).await;
    let found = verdicts(&ran);
    assert!(matches!(found[0], Verdict::RetryAt(_)));
    assert_eq!(found[0], found[1]);
    assert_eq!(found[2], Verdict::Failed, "its schedule is at its end");
    assert!(ran[0].settlement.health.is_some() && ran[0].rest.is_some());
    for other in &ran[1..] {
        assert!(other.settlement.health.is_none() && other.rest.is_none() && other.disable.is_none());
    }
    let entry = house.directory.endpoint_by_id(EndpointId::from_number(7)).unwrap();
    assert!(entry.lane.health().failing_since.is_some());
    house.end().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_once_for_the_whole_batch() {
    let house = House::with(endpoint()).await;
    let ran = house
        .run(
            &Receiver::answering(410),
            &[work(1, Some("{}"), None), work(2, Some("{}"), None)],
        )
        .await;
    assert_eq!(verdicts(&ran), [Verdict::Failed, Verdict::Failed]);
    let disabled: Vec<_> = ran
        .iter()
        .map(|ran| ran.disable.map(|disabled| disabled.reason))
        .collect();
    assert_eq!(disabled, [Some(DisabledReason::Gone), None]);
    house.end().await;
}

#[tokio::test]
async fn what_is_given_up_blocks_its_line_where_that_is_wanted() {
    let order = OrderSettings {
        ordering: Ordering::Key,
        on_exhausted: OnExhausted::Block,
        key_expression: None,
        era: 1,
    };
    let house = House::with(Endpoint {
        order,
        batch: None,
        retry_schedule: Some(Vec::new()),
        ..endpoint()
    })
    .await;
    let receiver = Receiver::answering(500);
    let ordered = work(1, Some("{}"), None);
    assert_eq!(verdicts(&house.run(&receiver, &[ordered]).await), [Verdict::Blocked]);
    let expired = work(2, None, None);
    assert_eq!(verdicts(&house.run(&receiver, &[expired]).await), [Verdict::Blocked]);
    let keyless = Work {
        place: None,
        ..work(3, Some("{}"), None)
    };
    assert_eq!(verdicts(&house.run(&receiver, &[keyless]).await), [Verdict::Failed]);
    house.end().await;
}

#[tokio::test]
async fn nothing_is_sent_to_an_endpoint_that_is_paused_disabled_or_gone() {
    let receiver = Receiver::answering(200);
    let works = [work(1, Some("{}"), None), work(2, Some("{}"), None)];
    let paused = House::with(Endpoint {
        paused: true,
        ..endpoint()
    })
    .await;
    let parked = works.each_ref().map(|work| Verdict::Park(work.due_at));
    assert_eq!(verdicts(&paused.run(&receiver, &works).await), parked);
    let disabled = Some(Disabled {
        since: NOON,
        reason: DisabledReason::Requested,
    });
    let house = House::with(Endpoint { disabled, ..endpoint() }).await;
    assert_eq!(verdicts(&house.run(&receiver, &works).await), [Verdict::Cancelled; 2]);
    let stranger = Work {
        endpoint: EndpointId::from_number(99),
        ..works[0].clone()
    };
    assert_eq!(verdicts(&house.run(&receiver, &[stranger]).await), [Verdict::Cancelled]);
    assert!(house.run(&receiver, &[]).await.is_empty());
    assert!(receiver.orders.lock().unwrap().is_empty());
    paused.end().await;
    house.end().await;
}
