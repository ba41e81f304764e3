//! Endpoints: fields, refusals, pagination, headers, filters, secrets, deletion, stats.

use std::collections::BTreeSet;

use bellwire_sdk_suite::{Receiver, World, eventually, refused};
use js_option::JsOption;
use serde_json::json;
use svix::api::EndpointListOptions;
use svix::models::{
    EndpointHeadersIn, EndpointHeadersPatchIn, EndpointIn, EndpointPatch, EndpointSecretRotateIn, EndpointUpsertIn,
    MessageOut, Ordering,
};

async fn destinations(world: &World, message: &MessageOut) -> BTreeSet<String> {
    let api = world.svix.message_attempt();
    let page = api
        .list_attempted_destinations(world.app_id(), message.id.clone(), None)
        .await
        .unwrap();
    page.data.into_iter().map(|d| d.id).collect()
}

#[tokio::test]
async fn endpoint_keeps_its_fields() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let api = world.svix.endpoint();
    let paid = world.event_type("invoice.paid").await;
    let uid = format!("{}-ep", world.name);
    let wanted = EndpointIn {
        uid: Some(uid.clone()),
        description: Some("billing".to_owned()),
        event_types: Some([paid].into()),
        channels: Some(["eu".to_owned()].into()),
        throttle_rate: Some(9),
        metadata: Some([("team".to_owned(), "billing".to_owned())].into()),
        ..EndpointIn::new(receiver.url())
    };
    let made = api.create(world.app_id(), wanted.clone(), None).await.unwrap();
    assert!(made.id.starts_with("ep_"), "{made:?}");
    assert_eq!(
        (&made.url, &made.uid, made.description.as_str()),
        (&wanted.url, &wanted.uid, "billing")
    );
    assert_eq!(
        (&made.event_types, &made.channels),
        (&wanted.event_types, &wanted.channels)
    );
    assert_eq!(
        (made.throttle_rate, Some(&made.metadata)),
        (Some(9), wanted.metadata.as_ref())
    );
    assert_eq!(
        api.get(world.app.uid.clone().unwrap(), uid.clone()).await.unwrap(),
        made
    );
    refused(409, api.create(world.app_id(), wanted, None).await);

    let next = EndpointUpsertIn {
        uid: Some(uid.clone()),
        ..EndpointUpsertIn::new(receiver.url() + "/2")
    };
    let replaced = api.upsert(world.app_id(), uid.clone(), next).await.unwrap();
    assert_eq!(
        (replaced.id, replaced.description.as_str(), replaced.channels),
        (made.id, "", None)
    );
    let patch = EndpointPatch {
        description: Some("three".to_owned()),
        channels: JsOption::Some(["us".to_owned()].into()),
        ..EndpointPatch::new()
    };
    let patched = api.patch(world.app_id(), uid, patch).await.unwrap();
    assert_eq!(
        (patched.description.as_str(), patched.url),
        ("three", receiver.url() + "/2")
    );
}

#[tokio::test]
async fn urls_that_lead_inside_are_refused() {
    let world = World::new().await;
    for url in [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/",
        "http://[::ffff:172.16.0.1]/",
        "http://0300.0250.0.1/",
        "file:///etc/passwd",
        "http://u:p@example.com/",
        "http://example.com:22/",
    ] {
        let wanted = EndpointIn::new(url.to_owned());
        refused(422, world.svix.endpoint().create(world.app_id(), wanted, None).await);
    }
    assert!(
        world
            .svix
            .endpoint()
            .list(world.app_id(), None)
            .await
            .unwrap()
            .data
            .is_empty()
    );
}

#[tokio::test]
async fn list_is_walked_forth_and_back() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let mut made = Vec::new();
    for i in 0..5 {
        let wanted = EndpointIn::new(format!("{}/{i}", receiver.url()));
        made.push(
            world
                .svix
                .endpoint()
                .create(world.app_id(), wanted, None)
                .await
                .unwrap()
                .id,
        );
    }
    let page = async |iterator: Option<String>| {
        let options = EndpointListOptions {
            limit: Some(2),
            iterator,
            order: Some(Ordering::Ascending),
        };
        let page = world.svix.endpoint().list(world.app_id(), Some(options)).await.unwrap();
        let ids: Vec<String> = page.data.iter().map(|e| e.id.clone()).collect();
        (ids, page)
    };
    let (first, one) = page(None).await;
    let (second, two) = page(one.iterator).await;
    let (third, three) = page(two.iterator).await;
    assert_eq!([first, second, third], [&made[..2], &made[2..4], &made[4..]]);
    assert_eq!([one.done, two.done, three.done], [false, false, true]);
    let (back, four) = page(three.prev_iterator).await;
    assert_eq!(back, &made[2..4]);
    assert_eq!(page(four.prev_iterator).await.0, &made[..2]);
}

#[tokio::test]
async fn headers_are_sent_and_patched() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    let header = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let given = [header("X-Team", "billing"), header("X-Stage", "prod")];
    let made = world.connect(&receiver, |e| e.headers = Some(given.into())).await;
    let message = world.publish(&ping, json!({})).await;
    assert_eq!(receiver.of(&message.id, 1)[0].header("x-team"), "billing");

    let api = world.svix.endpoint();
    let patch = EndpointHeadersPatchIn {
        delete_headers: Some(vec!["X-Stage".to_owned()]),
        ..EndpointHeadersPatchIn::new([header("X-Team", "ops")].into())
    };
    api.patch_headers(world.app_id(), made.clone(), patch).await.unwrap();
    let shown = api.get_headers(world.app_id(), made.clone()).await.unwrap();
    assert_eq!(shown.headers.len(), 1, "{shown:?}");
    api.set_headers(
        world.app_id(),
        made.clone(),
        EndpointHeadersIn::new([header("X-Only", "1")].into()),
    )
    .await
    .unwrap();
    let message = world.publish(&ping, json!({})).await;
    let sent = &receiver.of(&message.id, 1)[0];
    assert_eq!(sent.header("x-only"), "1");
    assert!(sent.headers.get("x-team").is_none());
    let forbidden = EndpointHeadersIn::new([header("Host", "evil")].into());
    refused(422, api.set_headers(world.app_id(), made, forbidden).await);
}

#[tokio::test]
async fn filters_choose_the_destinations() {
    let world = World::new().await;
    let (paid, user) = (
        world.event_type("invoice.paid").await,
        world.event_type("user.created").await,
    );
    let receivers: [Receiver; 3] = std::array::from_fn(|_| Receiver::new());
    let all = world.connect(&receivers[0], |_| ()).await;
    let exact = world
        .connect(&receivers[1], |e| e.event_types = Some([paid.clone()].into()))
        .await;
    let family = format!("{}.invoice.*", world.name);
    let wild = world
        .connect(&receivers[2], |e| e.event_types = Some([family].into()))
        .await;
    let other = world.publish(&user, json!({})).await;
    let ours = world.publish(&paid, json!({})).await;
    receivers[0].of(&other.id, 1);
    for receiver in &receivers {
        receiver.of(&ours.id, 1);
    }
    assert_eq!(destinations(&world, &other).await, [all.clone()].into());
    assert_eq!(destinations(&world, &ours).await, [all, exact, wild].into());
    assert_eq!(receivers[1].requests().len(), 1);
    assert_eq!(receivers[2].requests().len(), 1);
}

#[tokio::test]
async fn rotation_keeps_the_old_secret_for_its_grace() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    let made = world.connect(&receiver, |_| ()).await;
    let old = world.secret(&made).await;
    let api = world.svix.endpoint();
    let new = api
        .rotate_secret(world.app_id(), made.clone(), EndpointSecretRotateIn::new(), None)
        .await
        .unwrap()
        .key;
    receiver.trust(&new);
    assert_ne!(new, old);
    assert_eq!(world.secret(&made).await, new);
    let message = world.publish(&ping, json!({})).await;
    let sent = &receiver.of(&message.id, 1)[0];
    sent.verify(&old);
    sent.verify(&new);

    let at_once = EndpointSecretRotateIn {
        grace_period_seconds: Some(0),
        ..EndpointSecretRotateIn::new()
    };
    let last = api
        .rotate_secret(world.app_id(), made, at_once, None)
        .await
        .unwrap()
        .key;
    receiver.trust(&last);
    let message = world.publish(&ping, json!({})).await;
    let sent = &receiver.of(&message.id, 1)[0];
    sent.verify(&last);
    assert!(!sent.verifies(&new));
}

#[tokio::test]
async fn deleted_endpoint_gets_nothing_more() {
    let (world, witness, doomed) = (World::new().await, Receiver::new(), Receiver::new());
    let ping = world.event_type("ping").await;
    let stays = world.connect(&witness, |_| ()).await;
    let gone = world.connect(&doomed, |_| ()).await;
    let before = world.publish(&ping, json!({})).await;
    doomed.of(&before.id, 1);
    world
        .svix
        .endpoint()
        .delete(world.app_id(), gone.clone())
        .await
        .unwrap();
    let after = world.publish(&ping, json!({})).await;
    witness.of(&after.id, 1);
    assert_eq!(destinations(&world, &after).await, [stays].into());
    assert_eq!(doomed.requests().len(), 1);
    refused(404, world.svix.endpoint().get(world.app_id(), gone).await);
}

#[tokio::test]
async fn stats_count_deliveries() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    let made = world.connect_retrying(&receiver, &["100ms"]).await;
    let good = world.publish(&ping, json!({})).await;
    receiver.of(&good.id, 1);
    receiver.always(500);
    let bad = world.publish(&ping, json!({})).await;
    receiver.of(&bad.id, 2);
    eventually("one success and a failure", async || {
        let stats = world
            .svix
            .endpoint()
            .get_stats(world.app_id(), made.clone(), None)
            .await
            .unwrap();
        (stats.success == 1 && stats.fail >= 1 && stats.pending == 0 && stats.sending == 0).then_some(())
    })
    .await;
}
