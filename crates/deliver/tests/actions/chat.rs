//! The kind `chat`.

use std::time::Duration;

use bellwire_core::attempt::Outcome;
use serde_json::{Value, json};

use crate::{
    house::{House, endpoint, message, reason, response},
    receiver::{Receiver, Reply, Seen},
};

/// Says something through a service that answers so.
async fn say(reply: Reply, settings: impl Fn(String) -> Value) -> (Outcome, Seen) {
    let house = House::open().await;
    let receiver = Receiver::answering(reply).await;
    let settings = settings(format!("{}/CANARY", receiver.url()));
    let outcome = house
        .act(endpoint("chat", &settings), message(r#"{"host": "db1"}"#))
        .await;
    (outcome, receiver.only())
}

fn slack(url: String) -> Value {
    json!({"slack": url, "text": "{{ host }} is down"})
}

#[tokio::test]
async fn something_is_said_and_the_url_stays_secret() {
    let (outcome, seen) = say(Reply(200, &[], "ok"), slack).await;
    assert_eq!((reason(&outcome), outcome.url.as_str()), ("", "chat:described"));
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/CANARY"));
    assert_eq!(seen.text(), r#"{"text":"db1 is down"}"#);
    assert_eq!(seen.header("content-type"), "application/json");
    assert!(!format!("{outcome:?}").contains("CANARY"));
}

#[tokio::test]
async fn a_refusal_is_a_failure_in_the_words_of_the_service_whatever_the_status() {
    for reply in [Reply(200, &[], "no_service"), Reply(404, &[], "no_service")] {
        let (outcome, _) = say(reply, slack).await;
        assert_eq!(reason(&outcome), "chat_refused");
        assert!(outcome.failure.as_ref().unwrap().detail.contains("no_service"));
        assert_eq!(response(&outcome), "no_service");
        assert!(!format!("{outcome:?}").contains("CANARY"));
    }
    let (outcome, _) = say(Reply(500, &[], ""), slack).await;
    assert_eq!(reason(&outcome), "status_5xx");
}

#[tokio::test]
async fn a_service_that_asks_for_a_rest_gets_it() {
    let (outcome, _) = say(Reply(429, &[("retry-after", "30")], ""), slack).await;
    assert_eq!(reason(&outcome), "status_too_many_requests");
    assert_eq!(
        (outcome.status_code, outcome.retry_after),
        (429, Some(Duration::from_secs(30)))
    );
    let telegram = |url: String| json!({"telegram": {"token": "1:a", "chat": -7, "api": url}, "text": "x"});
    let full = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":9}}"#;
    let (outcome, seen) = say(Reply(429, &[], full), telegram).await;
    assert_eq!(outcome.retry_after, Some(Duration::from_secs(9)));
    assert_eq!(seen.target, "/CANARY/bot1:a/sendMessage");
    assert_eq!(seen.text(), r#"{"chat_id":"-7","text":"x"}"#);
}
