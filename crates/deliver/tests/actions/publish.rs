//! The kind `publish`.

use std::sync::Arc;

use bellwire_core::{
    id::{EndpointId, Id as _, MessageId},
    message::Message,
};
use bellwire_store::query::{MessageFilter, Order, Page, Start};
use serde_json::json;

use crate::{
    house::{House, acme, endpoint, message, reason, response, source_app},
    receiver::{Receiver, Reply},
};

const PAGE: Page = Page {
    limit: 10,
    start: Start::First,
    order: Order::Ascending,
};

async fn published(house: &House) -> Vec<Message> {
    let all = house.store.messages(acme(), MessageFilter::default(), PAGE, true).await;
    all.unwrap().items
}

#[tokio::test]
async fn a_message_becomes_one_of_the_application_once_however_often_it_is_tried() {
    let house = House::open().await;
    let publish = endpoint(
        "publish",
        &json!({"app": "acme", "type": "stripe.{{ type }}", "orderingKey": "{{ id }}"}),
    );
    let payload = "{\"id\": 1.50}";
    for _ in 0..3 {
        let outcome = house.act(publish.clone(), message(payload)).await;
        assert_eq!(reason(&outcome), "", "{outcome:?}");
        assert!(response(&outcome).starts_with("published"), "{outcome:?}");
    }
    let all = published(&house).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].event_type.as_str(), all[0].ordering_key.as_deref()),
        ("stripe.invoice.paid", Some("1.5"))
    );
    assert_eq!(all[0].payload.as_deref(), Some(payload.as_bytes()));
    let came_from = MessageId::from_number(42).to_string();
    assert_eq!(all[0].tags, ["bellwire-hops/1", &came_from]);
    assert!(all[0].event_id.as_ref().unwrap().starts_with(&came_from));
    assert!(all[0].traceparent.is_some());
    let deliveries = house.store.deliveries(acme(), all[0].id, PAGE).await.unwrap();
    assert_eq!(deliveries.items.len(), 1, "the endpoint of the application");
}

#[tokio::test]
async fn each_action_of_a_message_publishes_its_own_whatever_another_has_published() {
    let house = House::open().await;
    // The payload is the only difference: an endpoint's transformation may have made it.
    for (number, payload) in [
        (7, r#"{"a":1}"#),
        (8, r#"{"b":2}"#),
        (8, r#"{"b":2}"#),
        (7, r#"{"a":1}"#),
    ] {
        let mut publish = endpoint("publish", &json!({"app": "acme"}));
        publish.id = EndpointId::from_number(number);
        let outcome = house.act(publish, message(payload)).await;
        assert_eq!(reason(&outcome), "", "{outcome:?}");
    }
    let payloads: Vec<_> = published(&house)
        .await
        .into_iter()
        .map(|message| message.payload.unwrap())
        .collect();
    assert_eq!(payloads, [r#"{"a":1}"#, r#"{"b":2}"#]);
}

#[tokio::test]
async fn what_is_not_json_is_published_as_the_json_that_templates_see() {
    let house = House::open().await;
    let mut form = message("id=7&name=Ada");
    form.content_type = Some("application/x-www-form-urlencoded".to_owned());
    assert_eq!(
        reason(&house.act(endpoint("publish", &json!({"app": "acme"})), form).await),
        ""
    );
    let all = published(&house).await;
    assert_eq!(all[0].payload.as_deref(), Some(&br#"{"id":"7","name":"Ada"}"#[..]));
}

#[tokio::test]
async fn messages_do_not_go_round_in_a_circle_nor_to_nobody() {
    let house = House::open().await;
    for (app, payload, expected) in [
        (source_app().to_string(), "{}", "publish_refused"),
        ("nobody".to_owned(), "{}", "publish_app_unknown"),
        ("acme".to_owned(), "[1]", "template_failed"),
    ] {
        let mut publish = endpoint("publish", &json!({"app": app}));
        publish.id = EndpointId::from_number(u64::try_from(app.len()).unwrap());
        assert_eq!(reason(&house.act(publish, message(payload)).await), expected, "{app}");
    }
    assert!(published(&house).await.is_empty());
}

#[tokio::test]
async fn a_payload_that_the_application_would_not_take_of_others_is_not_published() {
    let house = House::open().await;
    let publish = endpoint("publish", &json!({"app": "acme", "type": "strict"}));
    let outcome = house.act(publish, message("{}")).await;
    assert_eq!(reason(&outcome), "publish_refused");
    assert!(
        response(&outcome).contains("payload.amount: is no number"),
        "{}",
        response(&outcome)
    );
    assert!(outcome.failure.unwrap().is_final());
    assert!(published(&house).await.is_empty());
}

#[tokio::test]
async fn a_circle_over_the_urls_of_sources_ends_after_a_few_rounds() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "ok")).await;
    let mut hops = String::new();
    for round in 1..=8 {
        let mut came = message("{}");
        came.id = MessageId::from_number(round);
        Arc::make_mut(came.inbound.as_mut().unwrap())
            .headers
            .push(("bellwire-hops".to_owned(), hops));
        assert_eq!(
            reason(&house.act(endpoint("publish", &json!({"app": "acme"})), came).await),
            ""
        );
        let mut sent = published(&house).await.pop().unwrap();
        sent.payload = Some("{}".into());
        let mut call = endpoint("http", &json!({"url": receiver.url()}));
        call.id = EndpointId::from_number(8);
        assert_eq!(reason(&house.act(call, sent).await), "");
        hops = receiver.seen().pop().unwrap().header("bellwire-hops").to_owned();
        assert_eq!(hops, round.to_string());
    }
    let mut came = message("{}");
    Arc::make_mut(came.inbound.as_mut().unwrap())
        .headers
        .push(("bellwire-hops".to_owned(), hops));
    let outcome = house.act(endpoint("publish", &json!({"app": "acme"})), came).await;
    assert_eq!(reason(&outcome), "publish_refused");
    assert!(response(&outcome).contains("circle"), "{}", response(&outcome));
}

#[tokio::test]
async fn requests_with_what_a_source_brought_count_its_rounds() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "ok")).await;
    for kind in ["http", "forward"] {
        for (came_with, goes_with) in [(None, "1"), (Some("1"), "2"), (Some("8"), "9"), (Some("255"), "255")] {
            let mut came = message("{}");
            let headers = &mut Arc::make_mut(came.inbound.as_mut().unwrap()).headers;
            headers.extend(came_with.map(|hops| ("bellwire-hops".to_owned(), hops.to_owned())));
            let mut call = endpoint(kind, &json!({"url": receiver.url()}));
            call.id = EndpointId::from_number(100 + u64::try_from(kind.len()).unwrap());
            let outcome = house.act(call, came).await;
            assert_eq!(reason(&outcome), "");
            let seen = receiver.seen().pop().unwrap();
            assert_eq!(seen.header("bellwire-hops"), goes_with, "{kind}");
            assert_eq!(seen.headers.get_all("bellwire-hops").iter().count(), 1, "{kind}");
        }
    }
    let mut own = message("{}");
    own.inbound = None;
    assert_eq!(
        reason(&house.act(endpoint("http", &json!({"url": receiver.url()})), own).await),
        ""
    );
    assert!(receiver.seen().pop().unwrap().headers.get("bellwire-hops").is_none());
}
