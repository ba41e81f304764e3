//! The real scheduler with an endpoint that goes down and comes back: what it costs, what is shown, and what people are told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    app::{App, AppKind, Environment},
    delivery::DeliveryState,
    endpoint::{ActionSettings, Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId},
    message::NewMessage,
    secret::SigningKey,
    time::Timestamp,
};
use bellwire_deliver::{DeliverConfig, Scheduler, SchedulerParts};
use bellwire_store::{
    Change, Clock, Directory, Store,
    directory::{BreakerState, Incoming, LaneState},
    feed::Feed,
    query::{MessageFilter, Order, Page, Start},
};
use bellwire_testkit::{Begun, Ended, MemoryStore, Reply, Script, ScriptedAction, SimClock, Witness};
use bytes::Bytes;
use tokio::time::sleep;

const NOON: Timestamp = Timestamp::from_secs(1_766_059_200);

/// Counts what is attempted.
#[derive(Default)]
struct Attempts(AtomicUsize);

impl Witness for Attempts {
    fn begun(&self, _: &Begun) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, _: &Ended) {}
}

struct House {
    store: Arc<MemoryStore>,
    directory: Arc<Directory>,
    action: Arc<ScriptedAction>,
    attempts: Arc<Attempts>,
    scheduler: Arc<Scheduler>,
    shop: AppId,
    teller: AppId,
    receiver: EndpointId,
}

fn endpoint(id: EndpointId, app: AppId) -> Endpoint {
    Endpoint {
        id,
        app,
        uid: None,
        url: "https://receiver.example/".to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        keys: vec![LiveKey {
            key: SigningKey::generate_symmetric([7; 24]),
            expires_at: None,
        }],
        retry_schedule: Some(vec![Duration::from_secs(60); 20]),
        timeout: None,
        max_in_flight: None,
        order: Default::default(),
        batch: None,
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn app(id: AppId, environment: EnvironmentId, kind: AppKind) -> Change {
    Change::PutApp(App {
        id,
        environment,
        uid: None,
        name: String::new(),
        throttle_rate: None,
        publish_rate: None,
        metadata: BTreeMap::new(),
        kind,
        validate_payloads: None,
        created_at: NOON,
        updated_at: NOON,
    })
}

impl House {
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new(NOON));
        clock.enter();
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let seam = Arc::clone(&store) as Arc<dyn Store>;
        let directory = Arc::new(Directory::open(Arc::clone(&seam), clock).await.unwrap());
        let environment = directory.new_id();
        let (shop, teller) = (directory.new_id(), directory.new_id());
        let (receiver, owner) = (directory.new_id(), directory.new_id());
        let changes = vec![
            Change::PutEnvironment(Environment {
                id: environment,
                name: "default".to_owned(),
                validate_payloads: false,
                created_at: NOON,
                updated_at: NOON,
            }),
            app(shop, environment, AppKind::Tenant),
            app(teller, environment, AppKind::Operational),
            Change::PutEndpoint(Box::new(endpoint(receiver, shop))),
            Change::PutEndpoint(Box::new(Endpoint {
                event_types: Some(vec!["endpoint.*".to_owned()]),
                ..endpoint(owner, teller)
            })),
        ];
        directory.commit(changes, None).await.unwrap();
        let attempts = Arc::new(Attempts::default());
        let action = Arc::new(ScriptedAction::new(1, Arc::clone(&attempts) as Arc<dyn Witness>));
        let parts = SchedulerParts {
            store: seam,
            directory: Arc::clone(&directory),
            action: Arc::clone(&action) as Arc<dyn bellwire_deliver::action::Action>,
            feed: Arc::new(Feed::default()),
            config: DeliverConfig::default(),
        };
        let scheduler = Scheduler::start(parts).await.unwrap();
        Self {
            store,
            directory,
            action,
            attempts,
            scheduler,
            shop,
            teller,
            receiver,
        }
    }

    async fn publish(&self, n: usize) {
        for _ in 0..n {
            let incoming = Incoming {
                event_type: "order.paid",
                channels: &[],
                ordering_key: None,
                payload: b"{}",
                inbound: None,
            };
            let message = NewMessage {
                app: self.shop,
                event_type: "order.paid".to_owned(),
                event_id: None,
                channels: Vec::new(),
                tags: Vec::new(),
                ordering_key: None,
                payload: Bytes::from_static(b"{}"),
                payload_expires_at: Timestamp::MAX,
                deliver_at: None,
                traceparent: None,
                content_type: None,
                inbound: None,
                routes: self.directory.routes(self.shop, &incoming),
                idempotency: None,
            };
            self.store.append(message).await.unwrap();
        }
    }

    fn attempts(&self) -> usize {
        self.attempts.0.load(Ordering::Relaxed)
    }

    /// The operational events so far, as `type state`.
    async fn told(&self) -> Vec<String> {
        let page = Page {
            limit: 100,
            start: Start::First,
            order: Order::Ascending,
        };
        let rows = self.store.messages(self.teller, MessageFilter::default(), page, true);
        let rows = rows.await.unwrap().items;
        let told = rows.iter().map(|message| {
            let payload = message.payload.as_ref().unwrap();
            let text = std::str::from_utf8(payload).unwrap();
            let state = if text.contains(r#""state":"raised""#) {
                "raised"
            } else {
                "cleared"
            };
            assert!(text.contains(&self.receiver.to_string()), "{text}");
            format!("{} {state}", message.event_type)
        });
        told.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_costs_a_probe_a_minute_and_its_owner_is_told() {
    let house = House::new().await;
    let lane = &house.directory.endpoint_by_id(house.receiver).unwrap();
    house.action.script(house.receiver, Script::always(Reply::Refused));
    house.publish(1_000).await;
    sleep(Duration::from_secs(10)).await;
    let (first, first_probes) = (house.attempts(), house.scheduler.figures().probes);
    assert!((100..=140).contains(&first), "{first} attempts before it was parked");
    let first_told = house.told().await.len();
    let status = lane.status();
    assert_eq!((status.state, status.breaker), (LaneState::Parked, BreakerState::Open));
    let (in_flight, in_memory) = house.scheduler.load();
    assert!(in_flight == 0 && in_memory <= 1, "{in_memory} in memory");

    // Twenty minutes later: a probe a minute, and nothing else but what its owner is told.
    sleep(Duration::from_secs(1_200)).await;
    let probes = house.scheduler.figures().probes - first_probes;
    assert!((15..=32).contains(&probes), "{probes} probes");
    let told = house.told().await;
    assert_eq!(
        told,
        ["endpoint.failure_rate.high raised", "endpoint.queue.delayed raised"]
    );
    assert_eq!(house.attempts(), first + probes as usize + told.len() - first_told);

    house.action.heal();
    sleep(Duration::from_secs(400)).await;
    let rows = house.store.all_deliveries();
    assert!(rows.iter().all(|row| row.state == DeliveryState::Succeeded));
    let told = house.told().await;
    assert!(told.contains(&"endpoint.queue.delayed cleared".to_owned()), "{told:?}");
    assert!(
        told.contains(&"endpoint.failure_rate.high cleared".to_owned()),
        "{told:?}"
    );
    let status = lane.status();
    assert_eq!(status.breaker, BreakerState::Closed);
    house.scheduler.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn commands_leave_the_processors_to_answering_unless_the_endpoint_says_otherwise() {
    for (kind, max_in_flight, at_once) in [("run", None, 2), ("run", Some(7), 7), ("http", None, 32)] {
        let house = House::new().await;
        let kind = ActionSettings {
            kind: kind.into(),
            ..ActionSettings::default()
        };
        let endpoint = Endpoint {
            action: kind,
            max_in_flight,
            ..endpoint(house.receiver, house.shop)
        };
        let put = vec![Change::PutEndpoint(Box::new(endpoint))];
        house.directory.commit(put, None).await.unwrap();
        house.action.script(house.receiver, Script::always(Reply::Hangs));
        house.publish(100).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(house.attempts(), at_once);
        assert_eq!(house.scheduler.load().0, at_once);
        house.action.heal();
        sleep(Duration::from_secs(600)).await;
        let rows = house.store.all_deliveries();
        assert!(rows.iter().all(|row| row.state == DeliveryState::Succeeded));
        house.scheduler.stop(Duration::from_secs(1)).await;
    }
}
