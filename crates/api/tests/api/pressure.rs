//! Publishing under pressure: what is refused before it is read, and what the answers say about it.

use std::{pin::pin, task::Poll, time::Duration};

use axum::body::Body;
use bellwire_api::{ApiState, PublishLimits};
use bellwire_core::id::EndpointId;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Request;
use prometheus_client::registry::Registry;
use serde_json::json;
use tower::ServiceExt as _;

use crate::harness::{Answer, Api};

const PATH: &str = "/api/v1/app/acme/msg";

async fn acme(limits: PublishLimits) -> Api {
    let api = Api::with(|state: &mut ApiState| state.limits.publish = limits).await;
    api.app("acme").await;
    api
}

fn event() -> serde_json::Value {
    json!({ "eventType": "a", "payload": {} })
}

/// So many deliveries wait for the endpoint, as the store would tell.
fn waiting(api: &Api, endpoint: &str, count: u64) {
    let endpoint: EndpointId = endpoint.parse().unwrap();
    api.state.directory.note_waiting(&[(endpoint, count)]);
}

#[track_caller]
fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer
        .headers
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    value.to_str().unwrap()
}

fn counted(api: &Api, reason: &str) -> bool {
    let mut registry = Registry::default();
    api.state.metrics.register(&mut registry);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    page.contains(&format!("bellwire_requests_refused_total{{reason=\"{reason}\"}} 1\n"))
}

#[tokio::test]
async fn while_too_much_waits_nothing_is_accepted_and_it_is_said_when_to_come_back() {
    let limits = PublishLimits {
        high_water: 10,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    let endpoint = api.endpoint("acme", json!({})).await;
    waiting(&api, &endpoint, 9);
    api.post(PATH, event()).await.ok(202);
    waiting(&api, &endpoint, 10);
    let refused = api.post(PATH, event()).await;
    assert_eq!(refused.refused(503), "server_overloaded");
    assert_eq!(header(&refused, "retry-after"), "10");
    assert!(counted(&api, "high_water"));
    let example = json!({ "eventType": "a", "payload": {} });
    let path = format!("/api/v1/app/acme/endpoint/{endpoint}/send-example");
    assert_eq!(api.post(&path, example).await.refused(503), "server_overloaded");
    assert_eq!(api.ids(PATH).await.len(), 1, "nothing but publishing is refused");
    waiting(&api, &endpoint, 0);
    api.post(PATH, event()).await.ok(202);
}

/// A publication whose body does not end.
fn endless(api: &Api, begins: &'static str) -> Request<Body> {
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(begins.as_bytes()))]).chain(stream::pending());
    let request = Request::builder().method("POST").uri(PATH);
    let request = request.header("authorization", format!("Bearer {}", api.admin));
    request.body(Body::from_stream(body)).unwrap()
}

#[tokio::test]
async fn when_no_place_is_left_a_publication_is_refused_before_anything_else_is_looked_at() {
    let limits = PublishLimits {
        in_flight_max: 0,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    let refused = api.post(PATH, event()).await;
    assert_eq!(refused.refused(503), "server_overloaded");
    assert_eq!(header(&refused, "retry-after"), "1");
    assert!(counted(&api, "in_flight"));
    let endless = api.router.clone().oneshot(endless(&api, "{")).await.unwrap();
    assert_eq!(endless.status(), 503, "its body is not waited for");
    assert_eq!(api.call_as("", "POST", PATH, event()).await.status, 503);
}

#[tokio::test]
async fn a_slow_sender_takes_nobodys_place_and_places_are_given_back() {
    let limits = PublishLimits {
        in_flight_max: 1,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    let mut slow = pin!(api.router.clone().oneshot(endless(&api, "{")));
    assert!(matches!(futures_util::poll!(&mut slow), Poll::Pending));
    for _ in 0..3 {
        api.post(PATH, event()).await.ok(202);
        assert_eq!(api.call_as("wrong", "POST", PATH, event()).await.status, 401);
        assert_eq!(api.post(PATH, "{").await.status, 422);
    }
}

#[tokio::test]
async fn bodies_in_memory_are_bounded_by_what_has_arrived_of_them() {
    let limits = PublishLimits {
        body_bytes_max: 1_000,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    let large = json!({ "eventType": "a", "payload": { "text": "x".repeat(900) } });
    api.post(PATH, large.clone()).await.ok(202);
    {
        let mut first = pin!(
            api.router
                .clone()
                .oneshot(endless(&api, "{ \"payload\": { \"text\": \"0123456789"))
        );
        // The first piece arrives.
        assert!(first.as_mut().now_or_never().is_none());
        api.post(PATH, event()).await.ok(202);
        let large = json!({ "eventType": "a", "payload": { "text": "x".repeat(940) } });
        assert_eq!(api.post(PATH, large).await.refused(503), "server_overloaded");
        assert!(counted(&api, "body_bytes"));
    }
    api.post(PATH, large).await.ok(202);
}

#[tokio::test]
async fn an_application_over_its_rate_is_told_so_and_others_are_not() {
    let limits = PublishLimits {
        app_rate: 2,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    api.app("other").await;
    let first = api.post(PATH, event()).await;
    first.ok(202);
    assert_eq!(header(&first, "ratelimit-policy"), r#""publish";q=2;w=1"#);
    assert_eq!(header(&first, "ratelimit"), r#""publish";r=1;t=1"#);
    let wrong = api.post(PATH, "{").await;
    wrong.refused(422);
    assert_eq!(
        header(&wrong, "ratelimit"),
        r#""publish";r=0;t=1"#,
        "every answer says it"
    );
    let refused = api.post(PATH, "not even JSON").await;
    assert_eq!(refused.refused(429), "quota_exceeded");
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "ratelimit"), r#""publish";r=0;t=1"#);
    assert!(counted(&api, "app_rate"));
    api.post("/api/v1/app/other/msg", event()).await.ok(202);
    assert!(
        !api.get(PATH).await.headers.contains_key("ratelimit"),
        "only publishing"
    );
    api.clock.advance(Duration::from_millis(500));
    api.post(PATH, event()).await.ok(202);
    assert_eq!(api.post(PATH, event()).await.refused(429), "quota_exceeded");
}

#[tokio::test]
async fn an_applications_own_rate_wins_and_can_be_taken_away() {
    let limits = PublishLimits {
        app_rate: 1,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    let path = "/api/v1/app/acme";
    let changed = api.call("PATCH", path, json!({ "publishRate": 100 })).await.ok(200);
    assert_eq!(changed["publishRate"], 100);
    for _ in 0..100 {
        api.post(PATH, event()).await.ok(202);
    }
    assert_eq!(api.post(PATH, event()).await.refused(429), "quota_exceeded");
    // A client that does not know it does not take it away; who knows it does.
    let replaced = api
        .call("PUT", path, json!({ "name": "acme", "uid": "acme" }))
        .await
        .ok(200);
    assert_eq!(replaced["publishRate"], 100);
    let cleared = api.call("PATCH", path, json!({ "publishRate": null })).await.ok(200);
    assert_eq!(cleared.get("publishRate"), None);
    api.clock.advance(Duration::from_secs(5));
    api.post(PATH, event()).await.ok(202);
    assert_eq!(api.post(PATH, event()).await.refused(429), "quota_exceeded");
    // Zero takes away, as it does with `throttleRate`: with PATCH only.
    let rates = json!({ "publishRate": 100, "throttleRate": 7 });
    api.call("PATCH", path, rates).await.ok(200);
    let zeros = json!({ "publishRate": 0, "throttleRate": 0 });
    let cleared = api.call("PATCH", path, zeros).await.ok(200);
    assert_eq!((cleared.get("publishRate"), cleared.get("throttleRate")), (None, None));
    let zero = json!({ "name": "acme", "uid": "acme", "publishRate": 0 });
    for refused in [
        api.call("PUT", path, zero).await,
        api.call("PATCH", path, json!({ "publishRate": 1_000_001 })).await,
    ] {
        assert_eq!(refused.loc(), "body.publishRate");
        assert!(
            refused.json().to_string().contains("publish_app_rate"),
            "{}",
            refused.json()
        );
    }
}

#[tokio::test]
async fn an_application_for_which_too_much_waits_is_told_so_and_others_are_not() {
    let limits = PublishLimits {
        app_waiting: 5,
        ..PublishLimits::default()
    };
    let api = acme(limits).await;
    api.app("other").await;
    let (one, two) = (
        api.endpoint("acme", json!({})).await,
        api.endpoint("acme", json!({})).await,
    );
    waiting(&api, &one, 2);
    waiting(&api, &two, 2);
    let accepted = api.post(PATH, event()).await;
    accepted.ok(202);
    assert!(!accepted.headers.contains_key("ratelimit"), "no rate is in force");
    waiting(&api, &two, 3);
    let refused = api.post(PATH, event()).await;
    assert_eq!(refused.refused(429), "quota_exceeded");
    assert_eq!(header(&refused, "retry-after"), "10");
    assert!(counted(&api, "app_waiting"));
    api.post("/api/v1/app/other/msg", event()).await.ok(202);
}
