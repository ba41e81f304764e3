//! The workbench: a router over a store in memory, and short words for what tests do all the time.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bellwire_api::{
    ApiState,
    auth::{TokenWish, new_token},
    router,
};
use bellwire_core::{
    app::Environment,
    attempt::{Failure, Outcome},
    id::{AppId, EndpointId, EnvironmentId, Id as _},
    seal::{Keyring, MainSecret},
    task::{Job, Task, TaskStatus},
    time::Timestamp,
    token::{Scope, hash_opaque},
};
use bellwire_store::{Change, ClaimRequest, Clock, Directory, Settlement, Store, Verdict, feed::Feed, vault::Vault};
use bellwire_testkit::{ManualClock, MemoryStore};
use bytes::Bytes;
use http::{Request, header};
use serde_json::Value;
use tower::ServiceExt as _;

/// When every test begins.
pub const NOON: Timestamp = Timestamp::from_secs(1_766_059_200);
/// The operator's own token.
pub const ADMIN: &str = "an-admin-token-of-the-operator-with-enough-characters";

/// A server without a network.
pub struct Bench {
    pub router: Router,
    pub state: ApiState,
    pub clock: Arc<ManualClock>,
    pub environment: EnvironmentId,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `null` when there was no body.
    pub body: Value,
}

impl Answer {
    /// The text of a member.
    pub fn text(&self, name: &str) -> String {
        self.body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no text `{name}` in {self:?}"))
            .to_owned()
    }

    /// A member of every row of a list.
    pub fn column(&self, name: &str) -> Vec<Value> {
        self.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row[name].clone())
            .collect()
    }
}

impl Bench {
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let environment = EnvironmentId::from_number(1);
        let default = Environment {
            id: environment,
            name: "default".to_owned(),
            validate_payloads: false,
            created_at: NOON,
            updated_at: NOON,
        };
        store.apply(vec![Change::PutEnvironment(default)], None).await.unwrap();
        let directory = Directory::open(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>)
            .await
            .unwrap();
        let vault = Vault::new(Keyring::new(MainSecret::from_bytes([7; 32]).unwrap()));
        let feed = Arc::new(Feed::default());
        let mut state = ApiState::new(store, Arc::new(directory), feed, Arc::new(vault), environment);
        state.admin_token = Some(hash_opaque(ADMIN));
        Self {
            router: router(state.clone()),
            state,
            clock,
            environment,
        }
    }

    // -- asking ----------------------------------------------------------------------------------------------------

    /// Asks as somebody, with a body or without.
    pub async fn ask_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        self.send(request).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask_as(ADMIN, "GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask_as(ADMIN, "POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask_as(ADMIN, "PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask_as(ADMIN, "PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask_as(ADMIN, "DELETE", path, None).await
    }

    // -- things ----------------------------------------------------------------------------------------------------

    /// An application with this uid.
    pub async fn app(&self, uid: &str) -> AppId {
        let made = self.post("app", serde_json::json!({ "name": uid, "uid": uid })).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text("id").parse().unwrap()
    }

    /// An endpoint of the application with this uid.
    pub async fn endpoint(&self, app: &str, body: Value) -> EndpointId {
        let mut wanted = serde_json::json!({ "url": "https://example.com/hook" });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let made = self.post(&format!("app/{app}/endpoint"), wanted).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text("id").parse().unwrap()
    }

    /// A message; a second passes, so that each has its own time.
    pub async fn publish(&self, app: &str, body: Value) -> String {
        let mut wanted = serde_json::json!({ "eventType": "invoice.paid", "payload": { "n": 1 } });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let accepted = self.post(&format!("app/{app}/msg"), wanted).await;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        self.clock.advance(Duration::from_secs(1));
        accepted.text("id")
    }

    /// The token of something else than the whole environment.
    pub async fn token(&self, scope: Scope, app: Option<AppId>) -> String {
        let wish = TokenWish {
            environment: self.environment,
            scope,
            app,
            name: "test".to_owned(),
            expires_at: None,
        };
        let (record, new) = new_token(&self.state.directory, wish).unwrap();
        self.state
            .directory
            .commit(vec![Change::PutToken(Box::new(record))], None)
            .await
            .unwrap();
        new.expose().to_owned()
    }

    // -- delivering, by hand ---------------------------------------------------------------------------------------

    /// Attempts everything that is due at an endpoint, with this answer. Returns how many there were.
    pub async fn attempt(&self, endpoint: EndpointId, status_code: u16, verdict: Verdict) -> usize {
        let request = ClaimRequest {
            endpoint,
            now: self.clock.now(),
            limit: 1_000,
        };
        let work = self.state.store.claim(request).await.unwrap().work;
        let batch: Vec<_> = work
            .iter()
            .map(|work| Settlement {
                key: work.key(),
                app: work.message.app,
                lease: work.lease,
                progress: work.progress,
                attempt_id: None,
                outcome: Some(self.outcome(status_code)),
                verdict,
                health: None,
                notices: Vec::new(),
            })
            .collect();
        let count = batch.len();
        self.state.store.settle(Arc::new(batch)).await.unwrap();
        self.clock.advance(Duration::from_secs(1));
        count
    }

    fn outcome(&self, status_code: u16) -> Outcome {
        let failed = !(200..300).contains(&status_code);
        let reason = if status_code == 0 {
            "connection_refused"
        } else {
            "status_500"
        };
        Outcome {
            started_at: self.clock.now(),
            duration: Duration::from_millis(20),
            url: "https://example.com/hook".to_owned(),
            status_code,
            failure: failed.then(|| Failure {
                reason,
                detail: "it is out".to_owned(),
            }),
            response: Bytes::from(format!("answer {status_code}")),
            response_headers: if failed {
                vec![("x-answer".to_owned(), "no".to_owned())]
            } else {
                Vec::new()
            },
            signature: "v1,abc".to_owned(),
            retry_after: None,
        }
    }

    /// What a task was written down to do.
    pub async fn job(&self, task: &str) -> Job {
        self.state.store.task(task.parse().unwrap()).await.unwrap().unwrap().job
    }

    /// The runner reports how far a task has come.
    pub async fn progress(&self, task: &str, status: TaskStatus, seen: u64, done: u64) {
        let task = self.state.store.task(task.parse().unwrap()).await.unwrap().unwrap();
        let task = Task {
            status,
            seen,
            done,
            ..task
        };
        self.state
            .directory
            .commit(vec![Change::PutTask(Box::new(task))], None)
            .await
            .unwrap();
    }
}
