//! The live stream.

use axum::body::Body;
use bellwire_core::{id::Id as _, token::Scope};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    attempts::told,
    bench::{ADMIN, Bench},
};

/// A stream that is read piece by piece.
struct Stream(Body);

impl Stream {
    async fn open(bench: &Bench, token: &str, query: &str) -> Self {
        let request = Request::get(format!("/api/v1/tail?{query}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let response = bench.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self(response.into_body());
        assert_eq!(stream.next().await.unwrap(), ": watching\n\n");
        stream
    }

    async fn next(&mut self) -> Option<String> {
        let data = self.0.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    }

    /// Kind and data of the next event.
    async fn event(&mut self) -> (String, Value) {
        let text = self.next().await.unwrap();
        let field = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        (field("event"), serde_json::from_str(&field("data")).unwrap())
    }
}

#[tokio::test]
async fn what_is_published_and_attempted_is_told_as_it_happens() {
    let bench = Bench::new().await;
    let app = bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({})).await;
    let mut stream = Stream::open(&bench, ADMIN, "").await;
    let id = bench.publish("acme", json!({})).await;
    let (kind, data) = stream.event().await;
    assert_eq!(
        (kind.as_str(), &data["id"], &data["appUid"]),
        ("message", &json!(id), &json!("acme"))
    );
    assert_eq!(data["endpoints"], json!(1));
    bench.state.feed.tell(|| told(&bench, app, endpoint, true));
    let (kind, data) = stream.event().await;
    assert_eq!(
        (kind.as_str(), &data["endpointId"], &data["status"]),
        ("attempt", &json!(endpoint), &json!(2))
    );
}

#[tokio::test]
async fn a_watcher_is_shown_what_it_asked_for_and_may_see() {
    let bench = Bench::new().await;
    let app = bench.app("acme").await;
    let other = bench.app("other").await;
    let endpoint = bench.endpoint("acme", json!({ "uid": "hook" })).await;
    let mut failed = Stream::open(&bench, ADMIN, "failed=true&app=acme&endpoint=hook").await;
    let portal = bench.token(Scope::App, Some(other)).await;
    let mut portal = Stream::open(&bench, &portal, "").await;
    bench.publish("acme", json!({})).await;
    bench.state.feed.tell(|| told(&bench, app, endpoint, false));
    bench.state.feed.tell(|| told(&bench, app, endpoint, true));
    bench.publish("other", json!({ "eventType": "mine" })).await;
    assert_eq!(failed.event().await.1["responseStatusCode"], json!(500));
    assert_eq!(portal.event().await.1["eventType"], json!("mine"));
    assert_eq!(bench.get("tail?app=nobody").await.status, 404);
    let missing = bellwire_core::id::EndpointId::from_number(99);
    assert_eq!(bench.get(&format!("tail?endpoint={missing}")).await.status, 404);
}

#[tokio::test]
async fn a_slow_watcher_is_told_how_much_it_missed() {
    let bench = Bench::new().await;
    let app = bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({})).await;
    let mut stream = Stream::open(&bench, ADMIN, "").await;
    for _ in 0..5_000 {
        bench.state.feed.tell(|| told(&bench, app, endpoint, false));
    }
    let (kind, data) = stream.event().await;
    assert_eq!(kind, "missed");
    assert!(data["count"].as_u64().unwrap() >= 5_000 - 4_096 && data["count"].as_u64().unwrap() < 5_000);
    assert_eq!(stream.event().await.0, "attempt");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_that_it_lives_and_ends_when_the_server_stops() {
    let bench = Bench::new().await;
    let mut stream = Stream::open(&bench, ADMIN, "").await;
    assert_eq!(stream.next().await.as_deref(), Some(":\n\n"));
    bench.state.ready.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(stream.next().await, None);
}
