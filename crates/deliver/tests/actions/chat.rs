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

#[tokio::test]
async fn each_service_is_told_over_http_in_its_own_words_and_believed_in_its_own_words() {
    let telegram =
        |url: String| json!({"telegram": {"token": "1:a", "chat": "@ops", "api": url}, "text": "{{ host }}"});
    let hook = |service: &'static str| move |url: String| json!({service: url, "title": "Down", "text": "{{ host }}"});
    let (outcome, seen) = say(Reply(204, &[], ""), hook("discord")).await;
    assert_eq!(reason(&outcome), "");
    assert_eq!(
        seen.json(),
        json!({"content": "**Down**\ndb1", "allowed_mentions": {"parse": []}})
    );
    let (outcome, seen) = say(Reply(202, &[], ""), hook("teams")).await;
    assert_eq!(reason(&outcome), "");
    let card = &seen.json()["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(
        (&card["content"]["body"][0]["text"], &card["content"]["body"][1]["text"]),
        (&json!("Down"), &json!("db1"))
    );
    let (outcome, seen) = say(Reply(200, &[], "ok"), hook("mattermost")).await;
    assert_eq!(reason(&outcome), "");
    assert_eq!(seen.json(), json!({"text": "#### Down\ndb1"}));
    let (outcome, seen) = say(Reply(200, &[], r#"{"ok":true,"result":{}}"#), telegram).await;
    assert_eq!(reason(&outcome), "");
    assert_eq!(seen.json(), json!({"chat_id": "@ops", "text": "db1"}));
    assert_eq!(seen.header("content-type"), "application/json");
}

#[tokio::test]
async fn each_service_says_no_in_its_own_way() {
    let telegram = |url: String| json!({"telegram": {"token": "1:a", "chat": 7, "api": url}, "text": "x"});
    let hook = |service: &'static str| move |url: String| json!({service: url, "text": "x"});
    let refusals = [
        say(
            Reply(404, &[], r#"{"message":"Unknown Webhook","code":10015}"#),
            hook("discord"),
        )
        .await,
        say(
            Reply(200, &[], "Webhook message delivery failed with error: 403"),
            hook("teams"),
        )
        .await,
        say(
            Reply(400, &[], r#"{"message":"Couldn't find the channel"}"#),
            hook("mattermost"),
        )
        .await,
        say(
            Reply(200, &[], r#"{"ok":false,"description":"chat not found"}"#),
            telegram,
        )
        .await,
    ];
    let words = [
        "Unknown Webhook",
        "delivery failed",
        "Couldn't find the channel",
        "chat not found",
    ];
    for ((outcome, _), word) in refusals.into_iter().zip(words) {
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.reason, "chat_refused", "{failure:?}");
        assert!(failure.detail.contains(word), "{failure:?}");
    }
    let (outcome, _) = say(
        Reply(429, &[], r#"{"message":"slow down","retry_after":2.5}"#),
        hook("discord"),
    )
    .await;
    assert_eq!(
        (reason(&outcome), outcome.retry_after),
        ("status_too_many_requests", Some(Duration::from_millis(2_500)))
    );
}
