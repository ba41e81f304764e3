use bellwire_template::{Expression, MessageScope, Missing, Reason};
use serde_json::json;

use crate::{PAYLOAD, channels, evaluate, holds};

#[test]
fn a_message_is_seen_by_its_names() {
    assert_eq!(evaluate("type").unwrap(), json!("invoice.paid"));
    assert_eq!(evaluate("channels").unwrap(), json!(["eu", "shop"]));
    assert_eq!(evaluate("id").unwrap(), json!("in_7"));
    assert_eq!(
        evaluate("customer.name").unwrap(),
        evaluate("body.customer.name").unwrap()
    );
    assert_eq!(evaluate("lines[1].sku ~ lines[-1].count").unwrap(), json!("b3"));
    // Our names win, and the payload's own is still there.
    assert_eq!(evaluate("body.type").unwrap(), json!("payload's own"));
    assert_eq!(
        evaluate("message_id is defined or headers is defined").unwrap(),
        json!(false)
    );
}

#[test]
fn headers_and_the_id_are_there_when_the_message_has_them() {
    let headers = vec![("x-github-event".to_owned(), "push".to_owned())];
    let scope = MessageScope::new("a", &[], b"{}")
        .with_message_id("msg_1")
        .with_headers(&headers);
    let value = |text| {
        Expression::compile(text, Missing::Empty)
            .unwrap()
            .evaluate(&scope)
            .unwrap()
    };
    assert_eq!(value("headers[\"x-github-event\"] ~ message_id"), json!("pushmsg_1"));
    assert_eq!(value("headers.x"), json!(null));
}

#[test]
fn an_item_is_seen_beside_the_rest_of_its_request() {
    let item = br#"{"status": "firing", "labels": {"instance": "db1"}, "body": 1, "item": 2}"#;
    let evaluate = |scope: &MessageScope<'_>, text: &str| {
        let expression = Expression::compile(text, Missing::Empty).unwrap();
        expression.evaluate(scope).unwrap()
    };
    let rest = br#"{"receiver": "ops", "status": "resolved"}"#;
    let scope = MessageScope::new("alert", &[], item).with_item(Some(rest));
    for (text, value) in [
        ("item.labels.instance", json!("db1")),
        ("labels.instance", json!("db1")),
        ("status ~ body.status ~ body.receiver", json!("firingresolvedops")),
        ("[receiver is defined, body.labels is defined]", json!([false, false])),
        ("[item.body, item.item]", json!([1, 2])),
    ] {
        assert_eq!(evaluate(&scope, text), value, "{text}");
    }
    let alone = MessageScope::new("alert", &[], item).with_item(None);
    assert_eq!(
        evaluate(&alone, "[body.status, item.status, status]"),
        json!(["firing", "firing", "firing"])
    );
    let published = MessageScope::new("alert", &[], item);
    assert_eq!(evaluate(&published, "[item is defined, body.item]"), json!([false, 2]));
}

#[test]
fn filters_and_comparisons_do_what_they_say() {
    assert!(holds("amount > 100 and type == \"invoice.paid\""));
    assert!(holds("type in [\"invoice.paid\", \"invoice.sent\"]"));
    assert!(holds("\"vip\" in customer.tags and \"eu\" in channels"));
    assert!(holds("customer.tags == [\"new\", \"vip\"]"));
    assert!(holds("type is startingwith(\"invoice.\")"));
    assert!(holds("lines|map(attribute=\"count\")|sum == 5"));
    assert!(holds("lines|selectattr(\"count\", \"gt\", 2)|list|length == 1"));
    assert!(holds("big == 12345678901234567890 and big > 12345678901234567889"));
    assert_eq!(
        evaluate("customer.name|upper|replace(\"ADA\", \"EVE\")|split(\" \")|first").unwrap(),
        json!("EVE")
    );
    assert_eq!(evaluate("customer.tags|join(\", \")").unwrap(), json!("new, vip"));
    assert_eq!(evaluate("amount|float * 2").unwrap(), json!(500.0));
    assert_eq!(evaluate("customer.tags|tojson").unwrap(), json!("[\"new\",\"vip\"]"));
    assert_eq!(evaluate("\"a/b c&d\"|urlencode").unwrap(), json!("a/b%20c%26d"));
    assert_eq!(
        evaluate("(paid|string) ~ (customer.tags|string)").unwrap(),
        json!("true[\"new\",\"vip\"]")
    );
}

#[test]
fn what_is_missing_is_false_and_never_an_error_in_a_filter() {
    assert!(!holds("nowhere.to.be.found == \"x\""));
    assert!(!holds("nowhere > 3"));
    assert!(!holds("\"x\" in nowhere"));
    assert!(!holds("nowhere|length > 0"));
    assert!(holds("nowhere.at.all == 1 or customer.id == 42"));
    assert!(holds("nowhere is not defined and nothing is none"));
    assert_eq!(evaluate("nowhere").unwrap(), json!(null));
    assert_eq!(evaluate("nowhere|default(\"x\")").unwrap(), json!("x"));
    // The one that bites, so the guide says it: nothing is smaller than anything.
    assert!(holds("nowhere < 3"));
    assert!(!holds("nowhere is number and nowhere < 3"));
}

#[test]
fn what_is_missing_is_an_error_that_names_it_where_that_is_asked_for() {
    let channels = channels();
    let scope = MessageScope::new("a", &channels, PAYLOAD.as_bytes());
    let value = |text| Expression::compile(text, Missing::Error).unwrap().evaluate(&scope);
    for (text, name) in [
        ("customer.email", "`customer.email` is missing"),
        ("customer.email ~ \"x\"", "`customer.email` is missing"),
        ("customer.email.domain", "`customer.email` is missing"),
    ] {
        let error = value(text).unwrap_err();
        assert_eq!(error.reason, Reason::Missing, "{text}: {error}");
        assert!(error.what.contains(name), "{text}: {error}");
    }
    assert_eq!(value("customer.email|default(\"none\")").unwrap(), json!("none"));
    assert_eq!(value("customer.id if customer.email else 0").unwrap(), json!(0));
}

#[test]
fn numbers_keep_their_digits_as_far_as_json_readers_do() {
    assert_eq!(evaluate("big").unwrap().to_string(), "12345678901234567890");
    assert_eq!(evaluate("body.big + 1").unwrap().to_string(), "12345678901234567891");
    assert_eq!(evaluate("rate").unwrap(), json!(1.5));
    // More than 64 bits: as a string, because nobody would read the number.
    assert_eq!(evaluate("big|int * 10").unwrap(), json!("123456789012345678900"));
}

#[test]
fn an_error_says_where_it_is_and_what_to_do() {
    let error = evaluate("amount >\n  100 andd type").unwrap_err();
    assert_eq!((error.reason, error.line), (Reason::Syntax, 2));
    assert!(error.column > 1, "{error}");
    let error = evaluate("amount|shout").unwrap_err();
    assert_eq!((error.reason, error.line, error.column), (Reason::Refused, 1, 8));
    assert!(
        error.what.contains("there is no filter `shout`; there are abs"),
        "{error}"
    );
    let error = evaluate("amount is perfect").unwrap_err();
    assert!(error.what.contains("there is no test `is perfect`"), "{error}");
    let error = evaluate("paid.x()").unwrap_err();
    assert!(error.what.contains("no functions or methods"), "{error}");
    let error = evaluate("customer - 1").unwrap_err();
    assert_eq!((error.reason, error.column), (Reason::Value, 1));
    let error = evaluate("customer * 3").unwrap_err();
    assert!(error.what.contains("price|float * count|int"), "{error}");
}

#[test]
fn a_payload_that_is_no_json_is_an_error_and_not_a_guess() {
    for payload in ["", "not json", "{\"a\": }", "{\"a\": 1", "\u{0}"] {
        let scope = MessageScope::new("a", &[], payload.as_bytes());
        let expression = Expression::compile("body.a == 1 or true", Missing::Empty).unwrap();
        assert!(expression.evaluate(&scope).is_err(), "{payload}");
        // Who does not look at it does not see it.
        let expression = Expression::compile("type == \"a\"", Missing::Empty).unwrap();
        assert!(expression.holds(&scope).unwrap());
    }
    // A payload need not be an object.
    let scope = MessageScope::new("a", &[], b" [1, 2] ");
    let expression = Expression::compile("body[1] == 2 and not member", Missing::Empty).unwrap();
    assert!(expression.holds(&scope).unwrap());
}
