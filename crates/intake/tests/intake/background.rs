//! Sources that bring messages by themselves: schedules and monitors.

use std::time::Duration;

use bellwire_core::{source::Source, time::Timestamp};
use bellwire_intake::Probed;
use bellwire_store::Clock as _;
use tokio_util::sync::CancellationToken;

use super::world::{NOON, World};

/// Runs the background work until the source has so many messages. Time by tokio's clock passes by itself (it is paused).
async fn until(world: &World, source: &Source, messages: usize) {
    let stop = CancellationToken::new();
    let enough = async {
        while world.messages(source).await.len() < messages {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        stop.cancel();
    };
    tokio::join!(world.intake.run(stop.clone()), enough);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_once_for_each_time_whoever_fires_it() {
    let world = World::new().await;
    let settings = [("schedule", "*/5 * * * *"), ("payload", r#"{"do":"it"}"#)];
    let source = world
        .source("nightly", "cron", &settings, r#"{"eventType":"\"do.\" ~ body.do"}"#)
        .await;
    world.finish().await;
    assert!(world.messages(&source).await.is_empty(), "nothing is due yet");
    world.clock.advance(Duration::from_secs(301));
    until(&world, &source, 1).await;
    // A restart, and another node: the same time is not fired again.
    world.finish().await;
    world.finish().await;
    let messages = world.messages(&source).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        messages[0].event_id.as_deref(),
        Some("cron/2025-12-18T12:05:00.000000Z")
    );
    assert_eq!(messages[0].event_type, "do.it");
    assert_eq!(messages[0].payload.as_deref(), Some(br#"{"do":"it"}"#.as_slice()));
    assert!(messages[0].inbound.as_ref().unwrap().verdict.contains("*/5 * * * *"));
}

#[tokio::test(start_paused = true)]
async fn of_the_times_that_were_missed_only_the_last_recent_one_is_made_up_for() {
    let world = World::new().await;
    let often = world.source("often", "cron", &[("schedule", "* * * * *")], "{}").await;
    let seldom = world
        .source("seldom", "cron", &[("schedule", "30 12 * * *")], "{}")
        .await;
    // The server was not running for three quarters of an hour.
    world.clock.advance(Duration::from_secs(45 * 60));
    world.finish().await;
    assert_eq!(world.messages(&often).await.len(), 1);
    assert!(
        world.messages(&seldom).await.is_empty(),
        "12:30 is a quarter of an hour ago"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_take_a_time_that_was_due() {
    let mut world = World::new().await;
    let settings = [("schedule", "*/5 * * * *"), ("payload", "1")];
    let source = world.source("often", "cron", &settings, "{}").await;
    let payload = |text: &'static str, at: Timestamp| {
        move |source: &mut Source| {
            source.settings.insert("payload".to_owned(), vec![text.to_owned()]);
            source.updated_at = at;
        }
    };
    let payloads = async |world: &World| {
        let messages = world.messages(&source).await;
        let texts = messages.into_iter().map(|message| message.payload.unwrap());
        texts.collect::<Vec<_>>()
    };
    // It fires; then it is due, and changes before the next look.
    world.clock.advance(Duration::from_secs(301));
    let stop = CancellationToken::new();
    let changes = async {
        while world.messages(&source).await.is_empty() {
            tokio::time::advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(300));
        world.change(&source, payload("2", world.clock.now())).await;
        while world.messages(&source).await.len() < 2 {
            tokio::time::advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(world.intake.run(stop.clone()), changes);
    assert_eq!(payloads(&world).await, ["1", "1"], "as it was when it was due");
    // The file changes while the server is down.
    world.clock.advance(Duration::from_secs(400));
    world.change(&source, payload("3", world.clock.now())).await;
    world.restart().await;
    world.finish().await;
    assert_eq!(payloads(&world).await, ["1", "1", "3"], "the same times");
    // A new schedule has missed nothing.
    world.clock.advance(Duration::from_secs(300));
    let at = world.clock.now();
    let often = |source: &mut Source| {
        source
            .settings
            .insert("schedule".to_owned(), vec!["* * * * *".to_owned()]);
        source.updated_at = at;
    };
    world.change(&source, often).await;
    world.restart().await;
    world.finish().await;
    assert_eq!(payloads(&world).await.len(), 3);
}

fn seen(status: u16) -> Probed {
    Probed {
        status: Some(status),
        latency: Duration::from_millis(7),
        ..Probed::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_says_down_and_up_and_a_restart_repeats_neither() {
    let world = World::new().await;
    let watched = r#"{"name":"api","http":"https://api.example.com/health","every":"1s","fails":2}"#;
    let source = world.source("watch", "monitor", &[("monitor", watched)], "{}").await;
    let looks = |all: &[u16]| {
        world
            .outside
            .looks
            .lock()
            .unwrap()
            .extend(all.iter().map(|status| seen(*status)))
    };
    let run = async |messages: usize| {
        let stop = CancellationToken::new();
        let enough = async {
            while world.messages(&source).await.len() < messages {
                world.clock.advance(Duration::from_secs(1));
                tokio::time::advance(Duration::from_secs(1)).await;
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(world.intake.run(stop.clone()), enough);
    };
    looks(&[200, 500, 200, 500, 500, 500]);
    run(1).await;
    // A new process: it is still down, and then it is up.
    looks(&[500, 500, 500, 200]);
    run(2).await;
    let messages = world.messages(&source).await;
    let types: Vec<_> = messages.iter().map(|message| message.event_type.as_str()).collect();
    assert_eq!(types, ["monitor.down", "monitor.up"]);
    let payload: serde_json::Value = serde_json::from_slice(messages[0].payload.as_ref().unwrap()).unwrap();
    assert_eq!(payload["monitor"], "api");
    assert_eq!(payload["reason"], "it answered 500");
    assert_eq!(payload["status"], 500);
    assert_eq!(payload["latencyMs"], 7);
    assert!(payload["since"].as_str().unwrap() > NOON.to_string().as_str());
}

#[tokio::test(start_paused = true)]
async fn a_monitor_whose_url_is_corrected_while_it_is_down_says_up() {
    let world = World::new().await;
    let watched =
        |host: &str| format!(r#"{{"name":"api","http":"https://{host}.example.com/","every":"1s","fails":1}}"#);
    let source = world
        .source("watch", "monitor", &[("monitor", &watched("wrogn"))], "{}")
        .await;
    world.outside.looks.lock().unwrap().push_back(seen(500));
    let stop = CancellationToken::new();
    let story = async {
        let until = async |messages: usize| {
            for _ in 0..60 {
                if world.messages(&source).await.len() >= messages {
                    break;
                }
                world.clock.advance(Duration::from_secs(1));
                tokio::time::advance(Duration::from_secs(1)).await;
                tokio::task::yield_now().await;
            }
        };
        until(1).await;
        let corrected = vec![watched("right")];
        world
            .change(&source, |source| {
                drop(source.settings.insert("monitor".to_owned(), corrected))
            })
            .await;
        world.outside.looks.lock().unwrap().push_back(seen(200));
        until(2).await;
        stop.cancel();
    };
    tokio::join!(world.intake.run(stop.clone()), story);
    let types: Vec<_> = world
        .messages(&source)
        .await
        .into_iter()
        .map(|message| message.event_type)
        .collect();
    assert_eq!(types, ["monitor.down", "monitor.up"]);
}
