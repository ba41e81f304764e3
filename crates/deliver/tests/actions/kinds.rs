//! What holds for every kind.

use bellwire_core::{
    endpoint::{ActionSettings, Endpoint},
    id::{EndpointId, Id as _},
    time::Timestamp,
};
use bellwire_deliver::action::{Acted, Action as _};
use serde_json::{Value, json};

use crate::{
    house::{House, LONG, endpoint, message, reason, response},
    receiver::{Receiver, Reply},
};

fn untrusted(kind: &str, settings: &Value) -> Endpoint {
    let trusted = endpoint(kind, settings);
    Endpoint {
        action: ActionSettings {
            trusted: false,
            ..trusted.action.clone()
        },
        ..trusted
    }
}

#[tokio::test]
async fn what_touches_the_machine_is_only_done_for_the_hooks_file() {
    let house = House::open().await;
    for (kind, settings) in [
        ("run", json!({"argv": ["touch", house.folder.path().join("made")]})),
        ("file", json!({"path": "made"})),
        ("publish", json!({"app": "acme"})),
    ] {
        let outcome = house.act(untrusted(kind, &settings), message("{}")).await;
        assert_eq!(reason(&outcome), "kind_refused", "{kind}");
    }
    assert!(!house.folder.path().join("made").exists());
}

#[tokio::test]
async fn an_address_that_strangers_may_not_name_is_called_for_the_hooks_file_alone() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(204, &[], "")).await;
    let settings = json!({"url": receiver.url()});
    for kind in ["http", "forward"] {
        let outcome = house.act(untrusted(kind, &settings), message("{}")).await;
        assert_eq!(reason(&outcome), "address_refused", "{kind}");
    }
    assert!(receiver.seen().is_empty());
    assert_eq!(reason(&house.act(endpoint("http", &settings), message("{}")).await), "");
}

#[tokio::test]
async fn nothing_is_done_when_it_may_not_begin() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(204, &[], "")).await;
    for (kind, settings) in [
        ("http", json!({"url": receiver.url()})),
        ("forward", json!({"url": receiver.url()})),
        ("chat", json!({"slack": receiver.url(), "text": "x"})),
        ("run", json!({"argv": ["touch", house.folder.path().join("made")]})),
        ("file", json!({"path": "made"})),
        ("publish", json!({"app": "acme"})),
    ] {
        let acted = house
            .act_if(endpoint(kind, &settings), message("{}"), LONG, &|| false)
            .await;
        assert!(matches!(acted, Acted::Withheld), "{kind}");
    }
    assert!(receiver.seen().is_empty() && !house.folder.path().join("made").exists());
}

#[tokio::test]
async fn settings_are_read_anew_when_they_change_and_a_bad_one_says_what_is_wrong() {
    let house = House::open().await;
    let write = |line: &str| endpoint("file", &json!({"path": "a.log", "line": line}));
    house.act(write("one"), message("{}")).await;
    let mut changed = write("two");
    assert_eq!(
        reason(&house.act(changed.clone(), message("{}")).await),
        "",
        "the same version, kept"
    );
    changed.updated_at = Timestamp::from_secs(1_766_000_001);
    house.act(changed.clone(), message("{}")).await;
    let written = std::fs::read_to_string(house.folder.path().join("a.log")).unwrap();
    assert_eq!(written, "one\none\ntwo\n");
    house.actions.forget(changed.id);
    house.actions.sweep();

    let outcome = house
        .act(endpoint("file", &json!({"path": "{{ a }}"})), message("{}"))
        .await;
    assert_eq!(reason(&outcome), "settings_invalid");
    assert!(response(&outcome).contains("`path`"), "{}", response(&outcome));
    let outcome = house.act(endpoint("fax", &json!({})), message("{}")).await;
    assert_eq!(reason(&outcome), "kind_unknown");
}

#[tokio::test]
async fn what_the_message_lacks_is_named_and_not_tried_again() {
    let house = House::open().await;
    let settings = json!({"path": "a.log", "line": "{{ customer.name }}"});
    let outcome = house.act(endpoint("file", &settings), message("{}")).await;
    assert_eq!(reason(&outcome), "template_failed");
    assert!(response(&outcome).contains("customer"), "{}", response(&outcome));
    assert!(outcome.failure.unwrap().is_final());
}

#[tokio::test]
async fn templates_see_what_came_in_whatever_it_was_written_as() {
    let house = House::open().await;
    let settings = json!({"path": "a.log", "line": "{{ order.id }} {{ headers['x-provider'] }} {{ message_id[:4] }}"});
    let mut xml = message("<order><id>7</id></order>");
    xml.content_type = Some("application/xml".to_owned());
    assert_eq!(reason(&house.act(endpoint("file", &settings), xml).await), "");
    let written = std::fs::read_to_string(house.folder.path().join("a.log")).unwrap();
    assert_eq!(written, "7 stripe msg_\n");
}

#[tokio::test]
async fn what_a_reference_was_replaced_by_is_not_quoted_by_what_fails() {
    const CANARY: &str = "canary-0123456789";
    let mut number = 100;
    let house = House::open().await;
    // As a whole template that came from a variable: errors name the piece of it that is meant.
    let secret = format!("{CANARY} {{{{ customer.{} }}}}", CANARY.replace('-', "_"));
    for (kind, settings, hidden) in [
        ("file", json!({"path": "a.log", "line": secret}), "/line"),
        ("run", json!({"argv": ["true", secret]}), "/argv/1"),
        ("run", json!({"argv": ["true"], "env": {"TOKEN": secret}}), "/env/TOKEN"),
        (
            "http",
            json!({"url": "http://127.0.0.1:9", "json": {"a": {"b": secret}}}),
            "/json/a/b",
        ),
        (
            "http",
            json!({"url": "http://127.0.0.1:9", "headers": {"x-token": secret}}),
            "/headers/x-token",
        ),
    ] {
        let mut endpoint = endpoint(kind, &settings);
        number += 1;
        endpoint.id = EndpointId::from_number(number);
        assert!(
            said(&house.act(endpoint.clone(), message("{}")).await).contains("canary"),
            "{settings}"
        );
        endpoint.id = EndpointId::from_number(endpoint.id.number() + 10_000);
        endpoint.action.hidden = [hidden.to_owned()].into();
        let outcome = house.act(endpoint, message("{}")).await;
        assert_eq!(reason(&outcome), "template_failed");
        let said = said(&outcome);
        assert!(!said.contains("canary") && said.contains("hooks test"), "{said}");
    }
}

/// All that an outcome says.
fn said(outcome: &bellwire_core::attempt::Outcome) -> String {
    format!("{outcome:?}{}", response(outcome))
}
