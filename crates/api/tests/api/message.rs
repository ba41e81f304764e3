use crate::harness::Api;
use bellwire_store::feed::FeedEvent;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/app/acme/msg";

async fn acme() -> Api {
    let api = Api::new().await;
    api.app("acme").await;
    api
}

/// Keys out of order, a number no float keeps, trailing zeros, an exponent, escapes, and spaces inside.
const EXACT: &str = "{\"zebra\": 1.10, \"apple\":  12345678901234567890123,\"exp\" : 1E+2, \"neg\": -0.0,\n \"text\":\"\\u00e9\\/é\", \"nested\":{\"b\":[1, 2.0],\"a\":null}}";

#[tokio::test]
async fn the_payload_stays_the_publishers_bytes() {
    let api = acme().await;
    let body = format!("{{\"eventType\":\"a\", \"payload\":  {EXACT} }}");
    let made = api.post(PATH, body.as_str()).await;
    made.ok(202);
    assert!(String::from_utf8_lossy(&made.bytes).contains(EXACT), "in the answer");
    let id = made.text("id");
    assert_eq!(api.get(&format!("{PATH}/{id}/raw")).await.text("payload"), EXACT);
    let shown = api.get(&format!("{PATH}/{id}")).await;
    assert!(String::from_utf8_lossy(&shown.bytes).contains(EXACT), "when it is read");
    let app = api.state.directory.app(api.environment, "acme").unwrap();
    let stored = api
        .state
        .store
        .message(app.id, id.parse().unwrap(), true)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.payload.unwrap(), EXACT.as_bytes());
}

#[tokio::test]
async fn what_is_published_is_shown_with_all_its_members() {
    let api = acme().await;
    let body = json!({
        "eventType": "a", "payload": {}, "eventId": "e1", "channels": ["us", "eu", "us"], "tags": ["vip"],
        "deliverAt": "2026-01-03T00:00:00Z", "payloadRetentionPeriod": 5, "transformationsParams": { "x": 1 },
    });
    let made = api.post(PATH, body).await.ok(202);
    assert_eq!(made["channels"], json!(["eu", "us"]));
    assert_eq!((&made["tags"], &made["eventId"]), (&json!(["vip"]), &json!("e1")));
    assert_eq!(made["deliverAt"], "2026-01-03T00:00:00.000000Z");
    assert_eq!(made["timestamp"], "2026-01-02T03:04:05.000000Z");
    assert_eq!(
        api.get(&format!("{PATH}/{}", made["id"].as_str().unwrap()))
            .await
            .ok(200),
        made
    );
    assert_eq!(api.get(&format!("{PATH}/e1")).await.ok(200), made, "by its event id");
}

#[tokio::test]
async fn content_is_left_out_when_it_is_not_wanted() {
    let api = acme().await;
    let made = api
        .post(
            &format!("{PATH}?with_content=false"),
            json!({ "eventType": "a", "payload": { "x": 1 } }),
        )
        .await
        .ok(202);
    assert_eq!(made["payload"], json!({}));
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("{PATH}/{id}?with_content=false")).await.ok(200)["payload"],
        json!({})
    );
    assert_eq!(
        api.get(&format!("{PATH}/{id}")).await.ok(200)["payload"],
        json!({ "x": 1 })
    );
    assert_eq!(
        api.get(&format!("{PATH}?with_content=false")).await.ok(200)["data"][0]["payload"],
        json!({})
    );
    assert_eq!(api.get(PATH).await.ok(200)["data"][0]["payload"], json!({ "x": 1 }));
}

#[tokio::test]
async fn a_raw_payload_is_kept_byte_for_byte_with_its_content_type() {
    let api = acme().await;
    let params = json!({ "rawPayload": "<a>not json</a>", "headers": { "content-type": "text/xml" } });
    let made = api
        .post(
            PATH,
            json!({ "eventType": "a", "payload": {}, "transformationsParams": params }),
        )
        .await
        .ok(202);
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("{PATH}/{id}/raw")).await.text("payload"),
        "<a>not json</a>"
    );
    assert_eq!(
        api.get(&format!("{PATH}/{id}")).await.ok(200)["payload"],
        json!({}),
        "clients want an object"
    );
    let app = api.state.directory.app(api.environment, "acme").unwrap();
    let stored = api
        .state
        .store
        .message(app.id, id.parse().unwrap(), true)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.content_type.as_deref(), Some("text/xml"));
    let injected = json!({ "rawPayload": "x", "headers": { "content-type": "a\r\nX: y" } });
    let refused = api
        .post(
            PATH,
            json!({ "eventType": "a", "payload": {}, "transformationsParams": injected }),
        )
        .await;
    assert_eq!(refused.loc(), "body.transformationsParams.headers.content-type");
}

#[tokio::test]
async fn wrong_messages_are_refused_with_their_place_and_leave_nothing() {
    let api = acme().await;
    for (body, loc) in [
        (json!({ "eventType": "a" }), "body.payload"),
        (json!({ "payload": {} }), "body.eventType"),
        (json!({ "eventType": "has space", "payload": {} }), "body.eventType"),
        (json!({ "eventType": "a".repeat(257), "payload": {} }), "body.eventType"),
        (json!({ "eventType": "a", "payload": [] }), "body.payload"),
        (json!({ "eventType": "a", "payload": "text" }), "body.payload"),
        (
            json!({ "eventType": "a", "payload": {}, "channels": ["no way!"] }),
            "body.channels.0",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "eventId": "no way!" }),
            "body.eventId",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "tags": ["a", "b", "c", "d", "e", "f"] }),
            "body.tags",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "payloadRetentionPeriod": 91 }),
            "body.payloadRetentionPeriod",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "deliverAt": "2027-01-01T00:00:00Z" }),
            "body.deliverAt",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "deliverAt": "soon" }),
            "body.deliverAt",
        ),
        (
            json!({ "eventType": "a", "payload": {}, "nonsense": 1 }),
            "body.nonsense",
        ),
    ] {
        assert_eq!(api.post(PATH, body.clone()).await.loc(), loc, "{body}");
    }
    for text in [
        "{\"eventType\":",
        "",
        "[]",
        "{\"eventType\":\"a\",\"payload\":{\"x\":}}",
    ] {
        api.post(PATH, text).await.refused(422);
    }
    let huge = json!({ "eventType": "a", "payload": { "blob": "x".repeat(1_100_000) } });
    assert_eq!(api.post(PATH, huge).await.refused(413), "body_too_large");
    api.post(
        "/api/v1/app/app_doesnotexist/msg",
        json!({ "eventType": "a", "payload": {} }),
    )
    .await
    .refused(404);
    assert_eq!(api.ids(PATH).await, [""; 0]);
}

#[tokio::test]
async fn an_event_id_is_used_once_per_application() {
    let api = acme().await;
    let body = json!({ "eventType": "a", "payload": {}, "eventId": "e" });
    let first = api.post(PATH, body.clone()).await.text("id");
    let taken = api.post(PATH, body.clone()).await;
    assert_eq!(taken.refused(409), "event_id_taken");
    assert_eq!(taken.text("messageId"), first);
    api.app("other").await;
    api.post("/api/v1/app/other/msg", body).await.ok(202);
}

#[tokio::test]
async fn lists_are_newest_first_filtered_and_walk_both_ways() {
    let api = acme().await;
    let mut ids = Vec::new();
    for (n, event_type) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
        api.clock.advance(std::time::Duration::from_secs(60));
        let body =
            json!({ "eventType": event_type, "payload": {}, "channels": [format!("c{}", n % 2)], "tags": ["t/1"] });
        ids.insert(0, api.post(PATH, body).await.text("id"));
    }
    assert_eq!(api.walk(PATH).await, ids);
    assert_eq!(
        api.ids(&format!("{PATH}?event_types=b")).await,
        [ids[1].clone(), ids[3].clone()]
    );
    assert_eq!(
        api.ids(&format!("{PATH}?event_types=a%2Cb&channel=c1")).await,
        [ids[1].clone(), ids[3].clone()]
    );
    assert_eq!(api.ids(&format!("{PATH}?tag=t%2F1&limit=1")).await, [ids[0].clone()]);
    assert_eq!(
        api.ids(&format!("{PATH}?before=2026-01-02T03:06:00")).await,
        [ids[4].clone()]
    );
    assert_eq!(
        api.ids(&format!("{PATH}?after=2026-01-02T03:09:00%2B00:00")).await,
        [ids[0].clone()]
    );
    assert_eq!(api.get(&format!("{PATH}?before=yesterday")).await.loc(), "query.before");
    let found = api
        .post(&format!("{PATH}/search"), json!({ "event_types": ["b"], "limit": 1 }))
        .await
        .ok(200);
    assert_eq!(
        (&found["data"][0]["id"], &found["done"]),
        (&json!(ids[1]), &json!(false))
    );
}

#[tokio::test]
async fn a_message_may_bring_its_application() {
    let api = Api::new().await;
    let body = json!({ "eventType": "a", "payload": {}, "application": { "name": "brought", "uid": "new" } });
    let id = api.post("/api/v1/app/new/msg", body.clone()).await.text("id");
    assert_eq!(api.get("/api/v1/app/new").await.ok(200)["name"], "brought");
    assert_eq!(
        api.get(&format!("/api/v1/app/new/msg/{id}")).await.ok(200)["eventType"],
        "a"
    );
    api.post("/api/v1/app/new/msg", body).await.ok(202);
    let other = json!({ "eventType": "a", "payload": {}, "application": { "name": "x", "uid": "y" } });
    assert_eq!(api.post("/api/v1/app/z/msg", other).await.loc(), "body.uid");
}

#[tokio::test]
async fn payloads_are_checked_where_that_is_wanted() {
    let api = acme().await;
    let schema = json!({
        "1": { "type": "object" },
        "10": { "type": "object", "required": ["total"], "properties": { "total": { "type": "integer" }, "lines": { "items": { "type": "string" } } } },
    });
    api.post(
        "/api/v1/event-type",
        json!({ "name": "paid", "description": "", "schemas": schema }),
    )
    .await
    .ok(201);
    let wrong = json!({ "eventType": "paid", "payload": { "total": "x", "lines": ["a", 1] } });
    api.post(PATH, wrong.clone()).await.ok(202);
    api.call("PATCH", "/api/v1/app/acme", json!({ "validatePayloads": true }))
        .await
        .ok(200);
    let refused = api.post(PATH, wrong.clone()).await;
    assert_eq!(refused.refused(422), "payload_invalid");
    let text = refused.json()["detail"].to_string();
    assert!(
        text.contains(r#"["body","payload","total"]"#) && text.contains(r#"["body","payload","lines","1"]"#),
        "{text}"
    );
    api.post(PATH, json!({ "eventType": "paid", "payload": { "total": 1 } }))
        .await
        .ok(202);
    api.post(PATH, json!({ "eventType": "unknown", "payload": {} }))
        .await
        .ok(202);
    // A changed schema is in force at once.
    api.clock.advance(std::time::Duration::from_secs(1));
    api.call("PATCH", "/api/v1/event-type/paid", json!({ "schemas": null }))
        .await
        .ok(200);
    api.post(PATH, wrong).await.ok(202);
}

#[tokio::test]
async fn only_matching_endpoints_get_it_and_precheck_knows_before() {
    let api = acme().await;
    let wild = api
        .endpoint("acme", json!({ "eventTypes": ["invoice.*"], "channels": ["eu"] }))
        .await;
    api.endpoint("acme", json!({ "disabled": true })).await;
    for (event_type, channels, active) in [
        ("invoice.paid", json!(["eu"]), true),
        ("invoice.paid", json!(["us"]), false),
        ("invoice.paid", json!(null), false),
        ("user.made", json!(["eu"]), false),
    ] {
        let body = json!({ "eventType": event_type, "channels": channels });
        let known = api.post(&format!("{PATH}/precheck/active"), body).await.ok(200);
        assert_eq!(known, json!({ "active": active }), "{event_type} {channels}");
        let body = json!({ "eventType": event_type, "channels": channels, "payload": {} });
        let id = api.post(PATH, body).await.text("id");
        let found = api.ids(&format!("{PATH}/{id}/endpoint")).await;
        assert_eq!(found, if active { vec![wild.clone()] } else { Vec::new() });
    }
}

#[tokio::test]
async fn expunged_content_is_gone() {
    let api = acme().await;
    let id = api.message("acme", "a").await;
    api.call("DELETE", &format!("{PATH}/{id}/content"), ()).await.ok(204);
    assert_eq!(api.get(&format!("{PATH}/{id}")).await.ok(200)["payload"], json!({}));
    assert_eq!(api.get(&format!("{PATH}/{id}/raw")).await.text("payload"), "");
    api.call("DELETE", &format!("{PATH}/msg_doesnotexist/content"), ())
        .await
        .refused(404);
    let other = api.message("acme", "a").await;
    let bulk = api
        .post(&format!("{PATH}/bulk-expunge"), json!({ "ids": [other, "msg_x"] }))
        .await
        .ok(200);
    assert_eq!(bulk["results"], json!({ other: "expunged", "msg_x": "not-found" }));
}

#[tokio::test]
async fn an_accepted_message_is_told_to_watchers_and_counted_once() {
    let api = acme().await;
    api.endpoint("acme", json!({})).await;
    let mut watched = api.state.feed.watch();
    let body = json!({ "eventType": "a", "payload": {} });
    let id = api.once("k", PATH, body.clone()).await.text("id");
    api.once("k", PATH, body).await.ok(202);
    let told = watched.try_recv().unwrap();
    assert!(
        matches!(told, FeedEvent::Message { id: of, endpoints: 1, .. } if of.to_string() == id),
        "{told:?}"
    );
    assert!(watched.try_recv().is_err());
    assert_eq!(api.state.metrics.messages_accepted.get(), 1);
}

#[tokio::test]
async fn the_publishers_trace_is_kept() {
    let api = acme().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let app = api.state.directory.app(api.environment, "acme").unwrap();
    for (given, kept) in [(trace, Some(trace)), ("nonsense", None)] {
        let body = json!({ "eventType": "a", "payload": {} });
        let made = api
            .call_with(&api.admin, "POST", PATH, body, &[("traceparent", given)])
            .await;
        let stored = api
            .state
            .store
            .message(app.id, made.text("id").parse().unwrap(), false)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.traceparent.as_deref(), kept);
    }
}

#[tokio::test]
async fn messages_of_another_application_are_not_found() {
    let api = acme().await;
    let id = api.message("acme", "a").await;
    api.app("other").await;
    for path in ["", "/raw", "/endpoint"] {
        assert_eq!(
            api.get(&format!("/api/v1/app/other/msg/{id}{path}")).await.refused(404),
            "not_found",
            "{path}"
        );
    }
    let gone: Value = api
        .call("DELETE", &format!("/api/v1/app/other/msg/{id}/content"), ())
        .await
        .json();
    assert_eq!(gone["code"], "not_found");
}

#[tokio::test]
async fn every_endpoint_is_told_why_it_got_a_message_or_did_not() {
    let api = acme().await;
    let all = api.endpoint("acme", json!({})).await;
    let other = api.endpoint("acme", json!({ "eventTypes": ["b"] })).await;
    let id = api.message("acme", "a").await;
    let shown = api.get(&format!("{PATH}/{id}/explain")).await.ok(200);
    let rows: Vec<_> = shown["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["endpointId"], &row["matches"]))
        .collect();
    assert_eq!(rows, [(&json!(all), &json!(true)), (&json!(other), &json!(false))]);
    assert_eq!(shown["data"][0]["statusText"], "pending");
    api.get(&format!("{PATH}/msg_doesnotexist/explain")).await.refused(404);
}

#[tokio::test]
async fn a_payload_nested_too_deeply_is_refused_with_the_bound() {
    let api = Api::new().await;
    api.app("acme").await;
    let publish = async |levels: usize| {
        let payload = format!("{}0{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        api.post("/api/v1/app/acme/msg", body.as_str()).await
    };
    publish(100).await.ok(202);
    for levels in [101, 50_000] {
        let refused = publish(levels).await;
        assert_eq!(refused.loc(), "body.payload");
        assert!(refused.json().to_string().contains("100 levels"));
    }
    // What was taken can be read by everybody, also in a list.
    assert_eq!(api.ids("/api/v1/app/acme/msg").await.len(), 1);
}

#[tokio::test]
async fn an_iterator_in_a_body_is_refused_there() {
    let api = Api::new().await;
    api.app("acme").await;
    let body = serde_json::json!({ "iterator": "nonsense" });
    let refused = api.post("/api/v1/app/acme/msg/search", body).await;
    assert_eq!(refused.loc(), "body.iterator");
}
