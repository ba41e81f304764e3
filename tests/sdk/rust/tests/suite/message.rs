//! Messages: bytes, idempotency, event ids, lists, content, precheck.

use bellwire_sdk_suite::{Receiver, World, bare, hour_ago, hour_ahead, refused, unique_name};
use serde_json::{Value, json};
use svix::api::{MessageCreateOptions, MessageGetOptions, MessageListOptions};
use svix::models::{MessageIn, MessagePrecheckIn};

#[tokio::test]
async fn payload_arrives_byte_for_byte() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    world.connect(&receiver, |_| ()).await;
    let exact = r#"{ "z": 1.00, "a":98765432109876543210.5,"e":2E-3, "t":"\u00fc\/ü" }"#;
    let path = format!("/api/v1/app/{}/msg", world.app.id);
    let (status, text) = bare("POST", &path, &format!(r#"{{"payload":{exact},"eventType":"{ping}"}}"#));
    assert_eq!(status, 202, "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(receiver.of(made["id"].as_str().unwrap(), 1)[0].text(), exact);
}

#[tokio::test]
async fn sent_payload_and_raw_text_arrive_signed() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    world.connect(&receiver, |_| ()).await;
    let payload = json!({ "n": 1, "deep": { "é": [null, true] } });
    let made = world.publish(&ping, payload.clone()).await;
    let sent = &receiver.of(&made.id, 1)[0];
    assert_eq!(sent.text(), payload.to_string());
    assert_eq!(sent.header("webhook-signature"), sent.header("svix-signature"));
    assert_eq!(sent.header("webhook-timestamp"), sent.header("svix-timestamp"));

    let raw = MessageIn::new_raw_payload(ping, "plain words".to_owned()).with_content_type("text/plain".to_owned());
    let made = world.svix.message().create(world.app_id(), raw, None).await.unwrap();
    let sent = &receiver.of(&made.id, 1)[0];
    assert_eq!(
        (sent.text(), sent.header("content-type")),
        ("plain words", "text/plain")
    );
}

#[tokio::test]
async fn keys_and_event_ids_are_taken_once() {
    let world = World::new().await;
    let ping = world.event_type("ping").await;
    let api = world.svix.message();
    let options = || {
        let key = Some(format!("key-{}", world.name));
        Some(MessageCreateOptions {
            idempotency_key: key,
            ..MessageCreateOptions::default()
        })
    };
    let message = |n: u32| MessageIn::new(ping.clone(), json!({ "n": n }));
    let first = api.create(world.app_id(), message(1), options()).await.unwrap();
    let again = api.create(world.app_id(), message(1), options()).await.unwrap();
    assert_eq!(again, first);
    refused(422, api.create(world.app_id(), message(2), options()).await);

    let event_id = unique_name();
    let named = |n| MessageIn {
        event_id: Some(event_id.clone()),
        ..message(n)
    };
    let made = api.create(world.app_id(), named(3), None).await.unwrap();
    refused(409, api.create(world.app_id(), named(4), None).await);
    assert_eq!(
        api.get(world.app_id(), event_id.clone(), None).await.unwrap().id,
        made.id
    );
    assert_eq!(api.list(world.app_id(), None).await.unwrap().data.len(), 2);
}

#[tokio::test]
async fn lists_filter_page_and_hide_content() {
    let world = World::new().await;
    let (a, b) = (world.event_type("a").await, world.event_type("b").await);
    let mut made = Vec::new();
    for kind in [&a, &b, &a, &b, &a] {
        made.insert(0, world.publish(kind, json!({ "kind": kind })).await.id);
    }
    let ids = async |options: MessageListOptions| {
        let page = world.svix.message().list(world.app_id(), Some(options)).await.unwrap();
        page.data.into_iter().map(|m| m.id).collect::<Vec<_>>()
    };
    let query = MessageListOptions::default;
    assert_eq!(ids(query()).await, made);
    assert_eq!(
        ids(MessageListOptions {
            event_types: Some([b.clone()].into()),
            ..query()
        })
        .await,
        [&made[1..2], &made[3..4]].concat()
    );
    assert_eq!(
        ids(MessageListOptions {
            event_types: Some([a.clone(), b].into()),
            ..query()
        })
        .await,
        made
    );
    assert_eq!(
        ids(MessageListOptions {
            before: Some(hour_ago()),
            ..query()
        })
        .await,
        [""; 0]
    );
    assert_eq!(
        ids(MessageListOptions {
            after: Some(hour_ago()),
            before: Some(hour_ahead()),
            ..query()
        })
        .await,
        made
    );
    assert_eq!(
        ids(MessageListOptions {
            channel: Some("eu".to_owned()),
            ..query()
        })
        .await,
        [""; 0]
    );

    let api = world.svix.message();
    let first = api
        .list(
            world.app_id(),
            Some(MessageListOptions {
                limit: Some(2),
                ..query()
            }),
        )
        .await
        .unwrap();
    let next = MessageListOptions {
        limit: Some(2),
        iterator: first.iterator.clone(),
        ..query()
    };
    let second = api.list(world.app_id(), Some(next)).await.unwrap();
    assert_eq!(
        second.data.iter().map(|m| m.id.clone()).collect::<Vec<_>>(),
        &made[2..4]
    );
    let back = MessageListOptions {
        limit: Some(2),
        iterator: second.prev_iterator,
        ..query()
    };
    assert_eq!(ids(back).await, &made[..2]);
    refused(
        422,
        api.list(
            world.app_id(),
            Some(MessageListOptions {
                limit: Some(251),
                ..query()
            }),
        )
        .await,
    );

    assert_eq!(first.data[0].payload, json!({}));
    let whole = Some(MessageGetOptions {
        with_content: Some(true),
    });
    let shown = api.get(world.app_id(), made[0].clone(), whole).await.unwrap();
    assert_eq!(shown.payload, json!({ "kind": a }));
}

#[tokio::test]
async fn precheck_and_expunge_and_refusals() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let (paid, other) = (world.event_type("invoice.paid").await, world.event_type("other").await);
    world
        .connect(&receiver, |e| e.event_types = Some([paid.clone()].into()))
        .await;
    let api = world.svix.message();
    for (kind, active) in [(&paid, true), (&other, false)] {
        let told = api
            .precheck(world.app_id(), MessagePrecheckIn::new(kind.clone()), None)
            .await
            .unwrap();
        assert_eq!(told.active, active, "{kind}");
    }
    let canary = unique_name();
    let made = world.publish(&paid, json!({ "canary": canary })).await;
    receiver.of(&made.id, 1);
    api.expunge_content(world.app_id(), made.id.clone()).await.unwrap();
    let whole = Some(MessageGetOptions {
        with_content: Some(true),
    });
    let shown = api.get(world.app_id(), made.id, whole).await.unwrap();
    assert!(!shown.payload.to_string().contains(&canary), "{shown:?}");

    refused(
        422,
        api.create(world.app_id(), MessageIn::new("no way!".to_owned(), json!({})), None)
            .await,
    );
    refused(
        404,
        api.create("app_doesnotexist".to_owned(), MessageIn::new(paid, json!({})), None)
            .await,
    );
}
