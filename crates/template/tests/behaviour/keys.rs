use bellwire_core::order::check_key;
use bellwire_template::{KeyExpression, MessageScope};

use crate::{PAYLOAD, channels};

fn key_of(text: &str, payload: &str) -> Option<String> {
    let channels = channels();
    let scope = MessageScope::new("invoice.paid", &channels, payload.as_bytes());
    KeyExpression::compile(text).expect(text).key(&scope)
}

fn key(text: &str) -> Option<String> {
    key_of(text, PAYLOAD)
}

#[test]
fn strings_and_numbers_are_keys_and_nothing_else_is() {
    assert_eq!(key("customer.id").as_deref(), Some("42"));
    assert_eq!(key("id").as_deref(), Some("in_7"));
    assert_eq!(key("type").as_deref(), Some("invoice.paid"));
    assert_eq!(key("type ~ \":\" ~ customer.id").as_deref(), Some("invoice.paid:42"));
    assert_eq!(key("customer[\"tags\"][1]").as_deref(), Some("vip"));
    for none in [
        "nowhere",
        "nowhere.at.all",
        "nothing",
        "empty",
        "paid",
        "customer",
        "lines",
        "lines[9]",
        "id.x",
        "\"\"",
    ] {
        assert_eq!(key(none), None, "{none}");
    }
    // One that fails on this message: not ordered, not refused.
    assert_eq!(key("customer - 1"), None);
    assert_eq!(key_of("body.a", "not json"), None);
}

#[test]
fn a_number_is_the_key_that_the_publisher_wrote() {
    assert_eq!(key("big").as_deref(), Some("12345678901234567890"));
    assert_eq!(key("body.rate").as_deref(), Some("1.50"));
    let huge = "123456789012345678901234567890123456789012345678901234567890";
    assert_eq!(key("huge").as_deref(), Some(huge));
    assert_eq!(key_of("body", " 7.00 ").as_deref(), Some("7.00"));
    assert_eq!(key_of("a.b", r#"{"a": {"b": 1e999 }}"#).as_deref(), Some("1e999"));
    assert_eq!(
        key_of("a", r#"{"a": 0.1234567890123456789}"#).as_deref(),
        Some("0.1234567890123456789")
    );
    // Calculated with, it is a number like any other; integers of up to 128 bits stay whole.
    assert_eq!(key("\"\" ~ big").as_deref(), Some("12345678901234567890"));
    assert_eq!(key("\"\" ~ rate").as_deref(), Some("1.5"));
}

#[test]
fn what_cannot_be_a_key_is_replaced_by_its_hash_so_that_no_order_is_lost() {
    let long = |letter: &str| format!("{{\"a\": \"{}\"}}", letter.repeat(300));
    let (x, y) = (key_of("a", &long("x")).unwrap(), key_of("a", &long("y")).unwrap());
    assert_ne!(x, y);
    assert_eq!(key_of("a ~ \"\"", &long("x")).unwrap(), x);
    assert_eq!(
        x,
        "sha256:0d4e2ca9e9cbced7a7a5380eb29e1a3783b9b6d0db72de36a1051038e1c1fbc7"
    );
    let control = key_of("a", r#"{"a": "x\u0007y"}"#).unwrap();
    for key in [&x, &y, &control] {
        assert!(key.starts_with("sha256:") && key.len() == 7 + 64);
        assert_eq!(check_key(key), Ok(()));
    }
    assert_eq!(
        key_of("a", &format!("{{\"a\": \"{}\"}}", "x".repeat(256)))
            .unwrap()
            .len(),
        256
    );
}

#[test]
fn an_item_is_a_key_as_it_was_written() {
    let scope = MessageScope::new("a", &[], br#"{"id": 1.50}"#).with_item(Some(br#"{"id": 2.50}"#));
    let key = |text| KeyExpression::compile(text).unwrap().key(&scope);
    assert_eq!(key("item.id").as_deref(), Some("1.50"));
    assert_eq!(key("id").as_deref(), Some("1.50"));
    assert_eq!(key("body.id").as_deref(), Some("2.50"));
    let published = MessageScope::new("a", &[], br#"{"item": {"id": 1}}"#);
    assert_eq!(KeyExpression::compile("item.id").unwrap().key(&published), None);
}
