//! How long the server takes for what pages are made of, with many messages behind it: no network, the embedded store.
//!
//! `cargo run --release -p bellwire-api --example pages -- [messages] [applications] [endpoints of each] [repetitions]`
//!
//! Fills a store with messages of a week (two in a hundred fail), then asks each operation again and again through the router.
//! Prints the median and the 99th percentile of each. The folder is made in the present directory.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use bellwire_api::{ApiState, router};
use bellwire_core::{
    app::{App, Environment},
    attempt::{Failure, Outcome},
    delivery::{DeliveryKey, Work},
    id::{AppId, EndpointId, EnvironmentId, Id as _},
    message::{NewMessage, Route},
    seal::{Keyring, MainSecret},
    time::Timestamp,
    token::hash_opaque,
};
use bellwire_store::{
    Change, Clock, Directory, Handoff, LaneHead, Settlement, Store, Verdict,
    backends::{self, OpenOptions},
    feed::Feed,
    vault::Vault,
};
use bellwire_testkit::ManualClock;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, header};
use tower::ServiceExt as _;

const BEGIN: Timestamp = Timestamp::from_secs(1_766_059_200);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const ADMIN: &str = "an-admin-token-of-the-operator-with-enough-characters";
/// Messages that are published side by side, and then settled.
const AT_ONCE: u64 = 2_000;

type Error = Box<dyn std::error::Error>;

/// Takes what is handed over.
#[derive(Default)]
struct Inbox(Mutex<Vec<Work>>);

impl Inbox {
    fn take(&self) -> Vec<Work> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handoff for Inbox {
    fn fresh(&self, work: Vec<Work>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(work);
    }

    fn stored(&self, _: LaneHead) {}

    fn waiting(&self, _: &[(EndpointId, u64)]) {}
}

struct Load {
    messages: u64,
    apps: u64,
    endpoints: u64,
    repetitions: u64,
}

impl Load {
    fn from_args() -> Self {
        let mut numbers = std::env::args().skip(1).map(|text| text.parse().unwrap_or(1));
        let mut next = |default| numbers.next().unwrap_or(default);
        Self {
            messages: next(2_000_000),
            apps: next(5),
            endpoints: next(4),
            repetitions: next(100),
        }
    }
}

/// Where things are, to be asked for.
struct Filled {
    router: Router,
    app: AppId,
    endpoint: EndpointId,
    message: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let load = Load::from_args();
    let folder = tempfile::tempdir_in(".")?;
    let clock = Arc::new(ManualClock::new(BEGIN));
    let vault = || Ok::<_, Error>(Vault::new(Keyring::new(MainSecret::from_bytes([7; 32])?)));
    let options = OpenOptions::new(Arc::clone(&clock) as Arc<dyn Clock>, vault()?);
    let store = backends::open(&format!("sqlite:{}", folder.path().display()), options).await?;
    let filled = fill(&load, &store, &clock, vault()?).await?;
    println!("{:<46} {:>10} {:>10}", "operation", "p50", "p99");
    for (name, path) in paths(&filled) {
        time(&filled.router, name, &path, load.repetitions).await?;
    }
    store.close().await;
    Ok(())
}

async fn fill(load: &Load, store: &Arc<dyn Store>, clock: &Arc<ManualClock>, vault: Vault) -> Result<Filled, Error> {
    let environment = EnvironmentId::from_number(1);
    store
        .apply(vec![Change::PutEnvironment(an_environment(environment))], None)
        .await?;
    let directory = Directory::open(Arc::clone(store), Arc::clone(clock) as Arc<dyn Clock>).await?;
    let feed = Arc::new(Feed::default());
    let mut state = ApiState::new(
        Arc::clone(store),
        Arc::new(directory),
        feed,
        Arc::new(vault),
        environment,
    );
    state.admin_token = Some(hash_opaque(ADMIN));
    let router = router(state.clone());
    let mut routes: Vec<(AppId, Vec<EndpointId>)> = Vec::new();
    for n in 0..load.apps {
        let app: AppId = state.directory.new_id();
        state
            .directory
            .commit(vec![Change::PutApp(an_app(app, environment, n))], None)
            .await?;
        let mut endpoints = Vec::new();
        for _ in 0..load.endpoints {
            let path = format!("/api/v1/app/{app}/endpoint");
            let made = ask(&router, "POST", &path, r#"{"url":"https://hooks.example.com/in"}"#).await?;
            let made: serde_json::Value = serde_json::from_slice(&made)?;
            endpoints.push(made["id"].as_str().unwrap_or_default().parse()?);
        }
        routes.push((app, endpoints));
    }
    let inbox = Arc::new(Inbox::default());
    store.attach(Arc::clone(&inbox) as Arc<dyn Handoff>);
    let step = WEEK / u32::try_from(load.messages.max(1))?;
    let mut message = String::new();
    let (mut n, mut count) = (0, 0_u64);
    while n < load.messages {
        let next = (n + AT_ONCE).min(load.messages);
        clock.advance(step * u32::try_from(next - n)?);
        let now = clock.now();
        let appended: Vec<_> = stream::iter(n..next)
            .map(|n| store.append(a_message(n, &routes, now)))
            .buffer_unordered(256)
            .collect()
            .await;
        if n <= load.messages / 2
            && let Some(Ok(one)) = appended.into_iter().next()
        {
            message = one.id.to_string();
        }
        let batch: Vec<_> = inbox
            .take()
            .iter()
            .map(|work| {
                count += 1;
                a_settlement(work, now, count % 50 == 0)
            })
            .collect();
        store.settle(Arc::new(batch)).await?;
        n = next;
    }
    Ok(Filled {
        router,
        app: routes[0].0,
        endpoint: routes[0].1[0],
        message,
    })
}

fn an_environment(id: EnvironmentId) -> Environment {
    Environment {
        id,
        name: "default".to_owned(),
        validate_payloads: false,
        created_at: BEGIN,
        updated_at: BEGIN,
    }
}

fn an_app(id: AppId, environment: EnvironmentId, n: u64) -> App {
    App {
        id,
        environment,
        uid: Some(format!("customer-{n}")),
        name: "A customer".to_owned(),
        throttle_rate: None,
        publish_rate: None,
        metadata: Default::default(),
        kind: Default::default(),
        validate_payloads: None,
        created_at: BEGIN,
        updated_at: BEGIN,
    }
}

fn a_message(n: u64, routes: &[(AppId, Vec<EndpointId>)], now: Timestamp) -> NewMessage {
    let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let (app, endpoints) = &routes[random as usize % routes.len()];
    let endpoint = endpoints[(random / 7) as usize % endpoints.len()];
    NewMessage {
        app: *app,
        event_type: format!("invoice.{}", random % 10),
        event_id: Some(format!("evt-{n}")),
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Bytes::from(format!(r#"{{"order":"A-{n}","text":"{}"}}"#, "x".repeat(400))),
        payload_expires_at: now.plus(Duration::from_secs(90 * 86_400)),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        routes: vec![Route {
            endpoint,
            stored: false,
            line: None,
        }],
        idempotency: None,
    }
}

fn a_settlement(work: &Work, at: Timestamp, fails: bool) -> Settlement {
    let failure = fails.then(|| Failure {
        reason: "status_unavailable",
        detail: "it is out".to_owned(),
    });
    Settlement {
        key: DeliveryKey {
            message: work.message.id,
            endpoint: work.endpoint,
        },
        app: work.message.app,
        lease: work.lease,
        progress: work.progress,
        attempt_id: None,
        outcome: Some(Outcome {
            started_at: at,
            duration: Duration::from_millis(30),
            url: "https://hooks.example.com/in".to_owned(),
            status_code: if fails { 503 } else { 200 },
            failure,
            response: Bytes::from_static(b"ok"),
            response_headers: Vec::new(),
            signature: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=".to_owned(),
            retry_after: None,
        }),
        verdict: if fails { Verdict::Failed } else { Verdict::Succeeded },
        health: None,
        notices: Vec::new(),
    }
}

/// What pages ask for.
fn paths(filled: &Filled) -> Vec<(&'static str, String)> {
    let Filled {
        app, endpoint, message, ..
    } = filled;
    vec![
        ("series, all, a day", "/api/v1/stats/series".to_owned()),
        (
            "series, all, a week",
            format!("/api/v1/stats/series?since={}", BEGIN.plus(Duration::from_secs(3_600))),
        ),
        (
            "series, an endpoint",
            format!("/api/v1/stats/series?endpoint={endpoint}"),
        ),
        ("problems, all, a day", "/api/v1/problems".to_owned()),
        (
            "problems, all, a week",
            format!("/api/v1/problems?since={}", BEGIN.plus(Duration::from_secs(3_600))),
        ),
        ("search, message id", format!("/api/v1/search?q={message}")),
        (
            "search, event id in an app",
            format!("/api/v1/search?q=evt-77&app={app}&limit=1"),
        ),
        ("search, endpoint id", format!("/api/v1/search?q={endpoint}")),
        (
            "search, filters",
            "/api/v1/search?event_types=invoice.3&limit=50".to_owned(),
        ),
        ("search, status", "/api/v1/search?status=503&limit=50".to_owned()),
        (
            "search, text that is new",
            "/api/v1/search?q=%22order%22&limit=20".to_owned(),
        ),
        (
            "search, text that is nowhere",
            "/api/v1/search?q=nowhere-to-be-found".to_owned(),
        ),
        ("message", format!("/api/v1/app/{app}/msg?limit=50&with_content=false")),
        (
            "attempts of an endpoint",
            format!("/api/v1/app/{app}/attempt/endpoint/{endpoint}?limit=50"),
        ),
        (
            "failed attempts of an endpoint",
            format!("/api/v1/app/{app}/attempt/endpoint/{endpoint}?limit=50&status=2"),
        ),
        (
            "endpoint status",
            format!("/api/v1/app/{app}/endpoint/{endpoint}/status"),
        ),
        ("audit log", "/api/v1/audit".to_owned()),
    ]
}

async fn time(router: &Router, name: &str, path: &str, repetitions: u64) -> Result<(), Error> {
    let mut took = Vec::new();
    for _ in 0..repetitions {
        let begun = Instant::now();
        ask(router, "GET", path, "").await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |of_hundred: usize| took.get((took.len() * of_hundred / 100).min(took.len() - 1)).copied();
    let millis = |span: Option<Duration>| format!("{:.1} ms", span.unwrap_or_default().as_secs_f64() * 1e3);
    println!("{name:<46} {:>10} {:>10}", millis(at(50)), millis(at(99)));
    Ok(())
}

async fn ask(router: &Router, method: &str, path: &str, body: &'static str) -> Result<Bytes, Error> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
        .body(Body::from(body))?;
    let answer = router.clone().oneshot(request).await?;
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 64 << 20).await?;
    match status.is_success() {
        true => Ok(bytes),
        false => Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&bytes)).into()),
    }
}
