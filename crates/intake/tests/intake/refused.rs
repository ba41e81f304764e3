//! Refused: what the sender did wrong is said in words, kept for a look, and never answered 5xx.

use std::{sync::Arc, time::Duration};

use bellwire_testkit::{FaultPlan, Verb};

use super::world::World;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn each_mistake_has_its_answer_and_a_place_in_the_list() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("deploy", "github", &[("secret", "right")], "{}").await;
        let good = world.sign("github", "right", "{}", "1");
        let wrong = world.sign("github", "wrong", "{}", "2");
        let broken = world.sign("github", "right", "{", "3");
        let mut large = good.clone();
        large.body = vec![b'x'; 10_001];
        for (signed, status, code) in [
            (&wrong, 401, "not_verified"),
            (&broken, 400, "body_malformed"),
            (&large, 413, "body_too_large"),
        ] {
            let answer = world.send("/in/deploy", signed).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{}",
                answer.body
            );
            assert_eq!(answer.headers["content-type"], "application/json");
        }
        let get = world.ask("GET", "/in/deploy", &[], "").await;
        assert_eq!((get.status, get.headers["allow"].to_str().unwrap()), (405, "POST"));
        assert_eq!(world.ask("POST", "/in/deploy", JSON, "{}").await.status, 401);
        let unknown = world.send("/in/nothing", &good).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
        assert!(world.messages(&source).await.is_empty());
        let list = world.refused(&source).await;
        let reasons: Vec<_> = list.iter().map(|one| (one.status, one.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (401, "mismatch"),
                (400, "malformed"),
                (413, "too-large"),
                (405, "method"),
                (401, "missing")
            ]
        );
        assert_eq!(list[1].body, "{");
        assert_eq!(list[0].peer.as_deref(), Some("192.0.2.7"));
    }
}

#[tokio::test]
async fn the_list_says_why_and_names_a_secret_that_was_rotated_away() {
    let world = World::new().await;
    let source = world.source("pay", "stripe", &[("secret", "whsec_old")], "{}").await;
    let body = r#"{"id":"evt_1","type":"t"}"#;
    let signed = world.sign("stripe", "whsec_old", body, "1");
    assert_eq!(world.send("/in/pay", &signed).await.status, 200);
    world
        .change(&source, |source| {
            source
                .settings
                .insert("secret".to_owned(), vec!["whsec_new".to_owned()]);
        })
        .await;
    assert_eq!(world.send("/in/pay", &signed).await.status, 401);
    let mut spaced = world.sign("stripe", "whsec_new", body, "1");
    spaced.body = body.replace(',', ", ").into_bytes();
    assert_eq!(world.send("/in/pay", &spaced).await.status, 401);
    world.clock.advance(Duration::from_secs(420));
    let late = world.sign("stripe", "whsec_new", body, "1");
    world.clock.advance(Duration::from_secs(420));
    assert_eq!(world.send("/in/pay", &late).await.status, 401);
    let list = world.refused(&source).await;
    let reasons: Vec<_> = list.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["old-secret", "body-changed", "clock"]);
    assert!(list[2].detail.contains("7 min"), "{}", list[2].detail);
    let all = format!("{list:?}");
    assert!(!all.contains("whsec_"), "no secret is told");
}

#[tokio::test]
async fn who_floods_a_source_is_counted_and_not_kept() {
    let world = World::new().await;
    let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
    for _ in 0..100 {
        assert_eq!(world.ask("POST", "/in/deploy", JSON, "{}").await.status, 401);
    }
    assert_eq!(world.refused(&source).await.len(), 10);
    world.ask("POST", "/in/deploy", JSON, "{}").await;
    let list = world.refused(&source).await;
    assert_eq!((list.len(), list[10].skipped), (11, 90));
}

#[tokio::test]
async fn a_name_opens_only_what_proves_itself_or_what_the_operator_named() {
    let world = World::new().await;
    let open = world.source("open", "none", &[], "{}").await;
    world.source("nightly", "cron", &[("schedule", "@daily")], "{}").await;
    assert_eq!(world.ask("POST", "/in/open", JSON, "{}").await.status, 404);
    assert_eq!(world.ask("POST", "/in/token-open", JSON, "{}").await.status, 200);
    assert_eq!(
        world.ask("POST", &format!("/in/{}", open.id), JSON, "{}").await.status,
        404
    );
    assert_eq!(world.ask("POST", "/in/token-nightly", JSON, "{}").await.status, 404);
    world.change(&open, |source| source.managed = true).await;
    assert_eq!(world.ask("POST", "/in/open", JSON, "{}").await.status, 200);
}

#[tokio::test]
async fn a_store_that_cannot_write_asks_the_sender_to_come_back() {
    let faults = Arc::new(FaultPlan::new(1));
    let world = World::failing(Arc::clone(&faults)).await;
    let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
    let signed = world.sign("github", "s", "{}", "1");
    faults.fail_next(Verb::Append, 1);
    let answer = world.send("/in/deploy", &signed).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(world.send("/in/deploy", &signed).await.status, 200);
    assert_eq!(world.messages(&source).await.len(), 1);
}

#[tokio::test]
async fn an_empty_or_missing_list_is_taken_and_said() {
    let world = World::new().await;
    let source = world
        .source("alerts", "none", &[], r#"{"forEach":"body.alerts"}"#)
        .await;
    assert_eq!(
        world
            .ask("POST", "/in/token-alerts", JSON, r#"{"alerts":[]}"#)
            .await
            .status,
        200
    );
    assert_eq!(world.ask("POST", "/in/token-alerts", JSON, "{}").await.status, 200);
    let list = world.refused(&source).await;
    assert_eq!(
        (list.len(), list[0].status, list[0].reason.as_str()),
        (1, 200, "no-items")
    );
}

#[tokio::test]
async fn what_actions_sent_on_too_often_is_refused() {
    let world = World::new().await;
    let source = world.source("orders", "none", &[], "{}").await;
    for (hops, status) in [("8", 200), ("x", 200), ("9", 400), ("99999", 400)] {
        let headers = [("content-type", "application/json"), ("bellwire-hops", hops)];
        let answer = world
            .ask("POST", "/in/token-orders", &headers, format!("[{status}]"))
            .await;
        assert_eq!(answer.status, status, "{hops}: {}", answer.body);
        assert_eq!(status == 400, answer.code() == "sent_in_circle");
    }
    assert_eq!(world.messages(&source).await.len(), 2);
    let refused = world.refused(&source).await;
    let reasons: Vec<_> = refused.iter().map(|refused| refused.reason.as_str()).collect();
    assert_eq!(reasons, ["circle", "circle"]);
}
