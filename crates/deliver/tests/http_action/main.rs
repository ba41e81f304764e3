//! The action `http` against receivers that answer, misbehave, hang and flood, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod secure;
mod signed;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    address::{AddressPolicy, Cidr},
    attempt::Outcome,
    decide::Health,
    delivery::{Lease, Progress, Work},
    endpoint::{Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId, Id, MessageId},
    message::Message,
    secret::SigningKey,
    sign::{self, Received, SignedHeaders},
    time::Timestamp,
};
use bellwire_deliver::{
    DeliverConfig,
    action::{Acted, Action, Letter, Order},
    actions::http::HttpAction,
    guard::{Guard, GuardConfig},
};
use bellwire_store::directory::{EndpointEntry, LaneGauge};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

const NOW: Timestamp = Timestamp::from_secs(1_766_000_000);
const BODY: &str = "{\"b\":1.0,\"a\":12345678901234567890}";

fn action() -> HttpAction {
    let loopback: Cidr = "127.0.0.0/8".parse().unwrap();
    let policy = AddressPolicy {
        allow_private: vec![loopback],
        ..AddressPolicy::default()
    };
    let guard = Guard::new(GuardConfig {
        policy,
        ..GuardConfig::default()
    })
    .unwrap();
    HttpAction::new(guard, DeliverConfig::default(), TaskTracker::new())
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        id: EndpointId::from_number(7),
        app: AppId::from_number(1),
        uid: None,
        url: url.to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::from([("x-team".to_owned(), "kitchen".to_owned())]),
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
        created_at: NOW,
        updated_at: NOW,
    }
}

fn work(number: u64) -> Work {
    let message = Message {
        id: MessageId::from_number(number),
        app: AppId::from_number(1),
        event_type: "a".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Some(Bytes::from_static(BODY.as_bytes())),
        payload_expires_at: Timestamp::MAX,
        deliver_at: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        content_type: None,
        inbound: None,
        created_at: NOW,
    };
    Work {
        message: Arc::new(message),
        endpoint: EndpointId::from_number(7),
        lease: Lease(0),
        progress: Progress::default(),
        due_at: NOW,
        place: None,
    }
}

async fn act_with(
    action: &HttpAction,
    endpoint: Endpoint,
    timeout: Duration,
    may_begin: &(dyn Fn() -> bool + Send + Sync),
) -> Acted {
    let entry = Arc::new(EndpointEntry::new(
        endpoint,
        EnvironmentId::from_number(1),
        Arc::new(LaneGauge::new(Health::default())),
    ));
    let work = work(42);
    let order = Order {
        endpoint: &entry,
        works: vec![&work],
        letter: Letter::single(&work, Bytes::from_static(BODY.as_bytes())),
        started_at: NOW,
        timeout,
        may_begin,
    };
    action.act(order).await
}

/// Attempts one letter; the receiver has to answer.
async fn attempt(action: &HttpAction, endpoint: Endpoint, works: &[Work], letter: Letter<'_>) -> Outcome {
    let entry = Arc::new(EndpointEntry::new(
        endpoint,
        EnvironmentId::from_number(1),
        Arc::new(LaneGauge::new(Health::default())),
    ));
    let order = Order {
        endpoint: &entry,
        works: works.iter().collect(),
        letter,
        started_at: NOW,
        timeout: LONG,
        may_begin: &|| true,
    };
    match action.act(order).await {
        Acted::Attempted(outcome) => outcome,
        Acted::Withheld => panic!("withheld"),
    }
}

async fn post(action: &HttpAction, url: &str, timeout: Duration) -> Outcome {
    match act_with(action, endpoint(url), timeout, &|| true).await {
        Acted::Attempted(outcome) => outcome,
        Acted::Withheld => panic!("withheld"),
    }
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

/// A receiver on a free port: `serve` is given each connection.
async fn receiver<F, S>(serve: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(TcpStream, usize) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let tasks = TaskTracker::new();
    let accepting = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            accepting.spawn(serve(stream, n));
        }
    });
    (address, connections)
}

/// Reads one request: its head, and its body by content-length.
async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let n = stream.read(&mut chunk).await.ok()?;
        if n == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        if body.len() >= length {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

/// A receiver that answers every request with the same bytes.
async fn answering(answer: impl Into<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let answer = Arc::new(answer.into());
    let (address, connections) = receiver(move |mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            while read_request(&mut stream).await.is_some() {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (format!("http://{address}/hook?x=1"), connections)
}

fn reason(outcome: &Outcome) -> &'static str {
    outcome.failure.as_ref().map_or("none", |failure| failure.reason)
}

#[tokio::test]
async fn a_post_carries_the_published_bytes_signed_and_traced() {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let (address, _) = receiver(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move {
            *keep.lock().unwrap() = read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let outcome = post(&action(), &format!("http://{address}/hook?x=1"), LONG).await;
    assert_eq!((outcome.status_code, outcome.failure), (204, None));
    let (head, body) = seen.lock().unwrap().take().unwrap();
    assert_eq!(body, BODY);
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| {
        let mut found = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {head}"));
        assert!(found.next().is_none(), "{name} twice");
        value.to_owned()
    };
    assert_eq!(header("host"), address.to_string());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-team"), "kitchen");
    assert!(header("user-agent").starts_with("Bellwire/"));
    assert!(header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(!header("traceparent").contains("00f067aa0ba902b7"), "a new span");
    assert_eq!(header("svix-signature"), header("webhook-signature"));
    assert_eq!(header("webhook-id"), MessageId::from_number(42).to_string());
    let pairs = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, header(name)));
    let headers = SignedHeaders::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
    let key = SigningKey::generate_symmetric([7; 24]).verifying();
    let received = Received {
        headers,
        body: body.as_bytes(),
    };
    sign::verify(&received, &[key], NOW.secs(), Some(Duration::from_secs(300))).unwrap();
}

#[tokio::test]
async fn connections_are_used_again() {
    let (url, connections) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let action = action();
    for _ in 0..20 {
        let outcome = post(&action, &url, LONG).await;
        assert_eq!((outcome.status_code, outcome.response.as_ref()), (200, &b"ok"[..]));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(action.idle_connections(), 1);
    action.forget(EndpointId::from_number(7));
    assert_eq!(action.idle_connections(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced_without_a_failed_attempt() {
    // Each connection serves one request without announcing that it closes.
    let (address, connections) = receiver(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let action = action();
    for n in 1..=5 {
        let outcome = post(&action, &format!("http://{address}/"), LONG).await;
        assert_eq!((reason(&outcome), outcome.status_code), ("none", 200));
        assert_eq!(connections.load(Ordering::SeqCst), n);
    }
}

#[tokio::test]
async fn only_2xx_succeeds_and_redirects_are_not_followed() {
    for (status, expected) in [
        ("200 OK", "none"),
        ("299 Fine", "none"),
        ("301 Moved\r\nlocation: http://127.0.0.1:1/", "redirect"),
        ("999 Odd", "status_unexpected"),
        ("404 Not Found", "status_not_found"),
        ("410 Gone", "status_gone"),
        ("418 Teapot", "status_4xx"),
        ("429 Slow Down\r\nretry-after: 7", "status_too_many_requests"),
        ("500 Oops", "status_5xx"),
        ("503 Away\r\nretry-after: 120", "status_unavailable"),
    ] {
        let (url, connections) = answering(format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nwhy?")).await;
        let outcome = post(&action(), &url, LONG).await;
        assert_eq!(reason(&outcome), expected, "{status}");
        assert_eq!(outcome.response.as_ref(), b"why?");
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        let asked = status
            .split("retry-after: ")
            .nth(1)
            .map(|s| Duration::from_secs(s.parse().unwrap()));
        assert_eq!(outcome.retry_after, asked);
        assert!(
            outcome
                .response_headers
                .contains(&("content-length".to_owned(), "4".to_owned()))
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = post(&action(), &format!("http://{address}/"), LONG).await;
    assert_eq!((reason(&outcome), outcome.status_code), ("connection_refused", 0));
    assert!(!outcome.response.is_empty(), "people can read why");
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_its_timeout_and_is_named_by_how_far_it_came() {
    let (address, _) = receiver(|mut stream, _| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let outcome = post(&action(), &format!("http://{address}/"), SHORT).await;
    assert_eq!(reason(&outcome), "timeout_headers");
    assert!(outcome.duration >= SHORT && outcome.duration < LONG);

    let (address, _) = receiver(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            .await
            .unwrap();
        // One byte a tick, for ever.
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
    let outcome = post(&action(), &format!("http://{address}/"), SHORT).await;
    assert_eq!((reason(&outcome), outcome.status_code), ("timeout_body", 0));
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_connection_closed() {
    let closed = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&closed);
    let (address, _) = receiver(move |mut stream, _| {
        let told = Arc::clone(&told);
        async move {
            read_request(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .unwrap();
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            told.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let action = action();
    let outcome = post(&action, &format!("http://{address}/"), LONG).await;
    assert_eq!(reason(&outcome), "none");
    assert_eq!(outcome.response.len(), DeliverConfig::default().response_bytes);
    assert_eq!(action.idle_connections(), 0);
    tokio::time::timeout(LONG, async {
        while !closed.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the receiver sees the connection close");
}

#[tokio::test]
async fn a_flood_of_headers_and_nonsense_are_failures_with_names() {
    let many = (0..200).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let (url, _) = answering(format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n")).await;
    assert_eq!(reason(&post(&action(), &url, LONG).await), "answer_headers_too_large");
    let (url, _) = answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100_000))).await;
    assert_eq!(reason(&post(&action(), &url, LONG).await), "answer_headers_too_large");
    let (url, _) = answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(33_000))).await;
    assert_eq!(reason(&post(&action(), &url, LONG).await), "answer_headers_too_large");
    let (url, _) = answering("220 smtp.example.com ESMTP\r\n").await;
    assert_eq!(reason(&post(&action(), &url, LONG).await), "answer_malformed");
    let (address, _) = receiver(|mut stream, _| async move { drop(read_request(&mut stream).await) }).await;
    assert_eq!(
        reason(&post(&action(), &format!("http://{address}/"), LONG).await),
        "connection_closed"
    );
}

#[tokio::test]
async fn a_url_that_may_not_be_called_is_refused_at_the_attempt_as_well() {
    let outcome = post(&action(), "http://10.0.0.1/", LONG).await;
    assert_eq!(reason(&outcome), "address_refused");
}

#[tokio::test]
async fn nothing_is_sent_once_the_endpoint_was_disabled_while_connecting() {
    let (url, connections) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let action = action();
    assert!(matches!(
        act_with(&action, endpoint(&url), LONG, &|| false).await,
        Acted::Withheld
    ));
    // The connection was made and is kept, and nothing was asked on it.
    assert_eq!(action.idle_connections(), 1);
    assert!(matches!(
        act_with(&action, endpoint(&url), LONG, &|| false).await,
        Acted::Withheld
    ));
    assert_eq!(post(&action, &url, LONG).await.status_code, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
