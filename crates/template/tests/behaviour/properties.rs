use bellwire_core::order::check_key;
use bellwire_template::{Escape, Expression, KeyExpression, MessageScope, Missing, Template, encode};
use proptest::prelude::*;

use crate::PAYLOAD;

/// Texts that look like the language: its words in any order.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "body",
        "type",
        "channels",
        "lines",
        "customer.id",
        "nowhere",
        "1",
        "1.5",
        "0",
        "\"x\"",
        "'",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "!=",
        "<",
        ">=",
        "and",
        "or",
        "not",
        "in",
        "is",
        "is defined",
        "if",
        "else",
        "for",
        "endfor",
        "endif",
        "set",
        "x",
        "=",
        ",",
        ":",
        "|",
        "|length",
        "|join",
        "|tojson",
        "|map",
        "|sort",
        "|default(1)",
        ".",
        "..",
        "é",
        "\n",
        "raw",
        "endraw",
        "loop",
        "none",
        "true",
        "|int",
        "|sum",
        "[0]",
        "[::-1]",
        "|unique",
        "|round",
        "|first",
        "range(9)",
        "18446744073709551616",
        "|string",
        "|replace('a','b')",
    ]);
    prop::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
}

/// JSON whose names are hard for XML.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let name = || {
        let piece = prop::sample::select(vec![
            "@", "#text", "xmlns", "xml", ":", "s", "t", "²", "½", "·", "é", "-", " ", "1", "\u{300}", "\u{e000}",
        ]);
        prop_oneof![
            4 => prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat()),
            1 => any::<String>(),
        ]
    };
    let text = prop_oneof![Just(String::new()), Just("urn:s".to_owned()), any::<String>()];
    text.prop_map(serde_json::Value::from)
        .prop_recursive(4, 40, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(name(), inner, 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
}

fn try_all(text: &str, payload: &str) {
    let channels = vec!["eu".to_owned()];
    let scope = MessageScope::new("a.b", &channels, payload.as_bytes());
    for missing in [Missing::Empty, Missing::Error] {
        match Expression::compile(text, missing) {
            Ok(expression) => {
                let _ = expression.evaluate(&scope).map_err(|error| error.to_string());
            }
            Err(error) => assert!(error.line > 0 && error.column > 0),
        }
        match Template::compile(text, Escape::Html, missing) {
            Ok(template) => {
                let _ = template.render(&scope).map_err(|error| error.to_string());
            }
            Err(error) => assert!(error.line > 0 && error.column > 0),
        }
    }
    if let Ok(expression) = KeyExpression::compile(text)
        && let Some(key) = expression.key(&scope)
    {
        assert_eq!(check_key(&key), Ok(()), "{text}");
        assert_eq!(expression.key(&scope), Some(key), "the same message has the same key");
    }
}

proptest! {
    #[test]
    fn any_text_compiles_or_is_an_error(text in any::<String>()) {
        try_all(&text, PAYLOAD);
    }

    #[test]
    fn any_words_of_the_language_compile_or_are_an_error(text in words()) {
        try_all(&text, PAYLOAD);
        try_all(&format!("{{{{ {text} }}}}"), PAYLOAD);
        try_all(&format!("{{% {text} %}}"), PAYLOAD);
    }

    #[test]
    fn what_is_written_as_xml_is_xml(json in json()) {
        let text = json.to_string();
        let document = encode::xml(&text).unwrap();
        prop_assert!(roxmltree::Document::parse(&document).is_ok(), "{text}\n{document}");
    }

    #[test]
    fn any_payload_is_read_or_is_an_error(payload in any::<String>(), member in "[a-z]{1,3}") {
        try_all(&member, &payload);
        try_all("body", &payload);
        try_all("body == channels or body.a.b", &payload);
    }

    #[test]
    fn a_number_that_is_a_key_is_the_text_of_the_payload(
        number in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?",
    ) {
        let payload = format!("{{\"k\": {{\"n\": [ {number} ]}}}}");
        let scope = MessageScope::new("a", &[], payload.as_bytes());
        let key = KeyExpression::compile("k.n[0]").unwrap().key(&scope);
        prop_assert_eq!(key, Some(number));
    }

    #[test]
    fn what_the_payload_says_comes_out_as_it_is(text in any::<String>(), number in any::<i64>()) {
        let value = serde_json::json!({"text": text, "number": number, "list": [text, null, true]});
        let payload = value.to_string();
        let scope = MessageScope::new("a", &[], payload.as_bytes());
        let same = |expression: &str| Expression::compile(expression, Missing::Error).unwrap().evaluate(&scope).unwrap();
        prop_assert_eq!(same("body"), value);
        prop_assert_eq!(same("text"), text.clone());
        let template = Template::compile("{{ text }}", Escape::None, Missing::Error).unwrap();
        prop_assert_eq!(template.render(&scope).unwrap(), text);
    }
}
