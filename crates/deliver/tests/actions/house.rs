//! A house with actions in it: a store, a directory with two applications, and endpoints that need not be saved.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    address::AddressPolicy,
    app::{App, AppKind, Environment},
    attempt::Outcome,
    decide::Health,
    delivery::{Lease, Progress, Work},
    endpoint::{ActionSettings, Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId, Id as _, MessageId, SourceId},
    message::Message,
    seal::{Keyring, MainSecret},
    secret::SigningKey,
    source::Inbound,
    time::Timestamp,
};
use bellwire_deliver::{
    DeliverConfig,
    action::{Acted, Action, Letter, Order},
    actions::{ActionParts, Actions, http::HttpAction},
    guard::{Guard, GuardConfig},
};
use bellwire_store::{
    Change, Directory, Store, SystemClock,
    backends::{self, OpenOptions},
    directory::{EndpointEntry, LaneGauge},
    feed::Feed,
    vault::Vault,
};
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

pub const NOW: Timestamp = Timestamp::from_secs(1_766_000_000);
pub fn environment() -> EnvironmentId {
    EnvironmentId::from_number(1)
}
/// What a source brings in belongs to it.
pub fn source_app() -> AppId {
    AppId::from_number(2)
}
/// Somebody's own application, with the uid `acme`.
pub fn acme() -> AppId {
    AppId::from_number(3)
}
pub const LONG: Duration = Duration::from_secs(20);

/// Everything that actions work with.
pub struct House {
    pub actions: Actions,
    pub store: Arc<dyn Store>,
    pub folder: TempDir,
}

fn guard(policy: AddressPolicy) -> Arc<Guard> {
    let config = GuardConfig {
        policy,
        ..GuardConfig::default()
    };
    Arc::new(Guard::new(config).unwrap())
}

fn app(id: AppId, uid: Option<&str>, kind: AppKind) -> App {
    App {
        id,
        environment: environment(),
        uid: uid.map(str::to_owned),
        name: "an application".to_owned(),
        throttle_rate: None,
        publish_rate: None,
        metadata: BTreeMap::new(),
        kind,
        validate_payloads: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

impl House {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(Keyring::new(MainSecret::from_bytes([3; 32]).unwrap()));
        let options = OpenOptions::new(Arc::new(SystemClock), vault);
        let url = format!("sqlite:{}", folder.path().join("store").display());
        let store = backends::open(&url, options).await.unwrap();
        let directory = Directory::open(Arc::clone(&store), Arc::new(SystemClock))
            .await
            .unwrap();
        let directory = Arc::new(directory);
        let test = Environment {
            id: environment(),
            name: "test".to_owned(),
            validate_payloads: false,
            created_at: NOW,
            updated_at: NOW,
        };
        let changes = vec![
            Change::PutEnvironment(test),
            Change::PutApp(app(source_app(), None, AppKind::Source)),
            Change::PutApp(app(acme(), Some("acme"), AppKind::Tenant)),
            Change::PutEndpoint(Box::new(Endpoint {
                id: EndpointId::from_number(9),
                app: acme(),
                ..endpoint("http", &Value::Null)
            })),
        ];
        directory.commit(changes, None).await.unwrap();
        let tasks = TaskTracker::new();
        let strict = guard(AddressPolicy::default());
        let config = DeliverConfig::default();
        let actions = Actions::new(ActionParts {
            http: Arc::new(HttpAction::new(Arc::clone(&strict), config.clone(), tasks.clone())),
            guard: strict,
            trusted_guard: guard(AddressPolicy::open()),
            store: Arc::clone(&store),
            directory,
            feed: Arc::new(Feed::default()),
            config,
            data: folder.path().to_owned(),
            variables: [("LANG", "C.UTF-8"), ("HOME", "/home/of-the-server")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            payload_retention: Duration::from_secs(3_600),
            payload_check: Arc::new(|_, event_type, _| match event_type {
                "strict" => Err("payload.amount: is no number".to_owned()),
                _ => Ok(()),
            }),
            tasks,
        });
        Self { actions, store, folder }
    }

    /// Makes one attempt.
    pub async fn act(&self, endpoint: Endpoint, message: Message) -> Outcome {
        match self.act_if(endpoint, message, LONG, &|| true).await {
            Acted::Attempted(outcome) => outcome,
            Acted::Withheld => panic!("withheld"),
        }
    }

    /// Makes one attempt that takes no longer than so, if it may begin.
    pub async fn act_if(
        &self,
        endpoint: Endpoint,
        message: Message,
        timeout: Duration,
        may_begin: &(dyn Fn() -> bool + Send + Sync),
    ) -> Acted {
        let lane = Arc::new(LaneGauge::new(Health::default()));
        let entry = Arc::new(EndpointEntry::new(endpoint, environment(), lane));
        let payload = message.payload.clone().unwrap();
        let work = Work {
            message: Arc::new(message),
            endpoint: entry.endpoint.id,
            lease: Lease(0),
            progress: Progress::default(),
            due_at: NOW,
            place: None,
        };
        let order = Order {
            endpoint: &entry,
            works: vec![&work],
            letter: Letter::single(&work, payload),
            started_at: NOW,
            timeout,
            may_begin,
        };
        self.actions.act(order).await
    }
}

/// An endpoint of the hooks file with these settings.
pub fn endpoint(kind: &str, settings: &Value) -> Endpoint {
    Endpoint {
        id: EndpointId::from_number(7),
        app: source_app(),
        uid: None,
        url: format!("{kind}:described"),
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
        action: ActionSettings {
            kind: kind.into(),
            settings: (!settings.is_null()).then(|| settings.to_string().into()),
            trusted: true,
            hidden: Default::default(),
        },
        workflow: Default::default(),
        created_at: NOW,
        updated_at: NOW,
    }
}

/// A message that a source brought in.
pub fn message(payload: &str) -> Message {
    let inbound = Inbound {
        source: SourceId::from_number(5),
        method: "POST".to_owned(),
        target: "/in/payments".to_owned(),
        headers: [
            ("host", "in.example.com"),
            ("content-type", "application/json"),
            ("content-length", "999"),
            ("x-provider", "stripe"),
            ("stripe-signature", "t=1,v1=00"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        peer: None,
        verdict: "signed".to_owned(),
        note: None,
        item: None,
    };
    Message {
        id: MessageId::from_number(42),
        app: source_app(),
        event_type: "invoice.paid".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Some(Bytes::from(payload.to_owned())),
        payload_expires_at: Timestamp::MAX,
        deliver_at: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        content_type: None,
        inbound: Some(Arc::new(inbound)),
        created_at: NOW,
    }
}

/// The stable name of why it failed; empty when it succeeded.
pub fn reason(outcome: &Outcome) -> &str {
    outcome.failure.as_ref().map_or("", |failure| failure.reason)
}

/// What is kept of the answer.
pub fn response(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.response).into_owned()
}
