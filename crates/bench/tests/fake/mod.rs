//! A small server with the API's shapes: it acknowledges at once and delivers from memory, retrying every few milliseconds. It can be told
//! to lose, repeat, swap or refuse, so that the benchmark can be seen to notice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub const TOKEN: &str = "a-token-for-tests";

/// What goes wrong: every n-th message (0: never).
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub lose_every: u64,
    pub repeat_every: u64,
    pub refuse_every: u64,
    /// Delivered after the one that follows it.
    pub swap_every: u64,
    /// A 503 says when to come again.
    pub retry_after: bool,
}

pub struct Fake {
    pub url: String,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    faults: Faults,
    /// Own servers get a token of their own, which the fake cannot know.
    token: Option<&'static str>,
    messages: AtomicU64,
    apps: Mutex<HashMap<String, Vec<Endpoint>>>,
    senders: Mutex<JoinSet<()>>,
    /// Secrets by name.
    sources: Mutex<HashMap<String, String>>,
    delivery_ids: Mutex<HashSet<String>>,
}

struct Endpoint {
    channels: Vec<String>,
    queue: mpsc::UnboundedSender<Parcel>,
}

struct Parcel {
    payload: Bytes,
    /// After the next one.
    late: bool,
}

#[derive(Deserialize)]
struct NewEndpoint {
    url: String,
    #[serde(default)]
    channels: Vec<String>,
}

#[derive(Deserialize)]
struct NewMessage {
    #[serde(rename = "eventType")]
    event_type: String,
    payload: Box<RawValue>,
    #[serde(default)]
    channels: Vec<String>,
}

impl Fake {
    pub async fn start(faults: Faults, token: Option<&'static str>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            faults,
            token,
            messages: AtomicU64::new(0),
            apps: Mutex::default(),
            senders: Mutex::default(),
            sources: Mutex::default(),
            delivery_ids: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Fake {
            url,
            state,
            _tasks: tasks,
        }
    }

    pub fn apps(&self) -> usize {
        self.state.apps.lock().unwrap().len()
    }

    /// Makes a source as the API would.
    pub fn make_source(&self, name: &str, secret: &str) {
        let mut sources = self.state.sources.lock().unwrap();
        sources.insert(name.to_owned(), secret.to_owned());
    }

    pub fn sources(&self) -> usize {
        self.state.sources.lock().unwrap().len()
    }

    pub fn taken_in(&self) -> usize {
        self.state.delivery_ids.lock().unwrap().len()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &state));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let token = head
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let authorized = state
        .token
        .map_or(token.is_some_and(|token| token.len() >= 32), |right| {
            token == Some(right)
        });
    let (status, text) = match authorized {
        _ if head.uri.path().starts_with("/in/") => take_in(state, head.uri.path(), &head.headers, &body),
        true if head.uri.path().starts_with("/ingest/") => source(state, &head.method, head.uri.path(), &body),
        true => route(state, &head.method, head.uri.path(), &body),
        false => (401, "wrong token"),
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{{\"detail\":\"{text}\"}}"))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 503 && state.faults.retry_after {
        response.headers_mut().insert("retry-after", "1".parse().unwrap());
    }
    Ok(response)
}

fn route(state: &State, method: &Method, path: &str, body: &Bytes) -> (u16, &'static str) {
    let words: Vec<&str> = path
        .trim_start_matches("/api/v1/app")
        .split('/')
        .filter(|word| !word.is_empty())
        .collect();
    match (method, words.as_slice()) {
        (&Method::POST, []) => {
            let app: serde_json::Value = serde_json::from_slice(body).unwrap();
            state
                .apps
                .lock()
                .unwrap()
                .insert(app["uid"].as_str().unwrap().to_owned(), Vec::new());
            (201, "")
        }
        (&Method::DELETE, [app]) => match state.apps.lock().unwrap().remove(*app) {
            Some(_) => (204, ""),
            None => (404, "no such application"),
        },
        (&Method::POST, [app, "endpoint"]) => {
            let endpoint: NewEndpoint = serde_json::from_slice(body).unwrap();
            let (queue, parcels) = mpsc::unbounded_channel();
            let delivering = deliver(endpoint.url.parse().unwrap(), parcels);
            state.senders.lock().unwrap().spawn(delivering);
            let channels = endpoint.channels;
            state
                .apps
                .lock()
                .unwrap()
                .get_mut(*app)
                .unwrap()
                .push(Endpoint { channels, queue });
            (201, "")
        }
        (&Method::POST, [app, "msg"]) => publish(state, app, body),
        _ => (404, "no such path"),
    }
}

fn source(state: &State, method: &Method, path: &str, body: &Bytes) -> (u16, &'static str) {
    let mut sources = state.sources.lock().unwrap();
    if method == Method::DELETE {
        let name = path.rsplit('/').next().unwrap();
        return (sources.remove(name).map_or(404, |_| 204), "");
    }
    let source: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(source["type"], "github");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    sources.insert(text(&source["uid"]), text(&source["config"]["secret"]));
    (201, "")
}

/// A webhook: right when it is signed and its delivery id is new.
fn take_in(state: &State, path: &str, headers: &http::HeaderMap, body: &Bytes) -> (u16, &'static str) {
    let sources = state.sources.lock().unwrap();
    let Some(secret) = path.strip_prefix("/in/").and_then(|name| sources.get(name)) else {
        return (404, "no such source");
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if headers["x-hub-signature-256"] != format!("sha256={hex}") {
        return (401, "wrong signature");
    }
    let id = headers["x-github-delivery"].to_str().unwrap().to_owned();
    match state.delivery_ids.lock().unwrap().insert(id) {
        true => (200, ""),
        false => (400, "a delivery id was used twice"),
    }
}

fn publish(state: &State, app: &str, body: &Bytes) -> (u16, &'static str) {
    let Ok(message) = serde_json::from_slice::<NewMessage>(body) else {
        return (422, "malformed");
    };
    assert!(!message.event_type.is_empty());
    let number = state.messages.fetch_add(1, Relaxed) + 1;
    let every = |n: u64| n != 0 && number.is_multiple_of(n);
    let Faults {
        lose_every,
        repeat_every,
        refuse_every,
        swap_every,
        ..
    } = state.faults;
    if every(refuse_every) {
        return (503, "not now");
    }
    let payload = Bytes::from(message.payload.get().to_owned());
    for endpoint in state.apps.lock().unwrap().get(app).into_iter().flatten() {
        if !endpoint.channels.is_empty() && !message.channels.iter().any(|name| endpoint.channels.contains(name)) {
            continue;
        }
        let copies = if every(lose_every) {
            0
        } else {
            1 + usize::from(every(repeat_every))
        };
        for _ in 0..copies {
            let (payload, late) = (payload.clone(), every(swap_every));
            endpoint.queue.send(Parcel { payload, late }).unwrap();
        }
    }
    (202, "")
}

/// Delivers in order on one connection, again and again until it is accepted.
async fn deliver(url: http::Uri, mut queue: mpsc::UnboundedReceiver<Parcel>) {
    let address: SocketAddr = url.authority().unwrap().as_str().parse().unwrap();
    let mut open = None;
    let mut drivers = JoinSet::new();
    let mut kept = None;
    while let Some(Parcel { payload, late }) = queue.recv().await {
        if late && kept.is_none() {
            kept = Some(payload);
            continue;
        }
        for payload in [Some(payload), kept.take()].into_iter().flatten() {
            while post(address, &url, &payload, &mut open, &mut drivers).await != Some(StatusCode::OK) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn post(
    address: SocketAddr,
    url: &http::Uri,
    payload: &Bytes,
    open: &mut Option<Sender>,
    drivers: &mut JoinSet<()>,
) -> Option<StatusCode> {
    if open.is_none() {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        drivers.spawn(async move { driver.await.unwrap_or(()) });
        *open = Some(sender);
    }
    let mut sender = open.take()?;
    sender.ready().await.ok()?;
    let request = Request::post(url.path())
        .header("host", address.to_string())
        .body(Full::new(payload.clone()))
        .ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status();
    response.into_body().collect().await.ok()?;
    *open = Some(sender);
    Some(status)
}
