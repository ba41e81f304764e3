use crate::harness::Api;
use bellwire_testkit::Verb;
use serde_json::json;

#[tokio::test]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let api = Api::new().await;
    api.app("acme").await;
    let id = api.endpoint("acme", json!({})).await;
    let path = format!("/api/v1/app/acme/endpoint/{id}");
    let (one, two) = tokio::join!(
        api.call("PATCH", &path, json!({ "description": "new" })),
        api.call("PATCH", &path, json!({ "throttleRate": 5 })),
    );
    one.ok(200);
    two.ok(200);
    let now = api.get(&path).await.ok(200);
    assert_eq!((&now["description"], &now["throttleRate"]), (&json!("new"), &json!(5)));
}

#[tokio::test]
async fn a_store_that_cannot_write_acknowledges_and_changes_nothing() {
    let api = Api::new().await;
    api.app("acme").await;
    let body = json!({ "eventType": "a", "payload": {} });
    api.faults.fail(Verb::Append, 1.0);
    api.faults.fail(Verb::Apply, 1.0);
    for (path, body) in [
        ("/api/v1/app/acme/msg", body.clone()),
        ("/api/v1/app", json!({ "name": "b" })),
    ] {
        let refused = api.once("k", path, body).await;
        assert_eq!(refused.refused(503), "store_unavailable");
        assert_eq!(refused.headers["retry-after"], "1");
    }
    api.faults.fail(Verb::Append, 0.0);
    api.faults.fail(Verb::Apply, 0.0);
    assert_eq!(api.ids("/api/v1/app/acme/msg").await, [""; 0]);
    assert_eq!(api.ids("/api/v1/app").await.len(), 1);
    // The same requests, repeated once it can write again, are done.
    api.once("k", "/api/v1/app/acme/msg", body).await.ok(202);
    api.once("k", "/api/v1/app", json!({ "name": "b" })).await.ok(201);
}

#[tokio::test]
async fn an_operational_event_that_cannot_be_written_does_not_fail_the_change_it_is_about() {
    let api = Api::new().await;
    api.app("acme").await;
    let listener = json!({ "url": "http://127.0.0.1:9999/ops" });
    api.post("/api/v1/operational-webhook/endpoint", listener).await.ok(201);
    api.faults.fail(Verb::Append, 1.0);
    let id = api.endpoint("acme", json!({})).await;
    api.get(&format!("/api/v1/app/acme/endpoint/{id}")).await.ok(200);
}

#[tokio::test]
async fn answers_are_remembered_over_a_restart() {
    let mut api = Api::new().await;
    let first = api.once("k", "/api/v1/app", json!({ "name": "a" })).await;
    first.ok(201);
    // What a new process has: the store, and nothing in memory.
    api.router = bellwire_api::router(api.state.clone());
    let again = api.once("k", "/api/v1/app", json!({ "name": "a" })).await;
    assert_eq!((again.status, again.bytes), (201, first.bytes));
}
