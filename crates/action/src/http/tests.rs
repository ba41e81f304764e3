use serde_json::json;

use super::*;
use crate::tests::event;

const PAYLOAD: &str = r#"{"id": "in/7?x=1#y", "dots": "..", "empty": "", "amount": 1250, "note": "a\r\nx-evil: 1", "data": {"a": [1, "b"]}}"#;

fn settings(value: Value) -> Settings {
    Settings::read(&value).unwrap()
}

fn plan(value: Value) -> Result<Plan, PlanError> {
    settings(value).plan(&event(PAYLOAD))
}

#[test]
fn a_value_of_the_message_stays_in_its_segment_of_the_path() {
    let url = |path: &str| plan(json!({"url": "https://api.example.com/v1/", "path": path})).map(|plan| plan.url);
    assert_eq!(
        url("/orders/{{ id }}/pay").unwrap(),
        "https://api.example.com/v1/orders/in%2F7%3Fx%3D1%23y/pay"
    );
    assert_eq!(
        url("orders?id={{ id }}").unwrap(),
        "https://api.example.com/v1/orders?id=in%2F7%3Fx%3D1%23y"
    );
    for path in [
        "/orders/{{ dots }}/x",
        "/a/{{ empty }}",
        "/a/{{ empty }}/b",
        "/a/{{ missing }}",
        "/%2e{{ '.' }}/x",
    ] {
        let error = url(path).unwrap_err();
        assert_eq!(error.setting, "path", "{path}: {error}");
    }
}

#[test]
fn the_path_stands_before_the_query_of_the_url() {
    let plan = plan(json!({"url": "https://example.com?k=v", "path": "/a", "query": {"b c": "{{ id }}"}})).unwrap();
    assert_eq!(plan.url, "https://example.com/a?k=v&b%20c=in%2F7%3Fx%3D1%23y");
}

#[test]
fn bodies_are_the_payload_json_with_its_types_text_or_a_form() {
    let of = |mut more: Value| {
        more["url"] = json!("https://example.com");
        let plan = plan(more).unwrap();
        (plan.content_type, plan.body)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(of(json!({})), (text("application/json"), None));
    assert_eq!(of(json!({"method": "delete"})), (None, None));
    assert_eq!(
        of(json!({"json": {"amount": "{{ amount }}", "text": "no. {{ amount }}", "all": "{{ data }}"}})),
        (
            text("application/json"),
            text(r#"{"all":{"a":[1,"b"]},"amount":1250,"text":"no. 1250"}"#)
        )
    );
    assert_eq!(
        of(json!({"body": "<a>{{ amount }}</a>", "headers": {"Content-Type": "text/xml"}})),
        (text("text/xml"), text("<a>1250</a>"))
    );
    assert_eq!(
        of(json!({"form": {"a": "{{ id }}", "b": "1 2"}})),
        (
            text("application/x-www-form-urlencoded"),
            text("a=in%2F7%3Fx%3D1%23y&b=1%202")
        )
    );
}

#[test]
fn a_header_has_no_line_break_whatever_the_message_says() {
    let error = plan(json!({"url": "https://example.com", "headers": {"x-note": "{{ note }}"}})).unwrap_err();
    assert!(
        error.setting == "headers.x-note" && error.message.contains("position 2"),
        "{error}"
    );
}

#[test]
fn an_idempotency_key_is_sent_unless_there_is_one() {
    let key = |headers: Value| {
        let plan = plan(json!({"url": "https://example.com", "headers": headers})).unwrap();
        let found: Vec<_> = plan
            .headers
            .into_iter()
            .filter(|(name, _)| name == "idempotency-key")
            .collect();
        found.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(key(json!({})), ["msg_1.ep_1"]);
    assert_eq!(key(json!({"Idempotency-Key": "{{ amount }}"})), ["1250"]);
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_place() {
    for (settings, path, says) in [
        (json!({}), "", "`url` is missing"),
        (
            json!({"url": "https://{{ host }}/"}),
            "url",
            "must not choose whom we call",
        ),
        (json!({"url": "ftp://example.com"}), "url", "https"),
        (json!({"url": "https://u:p@example.com"}), "url", "user"),
        (
            json!({"url": "https://a.example", "method": "GET /"}),
            "method",
            "no method",
        ),
        (
            json!({"url": "https://a.example", "method": "CONNECT"}),
            "method",
            "nothing",
        ),
        (
            json!({"url": "https://a.example", "headers": {"Host": "x"}}),
            "headers",
            "may not be set",
        ),
        (
            json!({"url": "https://a.example", "headers": {"x": "a\nb"}}),
            "headers",
            "position 2",
        ),
        (
            json!({"url": "https://a.example", "headers": {"x": "{{ a"}}),
            "headers.x",
            "line 1",
        ),
        (
            json!({"url": "https://a.example", "json": {}, "body": ""}),
            "",
            "one body",
        ),
        (
            json!({"url": "https://a.example", "bearer": "t", "headers": {"authorization": "x"}}),
            "headers",
            "twice",
        ),
        (
            json!({"url": "https://a.example", "bearer": "a\r\nb"}),
            "bearer",
            "white space",
        ),
        (json!({"url": "https://a.example", "ok": [99]}), "ok", "99"),
        (json!({"url": "https://a.example", "path": "/a#b"}), "path", "#"),
        (
            json!({"url": "https://a.example", "follow": true}),
            "follow",
            "there is no",
        ),
    ] {
        let problem = Settings::read(&settings).unwrap_err();
        assert_eq!(problem.path.join("."), path, "{settings}: {problem}");
        assert!(problem.message.contains(says), "{settings}: {problem}");
    }
}

#[test]
fn what_is_secret_is_neither_shown_nor_previewed() {
    let value = json!({
        "url": "https://example.com/a?k=CANARY", "query": {"x": "{{ amount }}"}, "bearer": "CANARY", "headers": {"x-api-key": "CANARY", "x-team": "kitchen"},
    });
    let kind = crate::by_name("http").unwrap();
    let shown = (kind.shown)(&value).to_string();
    let preview = (kind.preview)(&value, &event(PAYLOAD)).unwrap().to_string();
    let debug = format!(
        "{:?}",
        settings(json!({"url": "https://example.com", "bearer": "CANARY"}))
    );
    for text in [&shown, &preview, &debug] {
        assert!(!text.contains("CANARY"), "{text}");
    }
    assert!(shown.contains("kitchen") && preview.contains("kitchen"));
    let preview = |value: Value| (kind.preview)(&value, &event(PAYLOAD)).unwrap()["url"].clone();
    // Also where the host or the path happens to hold the same text.
    assert_eq!(
        preview(
            json!({"url": "https://k.example/k?k", "path": "/a?b=1&api_key=CANARY", "query": {"token": "CANARY", "x": "y"}})
        ),
        "https://k.example/k/a?[redacted]&b=1&api_key=[redacted]&token=[redacted]&x=y"
    );
    assert_eq!(
        preview(json!({"url": "https://k.example/k", "query": {"x": "y"}})),
        "https://k.example/k?x=y"
    );
    let basic = json!({"url": "https://example.com", "basic": {"user": "u", "pass": "CANARY"}});
    assert!(!(kind.shown)(&basic).to_string().contains("CANARY"));
}
