//! Handshakes: what providers ask before they send.

use std::{sync::Arc, time::Duration};

use bellwire_testkit::FaultPlan;

use super::world::{NOON, World};

#[tokio::test]
async fn providers_questions_are_answered() {
    let world = World::new().await;
    world.source("slack", "slack", &[("secret", "s")], "{}").await;
    world
        .source("meta", "meta", &[("secret", "s"), ("verifyToken", "v")], "{}")
        .await;
    world.source("x", "x", &[("secret", "s")], "{}").await;
    let slack = world.sign("slack", "s", r#"{"type":"url_verification","challenge":"c-1"}"#, "1");
    let answer = world.send("/in/slack", &slack).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "c-1"));
    let meta = "/in/meta?hub.mode=subscribe&hub.challenge=123&hub.verify_token=";
    let answer = world.ask("GET", &format!("{meta}v"), &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "123"));
    assert_eq!(world.ask("GET", &format!("{meta}wrong"), &[], "").await.status, 403);
    let answer = world.ask("GET", "/in/x?crc_token=abc", &[], "").await;
    assert_eq!(answer.status, 200);
    // printf abc | openssl dgst -sha256 -hmac s -binary | base64
    assert!(answer.body.contains("\"response_token\":\"sha256="), "{}", answer.body);
    assert_eq!(world.intake.metrics().handshakes.get(), 3);
}

#[tokio::test]
async fn cloud_events_ask_with_options() {
    let world = World::new().await;
    world
        .source("ce", "hmac", &[("secret", "s"), ("header", "x-sig")], "{}")
        .await;
    let headers = [("webhook-request-origin", "eventgrid.azure.net")];
    let answer = world.ask("OPTIONS", "/in/ce", &headers, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["webhook-allowed-origin"], "eventgrid.azure.net");
}

#[tokio::test]
async fn a_secret_is_taken_from_a_handshake_once_and_only_while_armed() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("asana", "asana", &[("armed", "true")], "{}").await;
        let greet = async |secret: &str| world.ask("POST", "/in/asana", &[("x-hook-secret", secret)], "{}").await;
        let answer = greet("first").await;
        assert_eq!(
            (answer.status, answer.headers["x-hook-secret"].to_str().unwrap()),
            (200, "first")
        );
        let kept = world.directory.source_by_id(source.id).unwrap();
        assert_eq!(kept.settings["secret"], ["first"]);
        assert!(!kept.settings.contains_key("armed"));
        assert_eq!(greet("another").await.status, 403, "a stranger cannot set one");
        let event = world.sign("asana", "first", r#"{"events":[]}"#, "1");
        assert_eq!(world.send("/in/asana", &event).await.status, 200);
        assert_eq!(world.messages(&source).await.len(), 1);
        let list = format!("{:?}", world.refused(&source).await);
        assert!(list.contains("handshake") && !list.contains("another"), "{list}");
    }
}

#[tokio::test]
async fn until_a_time_each_subscription_brings_a_secret_of_its_own() {
    let world = World::new().await;
    let until = NOON.plus(Duration::from_secs(60)).to_string();
    let source = world.source("asana", "asana", &[("armed", &until)], "{}").await;
    let greet = async |secret: &str| world.ask("POST", "/in/asana", &[("x-hook-secret", secret)], "{}").await;
    for n in 0..12 {
        assert_eq!(greet(&format!("secret-{n}")).await.status, 200);
    }
    for (secret, status) in [("secret-11", 200), ("secret-2", 200), ("secret-1", 401)] {
        let event = world.sign("asana", secret, r#"{"events":[]}"#, "1");
        assert_eq!(world.send("/in/asana", &event).await.status, status, "{secret}");
    }
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(greet("late").await.status, 403);
    let kept = world.directory.source_by_id(source.id).unwrap();
    assert_eq!(kept.settings["secret"].len(), 10);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_half_kept_secret() {
    let faults = Arc::new(FaultPlan::new(1));
    let world = World::failing(Arc::clone(&faults)).await;
    let source = world.source("asana", "asana", &[("armed", "true")], "{}").await;
    let gone = async {
        let asks = world.ask("POST", "/in/asana", &[("x-hook-secret", "s")], "{}");
        // It is asked for once, and then nobody waits for the answer any more.
        futures_util::future::poll_immediate(asks).await
    };
    faults.slow_down(Duration::from_millis(1));
    assert!(gone.await.is_none());
    world.finish().await;
    assert_eq!(
        world.directory.source_by_id(source.id).unwrap().settings["secret"],
        ["s"]
    );
}
