//! A whole API over a store in memory and a clock that stands still, called without a socket.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bellwire_api::{
    ApiState,
    auth::{TokenWish, new_token},
};
use bellwire_core::{
    app::Environment,
    id::{AppId, EnvironmentId},
    seal::{Keyring, MainSecret},
    time::Timestamp,
    token::Scope,
};
use bellwire_store::{Change, Clock, Directory, Store, feed::Feed, vault::Vault};
use bellwire_testkit::{FaultPlan, ManualClock, MemoryStore};
use http::{HeaderMap, Request};
use serde_json::Value;
use tower::ServiceExt as _;

/// 2026-01-02T03:04:05Z.
pub const START: Timestamp = Timestamp::from_secs(1_767_323_045);

pub struct Api {
    pub router: Router,
    pub state: ApiState,
    pub clock: Arc<ManualClock>,
    /// Nothing fails until it is told to.
    pub faults: Arc<FaultPlan>,
    pub environment: EnvironmentId,
    /// A token of scope `admin`.
    pub admin: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// A member of the body that must be text.
    pub fn text(&self, name: &str) -> String {
        self.json()[name]
            .as_str()
            .unwrap_or_else(|| panic!("no text `{name}` in {}", self.json()))
            .to_owned()
    }

    /// Checks that it was refused in the documented form, and answers the code.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        let code = self.text("code");
        assert_eq!(self.text("docs"), format!("/docs/errors/{code}"));
        if status == 422 {
            let items = body["detail"].as_array().expect("422 has a list");
            assert!(!items.is_empty());
            for item in items {
                assert!(
                    item["loc"]
                        .as_array()
                        .is_some_and(|loc| loc.iter().all(Value::is_string)),
                    "{body}"
                );
                assert!(item["msg"].is_string() && item["type"].is_string(), "{body}");
            }
        } else {
            assert!(body["detail"].is_string(), "{body}");
        }
        code
    }

    /// The place that the first problem of a 422 names.
    #[track_caller]
    pub fn loc(&self) -> String {
        self.refused(422);
        let body = self.json();
        let loc = body["detail"][0]["loc"].as_array().cloned().unwrap_or_default();
        loc.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".")
    }

    /// Checks the status and answers the body.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

impl Api {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the defaults. Loopback addresses are allowed anyway.
    pub async fn with(adjust: impl FnOnce(&mut ApiState)) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let faults = Arc::new(FaultPlan::new(0));
        let store = MemoryStore::with_faults(Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&faults));
        let store: Arc<dyn Store> = Arc::new(store);
        let directory = Arc::new(
            Directory::open(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>)
                .await
                .unwrap(),
        );
        let environment: EnvironmentId = directory.new_id();
        let made = Environment {
            id: environment,
            name: "default".to_owned(),
            validate_payloads: false,
            created_at: START,
            updated_at: START,
        };
        directory
            .commit(vec![Change::PutEnvironment(made)], None)
            .await
            .unwrap();
        let vault = Arc::new(Vault::new(Keyring::new(MainSecret::from_bytes([7; 32]).unwrap())));
        let mut state = ApiState::new(store, directory, Arc::new(Feed::default()), vault, environment);
        state.address_policy.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        adjust(&mut state);
        let router = bellwire_api::router(state.clone());
        let mut api = Self {
            router,
            state,
            clock,
            faults,
            environment,
            admin: String::new(),
        };
        api.admin = api.token(Scope::Admin, None).await;
        api
    }

    /// A new token.
    pub async fn token(&self, scope: Scope, app: Option<&str>) -> String {
        self.token_of(self.environment, scope, app).await
    }

    pub async fn token_of(&self, environment: EnvironmentId, scope: Scope, app: Option<&str>) -> String {
        let app: Option<AppId> = app.map(|id| id.parse().unwrap());
        let expires_at = Some(self.clock.now().plus(Duration::from_secs(7 * 86_400)));
        let wish = TokenWish {
            environment,
            scope,
            app,
            name: "test".to_owned(),
            expires_at,
        };
        let (token, new) = new_token(&self.state.directory, wish).unwrap();
        self.state
            .directory
            .commit(vec![Change::PutToken(Box::new(token))], None)
            .await
            .unwrap();
        new.expose().to_owned()
    }

    /// A call with the admin's token. `body` is sent as it is when it is text.
    pub async fn call(&self, method: &str, path: &str, body: impl Into<Sent>) -> Answer {
        self.call_as(&self.admin, method, path, body).await
    }

    pub async fn call_as(&self, token: &str, method: &str, path: &str, body: impl Into<Sent>) -> Answer {
        self.call_with(token, method, path, body, &[]).await
    }

    pub async fn call_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: impl Into<Sent>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.into().0)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap().to_vec();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        }
    }

    /// A POST with an idempotency key.
    pub async fn once(&self, key: &str, path: &str, body: impl Into<Sent>) -> Answer {
        self.call_with(&self.admin, "POST", path, body, &[("idempotency-key", key)])
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, ()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Sent>) -> Answer {
        self.call("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: impl Into<Sent>) -> Answer {
        self.call("PUT", path, body).await
    }

    /// An application; answers its id.
    pub async fn app(&self, uid: &str) -> String {
        let body = serde_json::json!({ "name": uid, "uid": uid });
        let made = self.post("/api/v1/app", body).await;
        made.ok(201);
        made.text("id")
    }

    /// An endpoint; `more` is added to its settings. Answers its id.
    pub async fn endpoint(&self, app: &str, more: Value) -> String {
        let mut body = serde_json::json!({ "url": "http://127.0.0.1:9999/hook" });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.post(&format!("/api/v1/app/{app}/endpoint"), body).await;
        made.ok(201);
        made.text("id")
    }

    /// A message; answers its id.
    pub async fn message(&self, app: &str, event_type: &str) -> String {
        let body = serde_json::json!({ "eventType": event_type, "payload": { "n": 1 } });
        let made = self.post(&format!("/api/v1/app/{app}/msg"), body).await;
        made.ok(202);
        made.text("id")
    }

    /// The ids (or, for event types, names) in a list's answer.
    pub async fn ids(&self, path: &str) -> Vec<String> {
        let body = self.get(path).await.ok(200);
        let row = |row: &Value| row["id"].as_str().or_else(|| row["name"].as_str()).unwrap().to_owned();
        body["data"].as_array().unwrap().iter().map(row).collect()
    }

    /// Walks a list forth to its end and back to its beginning, two rows at a time; answers all ids in order.
    pub async fn walk(&self, path: &str) -> Vec<String> {
        let and = if path.contains('?') { '&' } else { '?' };
        let mut pages: Vec<Vec<String>> = Vec::new();
        let mut at = String::new();
        let mut back = loop {
            let body = self.get(&format!("{path}{and}limit=2{at}")).await.ok(200);
            let ids = |body: &Value| -> Vec<String> {
                let row = |row: &Value| row["id"].as_str().or_else(|| row["name"].as_str()).unwrap().to_owned();
                body["data"].as_array().unwrap().iter().map(row).collect()
            };
            pages.push(ids(&body));
            at = format!("&iterator={}", body["iterator"].as_str().unwrap_or_default());
            if body["done"] == true {
                break body;
            }
        };
        for expected in pages.iter().rev().skip(1) {
            let prev = back["prevIterator"].as_str().unwrap().to_owned();
            back = self.get(&format!("{path}{and}limit=2&iterator={prev}")).await.ok(200);
            let row = |row: &Value| row["id"].as_str().or_else(|| row["name"].as_str()).unwrap().to_owned();
            let ids: Vec<_> = back["data"].as_array().unwrap().iter().map(row).collect();
            assert_eq!(&ids, expected, "walking back");
        }
        pages.concat()
    }
}

/// A request's body.
pub struct Sent(Vec<u8>);

impl From<()> for Sent {
    fn from((): ()) -> Self {
        Self(Vec::new())
    }
}

impl From<Value> for Sent {
    fn from(value: Value) -> Self {
        Self(value.to_string().into_bytes())
    }
}

impl From<&str> for Sent {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Sent {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
