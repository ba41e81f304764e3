//! Once: durable before it is answered, and again only what had failed.

use std::{sync::Arc, time::Duration};

use bellwire_core::{delivery::DeliveryState, source::Source};
use bellwire_store::{Clock as _, Verdict, feed::FeedEvent};
use bellwire_testkit::{FaultPlan, Verb};

use super::world::{ALL, World};

const BODY: &str = r#"{"ref":"refs/heads/main","n":1.10}"#;

#[tokio::test]
async fn a_url_that_was_rotated_away_is_good_for_a_while_and_is_not_kept() {
    let world = World::new().await;
    let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
    let now = world.clock.now();
    let rotate = |source: &mut Source| {
        *source = source.rotated("token-next".to_owned(), now, now.plus(Duration::from_secs(60)));
    };
    world.change(&source, rotate).await;
    for (token, id) in [("token-deploy", "d-1"), ("token-next", "d-2")] {
        let signed = world.sign("github", "s", BODY, id);
        assert_eq!(world.send(&format!("/in/{token}"), &signed).await.status, 200);
    }
    for message in world.messages(&source).await {
        assert_eq!(message.inbound.unwrap().target, "/in/deploy");
    }
    world.clock.advance(Duration::from_secs(60));
    let late = world.sign("github", "s", BODY, "d-3");
    assert_eq!(world.send("/in/token-deploy", &late).await.status, 404);
    assert_eq!(world.send("/in/token-next", &late).await.status, 200);
}

#[tokio::test]
async fn a_signed_event_is_kept_byte_for_byte_with_how_it_came() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
        let endpoint = world.endpoint(&source).await;
        let mut signed = world.sign("github", "s", BODY, "d-1");
        signed.headers.push(("authorization".to_owned(), "canary".to_owned()));
        signed
            .headers
            .push(("referer".to_owned(), "https://h/in/token-d%65ploy".to_owned()));
        let answer = world.send("/in/token%2Ddeploy?x=1", &signed).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        let message = world.messages(&source).await.remove(0);
        assert_eq!(message.payload.unwrap(), BODY);
        assert_eq!(
            (message.event_type.as_str(), message.event_id.as_deref()),
            ("push", Some("d-1"))
        );
        let inbound = message.inbound.unwrap();
        assert_eq!(
            (inbound.method.as_str(), inbound.peer.as_deref()),
            ("POST", Some("192.0.2.7"))
        );
        assert_eq!(inbound.target, "/in/deploy?x=1", "the token is not kept");
        assert!(inbound.verdict.starts_with("verified: GitHub"), "{}", inbound.verdict);
        assert!(
            inbound
                .headers
                .iter()
                .any(|(name, value)| name == "x-github-event" && value == "push")
        );
        assert!(!inbound.headers.iter().any(|(_, value)| value == "canary"));
        let referer = inbound.headers.iter().find(|(name, _)| name == "referer");
        assert_eq!(referer.unwrap().1, "https://h/in/…");
        assert_eq!(world.deliveries(source.app, message.id).await[0].endpoint, endpoint);
    }
}

#[tokio::test]
async fn an_event_that_comes_again_is_kept_once_and_answered_alike() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
        let signed = world.sign("github", "s", BODY, "d-1");
        let sends = (0..8).map(|_| world.send("/in/deploy/", &signed));
        let answers = futures_util::future::join_all(sends).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(world.messages(&source).await.len(), 1);
        assert_eq!(world.intake.metrics().duplicates.get(), 7);
    }
}

#[tokio::test]
async fn an_event_that_comes_again_runs_again_what_failed_and_nothing_else() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("deploy", "github", &[("secret", "s")], "{}").await;
        let (works, fails) = (world.endpoint(&source).await, world.endpoint(&source).await);
        let signed = world.sign("github", "s", BODY, "d-1");
        world.send("/in/deploy", &signed).await;
        assert_eq!(world.settle(works, source.app, Verdict::Succeeded).await, 1);
        // While it is still tried, a repetition changes nothing.
        world.send("/in/deploy", &signed).await;
        assert_eq!(world.settle(fails, source.app, Verdict::Failed).await, 1);
        world.clock.advance(Duration::from_secs(1));
        let again = (0..4).map(|_| world.send("/in/deploy", &signed));
        assert!(
            futures_util::future::join_all(again)
                .await
                .iter()
                .all(|answer| answer.status == 200)
        );
        assert_eq!(world.intake.metrics().revived.get(), 1, "once, however often it comes");
        assert_eq!(world.settle(works, source.app, Verdict::Succeeded).await, 0);
        assert_eq!(world.settle(fails, source.app, Verdict::Succeeded).await, 1);
        let message = world.messages(&source).await.remove(0);
        assert_eq!(
            world.state(source.app, message.id).await,
            Some(DeliveryState::Succeeded)
        );
    }
}

#[tokio::test]
async fn items_are_kept_all_or_the_sender_is_asked_again() {
    let faults = Arc::new(FaultPlan::new(1));
    let world = World::failing(Arc::clone(&faults)).await;
    let source = world
        .source("alerts", "none", &[], r#"{"forEach":"body.alerts","dedupe":"body.id"}"#)
        .await;
    let body = r#"{"id":"g","alerts":[{"a":1},{"a":2},{"a":3}]}"#;
    let json = [("content-type", "application/json")];
    faults.fail_next(Verb::Append, 2);
    let refused = world.ask("POST", "/in/token-alerts", &json, body).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "store_unavailable"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(world.messages(&source).await.len(), 1);
    assert_eq!(world.ask("POST", "/in/token-alerts", &json, body).await.status, 200);
    let messages = world.messages(&source).await;
    let mut payloads: Vec<_> = messages
        .iter()
        .map(|message| message.payload.clone().unwrap())
        .collect();
    payloads.sort_unstable();
    assert_eq!(payloads, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
    let item = messages[0].inbound.as_ref().unwrap().item.clone().unwrap();
    assert_eq!((item.count, item.rest.as_deref()), (3, Some(r#"{"id":"g"}"#)));
}

#[tokio::test]
async fn what_comes_before_its_turn_waits_and_is_released() {
    for world in [World::new().await, World::embedded().await] {
        let rules = r#"{"dedupe":"body.id","order":{"by":"body.of","sequence":"body.n","start":1,"wait":"5s"}}"#;
        let source = world.source("orders", "none", &[], rules).await;
        let put = async |n: u32| {
            let body = format!(r#"{{"id":"{n}","of":"a","n":{n}}}"#);
            let json = [("content-type", "application/json")];
            assert_eq!(world.ask("POST", "/in/token-orders", &json, body).await.status, 200);
        };
        let ids = async || {
            let messages = world.messages(&source).await;
            messages
                .into_iter()
                .map(|message| message.event_id.unwrap())
                .collect::<Vec<_>>()
        };
        for n in [2, 1, 5, 5] {
            put(n).await;
        }
        assert_eq!(ids().await, ["1", "2"]);
        assert_eq!(world.intake.metrics().held.get(), 3);
        // The wait for 3 and 4 is over: the timer, which looks when it starts, releases 5.
        world.clock.advance(Duration::from_secs(6));
        world.finish().await;
        assert_eq!(ids().await, ["1", "2", "5"]);
        assert_eq!(world.intake.metrics().released.get(), 1);
        put(3).await;
        assert_eq!(world.intake.metrics().stale.get(), 1);
        let late = world.messages(&source).await.pop().unwrap();
        assert!(late.inbound.as_ref().unwrap().note.is_some(), "{late:?}");
    }
}

/// Numbered events about `a`, which wait 5 s for those before them.
const NUMBERED: &str = r#"{"dedupe":"body.n","order":{"by":"body.of","sequence":"body.n","start":1,"wait":"5s"}}"#;

async fn put(world: &World, n: u32) -> u16 {
    let json = [("content-type", "application/json")];
    let body = format!(r#"{{"of":"a","n":{n}}}"#);
    world.ask("POST", "/in/token-orders", &json, body).await.status
}

async fn numbers(world: &World, source: &Source) -> Vec<String> {
    let messages = world.messages(source).await;
    messages.into_iter().map(|message| message.event_id.unwrap()).collect()
}

#[tokio::test]
async fn time_in_which_the_server_was_down_does_not_count_against_a_wait() {
    for mut world in [World::new().await, World::embedded().await] {
        let source = world.source("orders", "none", &[], NUMBERED).await;
        assert_eq!(put(&world, 2).await, 200);
        world.clock.advance(Duration::from_secs(4_000));
        world.restart().await;
        world.finish().await;
        assert!(numbers(&world, &source).await.is_empty(), "1 could not come");
        world.clock.advance(Duration::from_secs(4));
        assert_eq!(put(&world, 1).await, 200);
        assert_eq!(numbers(&world, &source).await, ["1", "2"]);
        assert_eq!(put(&world, 4).await, 200);
        world.clock.advance(Duration::from_secs(5));
        world.finish().await;
        assert_eq!(numbers(&world, &source).await, ["1", "2", "4"], "a wait ends");
    }
}

#[tokio::test]
async fn nothing_is_released_while_requests_are_turned_away() {
    let faults = Arc::new(FaultPlan::new(1));
    let world = World::failing(Arc::clone(&faults)).await;
    let source = world.source("orders", "none", &[], NUMBERED).await;
    assert_eq!(put(&world, 2).await, 200);
    world.clock.advance(Duration::from_secs(6));
    faults.fail_next(Verb::Append, 1);
    assert_eq!(put(&world, 1).await, 503);
    world.finish().await;
    assert!(numbers(&world, &source).await.is_empty());
    world.clock.advance(Duration::from_secs(4));
    world.finish().await;
    assert_eq!(put(&world, 1).await, 200);
    assert_eq!(numbers(&world, &source).await, ["1", "2"]);
}

#[tokio::test]
async fn whoever_watches_sees_messages_when_their_turn_comes() {
    for world in [World::new().await, World::embedded().await] {
        let source = world.source("orders", "none", &[], NUMBERED).await;
        let endpoint = world.endpoint(&source).await;
        let mut watch = world.feed.watch();
        for n in [2, 3, 1, 5] {
            assert_eq!(put(&world, n).await, 200);
        }
        world.clock.advance(Duration::from_secs(6));
        world.finish().await;
        let mut seen = Vec::new();
        while let Ok(event) = watch.try_recv() {
            let FeedEvent::Message { app, id, endpoints, .. } = event else {
                panic!("a message, not {event:?}");
            };
            assert_eq!((app, endpoints), (source.app, 1));
            let deliveries = world.store.deliveries(app, id, ALL).await.unwrap();
            assert_eq!(deliveries.items[0].endpoint, endpoint);
            let message = world.store.message(app, id, false).await.unwrap().unwrap();
            seen.push(message.event_id.unwrap());
        }
        assert_eq!(seen, ["1", "2", "3", "5"]);
    }
}

#[tokio::test]
async fn an_old_version_that_failed_is_not_begun_anew_behind_a_newer_one() {
    for world in [World::new().await, World::embedded().await] {
        let rules = r#"{"dedupe":"body.id","order":{"by":"body.of","version":"body.v"}}"#;
        let source = world.source("orders", "none", &[], rules).await;
        let endpoint = world.endpoint(&source).await;
        let put = async |v: u32| {
            let json = [("content-type", "application/json")];
            let body = format!(r#"{{"id":"{v}","of":"a","v":{v}}}"#);
            assert_eq!(world.ask("POST", "/in/token-orders", &json, body).await.status, 200);
        };
        put(1).await;
        assert_eq!(world.settle(endpoint, source.app, Verdict::Failed).await, 1);
        put(2).await;
        assert_eq!(world.settle(endpoint, source.app, Verdict::Failed).await, 1);
        put(1).await;
        assert_eq!(world.settle(endpoint, source.app, Verdict::Succeeded).await, 0);
        put(2).await;
        assert_eq!(
            world.settle(endpoint, source.app, Verdict::Succeeded).await,
            1,
            "the newest is"
        );
        assert_eq!(world.intake.metrics().duplicates.get(), 2);
    }
}

#[tokio::test]
async fn what_a_client_sent_is_taken_though_it_does_not_wait_for_the_answer() {
    let faults = Arc::new(FaultPlan::new(1));
    let world = World::failing(Arc::clone(&faults)).await;
    let source = world.source("orders", "none", &[], NUMBERED).await;
    faults.slow_down(Duration::from_millis(1));
    // It is asked for once, and then nobody waits any more.
    assert!(futures_util::future::poll_immediate(put(&world, 2)).await.is_none());
    world.finish().await;
    assert_eq!(world.intake.metrics().held.get(), 1);
    world.clock.advance(Duration::from_secs(5));
    world.finish().await;
    assert_eq!(numbers(&world, &source).await, ["2"]);
}
