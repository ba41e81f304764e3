//! A whole installation moves from a file to PostgreSQL, and goes on there.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use bellwire_core::{
    id::{Id as _, MessageId},
    secret::VerifyingKey,
    sign::{Received, SignedHeaders, verify},
};
use tokio::task::JoinSet;

use super::*;
use crate::{cli::Out, operate::copy};

/// What comes in is put in order; the first number is missing when the installation moves.
const HOOKS: &str = "hooks:\n  steps:\n    verify: none\n    order: {by: body.key, sequence: body.number, start: 1, wait: 1h}\n    \
     do: [{file: {path: steps.jsonl}}]\n";

/// A delivery as it came.
#[derive(Clone, Debug)]
struct Came {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Refuses everything, until it is told to accept.
#[derive(Default)]
struct Receiver {
    accepts: AtomicBool,
    came: Mutex<Vec<Came>>,
}

impl Receiver {
    /// Listens; answers where.
    async fn listen(self: &Arc<Self>, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Arc::clone(self);
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                receiver.answer(stream).await;
            }
        });
        address
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut text = Vec::new();
        let (head, length) = loop {
            let mut piece = [0; 4_096];
            let Ok(read @ 1..) = stream.read(&mut piece).await else {
                return;
            };
            text.extend_from_slice(&piece[..read]);
            let Some(end) = text.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(text[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.parse().unwrap());
            if text.len() >= end + 4 + length {
                break (head, length);
            }
        };
        let accepts = self.accepts.load(SeqCst);
        if accepts {
            let mut lines = head.lines();
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let header = |line: &str| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_ascii_lowercase(), value.to_owned())
            };
            self.came.lock().unwrap().push(Came {
                path,
                headers: lines.map(header).collect(),
                body: text[text.len() - length..].to_vec(),
            });
        }
        let status = if accepts { "204 Yes" } else { "503 No" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn at(&self, path: &str) -> Vec<Came> {
        let came = self.came.lock().unwrap();
        came.iter().filter(|came| came.path == path).cloned().collect()
    }
}

/// A server as somebody sees it who has its token.
struct Seen {
    address: SocketAddr,
    token: String,
}

impl Seen {
    async fn get(&self, path: &str) -> Value {
        ask(self.address, "GET", path, &self.token, None).await.json()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = ask(self.address, "POST", path, &self.token, Some(body)).await;
        assert!((200..300).contains(&answer.0), "{path}: {}", answer.text());
        answer.json()
    }

    /// Publishes with an idempotency key; answers the message's id.
    async fn publish(&self, event_type: &str, key: &str, ordering_key: Option<&str>) -> String {
        let body = json!({ "eventType": event_type, "payload": { "n": key }, "orderingKey": ordering_key });
        let request = http::Request::post(format!("http://{}/api/v1/app/shop/msg", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(body.to_string().into_bytes())
            .unwrap();
        let answer = answered(request).await;
        assert_eq!(answer.0, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A numbered event at the source.
    async fn step(&self, number: u32) {
        let request = http::Request::post(format!("http://{}/in/steps", self.address))
            .header("content-type", "application/json")
            .body(format!("{{\"key\":\"k\",\"number\":{number}}}").into_bytes())
            .unwrap();
        let answer = answered(request).await;
        assert!((200..300).contains(&answer.0), "{}", answer.text());
    }

    /// How many deliveries of an endpoint stand like this, as the API numbers it.
    async fn standing(&self, endpoint: &str, status: u8) -> usize {
        let path = format!("/api/v1/app/shop/endpoint/{endpoint}/msg?status={status}");
        self.get(&path).await["data"].as_array().unwrap().len()
    }

    /// How many attempts were made at an endpoint.
    async fn attempts(&self, endpoint: &str) -> usize {
        let path = format!("/api/v1/app/shop/attempt/endpoint/{endpoint}");
        self.get(&path).await["data"].as_array().unwrap().len()
    }
}

/// Waits for something, by asking again and again.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < patience, "{what} does not come");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_that_was_moved_loses_nothing_and_goes_on() {
    if !database::is_installed() {
        eprintln!("skipped: `initdb` is missing; install postgresql to test moving into it");
        return;
    }
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("hooks.yaml"), HOOKS).unwrap();
    let settings = || {
        let mut settings = config(data.path());
        settings.listener.hooks = Some(folder.path().join("hooks.yaml"));
        settings.secrets.admin_token = Some(Hidden::new("moved-moved-moved-moved-moved-moved-0"));
        settings
    };
    let seen = |server: &Running| Seen {
        address: server.address,
        token: "moved-moved-moved-moved-moved-moved-0".to_owned(),
    };
    let (receiver, mut tasks) = (Arc::new(Receiver::default()), JoinSet::new());
    let to = receiver.listen(&mut tasks).await;

    let running = serve(settings()).await.unwrap();
    let before = seen(&running);
    before
        .post("/api/v1/app", json!({ "name": "Shop", "uid": "shop" }))
        .await;
    let patient = vec!["500ms"; 40];
    for (name, types, ordering, schedule) in [
        ("plain", "a.plain", "none", json!(patient)),
        ("hasty", "a.hasty", "none", json!([])),
        ("ordered", "a.ordered", "key", json!(patient)),
    ] {
        let event_type = json!({ "name": types, "description": "moved" });
        before.post("/api/v1/event-type", event_type).await;
        let endpoint = json!({
            "uid": name, "url": format!("http://{to}/{name}"), "filterTypes": [types],
            "ordering": ordering, "retrySchedule": schedule,
        });
        before.post("/api/v1/app/shop/endpoint", endpoint).await;
    }
    let mut published = Vec::new();
    for n in 0..3 {
        published.push(before.publish("a.plain", &format!("plain-{n}"), None).await);
        before.publish("a.hasty", &format!("hasty-{n}"), None).await;
        before.publish("a.ordered", &format!("ordered-{n}"), Some("k")).await;
    }
    before.step(2).await;
    before.step(3).await;
    until("what is given up", async || before.standing("hasty", 2).await == 3).await;
    until("a try of the head", async || before.attempts("ordered").await > 0).await;
    let secret = before.get("/api/v1/app/shop/endpoint/plain/secret").await;
    assert_eq!(stop(running).await, Ending::Graceful);

    let url = database::url(database::server().folder(), "bellwire", "moved");
    let from = format!("sqlite:{}", data.path().display());
    let mut out = Out::standard(true);
    let copied = copy::copy(&settings(), &from, &url, &mut out).await.unwrap();
    assert_eq!(
        (
            copied.report.counts.pending,
            copied.report.counts.failed,
            copied.report.held
        ),
        (6, 3, 2)
    );

    receiver.accepts.store(true, SeqCst);
    let mut there = settings();
    there.storage.store = Some(Hidden::new(&*url));
    let running = serve(there).await.unwrap();
    let after = seen(&running);
    until("what waited", async || {
        receiver.at("/plain").len() >= 3 && receiver.at("/ordered").len() >= 3
    })
    .await;
    after.step(1).await;
    let steps = || std::fs::read_to_string(data.path().join("steps.jsonl")).unwrap_or_default();
    until("what was held", async || {
        after.get("/api/v1/app").await;
        steps().lines().count() == 3
    })
    .await;
    until("all outcomes", async || after.standing("ordered", 0).await == 3).await;

    // Each once, under its old id; in order; signed with the secret that the owner knows.
    let mut ids: Vec<String> = receiver
        .at("/plain")
        .iter()
        .map(|came| came.header("webhook-id").to_owned())
        .collect();
    ids.sort();
    published.sort();
    assert_eq!(ids, published);
    let ordered = receiver.at("/ordered");
    let numbers: Vec<&str> = ordered.iter().map(|came| came.header("webhook-sequence")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(after.get("/api/v1/app/shop/endpoint/plain/secret").await, secret);
    let keys = [VerifyingKey::parse(secret["key"].as_str().unwrap()).unwrap()];
    for came in receiver.at("/plain") {
        let pairs = came.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: &came.body,
        };
        let at: i64 = came.header("webhook-timestamp").parse().unwrap();
        verify(&received, &keys, at, None).unwrap();
    }
    // What was given up stays so, a key that was used before names its message, and ids go on.
    assert_eq!((after.standing("hasty", 2).await, receiver.at("/hasty").len()), (3, 0));
    let again = after.publish("a.plain", "plain-0", None).await;
    assert!(published.contains(&again));
    let new = after.publish("a.plain", "new", None).await;
    let number = |id: &str| id.parse::<MessageId>().unwrap().number();
    assert!(published.iter().all(|old| number(old) < number(&new)));
    until("the new one", async || receiver.at("/plain").len() == 4).await;
    assert_eq!(stop(running).await, Ending::Graceful);
}
