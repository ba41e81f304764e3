//! The kind `http`.

use std::{sync::atomic::Ordering, time::Duration};

use bellwire_core::time::Timestamp;
use bellwire_deliver::action::Acted;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    house::{House, endpoint, message, reason, response},
    receiver::{Receiver, Reply},
};

#[tokio::test]
async fn a_request_is_made_as_the_settings_say() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(201, &[("x-id", "7")], "made")).await;
    let settings = json!({
        "url": format!("{}/v1", receiver.url()),
        "method": "put",
        "path": "/orders/{{ id }}",
        "query": {"dry run": "{{ amount }}"},
        "headers": {"X-Team": "kitchen"},
        "json": {"amount": "{{ amount }}"},
        "bearer": "t0k3n",
    });
    let outcome = house
        .act(endpoint("http", &settings), message(r#"{"id": "a/b", "amount": 1250}"#))
        .await;
    assert_eq!((reason(&outcome), outcome.status_code), ("", 201));
    assert_eq!(response(&outcome), "made");
    assert_eq!(outcome.url, format!("{}/v1/orders/a%2Fb", receiver.url()));
    assert!(outcome.response_headers.contains(&("x-id".to_owned(), "7".to_owned())));
    let seen = receiver.only();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/v1/orders/a%2Fb?dry%20run=1250")
    );
    assert_eq!(seen.text(), r#"{"amount":1250}"#);
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("authorization"), "Bearer t0k3n");
    assert_eq!(seen.header("x-team"), "kitchen");
    assert_eq!(seen.header("host"), receiver.address.to_string());
    assert!(seen.header("idempotency-key").starts_with("msg_") && seen.header("idempotency-key").contains(".ep_"));
    assert!(
        seen.header("traceparent")
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    );
    assert!(seen.header("user-agent").starts_with("Bellwire/"));
}

#[tokio::test]
async fn the_payload_goes_as_it_came_and_a_get_has_none() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "")).await;
    let payload = "{\"b\": 1.0,\n \"a\": 12345678901234567890}";
    let basic = json!({"url": receiver.url(), "basic": {"user": "u", "pass": "p"}});
    house.act(endpoint("http", &basic), message(payload)).await;
    let mut get = endpoint("http", &json!({"url": receiver.url(), "method": "GET"}));
    get.updated_at = Timestamp::from_secs(1_766_000_001);
    house.act(get, message(payload)).await;
    let seen = receiver.seen();
    assert_eq!(
        (seen[0].text(), seen[0].header("authorization")),
        (payload, "Basic dTpw")
    );
    assert_eq!((seen[1].text(), seen[1].header("content-type")), ("", ""));
}

async fn judged(reply: Reply, ok: Value) -> (String, Option<Duration>) {
    let house = House::open().await;
    let receiver = Receiver::answering(reply).await;
    let outcome = house
        .act(
            endpoint("http", &json!({"url": receiver.url(), "ok": ok})),
            message("{}"),
        )
        .await;
    (reason(&outcome).to_owned(), outcome.retry_after)
}

#[tokio::test]
async fn a_status_is_a_success_when_the_settings_say_so() {
    assert_eq!(judged(Reply(409, &[], "there already"), json!([200, 409])).await.0, "");
    assert_eq!(judged(Reply(204, &[], ""), json!([200])).await.0, "status_not_ok");
    assert_eq!(judged(Reply(404, &[], ""), json!([])).await.0, "status_not_found");
    assert_eq!(
        judged(Reply(302, &[("location", "http://example.com")], ""), json!([]))
            .await
            .0,
        "redirect"
    );
    let (reason, retry_after) = judged(Reply(503, &[("retry-after", "7")], ""), json!([])).await;
    assert_eq!(
        (reason.as_str(), retry_after),
        ("status_unavailable", Some(Duration::from_secs(7)))
    );
}

#[tokio::test]
async fn something_that_is_gone_does_not_disable_the_endpoint() {
    assert_eq!(judged(Reply(410, &[], ""), json!([])).await.0, "status_4xx");
}

#[tokio::test]
async fn an_attempt_does_not_tell_a_url_that_came_from_outside_of_the_file() {
    for hidden in ["/url", "/path"] {
        let house = House::open().await;
        let receiver = Receiver::answering(Reply(200, &[], "")).await;
        let settings = json!({"url": format!("{}/s3cr3t", receiver.url()), "path": "/s3cr3t/{{ id }}"});
        let mut endpoint = endpoint("http", &settings);
        endpoint.action.hidden = [hidden.to_owned()].into();
        let outcome = house.act(endpoint, message(r#"{"id": 7}"#)).await;
        assert_eq!((reason(&outcome), outcome.url.as_str()), ("", "http:described"));
        assert_eq!(receiver.only().target, "/s3cr3t/s3cr3t/7");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "ok")).await;
    let settings = json!({"url": receiver.url(), "path": "/{{ id }}"});
    for id in 0..3 {
        let payload = json!({"id": id}).to_string();
        assert_eq!(
            reason(&house.act(endpoint("http", &settings), message(&payload)).await),
            ""
        );
    }
    assert_eq!(receiver.seen().len(), 3);
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_timeout() {
    let house = House::open().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = json!({"url": format!("http://{}", silent.local_addr().unwrap())});
    let time = Duration::from_millis(100);
    let acted = house
        .act_if(endpoint("http", &settings), message("{}"), time, &|| true)
        .await;
    let Acted::Attempted(outcome) = acted else {
        panic!("withheld")
    };
    assert_eq!(reason(&outcome), "timeout_headers");
}
