//! Order, batches and signatures as settings of endpoints and messages.

use bellwire_core::{id::EndpointId, order::Ordering};
use serde_json::{Value, json};

use crate::harness::Api;

const PATH: &str = "/api/v1/app/acme/endpoint";

async fn acme() -> Api {
    let api = Api::new().await;
    api.app("acme").await;
    api
}

fn era(api: &Api, endpoint: &str) -> u32 {
    let id: EndpointId = endpoint.parse().unwrap();
    api.state.directory.endpoint_by_id(id).unwrap().endpoint.order.era
}

#[tokio::test]
async fn order_batches_and_signatures_are_kept_as_they_were_given() {
    let api = acme().await;
    let plain = api.post(PATH, json!({ "url": "http://127.0.0.1:9999/" })).await.ok(201);
    assert_eq!(
        (&plain["ordering"], &plain["onExhausted"], &plain["httpSignatures"]),
        (&json!("none"), &json!("skip"), &json!(false))
    );
    assert_eq!((plain.get("batch"), plain.get("orderingKeyExpression")), (None, None));
    let body = json!({
        "url": "http://127.0.0.1:9999/", "ordering": "key", "onExhausted": "block",
        "batch": { "maxMessages": 1000, "maxWaitMs": 60_000, "format": "cloudevents" }, "httpSignatures": true,
    });
    for path in [PATH, "/api/v1/operational-webhook/endpoint"] {
        let made = api.post(path, body.clone()).await.ok(201);
        let shown = api
            .get(&format!("{path}/{}", made["id"].as_str().unwrap()))
            .await
            .ok(200);
        for (name, value) in body.as_object().unwrap() {
            assert_eq!((&made[name], &shown[name]), (value, value), "{name}");
        }
    }
}

#[tokio::test]
async fn put_and_patch_keep_what_they_do_not_name_and_clear_what_is_null() {
    let api = acme().await;
    let body =
        json!({ "ordering": "key", "onExhausted": "block", "batch": { "maxMessages": 5 }, "httpSignatures": true });
    let id = api.endpoint("acme", body).await;
    let path = format!("{PATH}/{id}");
    for (method, change) in [
        ("PUT", json!({ "url": "http://127.0.0.1:9999/2" })),
        ("PATCH", json!({ "description": "x" })),
        (
            "PATCH",
            json!({ "ordering": null, "onExhausted": null, "httpSignatures": null }),
        ),
    ] {
        let kept = api.call(method, &path, change).await.ok(200);
        assert_eq!(
            (
                &kept["ordering"],
                &kept["onExhausted"],
                &kept["httpSignatures"],
                &kept["batch"]["maxMessages"]
            ),
            (&json!("key"), &json!("block"), &json!(true), &json!(5))
        );
    }
    assert_eq!(era(&api, &id), 1, "no order was changed");
    for method in ["PUT", "PATCH"] {
        let change = json!({ "url": "http://127.0.0.1:9999/2", "ordering": "endpoint", "batch": null });
        let changed = api.call(method, &path, change).await.ok(200);
        assert_eq!((&changed["ordering"], changed.get("batch")), (&json!("endpoint"), None));
        assert_eq!(era(&api, &id), 2);
    }
    api.call("PATCH", &path, json!({ "ordering": "none" })).await.ok(200);
    assert_eq!(era(&api, &id), 3);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_can() {
    let api = acme().await;
    let id = api.endpoint("acme", json!({})).await;
    for (body, loc, says) in [
        (
            json!({ "ordering": "strict" }),
            "body.ordering",
            "`none`, `key`, `endpoint`",
        ),
        (json!({ "onExhausted": "stop" }), "body.onExhausted", "`skip`"),
        (
            json!({ "orderingKeyExpression": " " }),
            "body.orderingKeyExpression",
            "null",
        ),
        (
            json!({ "orderingKeyExpression": "customer.(" }),
            "body.orderingKeyExpression",
            "column",
        ),
        (
            json!({ "orderingKeyExpression": "customer.id" }),
            "body.orderingKeyExpression",
            "`ordering: key`",
        ),
        (
            json!({ "orderingKeyExpression": "customer.id", "ordering": "endpoint" }),
            "body.orderingKeyExpression",
            "`ordering: key`",
        ),
        (json!({ "batch": {} }), "body.batch.maxMessages", "required"),
        (
            json!({ "batch": { "maxMessages": 1 } }),
            "body.batch.maxMessages",
            "2 to 1000",
        ),
        (
            json!({ "batch": { "maxMessages": 1_001 } }),
            "body.batch.maxMessages",
            "2 to 1000",
        ),
        (
            json!({ "batch": { "maxMessages": 2, "maxWaitMs": 60_001 } }),
            "body.batch.maxWaitMs",
            "0 to 60000",
        ),
        (
            json!({ "batch": { "maxMessages": 2, "format": "xml" } }),
            "body.batch.format",
            "`json`",
        ),
        (
            json!({ "batch": { "maxMessages": 2, "size": 7 } }),
            "body.batch.size",
            "maxMessages",
        ),
        (
            json!({ "batch": { "maxMessages": 2 }, "ordering": "endpoint" }),
            "body.batch",
            "order by `key`",
        ),
        (json!({ "maxInFlight": 0 }), "body.maxInFlight", "paused"),
    ] {
        let mut create = body.clone();
        create["url"] = json!("http://127.0.0.1:9999/");
        for (method, path, body) in [
            ("POST", PATH.to_owned(), create.clone()),
            ("PUT", format!("{PATH}/{id}"), create),
            ("PATCH", format!("{PATH}/{id}"), body),
        ] {
            let answer = api.call(method, &path, body.clone()).await;
            let found = answer.loc();
            assert!(found.starts_with(loc), "{method} {body}: {found}");
            assert!(
                answer.json().to_string().contains(says),
                "{method} {body}: {}",
                answer.json()
            );
        }
    }
    let zero = api
        .post(PATH, json!({ "url": "http://127.0.0.1:9999/", "throttleRate": 0 }))
        .await;
    assert!(zero.loc() == "body.throttleRate" && zero.json().to_string().contains("paused"));
    let unlimited = api
        .call("PATCH", &format!("{PATH}/{id}"), json!({ "throttleRate": 0 }))
        .await
        .ok(200);
    assert_eq!(unlimited.get("throttleRate"), None, "clients that know it so");
    // What may not be together is also refused when it comes one after the other.
    let batched = json!({ "batch": { "maxMessages": 2 } });
    api.call("PATCH", &format!("{PATH}/{id}"), batched).await.ok(200);
    let ordered = api
        .call("PATCH", &format!("{PATH}/{id}"), json!({ "ordering": "endpoint" }))
        .await;
    assert_eq!(ordered.loc(), "body.batch");
    let entry = api.state.directory.endpoint_by_id(id.parse().unwrap()).unwrap();
    assert_eq!(entry.endpoint.order.ordering, Ordering::None);
}

#[tokio::test]
async fn a_message_keeps_its_ordering_key_and_a_key_that_cannot_be_is_refused_with_the_limit() {
    let api = acme().await;
    let path = "/api/v1/app/acme/msg";
    let event = |key: Value| json!({ "eventType": "a", "payload": {}, "orderingKey": key });
    let made = api.post(path, event(json!("customer 42"))).await.ok(202);
    assert_eq!(made["orderingKey"], "customer 42");
    let shown = api
        .get(&format!("{path}/{}", made["id"].as_str().unwrap()))
        .await
        .ok(200);
    assert_eq!(shown["orderingKey"], "customer 42");
    let none = api.post(path, event(Value::Null)).await.ok(202);
    assert_eq!(none.get("orderingKey"), None);
    api.post(path, event(json!("é".repeat(128)))).await.ok(202);
    for (key, says) in [
        (json!("é".repeat(129)), "256 bytes"),
        (json!(""), "leave it out"),
        (json!("a\u{7}"), "control character"),
        (json!(42), "string"),
    ] {
        let refused = api.post(path, event(key.clone())).await;
        assert_eq!(refused.loc(), "body.orderingKey", "{key}");
        assert!(refused.json().to_string().contains(says), "{}", refused.json());
    }
}
