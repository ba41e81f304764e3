//! Feeds expressions, templates and payloads to the language. What compiles is bounded and always answers the same.
#![no_main]

use bellwire_core::order::check_key;
use bellwire_template::{Escape, Expression, KeyExpression, MessageScope, Missing, OUTPUT_BYTES_MAX, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, payload) = input;
    let channels = ["eu".to_owned()];
    let scope = MessageScope::new("invoice.paid", &channels, payload);
    for missing in [Missing::Empty, Missing::Error] {
        match Expression::compile(text, missing) {
            Ok(expression) => {
                let value = expression.evaluate(&scope);
                assert_eq!(value, expression.evaluate(&scope), "{text}");
            }
            Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
        }
        match Template::compile(text, Escape::Html, missing) {
            Ok(template) => {
                if let Ok(output) = template.render(&scope) {
                    assert!(output.len() <= OUTPUT_BYTES_MAX);
                }
            }
            Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
        }
    }
    if let Ok(expression) = KeyExpression::compile(text)
        && let Some(key) = expression.key(&scope)
    {
        assert_eq!(check_key(&key), Ok(()), "{text}");
        assert_eq!(expression.key(&scope), Some(key), "{text}");
    }
});
