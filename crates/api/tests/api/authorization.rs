use std::time::Duration;

use crate::harness::{Api, START};
use bellwire_core::{
    app::Environment,
    token::{Scope, hash_opaque},
};
use bellwire_store::Change;
use serde_json::json;

#[tokio::test]
async fn without_a_valid_token_nothing_is_answered() {
    let api = Api::new().await;
    let damaged = format!("{}x", &api.admin[..api.admin.len() - 1]);
    let raised = api.token(Scope::Read, None).await.replace("bw_read_", "bw_admin_");
    for token in ["", "nonsense", "bw_admin_0_0", ".", &damaged, &raised] {
        let answer = api.call_as(token, "GET", "/api/v1/app", ()).await;
        assert_eq!(answer.refused(401), "authentication_failed", "{token}");
    }
    let basic = api
        .call_with("", "GET", "/api/v1/app", (), &[("authorization", "Basic eDp5")])
        .await;
    basic.refused(401);
}

#[tokio::test]
async fn tokens_expire() {
    let api = Api::new().await;
    api.get("/api/v1/app").await.ok(200);
    api.clock.set(START.plus(Duration::from_secs(7 * 86_400)));
    api.get("/api/v1/app").await.refused(401);
}

#[tokio::test]
async fn the_operators_own_token_opens_the_default_environment() {
    let text = "correct-horse-battery-staple-and-more";
    let api = Api::with(|state| state.admin_token = Some(hash_opaque(text))).await;
    api.app("acme").await;
    let seen = api.call_as(text, "GET", "/api/v1/app/acme", ()).await;
    seen.ok(200);
    api.call_as(&format!("{text}x"), "GET", "/api/v1/app/acme", ())
        .await
        .refused(401);
    // Giving it back does not take it away.
    api.call_as(text, "POST", "/api/v1/auth/logout", ()).await.ok(204);
    api.call_as(text, "GET", "/api/v1/app/acme", ()).await.ok(200);
}

#[tokio::test]
async fn scopes_reach_as_far_as_documented() {
    let api = Api::new().await;
    let app = api.app("acme").await;
    let endpoint = api.endpoint("acme", json!({})).await;
    let publish = api.token(Scope::Publish, None).await;
    let read = api.token(Scope::Read, None).await;
    let portal = api.token(Scope::App, Some(&app)).await;
    let only_read = api.token(Scope::Read, Some(&app)).await;
    let ep = format!("/api/v1/app/acme/endpoint/{endpoint}");
    let message = json!({ "eventType": "a", "payload": {} });
    let new_endpoint = json!({ "url": "http://127.0.0.1:9999/" });
    let app_body = json!({ "name": "x" });
    for (method, path, body, allowed) in [
        ("GET", "/api/v1/app", json!({}), [false, true, false, false]),
        ("POST", "/api/v1/app", app_body.clone(), [false; 4]),
        ("GET", "/api/v1/app/acme", json!({}), [false, true, true, true]),
        ("PATCH", "/api/v1/app/acme", app_body, [false; 4]),
        ("POST", "/api/v1/app/acme/msg", message, [true, false, false, false]),
        ("GET", "/api/v1/app/acme/msg", json!({}), [false, true, true, true]),
        (
            "POST",
            "/api/v1/app/acme/endpoint",
            new_endpoint,
            [false, false, true, false],
        ),
        ("GET", &ep, json!({}), [false, true, true, true]),
        ("GET", &format!("{ep}/secret"), json!({}), [false, false, true, false]),
        ("GET", "/api/v1/event-type", json!({}), [false, true, true, true]),
        (
            "POST",
            "/api/v1/event-type",
            json!({ "name": "t", "description": "" }),
            [false; 4],
        ),
        ("GET", "/api/v1/token", json!({}), [false; 4]),
        ("POST", "/api/v1/environment/export", json!({}), [false; 4]),
        (
            "GET",
            "/api/v1/operational-webhook/endpoint",
            json!({}),
            [false, true, false, false],
        ),
    ] {
        let tokens = [&publish, &read, &portal, &only_read];
        for (token, allowed) in tokens.into_iter().zip(allowed) {
            let answer = api.call_as(token, method, path, body.clone()).await;
            let scope = &token[..12];
            match allowed {
                true => assert!(answer.status < 300, "{scope} {method} {path}: {}", answer.status),
                false => assert_eq!(answer.refused(403), "insufficient_access", "{scope} {method} {path}"),
            }
        }
    }
}

#[tokio::test]
async fn what_belongs_to_another_application_or_environment_is_not_found() {
    let api = Api::new().await;
    let (mine, other) = (api.app("mine").await, api.app("other").await);
    let portal = api.token(Scope::App, Some(&mine)).await;
    for name in ["other", &other, "app_doesnotexist", "nobody"] {
        let answer = api
            .call_as(&portal, "GET", &format!("/api/v1/app/{name}/endpoint"), ())
            .await;
        assert_eq!(answer.refused(404), "not_found", "{name}");
    }
    let environment = api.state.directory.new_id();
    let made = Environment {
        id: environment,
        name: "two".into(),
        validate_payloads: false,
        created_at: START,
        updated_at: START,
    };
    api.state
        .directory
        .commit(vec![Change::PutEnvironment(made)], None)
        .await
        .unwrap();
    let stranger = api.token_of(environment, Scope::Admin, None).await;
    for name in ["mine", &mine] {
        api.call_as(&stranger, "GET", &format!("/api/v1/app/{name}"), ())
            .await
            .refused(404);
        api.call_as(&stranger, "DELETE", &format!("/api/v1/app/{name}"), ())
            .await
            .refused(404);
    }
    // The same uid is another application there.
    api.call_as(&stranger, "POST", "/api/v1/app", json!({ "name": "x", "uid": "mine" }))
        .await
        .ok(201);
    assert_eq!(api.get("/api/v1/app/mine").await.ok(200)["name"], "mine");
}

#[tokio::test]
async fn a_portals_token_sees_one_application_until_it_is_given_back() {
    let api = Api::new().await;
    let made = api
        .post(
            "/api/v1/auth/app-portal-access/acme",
            json!({ "application": { "name": "Acme" } }),
        )
        .await;
    made.ok(200);
    let token = made.text("token");
    assert!(made.text("url").starts_with("http://127.0.0.1:8071/") && made.text("url").contains(&token));
    assert_eq!(
        api.call_as(&token, "GET", "/api/v1/app/acme", ()).await.ok(200)["uid"],
        "acme"
    );
    api.call_as(
        &token,
        "POST",
        "/api/v1/app/acme/endpoint",
        json!({ "url": "http://127.0.0.1:9999/" }),
    )
    .await
    .ok(201);
    let read_only = api
        .post(
            "/api/v1/auth/app-portal-access/acme",
            json!({ "readOnly": true, "capabilities": [] }),
        )
        .await;
    let read_only = read_only.text("token");
    api.call_as(&read_only, "GET", "/api/v1/app/acme/endpoint", ())
        .await
        .ok(200);
    api.call_as(
        &read_only,
        "POST",
        "/api/v1/app/acme/endpoint",
        json!({ "url": "http://127.0.0.1:9999/" }),
    )
    .await
    .refused(403);
    api.call_as(&read_only, "GET", "/api/v1/app", ()).await.refused(403);
    api.call_as(&token, "POST", "/api/v1/auth/logout", ()).await.ok(204);
    api.call_as(&token, "GET", "/api/v1/app/acme", ()).await.refused(401);
    assert_eq!(
        api.post("/api/v1/auth/app-portal-access/acme", json!({ "expiry": 60 }))
            .await
            .loc(),
        "body.expiry"
    );
    api.post("/api/v1/auth/app-portal-access/nobody", json!({}))
        .await
        .refused(404);
    let short = api
        .post("/api/v1/auth/app-portal-access/acme", json!({ "expiry": 3600 }))
        .await
        .text("token");
    api.clock.advance(Duration::from_secs(3_600));
    api.call_as(&short, "GET", "/api/v1/app/acme", ()).await.refused(401);
}

#[tokio::test]
async fn no_answer_and_no_printing_shows_a_token_or_a_secret() {
    let api = Api::new().await;
    api.app("acme").await;
    let secret = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5";
    let id = api
        .endpoint(
            "acme",
            json!({ "secret": secret, "headers": { "Authorization": "Bearer canary" } }),
        )
        .await;
    for path in [
        format!("/api/v1/app/acme/endpoint/{id}"),
        "/api/v1/app/acme/endpoint".to_owned(),
        format!("/api/v1/app/acme/endpoint/{id}/headers"),
        "/api/v1/token".to_owned(),
    ] {
        let answer = api.get(&path).await;
        let text = String::from_utf8_lossy(&answer.bytes);
        assert!(
            !text.contains("canary") && !text.contains("Y2FuYXJ5") && !text.contains(&api.admin),
            "{path}: {text}"
        );
    }
    let wrong = api
        .post(
            "/api/v1/app/acme/endpoint",
            json!({ "url": "http://127.0.0.1:9999/", "secret": "whsec_canary!" }),
        )
        .await;
    assert_eq!(wrong.loc(), "body.secret");
    assert!(!String::from_utf8_lossy(&wrong.bytes).contains("canary"));
}
