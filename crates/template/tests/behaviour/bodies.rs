//! Whatever comes in, a body is JSON or an error, and never a surprise.

use bellwire_template::{Expression, MessageScope, Missing, decode};
use proptest::prelude::*;
use serde_json::value::RawValue;

const CONTENT_TYPES: &[&str] = &[
    "application/json",
    "text/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain",
    "",
];

/// Bodies that look like what they are called: pieces of every format, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u0061\"",
        "1",
        "true",
        " ",
        "<a>",
        "</a>",
        "<b x='1'>",
        "</b>",
        "<a/>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "&amp;",
        "&#65;",
        "&x;",
        "<?xml version='1.0'?>",
        "<!DOCTYPE a>",
        "a=1",
        "&",
        "b=%41",
        "%",
        "+",
        "--b",
        "--b--",
        "\r\n",
        "\r\n\r\n",
        "Content-Disposition: form-data; name=\"x\"",
        "; filename=\"f\"",
        "é",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn decode_all(body: &[u8]) {
    for content_type in CONTENT_TYPES {
        match decode(content_type, body) {
            Ok(json) => {
                let text = std::str::from_utf8(&json).expect("UTF-8");
                assert!(
                    serde_json::from_str::<&RawValue>(text).is_ok(),
                    "{content_type}: {text}"
                );
                assert_eq!(
                    decode(content_type, body).as_deref(),
                    Ok(json.as_ref()),
                    "the same again"
                );
                assert!(decode("application/json", &json).is_ok(), "{content_type}: {text}");
            }
            Err(error) => assert!(error.to_string().len() < 600, "{error}"),
        }
    }
}

#[test]
fn the_documented_document_becomes_what_the_page_says() {
    let page = include_str!("../../../../docs/templates.md");
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("\n```{language}\n")).expect(language);
        rest.split_once("\n```").expect(language).0
    };
    let decoded = decode("text/xml", block("xml").as_bytes()).expect("XML");
    let value: serde_json::Value = serde_json::from_slice(&decoded).expect("JSON");
    assert_eq!(value, block("json").parse::<serde_json::Value>().expect("JSON"));
}

proptest! {
    #[test]
    fn any_bytes_are_json_or_an_error(body in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&body);
    }

    #[test]
    fn anything_that_looks_like_a_body_is_json_or_an_error(body in pieces()) {
        decode_all(body.as_bytes());
    }

    #[test]
    fn any_json_is_kept_byte_for_byte(text in any::<String>(), number in any::<f64>()) {
        let body = serde_json::json!({"text": text, "list": [number, {"text": text}]}).to_string();
        let decoded = decode("application/json", body.as_bytes()).unwrap();
        prop_assert_eq!(decoded.as_ref(), body.as_bytes());
    }

    #[test]
    fn what_a_form_says_comes_out_as_it_is(text in any::<String>()) {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = format!("a={escaped}&b=1");
        let decoded = decode("application/x-www-form-urlencoded", body.as_bytes()).unwrap();
        let scope = MessageScope::new("a", &[], &decoded);
        let value = Expression::compile("a", Missing::Error).unwrap().evaluate(&scope).unwrap();
        prop_assert_eq!(value, text);
    }
}
