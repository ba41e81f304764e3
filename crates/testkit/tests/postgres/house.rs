//! A house of several nodes, each with a store, a directory and a scheduler of its own, whose receivers all note what they see in
//! one list.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    app::{App, AppKind, Environment},
    delivery::DeliveryKey,
    endpoint::{Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId, IdGenerator, MessageId},
    message::{NewMessage, Route},
    order::Line,
    seal::{Keyring, MainSecret},
    secret::SigningKey,
};
use bellwire_deliver::{DeliverConfig, Scheduler, SchedulerParts, action::Action};
use bellwire_store::{
    Change, Clock as _, Directory, Store, SystemClock,
    audit::{Actor, ActorKind, AuditEntry},
    backends::{self, OpenOptions},
    feed::Feed,
    vault::Vault,
};
use bellwire_testkit::{Begun, Ended, ScriptedAction, Witness};
use bytes::Bytes;
use tokio::{task::JoinSet, time::sleep};

use super::{
    relay::Relay,
    server::{server, url},
};

/// Whoever is gone is replaced within this time.
pub const TAKEOVER: Duration = Duration::from_secs(10);
/// Whatever is waited for comes sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{what}: it never was so");
    }
}

/// What a receiver saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    by: usize,
    key: DeliveryKey,
    sequence: Option<u64>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Begun,
    Succeeded,
    Failed,
}

type List = Arc<Mutex<Vec<Seen>>>;

/// Notes what one node's attempts come to.
struct Notes {
    by: usize,
    list: List,
}

impl Notes {
    fn note(&self, begun: &Begun, what: What) {
        self.list.lock().unwrap().push(Seen {
            by: self.by,
            key: begun.key,
            sequence: begun.place.as_ref().map(|place| place.sequence),
            what,
        });
    }
}

impl Witness for Notes {
    fn begun(&self, begun: &Begun) {
        self.note(begun, What::Begun);
    }

    fn ended(&self, ended: &Ended) {
        let succeeded = ended.outcome.failure.is_none();
        self.note(&ended.begun, if succeeded { What::Succeeded } else { What::Failed });
    }
}

/// What the newest node looks things up in.
type Newest = (Arc<Directory>, Arc<dyn Store>);

/// A schema and what is in it.
pub struct House {
    schema: String,
    list: List,
    ids: Mutex<IdGenerator>,
    environment: EnvironmentId,
    app: AppId,
    nodes: AtomicUsize,
    last: Mutex<Option<Newest>>,
}

/// One node.
pub struct Node {
    at: usize,
    app: AppId,
    list: List,
    pub store: Arc<dyn Store>,
    pub directory: Arc<Directory>,
    pub action: Arc<ScriptedAction>,
    pub relay: Relay,
    scheduler: Arc<Scheduler>,
    _following: JoinSet<()>,
}

#[allow(dead_code, reason = "not every test needs all of it")]
impl House {
    pub async fn new(schema: &str) -> Self {
        // No node has this number: what the tests make is like nothing that nodes make.
        let mut ids = IdGenerator::new(900, 0);
        let now = SystemClock.now();
        Self {
            schema: schema.to_owned(),
            list: List::default(),
            environment: ids.next(now),
            app: ids.next(now),
            ids: Mutex::new(ids),
            nodes: AtomicUsize::new(0),
            last: Mutex::new(None),
        }
    }

    pub async fn node(&self) -> Node {
        self.open(Relay::to(server().folder())).await
    }

    /// A node that hears nothing of what others say.
    pub async fn deaf_node(&self) -> Node {
        self.open(Relay::deaf_to(server().folder())).await
    }

    async fn open(&self, relay: Relay) -> Node {
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let at = self.nodes.fetch_add(1, Ordering::SeqCst);
        let mut options = OpenOptions::new(Arc::new(SystemClock), Vault::new(Keyring::new(secret)));
        options.host = format!("node-{at}");
        let url = url(relay.folder(), "bellwire", &self.schema);
        let store = backends::open(&url, options).await.unwrap();
        let directory = Directory::open(Arc::clone(&store), Arc::new(SystemClock)).await;
        let directory = Arc::new(directory.unwrap());
        if at == 0 {
            directory.commit(self.beginning(), None).await.unwrap();
        }
        let notes = Notes {
            by: at,
            list: Arc::clone(&self.list),
        };
        let action = Arc::new(ScriptedAction::new(at as u64, Arc::new(notes)));
        let parts = SchedulerParts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            action: Arc::clone(&action) as Arc<dyn Action>,
            feed: Arc::new(Feed::default()),
            config: DeliverConfig::default(),
        };
        let scheduler = Scheduler::start(parts).await.unwrap();
        let mut following = JoinSet::new();
        let followed = Arc::clone(&directory);
        following.spawn(async move { followed.follow().await });
        *self.last.lock().unwrap() = Some((Arc::clone(&directory), Arc::clone(&store)));
        Node {
            at,
            app: self.app,
            list: Arc::clone(&self.list),
            store,
            directory,
            action,
            relay,
            scheduler,
            _following: following,
        }
    }

    fn beginning(&self) -> Vec<Change> {
        let now = SystemClock.now();
        vec![
            Change::PutEnvironment(Environment {
                id: self.environment,
                name: "default".to_owned(),
                validate_payloads: false,
                created_at: now,
                updated_at: now,
            }),
            Change::PutApp(App {
                id: self.app,
                environment: self.environment,
                uid: None,
                name: "shop".to_owned(),
                throttle_rate: None,
                publish_rate: None,
                metadata: BTreeMap::new(),
                kind: AppKind::Tenant,
                validate_payloads: None,
                created_at: now,
                updated_at: now,
            }),
        ]
    }

    // -- endpoints -------------------------------------------------------------------------------------------------

    /// An endpoint that is not stored yet.
    pub fn new_endpoint(&self) -> Endpoint {
        let now = SystemClock.now();
        Endpoint {
            id: self.ids.lock().unwrap().next(now),
            app: self.app,
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
            retry_schedule: Some(vec![Duration::from_secs(1); 20]),
            timeout: None,
            max_in_flight: None,
            order: Default::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: now,
            updated_at: now,
        }
    }

    /// So many endpoints, made at the node that came last.
    pub async fn endpoints(&self, n: usize) -> Vec<EndpointId> {
        let (directory, _) = self.last.lock().unwrap().clone().unwrap();
        let made: Vec<Endpoint> = (0..n).map(|_| self.new_endpoint()).collect();
        let ids = made.iter().map(|endpoint| endpoint.id).collect();
        let changes = made.into_iter().map(|endpoint| Change::PutEndpoint(Box::new(endpoint)));
        directory.commit(changes.collect(), None).await.unwrap();
        ids
    }

    /// An endpoint that this node serves, made there.
    pub async fn endpoint_of(&self, node: &Node) -> EndpointId {
        loop {
            let endpoint = self.new_endpoint();
            let id = endpoint.id;
            if node.store.serves(id) {
                let change = Change::PutEndpoint(Box::new(endpoint));
                node.directory.commit(vec![change], None).await.unwrap();
                return id;
            }
        }
    }

    /// An endpoint made at this node, whoever serves it.
    pub async fn endpoint_by(&self, node: &Node) -> EndpointId {
        let endpoint = self.new_endpoint();
        let id = endpoint.id;
        let change = Change::PutEndpoint(Box::new(endpoint));
        node.directory.commit(vec![change], None).await.unwrap();
        id
    }

    /// An entry of the audit log that tells of no change.
    pub fn note(&self) -> Change {
        let now = SystemClock.now();
        let actor = Actor {
            kind: ActorKind::Operator,
            token: None,
            name: "a person".to_owned(),
            scope: "admin".to_owned(),
        };
        Change::Note(Box::new(AuditEntry {
            id: self.ids.lock().unwrap().next(now),
            at: now,
            environment: self.environment,
            app: Some(self.app),
            actor,
            peer: None,
            operation: "endpoint.secret".to_owned(),
            about: Vec::new(),
            changes: Vec::new(),
        }))
    }

    // -- what came of it -------------------------------------------------------------------------------------------

    pub fn message(&self, to: &[EndpointId]) -> NewMessage {
        message(self.app, to, None)
    }

    fn seen(&self) -> Vec<Seen> {
        self.list.lock().unwrap().clone()
    }

    fn arrived(&self, by: Option<usize>) -> usize {
        let seen = self.seen();
        let arrived = seen
            .iter()
            .filter(|one| one.what == What::Succeeded && by.is_none_or(|by| one.by == by));
        arrived.map(|one| one.key).collect::<BTreeSet<_>>().len()
    }

    /// Waits until so many deliveries have arrived.
    pub async fn all_arrive(&self, n: usize) {
        until("all arrive", || async { self.arrived(None) >= n }).await;
        assert_eq!(self.arrived(None), n);
    }

    /// Waits until so many deliveries have arrived that this node has made.
    pub async fn all_arrive_at(&self, node: &Node, n: usize) {
        until("all arrive", || async { self.arrived(Some(node.at)) >= n }).await;
    }

    /// How often attempts were begun at an endpoint.
    pub fn begun_at(&self, endpoint: EndpointId) -> usize {
        let seen = self.seen();
        let begun = seen
            .iter()
            .filter(|one| one.what == What::Begun && one.key.endpoint == endpoint);
        begun.count()
    }

    /// Of each line one began after the one before it had succeeded, and none twice.
    pub fn is_in_order(&self) {
        let mut reached: BTreeMap<EndpointId, u64> = BTreeMap::new();
        for seen in self.seen() {
            let sequence = seen.sequence.unwrap();
            let reached = reached.entry(seen.key.endpoint).or_default();
            assert_eq!(sequence, *reached + 1, "{seen:?}");
            if seen.what == What::Succeeded {
                *reached = sequence;
            }
        }
    }

    /// What is stored adds up, once all that happened is written down.
    pub async fn is_sound(&self) {
        let (_, store) = self.last.lock().unwrap().clone().unwrap();
        let report = store.check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        let counts = report.counts;
        let all = counts.succeeded + counts.failed + counts.cancelled + counts.pending;
        assert_eq!(all, report.deliveries, "{report:?}");
    }
}

fn message(app: AppId, to: &[EndpointId], line: Option<&str>) -> NewMessage {
    let route = |endpoint: &EndpointId| Route {
        endpoint: *endpoint,
        stored: false,
        line: line.map(|key| Line {
            key: key.into(),
            era: 1,
        }),
    };
    NewMessage {
        app,
        event_type: "order.paid".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: line.map(str::to_owned),
        payload: Bytes::from_static(b"{}"),
        payload_expires_at: SystemClock.now().plus(Duration::from_secs(86_400)),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        routes: to.iter().map(route).collect(),
        idempotency: None,
    }
}

#[allow(dead_code, reason = "not every test needs all of it")]
impl Node {
    /// Publishes to these endpoints, whatever their settings say.
    pub async fn publish(&self, to: &[EndpointId]) -> MessageId {
        self.store.append(message(self.app, to, None)).await.unwrap().id
    }

    /// The same, in a line of each.
    pub async fn publish_in_line(&self, to: &[EndpointId], key: &str) -> MessageId {
        self.store.append(message(self.app, to, Some(key))).await.unwrap().id
    }

    pub async fn pause(&self, endpoint: EndpointId) {
        let mut paused = self.directory.endpoint_by_id(endpoint).unwrap().endpoint.clone();
        paused.paused = true;
        let change = Change::PutEndpoint(Box::new(paused));
        self.directory.commit(vec![change], None).await.unwrap();
    }

    /// How often this node began to deliver a message.
    pub fn begun(&self, message: MessageId) -> usize {
        let list = self.list.lock().unwrap();
        let begun = list
            .iter()
            .filter(|one| one.by == self.at && one.what == What::Begun && one.key.message == message);
        begun.count()
    }

    /// Goes as a server goes that is stopped.
    pub async fn leave(self) {
        self.scheduler.stop(Duration::from_secs(5)).await;
        self.store.close().await;
    }

    /// Is cut off from the database.
    pub async fn cut(&mut self) {
        self.relay.cut().await;
    }

    /// Reaches the database again.
    pub fn mend(&mut self) {
        self.relay.mend();
    }
}
