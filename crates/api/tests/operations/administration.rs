//! Operational webhooks, environments and tokens.

use bellwire_core::{id::EnvironmentId, token::Scope};
use bellwire_store::query::{MessageFilter, Order, Page, Start};
use serde_json::{Value, json};

use crate::bench::{ADMIN, Bench, NOON};

const HOOKS: &str = "operational-webhook/endpoint";

#[tokio::test]
async fn an_operational_endpoint_lives_from_creation_to_deletion() {
    let bench = Bench::new().await;
    assert_eq!(bench.get(HOOKS).await.body["data"], json!([]));
    let wanted = json!({ "url": "https://ops.example.com/", "uid": "ops", "headers": { "X-Team": "blue" } });
    let made = bench.post(HOOKS, wanted).await;
    assert_eq!(
        (made.status, &made.body["description"], &made.body["metadata"]),
        (201, &json!(""), &json!({}))
    );
    assert_eq!(bench.get(HOOKS).await.column("uid"), [json!("ops")]);
    assert_eq!(bench.get("operational-webhook/endpoint/ops").await.body, made.body);
    let update = json!({ "url": "https://ops.example.com/2", "uid": "ops", "eventTypes": ["endpoint.disabled"] });
    let updated = bench.put("operational-webhook/endpoint/ops", update).await;
    assert_eq!(
        (updated.status, updated.text("url")),
        (200, "https://ops.example.com/2".to_owned())
    );
    let headers = "operational-webhook/endpoint/ops/headers";
    assert_eq!(
        bench.get(headers).await.body,
        json!({ "headers": { "X-Team": "blue" }, "sensitive": [] })
    );
    assert_eq!(bench.put(headers, json!({ "headers": {} })).await.status, 204);
    assert_eq!(bench.get(headers).await.body["headers"], json!({}));
    let secret = "operational-webhook/endpoint/ops/secret";
    let first = bench.get(secret).await.text("key");
    let rotated = bench.ask_as(ADMIN, "POST", &format!("{secret}/rotate"), None).await;
    assert_eq!((rotated.status, rotated.body), (204, Value::Null));
    assert_ne!(bench.get(secret).await.text("key"), first);
    assert_eq!(bench.delete("operational-webhook/endpoint/ops").await.status, 204);
    assert_eq!(bench.get("operational-webhook/endpoint/ops").await.status, 404);
}

#[tokio::test]
async fn a_rotation_that_is_repeated_with_its_key_happens_once() {
    let bench = Bench::new().await;
    bench
        .post(HOOKS, json!({ "url": "https://ops.example.com/", "uid": "ops" }))
        .await;
    let secret = "operational-webhook/endpoint/ops/secret";
    let mut seen = vec![bench.get(secret).await.text("key")];
    for _ in 0..2 {
        let request = http::Request::post(format!("/api/v1/{secret}/rotate"))
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("idempotency-key", "auto_1")
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = bench.send(request).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
        seen.push(bench.get(secret).await.text("key"));
    }
    assert!(seen[0] != seen[1] && seen[1] == seen[2], "one rotation");
}

#[tokio::test]
async fn the_application_behind_operational_endpoints_is_never_listed_nor_told_about() {
    let bench = Bench::new().await;
    let made = bench.post(HOOKS, json!({ "url": "https://ops.example.com/" })).await;
    assert_eq!(bench.get("app").await.body["data"], json!([]));
    let app = bench.state.directory.operational_app(bench.environment).unwrap();
    assert_eq!(bench.get(&format!("app/{}", app.id)).await.status, 404);
    bench
        .put(
            &format!("{HOOKS}/{}", made.text("id")),
            json!({ "url": "https://ops.example.com/2" }),
        )
        .await;
    let page = Page {
        limit: 10,
        start: Start::First,
        order: Order::Ascending,
    };
    let told = async || {
        let rows = bench
            .state
            .store
            .messages(app.id, MessageFilter::default(), page, true)
            .await
            .unwrap();
        rows.items
            .into_iter()
            .map(|message| message.event_type)
            .collect::<Vec<_>>()
    };
    assert_eq!(told().await, Vec::<String>::new());
    bench.app("acme").await;
    bench.endpoint("acme", json!({})).await;
    assert_eq!(told().await, ["endpoint.created"]);
}

#[tokio::test]
async fn two_first_operational_endpoints_share_one_application() {
    let bench = Bench::new().await;
    let wanted = |uid: &str| json!({ "url": "https://ops.example.com/", "uid": uid });
    let (a, b) = tokio::join!(bench.post(HOOKS, wanted("a")), bench.post(HOOKS, wanted("b")));
    assert_eq!((a.status, b.status), (201, 201));
    assert_eq!(bench.get(HOOKS).await.column("uid").len(), 2);
    let taken = bench.post(HOOKS, wanted("a")).await;
    assert_eq!((taken.status, taken.text("code")), (409, "uid_taken".to_owned()));
}

#[tokio::test]
async fn operational_endpoints_are_shown_to_readers_and_changed_by_admins() {
    let bench = Bench::new().await;
    let app = bench.app("acme").await;
    let portal = bench.token(Scope::App, Some(app)).await;
    let reader = bench.token(Scope::Read, None).await;
    assert_eq!(bench.ask_as(&portal, "GET", HOOKS, None).await.status, 403);
    assert_eq!(bench.ask_as(&reader, "GET", HOOKS, None).await.status, 200);
    let wanted = Some(json!({ "url": "https://ops.example.com/" }));
    assert_eq!(bench.ask_as(&reader, "POST", HOOKS, wanted).await.status, 403);
}

#[tokio::test]
async fn an_export_imports_into_another_environment_as_it_is() {
    let bench = Bench::new().await;
    bench
        .post(
            "event-type",
            json!({ "name": "a.b", "description": "d", "schemas": { "1": { "type": "object" } } }),
        )
        .await;
    bench
        .post(
            "environment/import",
            json!({ "settings": { "validatePayloads": true } }),
        )
        .await;
    let export = bench.ask_as(ADMIN, "POST", "environment/export", None).await;
    assert_eq!((export.status, &export.body["connectors"]), (200, &json!([])));
    assert_eq!(export.body["settings"], json!({ "validatePayloads": true }));
    let other = bench.post("environment", json!({ "name": "other" })).await;
    assert_eq!(other.status, 201, "{other:?}");
    let token = other.text("token");
    let imported = bench
        .ask_as(&token, "POST", "environment/import", Some(export.body.clone()))
        .await;
    assert_eq!((imported.status, imported.body), (204, Value::Null));
    let again = bench.ask_as(&token, "POST", "environment/export", None).await.body;
    assert_eq!(again["settings"], export.body["settings"]);
    assert_eq!(
        again["eventTypes"][0]["schemas"],
        export.body["eventTypes"][0]["schemas"]
    );
    assert_eq!(again["eventTypes"][0]["name"], json!("a.b"));
}

#[tokio::test]
async fn an_import_that_is_wrong_somewhere_changes_nothing() {
    let bench = Bench::new().await;
    let body = json!({ "eventTypes": [
        { "name": "good", "description": "" },
        { "name": "bad", "description": "", "schemas": { "1": { "type": "no such type" } } },
    ] });
    let answer = bench.post("environment/import", body).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(bench.get("event-type").await.body["data"], json!([]));
}

#[tokio::test]
async fn environments_are_made_by_the_operator_and_hidden_from_others() {
    let bench = Bench::new().await;
    let other = bench.post("environment", json!({ "name": "other" })).await;
    assert_eq!(
        bench.get("environment").await.column("name"),
        [json!("default"), json!("other")]
    );
    let token = other.text("token");
    let own = bench.ask_as(&token, "GET", "environment", None).await;
    assert_eq!(own.column("id"), [other.body["id"].clone()]);
    let refused = bench
        .ask_as(&token, "POST", "environment", Some(json!({ "name": "third" })))
        .await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (403, "insufficient_access".to_owned())
    );
    assert_eq!(bench.post("environment", json!({ "name": "other" })).await.status, 409);
    bench.app("acme").await;
    assert_eq!(bench.ask_as(&token, "GET", "app", None).await.body["data"], json!([]));
}

#[tokio::test]
async fn a_token_works_from_its_creation_to_its_deletion() {
    let bench = Bench::new().await;
    let made = bench.post("token", json!({ "name": "ci", "scope": "read" })).await;
    assert_eq!((made.status, made.text("scope")), (201, "read".to_owned()));
    let token = made.text("token");
    assert_eq!(bench.ask_as(&token, "GET", "app", None).await.status, 200);
    assert_eq!(bench.ask_as(&token, "GET", "token", None).await.status, 403);
    let listed = bench.get("token").await;
    assert_eq!(listed.column("name"), [json!("ci")]);
    assert!(
        !listed.body.to_string().contains(&token),
        "its text is never shown again"
    );
    assert_eq!(bench.delete(&format!("token/{}", made.text("id"))).await.status, 204);
    assert_eq!(bench.ask_as(&token, "GET", "app", None).await.status, 401);
    assert_eq!(bench.delete(&format!("token/{}", made.text("id"))).await.status, 404);
}

#[tokio::test]
async fn impossible_tokens_are_refused() {
    let bench = Bench::new().await;
    let elsewhere: EnvironmentId = bellwire_core::id::Id::from_number(77);
    for body in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "a", "scope": "root" }),
        json!({ "name": "a", "scope": "app" }),
        json!({ "name": "a", "scope": "app", "appId": "nobody" }),
        json!({ "name": "a", "scope": "read", "appId": "nobody" }),
        json!({ "name": "a", "expiresAt": NOON.to_string() }),
        json!({ "name": "a", "environmentId": elsewhere }),
    ] {
        let answer = bench.post("token", body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
    }
    assert_eq!(bench.get("token").await.body["data"], json!([]));
}

#[tokio::test]
async fn a_token_for_another_environment_is_the_operators_to_make() {
    let bench = Bench::new().await;
    let other = bench.post("environment", json!({ "name": "other" })).await;
    let wanted = json!({ "name": "a", "environmentId": other.body["id"] });
    let made = bench.post("token", wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    let environments = bench.ask_as(&made.text("token"), "GET", "environment", None).await;
    assert_eq!(environments.column("id"), [other.body["id"].clone()]);
    let back = json!({ "name": "b", "environmentId": bench.environment });
    assert_eq!(
        bench
            .ask_as(&other.text("token"), "POST", "token", Some(back))
            .await
            .status,
        422
    );
}

#[tokio::test]
async fn the_tokens_of_an_application_expire_together() {
    let bench = Bench::new().await;
    let (acme, other) = (bench.app("acme").await, bench.app("other").await);
    let theirs = [
        bench.token(Scope::App, Some(acme)).await,
        bench.token(Scope::Read, Some(acme)).await,
    ];
    let spared = bench.token(Scope::App, Some(other)).await;
    let works = async |token: &str, app: &str| bench.ask_as(token, "GET", &format!("app/{app}"), None).await.status;
    assert_eq!(
        bench
            .post("auth/app/acme/expire-all", json!({ "expiry": 60 }))
            .await
            .status,
        204
    );
    assert_eq!(works(&theirs[0], "acme").await, 200);
    bench.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(works(&theirs[0], "acme").await, 401);
    assert_eq!(works(&theirs[1], "acme").await, 401);
    assert_eq!(works(&spared, "other").await, 200);
    assert_eq!(bench.post("auth/app/other/expire-all", json!({})).await.status, 204);
    assert_eq!(works(&spared, "other").await, 401);
    assert_eq!(
        bench
            .post("auth/app/acme/expire-all", json!({ "sessionIds": ["s"] }))
            .await
            .status,
        422
    );
}
