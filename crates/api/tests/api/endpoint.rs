use crate::harness::Api;
use bellwire_store::query::{MessageFilter, Order, Page, Start};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/app/acme/endpoint";

async fn acme() -> Api {
    let api = Api::new().await;
    api.app("acme").await;
    api
}

#[tokio::test]
async fn what_is_created_keeps_every_field() {
    let api = acme().await;
    let body = json!({
        "url": "http://127.0.0.1:9999/hook", "uid": "e", "description": "billing", "eventTypes": ["b.*", "a"],
        "channels": ["eu", "beta"], "rateLimit": 9, "metadata": { "team": "billing" }, "retrySchedule": ["500ms", 60],
        "timeoutMs": 5000, "maxInFlight": 3, "version": 1,
    });
    let made = api.post(PATH, body).await.ok(201);
    for (name, value) in [
        ("url", json!("http://127.0.0.1:9999/hook")),
        ("uid", json!("e")),
        ("description", json!("billing")),
        ("eventTypes", json!(["a", "b.*"])),
        ("channels", json!(["beta", "eu"])),
        ("throttleRate", json!(9)),
        ("metadata", json!({ "team": "billing" })),
        ("retrySchedule", json!(["500ms", "1m"])),
        ("timeoutMs", json!(5000)),
        ("maxInFlight", json!(3)),
        ("disabled", json!(false)),
        ("paused", json!(false)),
        ("signature", json!("v1")),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    assert_eq!(api.get(&format!("{PATH}/e")).await.ok(200), made);
    assert!(!made.to_string().contains("whsec_"), "no secret in it");
}

#[tokio::test]
async fn refused_urls_say_why_and_leave_nothing() {
    let api = acme().await;
    for url in [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest",
        "http://[::ffff:10.0.0.1]/",
        "http://0x0a000001/",
        "ftp://example.com/",
        "http://user:secret@example.com/",
        "http://example.com:22/",
        "not a url",
        "http:///nohost",
        "",
    ] {
        let answer = api.post(PATH, json!({ "url": url })).await;
        assert_eq!(
            (answer.refused(422).as_str(), answer.loc().as_str()),
            ("url_refused", "body.url"),
            "{url}"
        );
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("secret"));
    }
    assert_eq!(api.ids(PATH).await, [""; 0]);
    let id = api.endpoint("acme", json!({})).await;
    for method in ["PUT", "PATCH"] {
        let answer = api
            .call(method, &format!("{PATH}/{id}"), json!({ "url": "http://10.0.0.1/" }))
            .await;
        assert_eq!(answer.refused(422), "url_refused");
    }
}

#[tokio::test]
async fn wrong_members_are_named() {
    let api = acme().await;
    for (member, value, loc) in [
        ("uid", json!("ep_1"), "body.uid"),
        ("eventTypes", json!([]), "body.eventTypes"),
        ("eventTypes", json!(["a*"]), "body.eventTypes.0"),
        ("channels", json!(["no way!"]), "body.channels.0"),
        ("secret", json!("whsec_short"), "body.secret"),
        ("secret", json!(""), "body.secret"),
        ("headers", json!({ "Host": "x" }), "body.headers"),
        ("timeoutMs", json!(31_000), "body.timeoutMs"),
        ("retrySchedule", json!(["8d"]), "body.retrySchedule.0"),
        ("retrySchedule", json!(["soon"]), "body.retrySchedule.0"),
        ("maxInFlight", json!(0), "body.maxInFlight"),
        ("signature", json!("v2"), "body.signature.v2"),
        ("frobnicate", json!(1), "body.frobnicate"),
    ] {
        let mut body = json!({ "url": "http://127.0.0.1:9999/" });
        body[member] = value.clone();
        let found = api.post(PATH, body).await.loc();
        assert!(
            found == loc || format!("{found}.v2") == loc,
            "{member} {value}: {found}"
        );
    }
}

#[tokio::test]
async fn put_keeps_the_secret_and_patch_changes_only_what_it_names() {
    let api = acme().await;
    let path = format!("{PATH}/e");
    let body = json!({ "url": "http://127.0.0.1:9999/", "description": "one", "retrySchedule": ["1s"] });
    api.call("PUT", &path, body).await.ok(201);
    let secret = api.get(&format!("{path}/secret")).await.text("key");
    let replaced = api
        .call(
            "PUT",
            &path,
            json!({ "url": "http://127.0.0.1:9999/2", "uid": "e", "channels": ["eu"] }),
        )
        .await
        .ok(200);
    assert_eq!(
        (&replaced["description"], &replaced["channels"]),
        (&json!(""), &json!(["eu"]))
    );
    assert_eq!(
        replaced["retrySchedule"],
        json!(["1s"]),
        "what only this server knows stays"
    );
    assert_eq!(api.get(&format!("{path}/secret")).await.text("key"), secret);
    let patched = api
        .call("PATCH", &path, json!({ "description": "three", "disabled": true }))
        .await
        .ok(200);
    assert_eq!(
        (&patched["disabled"], &patched["disabledReason"]),
        (&json!(true), &json!("requested"))
    );
    assert_eq!(patched["channels"], json!(["eu"]));
    let cleared = api
        .call(
            "PATCH",
            &path,
            json!({ "channels": [], "uid": null, "disabled": false }),
        )
        .await
        .ok(200);
    assert_eq!(
        (cleared.get("channels"), cleared.get("uid"), &cleared["disabled"]),
        (None, None, &json!(false))
    );
}

#[tokio::test]
async fn lists_walk_forth_and_back_and_uids_are_unique() {
    let api = acme().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(api.endpoint("acme", json!({ "uid": format!("e{n}") })).await);
    }
    assert_eq!(api.walk(PATH).await, made);
    assert_eq!(
        api.post(PATH, json!({ "url": "http://127.0.0.1:9999/", "uid": "e0" }))
            .await
            .refused(409),
        "uid_taken"
    );
    // In another application the name is free.
    api.app("other").await;
    api.endpoint("other", json!({ "uid": "e0" })).await;
    api.call("DELETE", &format!("{PATH}/e0"), ()).await.ok(204);
    api.get(&format!("{PATH}/{}", made[0])).await.refused(404);
}

#[tokio::test]
async fn headers_are_set_changed_and_shown_without_credentials() {
    let api = acme().await;
    let id = api
        .endpoint("acme", json!({ "headers": { "X-Team": "a", "X-Stage": "prod" } }))
        .await;
    let path = format!("{PATH}/{id}/headers");
    let body = json!({ "headers": { "x-team": "b", "X-Null": null }, "deleteHeaders": ["x-STAGE"] });
    api.call("PATCH", &path, body).await.ok(204);
    assert_eq!(
        api.get(&path).await.ok(200),
        json!({ "headers": { "x-team": "b" }, "sensitive": [] })
    );
    let secret = json!({ "headers": { "Authorization": "Bearer canary", "X-Plain": "shown" } });
    api.call("PUT", &path, secret).await.ok(204);
    let shown = api.get(&path).await.ok(200);
    assert_eq!(
        shown,
        json!({ "headers": { "X-Plain": "shown" }, "sensitive": ["Authorization"] })
    );
    for name in ["Host", "webhook-id", "svix-signature", "Content-Length", "bad name"] {
        assert_eq!(
            api.call("PUT", &path, json!({ "headers": { name: "x" } })).await.loc(),
            "body.headers",
            "{name}"
        );
    }
    assert_eq!(api.get(&path).await.ok(200), shown, "refusals change nothing");
}

#[tokio::test]
async fn a_rotated_secret_leaves_the_old_one_signing_for_a_while() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({})).await;
    let old = api.get(&format!("{PATH}/{id}/secret")).await.text("key");
    assert!(old.starts_with("whsec_"));
    let rotate = format!("{PATH}/{id}/secret/rotate");
    let new = api.post(&rotate, json!({})).await;
    new.ok(200);
    let new = new.text("key");
    assert!(new != old && api.get(&format!("{PATH}/{id}/secret")).await.text("key") == new);
    let live = || {
        let entry = api.state.directory.endpoint_by_id(id.parse().unwrap()).unwrap();
        let now = api.state.directory.now();
        entry
            .endpoint
            .live_keys(now)
            .map(|key| key.expose())
            .collect::<Vec<_>>()
    };
    assert_eq!(live(), [new.clone(), old.clone()]);
    let third = api.post(&rotate, json!({ "gracePeriodSeconds": 0 })).await.text("key");
    assert_eq!(live(), vec![third.clone()], "no grace ends the old ones");
    let back = api.post(&rotate, json!({ "key": old })).await.text("key");
    assert_eq!((back.as_str(), live()), (old.as_str(), vec![old.clone(), third]));
    for (body, loc) in [
        (json!({ "key": "whsec_short" }), "body.key"),
        (json!({ "gracePeriodSeconds": 604_801 }), "body.gracePeriodSeconds"),
    ] {
        assert_eq!(api.post(&rotate, body).await.loc(), loc);
    }
}

#[tokio::test]
async fn an_ed25519_endpoint_is_made_by_its_secret_or_by_asking_for_it_and_shows_its_public_half() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({ "signature": "v1a" })).await;
    let secret = api.get(&format!("{PATH}/{id}/secret")).await.ok(200);
    assert!(secret["key"].as_str().unwrap().starts_with("whpk_"));
    assert_eq!(secret["publicKey"], secret["key"]);
    let shown = api.get(&format!("{PATH}/{id}")).await.ok(200);
    assert_eq!(
        (&shown["signature"], &shown["publicKey"]),
        (&json!("v1a"), &secret["key"])
    );
    let rotated = api.post(&format!("{PATH}/{id}/secret/rotate"), ()).await.text("key");
    assert!(
        rotated.starts_with("whpk_") && rotated != secret["key"],
        "rotation keeps the kind"
    );
    let private = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let other = api.endpoint("acme", json!({ "secret": private })).await;
    assert_eq!(api.get(&format!("{PATH}/{other}")).await.ok(200)["signature"], "v1a");
    assert!(
        !api.get(&format!("{PATH}/{other}/secret"))
            .await
            .json()
            .to_string()
            .contains("whsk_")
    );
    let contradiction = json!({ "url": "http://127.0.0.1:9999/", "secret": private, "signature": "v1" });
    assert_eq!(api.post(PATH, contradiction).await.loc(), "body.secret");
}

#[tokio::test]
async fn stats_count_deliveries() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({})).await;
    api.message("acme", "a").await;
    let path = format!("{PATH}/{id}/stats");
    let expected = json!({ "success": 0, "pending": 1, "sending": 0, "fail": 0, "canceled": 0 });
    assert_eq!(api.get(&path).await.ok(200), expected);
    let wrong = api
        .get(&format!("{path}?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"))
        .await;
    assert_eq!(wrong.loc(), "query.until");
    let attempts = api.get(&format!("{PATH}/{id}/attempt-stats")).await.ok(200);
    assert_eq!(attempts, json!({ "success": 0, "fail": 0, "canceled": 0 }));
}

#[tokio::test]
async fn an_example_goes_to_this_endpoint_only() {
    let api = acme().await;
    let schema = json!({ "1": { "type": "object", "examples": [{ "total": 42 }] } });
    api.post(
        "/api/v1/event-type",
        json!({ "name": "paid", "description": "", "schemas": schema }),
    )
    .await
    .ok(201);
    let id = api.endpoint("acme", json!({ "eventTypes": ["other"] })).await;
    api.endpoint("acme", json!({})).await;
    let sent = api
        .post(&format!("{PATH}/{id}/send-example"), json!({ "eventType": "paid" }))
        .await
        .ok(200);
    assert_eq!(sent["payload"], json!({ "total": 42 }));
    let path = format!("/api/v1/app/acme/msg/{}/endpoint", sent["id"].as_str().unwrap());
    assert_eq!(api.ids(&path).await, vec![id.clone()]);
    let missing = json!({ "eventType": "paid", "exampleIndex": 3 });
    assert_eq!(
        api.post(&format!("{PATH}/{id}/send-example"), missing).await.loc(),
        "body.exampleIndex"
    );
}

#[tokio::test]
async fn the_owner_is_told_what_happens_to_endpoints() {
    let api = acme().await;
    let listener = json!({ "url": "http://127.0.0.1:9999/ops", "eventTypes": ["endpoint.*"] });
    api.post("/api/v1/operational-webhook/endpoint", listener).await.ok(201);
    let id = api.endpoint("acme", json!({ "uid": "e" })).await;
    api.call("PATCH", &format!("{PATH}/{id}"), json!({ "description": "new" }))
        .await
        .ok(200);
    api.call("DELETE", &format!("{PATH}/{id}"), ()).await.ok(204);
    let app = api.state.directory.operational_app(api.environment).unwrap();
    let page = Page {
        limit: 10,
        start: Start::First,
        order: Order::Ascending,
    };
    let told = api
        .state
        .store
        .messages(app.id, MessageFilter::default(), page, true)
        .await
        .unwrap()
        .items;
    let types: Vec<_> = told.iter().map(|message| message.event_type.as_str()).collect();
    assert_eq!(types, ["endpoint.created", "endpoint.updated", "endpoint.deleted"]);
    let payload: Value = serde_json::from_slice(told[0].payload.as_ref().unwrap()).unwrap();
    assert_eq!(payload["type"], "endpoint.created");
    assert_eq!(
        (&payload["data"]["endpointId"], &payload["data"]["appUid"]),
        (&json!(id), &json!("acme"))
    );
}

#[tokio::test]
async fn a_key_that_still_signs_is_never_dropped_to_make_room() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({})).await;
    let rotate = format!("{PATH}/{id}/secret/rotate");
    for _ in 0..9 {
        api.post(&rotate, json!({})).await.ok(200);
    }
    let newest = api.get(&format!("{PATH}/{id}/secret")).await.text("key");
    let refused = api.post(&rotate, json!({})).await;
    assert_eq!(refused.loc(), "body.gracePeriodSeconds");
    assert!(
        refused.json()["detail"][0]["msg"]
            .as_str()
            .unwrap()
            .starts_with("10 keys are still live")
    );
    assert_eq!(api.get(&format!("{PATH}/{id}/secret")).await.text("key"), newest);
    api.post(&rotate, json!({ "gracePeriodSeconds": 0 })).await.ok(200);
    api.post(&rotate, json!({})).await.ok(200);
}

#[tokio::test]
async fn an_endpoint_that_is_enabled_again_is_answered_without_its_old_failures() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({})).await;
    let path = format!("{PATH}/{id}");
    let entry = api.state.directory.endpoint_by_id(id.parse().unwrap()).unwrap();
    let failing = bellwire_core::decide::Health {
        failing_since: Some(crate::harness::START),
    };
    entry.lane.set_health(failing);
    let off = api.call("PATCH", &path, json!({ "disabled": true })).await.ok(200);
    assert_eq!(off["failingSince"], "2026-01-02T03:04:05.000000Z");
    let on = api.call("PATCH", &path, json!({ "disabled": false })).await.ok(200);
    assert_eq!(on.get("failingSince"), None);
    assert_eq!(api.get(&path).await.ok(200), on);
}

#[tokio::test]
async fn an_operational_event_that_there_is_not_is_refused_with_those_there_are() {
    let api = Api::new().await;
    let path = "/api/v1/operational-webhook/endpoint";
    let wish = |types: Value| json!({ "url": "http://127.0.0.1:9999/ops", "eventTypes": types });
    for unknown in ["invoice.paid", "invoice.*", "endpoint", "endpoint.created.*"] {
        for (method, path) in [("POST", path), ("PUT", &*format!("{path}/ops"))] {
            let refused = api.call(method, path, wish(json!(["endpoint.created", unknown]))).await;
            assert_eq!(refused.loc(), "body.eventTypes", "{unknown}");
            let words = refused.json().to_string();
            assert!(
                words.contains("message.attempt.exhausted") && words.contains(unknown),
                "{words}"
            );
        }
    }
    let known = json!(["*", "endpoint.*", "message.attempt.*", "endpoint.disabled"]);
    api.post(path, wish(known)).await.ok(201);
}
