use crate::harness::Api;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn the_same_request_gets_the_first_answer_again_and_is_done_once() {
    let api = Api::new().await;
    let body = json!({ "name": "a" });
    let first = api.once("k", "/api/v1/app", body.clone()).await;
    first.ok(201);
    let again = api.once("k", "/api/v1/app/", body.clone()).await;
    assert_eq!((again.status, again.bytes), (201, first.bytes));
    assert_eq!(api.ids("/api/v1/app").await.len(), 1);
    assert_eq!(
        api.once("k", "/api/v1/app", json!({ "name": "b" })).await.refused(422),
        "idempotency_mismatch"
    );
    assert_eq!(api.ids("/api/v1/app").await.len(), 1);
    // Another key is another request, and so is the same key on another path.
    api.once("l", "/api/v1/app", body).await.ok(201);
    api.once("k", "/api/v1/event-type", json!({ "name": "a", "description": "" }))
        .await
        .ok(201);
}

#[tokio::test]
async fn a_message_is_published_once() {
    let api = Api::new().await;
    api.app("acme").await;
    let body = json!({ "eventType": "a", "payload": { "n": 1 } });
    let first = api.once("k", "/api/v1/app/acme/msg", body.clone()).await;
    first.ok(202);
    api.clock.advance(Duration::from_secs(3_600));
    let again = api.once("k", "/api/v1/app/acme/msg", body.clone()).await;
    assert_eq!((again.status, again.bytes), (202, first.bytes.clone()));
    let other = json!({ "eventType": "a", "payload": { "n": 2 } });
    assert_eq!(
        api.once("k", "/api/v1/app/acme/msg", other).await.refused(422),
        "idempotency_mismatch"
    );
    assert_eq!(api.ids("/api/v1/app/acme/msg").await, [first.text("id")]);
    api.clock.advance(Duration::from_secs(12 * 3_600));
    let later = api.once("k", "/api/v1/app/acme/msg", body).await.text("id");
    assert_ne!(later, first.text("id"), "forgotten after 12 hours");
}

#[tokio::test]
async fn refusals_are_not_remembered() {
    let api = Api::new().await;
    let body = json!({ "name": "a", "uid": "a" });
    api.app("a").await;
    api.once("k", "/api/v1/app", body.clone()).await.refused(409);
    api.call("DELETE", "/api/v1/app/a", ()).await.ok(204);
    api.once("k", "/api/v1/app", body).await.ok(201);
}

#[tokio::test]
async fn answers_without_a_body_and_from_the_store_are_remembered_too() {
    let api = Api::new().await;
    api.app("acme").await;
    let endpoint = api.endpoint("acme", json!({})).await;
    let message = api.message("acme", "a").await;
    let path = format!("/api/v1/app/acme/msg/{message}/endpoint/{endpoint}/resend");
    assert_eq!(api.once("k", &path, ()).await.ok(202), json!({}));
    assert_eq!(api.once("k", &path, ()).await.ok(202), json!({}));
}

#[tokio::test]
async fn an_answer_that_shows_a_secret_is_repeated_and_kept_sealed() {
    let api = Api::new().await;
    api.app("acme").await;
    let endpoint = api.endpoint("acme", json!({})).await;
    let path = format!("/api/v1/app/acme/endpoint/{endpoint}/secret/rotate");
    let first = api.once("k", &path, json!({})).await.text("key");
    assert_eq!(api.once("k", &path, json!({})).await.text("key"), first);
    assert_eq!(
        api.get(&format!("/api/v1/app/acme/endpoint/{endpoint}/secret"))
            .await
            .text("key"),
        first
    );
    let access = api.once("p", "/api/v1/auth/app-portal-access/acme", json!({})).await;
    let again = api.once("p", "/api/v1/auth/app-portal-access/acme", json!({})).await;
    assert_eq!(access.text("token"), again.text("token"));
}

#[tokio::test]
async fn two_at_once_are_one() {
    let api = Api::new().await;
    let body = json!({ "name": "a" });
    let (one, two) = tokio::join!(
        api.once("k", "/api/v1/app", body.clone()),
        api.once("k", "/api/v1/app", body)
    );
    assert_eq!((one.ok(201), api.ids("/api/v1/app").await.len()), (two.ok(201), 1));
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let api = Api::new().await;
    assert_eq!(
        api.once(&"k".repeat(257), "/api/v1/app", json!({ "name": "a" }))
            .await
            .loc(),
        "header.idempotency-key"
    );
    assert_eq!(
        api.once("", "/api/v1/app", json!({ "name": "a" })).await.loc(),
        "header.idempotency-key"
    );
}
