//! Attempts, deliveries, resending, and the explanation of both.

use bellwire_core::{id::EndpointId, time::Timestamp, token::Scope};
use bellwire_store::{Verdict, feed::FeedEvent};
use serde_json::{Value, json};

use crate::bench::{ADMIN, Bench, NOON};

/// An application `acme` with one endpoint, and one message that failed there once and waits for its retry.
async fn failing() -> (Bench, EndpointId, String) {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench
        .endpoint(
            "acme",
            json!({ "uid": "hook", "headers": { "Authorization": "Bearer x" } }),
        )
        .await;
    let message = bench
        .publish(
            "acme",
            json!({ "eventId": "evt-1", "channels": ["eu"], "tags": ["blue"] }),
        )
        .await;
    let later = NOON.plus(std::time::Duration::from_secs(3_600));
    assert_eq!(bench.attempt(endpoint, 500, Verdict::RetryAt(later)).await, 1);
    (bench, endpoint, message)
}

#[tokio::test]
async fn an_attempt_is_listed_by_endpoint_and_by_message_and_got_by_its_id() {
    let (bench, endpoint, message) = failing().await;
    let by_endpoint = bench.get("app/acme/attempt/endpoint/hook?expanded_statuses=true").await;
    let by_message = bench.get("app/acme/attempt/msg/evt-1").await;
    assert_eq!((by_endpoint.status, by_message.status), (200, 200));
    assert_eq!(by_endpoint.body["data"], by_message.body["data"]);
    let row = &by_endpoint.body["data"][0];
    assert_eq!(
        (&row["status"], &row["statusText"], &row["triggerType"]),
        (&json!(2), &json!("fail"), &json!(0))
    );
    assert_eq!(
        (&row["response"], &row["responseStatusCode"]),
        (&json!("answer 500"), &json!(500))
    );
    assert_eq!((&row["msgId"], &row["endpointId"]), (&json!(message), &json!(endpoint)));
    assert_eq!((&by_endpoint.body["done"], row.get("msg")), (&json!(true), None));
    let id = row["id"].as_str().unwrap();
    let one = bench.get(&format!("app/acme/msg/{message}/attempt/{id}")).await;
    assert_eq!((one.status, &one.body), (200, row));
}

#[tokio::test]
async fn a_list_of_attempts_is_narrowed_by_every_condition() {
    let (bench, endpoint, _) = failing().await;
    let rows = async |query: &str| {
        let list = bench.get(&format!("app/acme/attempt/endpoint/hook?{query}")).await;
        assert_eq!(list.status, 200, "{list:?}");
        list.body["data"].as_array().unwrap().len()
    };
    for met in [
        "status=2",
        "status_code_class=500",
        "channel=eu",
        "tag=blue",
        "event_types=invoice.paid%2Cx",
        "after=2025-12-18T12:00:00Z",
        "before=2025-12-18T13:00:00%2B00:00",
    ] {
        assert_eq!(rows(met).await, 1, "{met}");
    }
    for unmet in [
        "status=0",
        "status=1",
        "status_code_class=0",
        "channel=us",
        "tag=red",
        "event_types=x",
        "after=2025-12-18T13:00:00Z",
        "before=2025-12-18T12:00:00Z",
    ] {
        assert_eq!(rows(unmet).await, 0, "{unmet}");
    }
    let only = bench
        .get(&format!("app/acme/attempt/msg/evt-1?endpoint_id={endpoint}"))
        .await;
    assert_eq!(only.column("endpointId"), [json!(endpoint)]);
    assert_eq!(
        bench.get("app/acme/attempt/msg/evt-1?endpoint_id=nobody").await.status,
        404
    );
    assert_eq!(bench.get("app/acme/attempt/endpoint/hook?status=9").await.status, 422);
}

#[tokio::test]
async fn content_and_message_are_shown_as_asked() {
    let (bench, ..) = failing().await;
    let with = bench.get("app/acme/attempt/endpoint/hook?with_msg=true").await;
    assert_eq!(with.body["data"][0]["msg"]["payload"], json!({ "n": 1 }));
    let without = bench
        .get("app/acme/attempt/endpoint/hook?with_msg=true&with_content=false")
        .await;
    let row = &without.body["data"][0];
    assert_eq!((&row["response"], &row["msg"]["payload"]), (&json!(""), &json!({})));
}

#[tokio::test]
async fn attempts_are_paged_forth_and_back_newest_first() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({})).await;
    for _ in 0..3 {
        bench.publish("acme", json!({})).await;
        bench.attempt(endpoint, 200, Verdict::Succeeded).await;
    }
    let at = format!("app/acme/attempt/endpoint/{endpoint}");
    let all = bench.get(&at).await.column("id");
    let first = bench.get(&format!("{at}?limit=2")).await;
    assert_eq!(
        (first.column("id").as_slice(), &first.body["done"]),
        (&all[..2], &json!(false))
    );
    let second = bench
        .get(&format!("{at}?limit=2&iterator={}", first.text("iterator")))
        .await;
    assert_eq!(
        (second.column("id").as_slice(), &second.body["done"]),
        (&all[2..], &json!(true))
    );
    let back = bench
        .get(&format!("{at}?limit=2&iterator={}", second.text("prevIterator")))
        .await;
    assert_eq!(back.column("id"), all[..2]);
    assert!(all[0].as_str() > all[1].as_str(), "newest first");
}

#[tokio::test]
async fn the_headers_of_an_attempt_are_shown_without_secrets() {
    let (bench, _, message) = failing().await;
    let id = bench.get("app/acme/attempt/msg/evt-1").await.body["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let headers = bench.get(&format!("app/acme/msg/{message}/attempt/{id}/headers")).await;
    let sent = &headers.body["sentHeaders"];
    assert_eq!(
        (&sent["webhook-id"], &sent["svix-signature"]),
        (&json!(message), &json!("v1,abc"))
    );
    assert_eq!(sent["Authorization"], json!("[redacted]"));
    assert_eq!(headers.body["sensitive"], json!(["Authorization"]));
    assert_eq!(headers.body["responseHeaders"], json!([["x-answer", "no"]]));
}

#[tokio::test]
async fn what_the_receiver_answered_can_be_forgotten() {
    let (bench, _, message) = failing().await;
    let id = bench.get("app/acme/attempt/msg/evt-1").await.body["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = format!("app/acme/msg/{message}/attempt/{id}");
    assert_eq!(bench.delete(&format!("{at}/content")).await.status, 204);
    let forgotten = bench.get(&at).await;
    assert_eq!((forgotten.status, forgotten.text("response")), (200, String::new()));
}

#[tokio::test]
async fn what_belongs_to_nobody_or_to_others_is_not_found() {
    let (bench, _, message) = failing().await;
    let other = bench.app("other").await;
    let token = bench.token(Scope::App, Some(other)).await;
    for path in [
        "app/acme/attempt/endpoint/nobody".to_owned(),
        "app/acme/attempt/msg/evt-9".to_owned(),
        "app/other/attempt/endpoint/hook".to_owned(),
        format!("app/other/attempt/msg/{message}"),
        format!("app/other/msg/{message}/endpoint"),
        format!("app/acme/msg/{message}/attempt/atmpt_1"),
    ] {
        let answer = bench.get(&path).await;
        assert_eq!(
            (answer.status, answer.text("code")),
            (404, "not_found".to_owned()),
            "{path}"
        );
    }
    let foreign = bench
        .ask_as(&token, "GET", "app/acme/attempt/endpoint/hook", None)
        .await;
    assert_eq!(foreign.status, 404);
}

#[tokio::test]
async fn a_delivery_is_seen_from_both_ends() {
    let (bench, endpoint, message) = failing().await;
    let messages = bench
        .get("app/acme/endpoint/hook/msg?with_content=false&expanded_statuses=true")
        .await;
    let row = &messages.body["data"][0];
    assert_eq!(
        (&row["id"], &row["eventType"], &row["payload"]),
        (&json!(message), &json!("invoice.paid"), &json!({}))
    );
    assert_eq!((&row["status"], &row["statusText"]), (&json!(1), &json!("pending")));
    assert_eq!(row["nextAttempt"], json!("2025-12-18T13:00:00.000000Z"));
    let full = bench.get("app/acme/endpoint/hook/msg?status=1").await;
    assert_eq!(full.body["data"][0]["payload"], json!({ "n": 1 }));
    assert_eq!(
        bench
            .get("app/acme/endpoint/hook/msg?status=0")
            .await
            .column("id")
            .len(),
        0
    );
    let destinations = bench.get("app/acme/msg/evt-1/endpoint").await;
    let row = &destinations.body["data"][0];
    assert_eq!(
        (&row["id"], &row["url"]),
        (&json!(endpoint), &json!("https://example.com/hook"))
    );
    assert_eq!((&row["status"], &row["description"]), (&json!(1), &json!("")));
}

#[tokio::test]
async fn cancelled_is_shown_to_those_who_ask_for_it() {
    let (bench, ..) = failing().await;
    bench.patch("app/acme/endpoint/hook", json!({ "disabled": true })).await;
    bench
        .state
        .store
        .cancel(
            bench.get("app/acme/endpoint/hook").await.text("id").parse().unwrap(),
            10,
        )
        .await
        .unwrap();
    let status = async |query: &str| {
        bench
            .get(&format!("app/acme/endpoint/hook/msg{query}"))
            .await
            .column("status")
    };
    assert_eq!(status("?expanded_statuses=true").await, [json!(4)]);
    assert_eq!(status("").await, [json!(0)]);
    assert_eq!(
        bench.get("app/acme/msg/evt-1/endpoint").await.column("statusText"),
        [json!("canceled")]
    );
}

#[tokio::test]
async fn resending_starts_a_new_run_by_hand() {
    let (bench, endpoint, message) = failing().await;
    let resent = bench
        .ask_as(
            ADMIN,
            "POST",
            &format!("app/acme/msg/{message}/endpoint/hook/resend"),
            None,
        )
        .await;
    assert_eq!((resent.status, resent.body), (202, json!({})));
    assert_eq!(bench.attempt(endpoint, 204, Verdict::Succeeded).await, 1);
    let attempts = bench.get("app/acme/attempt/msg/evt-1").await;
    assert_eq!(attempts.column("triggerType"), [json!(1), json!(0)]);
    assert_eq!(attempts.column("status"), [json!(0), json!(2)]);
}

#[tokio::test]
async fn what_cannot_be_resent_says_why() {
    let (bench, _, message) = failing().await;
    let resend = async || {
        let path = format!("app/acme/msg/{message}/endpoint/hook/resend");
        let answer = bench.ask_as(ADMIN, "POST", &path, None).await;
        (answer.status, answer.text("code"))
    };
    bench.patch("app/acme/endpoint/hook", json!({ "disabled": true })).await;
    assert_eq!(resend().await, (409, "endpoint_disabled".to_owned()));
    bench
        .patch("app/acme/endpoint/hook", json!({ "disabled": false }))
        .await;
    bench.delete(&format!("app/acme/msg/{message}/content")).await;
    assert_eq!(resend().await, (409, "payload_expired".to_owned()));
    assert_eq!(
        bench
            .post("app/acme/msg/evt-9/endpoint/hook/resend", json!({}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_resend_with_an_idempotency_key_happens_once() {
    let (bench, endpoint, message) = failing().await;
    for _ in 0..2 {
        let request = http::Request::post(format!("/api/v1/app/acme/msg/{message}/endpoint/hook/resend"))
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("idempotency-key", "auto_1")
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = bench.send(request).await;
        assert_eq!((answer.status, answer.body), (202, json!({})));
        bench.attempt(endpoint, 204, Verdict::Succeeded).await;
    }
    assert_eq!(bench.get("app/acme/attempt/msg/evt-1").await.column("id").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_test_attempt_answers_what_came_back() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({ "eventTypes": ["other"] })).await;
    let path = format!("app/acme/endpoint/{endpoint}/msg/test-attempt");
    let asking = bench.post(&path, json!({ "eventType": "a.b", "payload": {} }));
    let attempting = async {
        while bench.attempt(endpoint, 418, Verdict::Failed).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(asking, attempting);
    assert_eq!((answer.status, &answer.body["responseStatusCode"]), (201, &json!(418)));
    assert_eq!(answer.body["response"], json!("answer 418"));
}

#[tokio::test(start_paused = true)]
async fn a_test_attempt_that_never_comes_is_not_waited_for_without_end() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({})).await;
    let body = json!({ "eventType": "a.b", "payload": {} });
    let path = format!("app/acme/endpoint/{endpoint}/msg/test-attempt");
    let answer = bench.post(&path, body.clone()).await;
    assert_eq!(
        (answer.status, answer.text("code")),
        (504, "attempt_pending".to_owned())
    );
    bench
        .patch(&format!("app/acme/endpoint/{endpoint}"), json!({ "paused": true }))
        .await;
    assert_eq!(bench.post(&path, body).await.status, 409);
}

#[tokio::test]
async fn an_explanation_follows_a_delivery() {
    let (bench, endpoint, message) = failing().await;
    let explain = async |endpoint: &str| {
        let answer = bench
            .get(&format!("app/acme/msg/{message}/endpoint/{endpoint}/explain"))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let retrying = explain("hook").await;
    assert_eq!(
        (&retrying["reason"], &retrying["attempts"]),
        (&json!("retrying"), &json!(1))
    );
    assert_eq!(retrying["lastAttempt"]["responseStatusCode"], json!(500));
    let picky = bench
        .endpoint("acme", json!({ "uid": "picky", "eventTypes": ["order.*"] }))
        .await;
    let filtered = explain("picky").await;
    assert_eq!(
        (&filtered["reason"], &filtered["matches"]),
        (&json!("event_type_filter"), &json!(false))
    );
    assert_eq!(
        (&filtered["status"], &filtered["endpointId"]),
        (&Value::Null, &json!(picky))
    );
    bench.endpoint("acme", json!({ "uid": "newer" })).await;
    assert_eq!(explain("newer").await["reason"], json!("endpoint_newer"));
    bench.clock.advance(std::time::Duration::from_secs(3_600));
    bench.attempt(endpoint, 200, Verdict::Succeeded).await;
    let delivered = explain("hook").await;
    assert_eq!(
        (&delivered["reason"], &delivered["advice"]),
        (&json!("delivered"), &Value::Null)
    );
    let unknown = bench.get("app/acme/msg/evt-9/endpoint/hook/explain").await;
    assert_eq!(unknown.status, 404);
}

/// What `tail` and tests of attempts share: an attempt that somebody is told.
pub fn told(bench: &Bench, app: bellwire_core::id::AppId, endpoint: EndpointId, failed: bool) -> FeedEvent {
    FeedEvent::Attempt {
        environment: bench.environment,
        app,
        message: bellwire_core::id::Id::from_number(7),
        event_type: "a.b".to_owned(),
        endpoint,
        number: 1,
        status_code: if failed { 500 } else { 200 },
        failure: failed.then(|| ("status_500".to_owned(), "no".to_owned())),
        next_at: None,
        duration_ms: 1,
        at: Timestamp::from_secs(1),
    }
}

#[tokio::test]
async fn what_waited_for_an_endpoint_that_was_deleted_is_shown_as_cancelled() {
    let (bench, endpoint, message) = failing().await;
    let untried = bench.endpoint("acme", json!({ "eventTypes": ["other"] })).await;
    let stays = bench.endpoint("acme", json!({})).await;
    bench.publish("acme", json!({ "eventId": "evt-2" })).await;
    let destinations = format!("app/acme/msg/{message}/endpoint");
    for gone in [endpoint, untried] {
        assert_eq!(bench.delete(&format!("app/acme/endpoint/{gone}")).await.status, 204);
    }
    let list = bench.get(&destinations).await;
    assert_eq!(list.column("id"), [json!(endpoint)]);
    let row = &list.body["data"][0];
    assert_eq!(
        (&row["status"], &row["statusText"], &row["nextAttempt"]),
        (&json!(4), &json!("canceled"), &json!(null))
    );
    assert_eq!(
        (&row["deleted"], &row["url"], &row["disabled"]),
        (&json!(true), &json!("https://example.com/hook"), &json!(true))
    );
    let one = bench
        .get(&format!("app/acme/msg/{message}/endpoint/{endpoint}/explain"))
        .await;
    assert_eq!(one.status, 200);
    assert_eq!(
        (&one.body["reason"], &one.body["matches"]),
        (&json!("cancelled"), &json!(false))
    );
    assert!(one.text("summary").contains("the endpoint was deleted"), "{one:?}");
    assert_eq!(one.body["lastAttempt"]["responseStatusCode"], 500);
    let never = bench
        .get(&format!("app/acme/msg/{message}/endpoint/{untried}/explain"))
        .await;
    assert_eq!(never.status, 404, "nothing of this message was for it");
    // Both are there, in the order of their ids, page by page in both directions.
    let all = format!("app/acme/msg/{message}/explain");
    let both = [json!(endpoint), json!(stays)];
    assert_eq!(bench.get(&all).await.column("endpointId"), both);
    let first = bench.get(&format!("{all}?limit=1")).await;
    assert_eq!(
        (first.column("endpointId").as_slice(), &first.body["done"]),
        (&both[..1], &json!(false))
    );
    let second = bench
        .get(&format!("{all}?limit=1&iterator={}", first.text("iterator")))
        .await;
    assert_eq!(
        (second.column("endpointId").as_slice(), &second.body["done"]),
        (&both[1..], &json!(true))
    );
    let back = bench
        .get(&format!("{all}?limit=1&iterator={}", second.text("prevIterator")))
        .await;
    assert_eq!(back.column("endpointId"), both[..1]);
}
