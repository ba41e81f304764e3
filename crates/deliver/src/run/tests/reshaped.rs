//! Messages at endpoints that want them otherwise: transformed, in another format, or not all of them.

use bellwire_core::{
    delivery::Trigger,
    endpoint::{Format, Throttle, Workflow},
};

use super::*;

fn wanting(workflow: Workflow) -> Endpoint {
    Endpoint {
        batch: None,
        workflow,
        ..endpoint()
    }
}

fn transforming(transformation: &str) -> Workflow {
    Workflow {
        transformation: Some(transformation.into()),
        ..Workflow::default()
    }
}

fn formatted(format: Format) -> Workflow {
    Workflow {
        format,
        ..Workflow::default()
    }
}

/// What the receiver gets of one message.
async fn sent(workflow: Workflow, payload: &str, content_type: Option<&str>) -> Sent {
    let house = House::with(wanting(workflow)).await;
    let receiver = Receiver::answering(200);
    let ran = house.run(&receiver, &[work(1, Some(payload), content_type)]).await;
    assert_eq!(verdicts(&ran), [Verdict::Succeeded], "{:?}", ran[0].settlement.outcome);
    house.end().await;
    let letters = receiver.letters.lock().unwrap();
    letters[0].clone()
}

/// Why nothing is sent of one message.
async fn unsent(workflow: Workflow, payload: &str, content_type: Option<&str>) -> (&'static str, String) {
    let house = House::with(wanting(workflow)).await;
    let receiver = Receiver::answering(200);
    let ran = house.run(&receiver, &[work(1, Some(payload), content_type)]).await;
    assert!(receiver.letters.lock().unwrap().is_empty());
    assert!(!ran[0].asked && ran[0].settlement.health.is_none() && ran[0].disable.is_none());
    assert_eq!(ran[0].settlement.verdict, Verdict::Failed);
    let entry = house.directory.endpoint_by_id(EndpointId::from_number(7)).unwrap();
    assert_eq!(entry.lane.health(), Health::default(), "the receiver did nothing wrong");
    house.end().await;
    let failure = ran[0]
        .settlement
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.failure.clone());
    failure.map(|failure| (failure.reason, failure.detail)).unwrap()
}

#[tokio::test]
async fn a_transformed_payload_is_sent_in_the_place_of_the_payload() {
    let template = r#"{"what": "{{ type }}", "id": "{{ message_id }}", "total": "{{ amount }}"}"#;
    let letter = sent(transforming(template), r#"{"amount": 250}"#, None).await;
    let id = MessageId::from_number(1);
    assert_eq!(letter.body, format!(r#"{{"what":"a","id":"{id}","total":250}}"#));
    assert_eq!(
        (letter.content_type.as_str(), letter.headers.len()),
        ("application/json", 0)
    );
    let xml = sent(
        transforming("{{ order|tojson }}"),
        "<order><id>7</id></order>",
        Some("text/xml"),
    )
    .await;
    assert_eq!(
        (xml.body.as_ref(), xml.content_type.as_str()),
        (&br#"{"id":"7"}"#[..], "application/json")
    );
}

#[tokio::test]
async fn one_that_cannot_be_transformed_is_given_up_and_the_endpoint_is_not_blamed() {
    let (reason, detail) = unsent(transforming("{\"a\": \"{{ nowhere }}\"}"), "{}", None).await;
    assert_eq!(reason, "transformation_failed");
    assert!(detail.contains("`nowhere` is missing"), "{detail}");
    let (reason, detail) = unsent(transforming("{{ body }}"), "<a", Some("text/xml")).await;
    assert_eq!(reason, "transformation_failed");
    assert!(detail.contains("no XML"), "{detail}");
    let (_, detail) = unsent(transforming("{% if a %}"), "{}", None).await;
    assert!(
        detail.contains("syntax error"),
        "one that does not compile any more: {detail}"
    );
}

#[tokio::test]
async fn a_transformation_that_runs_away_is_stopped() {
    let loops = "{% for a in body.l %}".repeat(20) + "1" + &"{% endfor %}".repeat(20);
    let (reason, detail) = unsent(transforming(&loops), r#"{"l": [1, 2, 3, 4]}"#, None).await;
    assert_eq!(reason, "transformation_failed");
    assert!(detail.contains("too much work"), "{detail}");
}

#[tokio::test]
async fn each_format_says_what_it_is() {
    let payload = r#"{"order": {"id": 7, "total": 1.50}}"#;
    let xml = sent(formatted(Format::Xml), payload, None).await;
    assert_eq!(xml.content_type, "application/xml");
    assert!(xml.body.ends_with(b"<order><id>7</id><total>1.50</total></order>"));
    let form = sent(formatted(Format::Form), payload, None).await;
    assert_eq!(form.content_type, "application/x-www-form-urlencoded");
    assert_eq!(form.body, "order%5Bid%5D=7&order%5Btotal%5D=1.50");
    let binary = sent(formatted(Format::CloudeventsBinary), payload, None).await;
    assert_eq!(
        (binary.content_type.as_str(), binary.body.as_ref()),
        ("application/json", payload.as_bytes())
    );
    let source = ("ce-source".to_owned(), format!("/app/{}", AppId::from_number(2)));
    assert!(binary.headers.contains(&source), "{:?}", binary.headers);
    let structured = sent(formatted(Format::CloudeventsStructured), payload, None).await;
    assert_eq!(structured.content_type, "application/cloudevents+json; charset=UTF-8");
    let found: serde_json::Value = serde_json::from_slice(&structured.body).unwrap();
    assert_eq!(
        (&found["type"], &found["data"]["order"]["id"]),
        (&"a".into(), &7.into())
    );
    let text = sent(formatted(Format::CloudeventsStructured), "up", Some("text/plain")).await;
    let found: serde_json::Value = serde_json::from_slice(&text.body).unwrap();
    assert_eq!(
        (&found["data"], &found["datacontenttype"]),
        (&"up".into(), &"text/plain".into())
    );
}

#[tokio::test]
async fn a_transformed_payload_is_written_in_the_format_and_one_that_cannot_be_is_told() {
    let workflow = Workflow {
        format: Format::Form,
        ..transforming(r#"{"id": "{{ id }}"}"#)
    };
    assert_eq!(sent(workflow, r#"{"id": 7, "more": 1}"#, None).await.body, "id=7");
    let (reason, detail) = unsent(formatted(Format::Form), "[1]", None).await;
    assert_eq!(reason, "format_failed");
    assert!(detail.contains("a form is made of an object"), "{detail}");
}

#[tokio::test]
async fn templates_of_an_action_see_the_payload_and_not_the_format() {
    let forwarding = |format| Endpoint {
        action: bellwire_core::endpoint::ActionSettings {
            kind: "forward".into(),
            settings: Some("{}".into()),
            trusted: false,
            hidden: Default::default(),
        },
        ..wanting(formatted(format))
    };
    let house = House::with(forwarding(Format::Xml)).await;
    let receiver = Receiver::answering(200);
    house.run(&receiver, &[work(1, Some("{\"id\": 7}"), None)]).await;
    house.end().await;
    let letter = receiver.letters.lock().unwrap()[0].clone();
    assert_eq!(
        (letter.content_type.as_str(), letter.json.as_deref()),
        ("application/xml", Some(&b"{\"id\": 7}"[..]))
    );
    let house = House::with(forwarding(Format::CloudeventsBinary)).await;
    let ran = house.run(&receiver, &[work(2, Some("{}"), None)]).await;
    assert_eq!(verdicts(&ran), [Verdict::Failed]);
    house.end().await;
}

fn throttled(key: Option<&str>) -> Workflow {
    Workflow {
        throttle: Some(Throttle {
            key: key.map(Into::into),
            every: Span(Duration::from_secs(900)),
        }),
        ..Workflow::default()
    }
}

#[tokio::test]
async fn one_of_a_kind_is_sent_and_the_others_are_cancelled_with_the_reason() {
    let house = House::with(wanting(throttled(Some("{{ host }}")))).await;
    let receiver = Receiver::answering(200);
    let of = |number, host: &str| [work(number, Some(&format!("{{\"host\": \"{host}\"}}")), None)];
    assert_eq!(
        verdicts(&house.run(&receiver, &of(1, "db1")).await),
        [Verdict::Succeeded]
    );
    let ran = house.run(&receiver, &of(2, "db1")).await;
    assert_eq!(verdicts(&ran), [Verdict::Cancelled]);
    assert!(!ran[0].asked && ran[0].settlement.notices.is_empty() && ran[0].settlement.health.is_none());
    let failure = ran[0]
        .settlement
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.failure.as_ref())
        .unwrap();
    assert_eq!(failure.reason, "throttled");
    assert!(
        failure
            .detail
            .starts_with("another message of the kind `db1` was acted upon at "),
        "{}",
        failure.detail
    );
    assert!(
        failure.detail.ends_with("lets one through every 15m"),
        "{}",
        failure.detail
    );
    assert_eq!(
        verdicts(&house.run(&receiver, &of(3, "db2")).await),
        [Verdict::Succeeded]
    );
    // What was held back stays so when something else about the endpoint changes.
    let changed = Endpoint {
        description: "changed".to_owned(),
        ..wanting(throttled(Some("{{ host }}")))
    };
    let change = Change::PutEndpoint(Box::new(changed));
    house.directory.commit(vec![change], None).await.unwrap();
    assert_eq!(
        verdicts(&house.run(&receiver, &of(4, "db1")).await),
        [Verdict::Cancelled]
    );
    house.end().await;
}

#[tokio::test]
async fn one_that_lacks_what_the_key_is_made_of_is_of_no_kind() {
    for key in ["{{ host }}", "{{ host }}-{{ disk }}"] {
        let house = House::with(wanting(throttled(Some(key)))).await;
        let receiver = Receiver::answering(200);
        for (number, payload) in [(1, "{}"), (2, "{\"disk\": \"sda\"}"), (3, "{}")] {
            let ran = house.run(&receiver, &[work(number, Some(payload), None)]).await;
            assert_eq!(verdicts(&ran), [Verdict::Succeeded], "{key} {payload}");
        }
        house.end().await;
    }
    let house = House::with(wanting(throttled(Some("{{ host }}")))).await;
    let receiver = Receiver::answering(200);
    for number in [1, 2] {
        let ran = house
            .run(&receiver, &[work(number, Some("{\"host\": null}"), None)])
            .await;
        assert_eq!(verdicts(&ran), [Verdict::Succeeded], "an empty key");
    }
    house.end().await;
}

#[tokio::test]
async fn what_somebody_sends_again_by_hand_is_sent_and_not_counted() {
    let house = House::with(wanting(throttled(None))).await;
    let receiver = Receiver::answering(200);
    let by_hand = |number| {
        let mut work = work(number, Some("{}"), None);
        work.progress.trigger = Trigger::Manual;
        [work]
    };
    let of = |number| [work(number, Some("{}"), None)];
    for work in [by_hand(1), of(2), by_hand(3)] {
        assert_eq!(verdicts(&house.run(&receiver, &work).await), [Verdict::Succeeded]);
    }
    assert_eq!(verdicts(&house.run(&receiver, &of(4)).await), [Verdict::Cancelled]);
    house.end().await;
}

#[tokio::test]
async fn an_attempt_that_fails_holds_nothing_back() {
    let house = House::with(wanting(throttled(None))).await;
    let first = house.run(&Receiver::answering(500), &[work(1, Some("{}"), None)]).await;
    assert!(matches!(verdicts(&first)[..], [Verdict::RetryAt(_)]));
    let receiver = Receiver::answering(200);
    assert_eq!(
        verdicts(&house.run(&receiver, &[work(2, Some("{}"), None)]).await),
        [Verdict::Succeeded]
    );
    assert_eq!(
        verdicts(&house.run(&receiver, &[work(1, Some("{}"), None)]).await),
        [Verdict::Cancelled]
    );
    house.end().await;
}

#[tokio::test]
async fn settings_for_batches_do_not_count_where_messages_are_reshaped() {
    let house = House::with(Endpoint {
        workflow: formatted(Format::Xml),
        ..endpoint()
    })
    .await;
    let receiver = Receiver::answering(200);
    let works = [work(1, Some("{}"), None), work(2, Some("{}"), None)];
    let ran = house.run(&receiver, &works).await;
    assert_eq!(verdicts(&ran), [Verdict::Succeeded, Verdict::Park(works[1].due_at)]);
    house.end().await;
}
