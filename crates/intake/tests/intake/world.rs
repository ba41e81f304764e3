//! A store with sources in it, and requests to them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use bellwire_core::{
    app::{App, AppKind, Environment},
    delivery::DeliveryState,
    endpoint::{Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId, Id, IdGenerator, MessageId},
    message::Message,
    seal::{Keyring, MainSecret},
    secret::SigningKey,
    source::Source,
    time::Timestamp,
};
use bellwire_intake::{Check, Fetch, FetchError, Intake, IntakeLimits, IntakeParts, Peer, Probe, Probed};
use bellwire_listen::{Settings, Signed, Signing, providers, sign};
use bellwire_store::{
    Change, ClaimRequest, Clock, Directory, Settlement, Store, Verdict,
    backends::{self, OpenOptions},
    feed::Feed,
    query::{DeliveryRow, MessageFilter, Order, Page, RefusedRequest, Start},
    vault::Vault,
};
use bellwire_testkit::{FaultPlan, ManualClock, MemoryStore};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use ring::rand::SystemRandom;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub const NOON: Timestamp = Timestamp::from_secs(1_766_059_200);

pub const ALL: Page = Page {
    limit: 1_000,
    start: Start::First,
    order: Order::Ascending,
};

/// What is answered.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The outside: what is at which URL, what a look sees, and who waits for either.
#[derive(Default)]
pub struct Outside {
    pub at: Mutex<HashMap<String, Result<Bytes, FetchError>>>,
    pub asked: Mutex<Vec<String>>,
    pub looks: Mutex<VecDeque<Probed>>,
    pub came: Notify,
}

#[async_trait]
impl Fetch for Outside {
    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        self.asked.lock().unwrap().push(url.to_owned());
        self.came.notify_one();
        let found = self.at.lock().unwrap().get(url).cloned();
        found.unwrap_or_else(|| Err(FetchError::Refused("404".to_owned())))
    }
}

#[async_trait]
impl Probe for Outside {
    async fn look(&self, _: &Check, _: Duration, _: bool) -> Probed {
        self.came.notify_one();
        let next = self.looks.lock().unwrap().pop_front();
        // Nothing more is seen.
        match next {
            Some(probed) => probed,
            None => std::future::pending().await,
        }
    }
}

/// Everything.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn Store>,
    pub directory: Arc<Directory>,
    pub intake: Arc<Intake>,
    pub outside: Arc<Outside>,
    pub feed: Arc<Feed>,
    pub environment: EnvironmentId,
    ids: Mutex<IdGenerator>,
    router: Router,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// On the store in memory.
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        Self::on(Arc::new(MemoryStore::new(clock.clone())), clock, None).await
    }

    /// On a store in memory that fails as planned.
    pub async fn failing(faults: Arc<FaultPlan>) -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        Self::on(Arc::new(MemoryStore::with_faults(clock.clone(), faults)), clock, None).await
    }

    /// On an embedded store.
    pub async fn embedded() -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(Keyring::new(MainSecret::from_bytes([7; 32]).unwrap()));
        let options = OpenOptions::new(clock.clone(), vault);
        let store = backends::open(&format!("sqlite:{}", folder.path().display()), options)
            .await
            .unwrap();
        Self::on(store, clock, Some(folder)).await
    }

    async fn on(store: Arc<dyn Store>, clock: Arc<ManualClock>, folder: Option<tempfile::TempDir>) -> Self {
        let directory = Arc::new(Directory::open(Arc::clone(&store), clock.clone()).await.unwrap());
        let environment: EnvironmentId = directory.new_id();
        let made = Environment {
            id: environment,
            name: "test".to_owned(),
            validate_payloads: false,
            created_at: NOON,
            updated_at: NOON,
        };
        directory
            .commit(vec![Change::PutEnvironment(made)], None)
            .await
            .unwrap();
        Self {
            _folder: folder,
            ..Self::with(store, clock, directory, environment)
        }
    }

    fn with(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        directory: Arc<Directory>,
        environment: EnvironmentId,
    ) -> Self {
        let outside = Arc::new(Outside::default());
        let feed = Arc::new(Feed::default());
        let intake = Intake::new(IntakeParts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            feed: Arc::clone(&feed),
            fetch: outside.clone(),
            probe: outside.clone(),
            limits: IntakeLimits {
                body_bytes_max: 10_000,
                ..IntakeLimits::default()
            },
            public_url: Some("https://hooks.example.com".to_owned()),
            trusted_proxies: Vec::new(),
            default_environment: environment,
            payload_retention: Duration::from_secs(86_400),
        });
        Self {
            router: intake.router(),
            ids: Mutex::new(IdGenerator::new(1, directory.new_id::<EnvironmentId>().number())),
            clock,
            store,
            directory,
            intake,
            outside,
            feed,
            environment,
            _folder: None,
        }
    }

    /// A new process on the same store.
    pub async fn restart(&mut self) {
        let (clock, folder) = (Arc::clone(&self.clock), self._folder.take());
        let directory = Directory::open(Arc::clone(&self.store), clock.clone()).await.unwrap();
        let again = Self::with(Arc::clone(&self.store), clock, Arc::new(directory), self.environment);
        *self = Self {
            _folder: folder,
            ..again
        };
    }

    fn id<T: Id>(&self) -> T {
        self.ids.lock().unwrap().next(self.clock.now())
    }

    /// A source with that uid, which is its token with `token-` before it, too.
    pub async fn source(&self, uid: &str, kind: &str, settings: &[(&str, &str)], rules: &str) -> Source {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in settings {
            values.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        let now = self.clock.now();
        let source = Source {
            id: self.id(),
            environment: self.environment,
            app: self.id(),
            uid: Some(uid.to_owned()),
            name: uid.to_owned(),
            kind: kind.to_owned(),
            token: format!("token-{uid}"),
            former_tokens: Vec::new(),
            settings: values,
            rules: serde_json::from_str(rules).unwrap(),
            managed: false,
            metadata: BTreeMap::new(),
            created_at: now,
            updated_at: now,
        };
        let app = App {
            id: source.app,
            environment: self.environment,
            uid: None,
            name: uid.to_owned(),
            throttle_rate: None,
            publish_rate: None,
            metadata: BTreeMap::new(),
            kind: AppKind::Source,
            validate_payloads: None,
            created_at: now,
            updated_at: now,
        };
        let put = vec![Change::PutApp(app), Change::PutSource(Box::new(source.clone()))];
        self.directory.commit(put, None).await.unwrap();
        source
    }

    /// Changes a source.
    pub async fn change(&self, source: &Source, change: impl FnOnce(&mut Source)) {
        let mut changed = Source::clone(&self.directory.source_by_id(source.id).unwrap());
        change(&mut changed);
        self.directory
            .commit(vec![Change::PutSource(Box::new(changed))], None)
            .await
            .unwrap();
    }

    /// Somewhere for the messages of a source to go.
    pub async fn endpoint(&self, source: &Source) -> EndpointId {
        let now = self.clock.now();
        let endpoint = Endpoint {
            id: self.id(),
            app: source.app,
            uid: None,
            url: "https://example.com/act".to_owned(),
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
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: Default::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: now,
            updated_at: now,
        };
        let id = endpoint.id;
        self.directory
            .commit(vec![Change::PutEndpoint(Box::new(endpoint))], None)
            .await
            .unwrap();
        id
    }

    /// A request.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request
            .extensions_mut()
            .insert(Peer(SocketAddr::from(([192, 0, 2, 7], 4711))));
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// What the provider would send now.
    pub fn sign(&self, kind: &str, secret: &str, body: &str, id: &str) -> Signed {
        let signing = Signing {
            method: "POST",
            url: "https://hooks.example.com/in/x",
            content_type: "application/json",
            body: body.as_bytes(),
            at: self.clock.now(),
            id: Some(id),
            event_type: Some("push"),
            private_key: None,
            random: &SystemRandom::new(),
        };
        let settings = Settings::new().with("secret", secret);
        sign(providers::by_name(kind).unwrap(), &settings, &signing).unwrap()
    }

    /// Sends what was signed.
    pub async fn send(&self, path: &str, signed: &Signed) -> Answer {
        let headers: Vec<_> = signed
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.ask(&signed.method, path, &headers, signed.body.clone()).await
    }

    /// The messages of a source, oldest first, with their payloads.
    pub async fn messages(&self, source: &Source) -> Vec<Message> {
        let filter = MessageFilter::default();
        self.store.messages(source.app, filter, ALL, true).await.unwrap().items
    }

    /// How a message's deliveries stand.
    pub async fn deliveries(&self, app: AppId, message: MessageId) -> Vec<DeliveryRow> {
        self.store.deliveries(app, message, ALL).await.unwrap().items
    }

    /// Ends all that is due at an endpoint; answers how many that was.
    pub async fn settle(&self, endpoint: EndpointId, app: AppId, verdict: Verdict) -> usize {
        let request = ClaimRequest {
            endpoint,
            now: self.clock.now(),
            limit: 100,
        };
        let work = self.store.claim(request).await.unwrap().work;
        let settled = work.iter().map(|work| Settlement {
            key: work.key(),
            app,
            lease: work.lease,
            progress: work.progress,
            attempt_id: None,
            outcome: None,
            verdict,
            health: None,
            notices: Vec::new(),
        });
        self.store.settle(Arc::new(settled.collect())).await.unwrap();
        work.len()
    }

    pub async fn state(&self, app: AppId, message: MessageId) -> Option<DeliveryState> {
        self.deliveries(app, message).await.first().map(|row| row.state)
    }

    /// Lets the background work run until it has nothing to do, then stops it: what was gathered is written.
    pub async fn finish(&self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.intake.run(stop).await;
    }

    /// The list of refused requests of a source.
    pub async fn refused(&self, source: &Source) -> Vec<RefusedRequest> {
        self.finish().await;
        self.store.refused(source.id, ALL).await.unwrap().items
    }
}
