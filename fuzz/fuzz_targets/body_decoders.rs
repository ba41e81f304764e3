//! Feeds bodies under any content type to the decoders. What is decoded is JSON, the same again, and never deeper than allowed.
#![no_main]

use bellwire_template::{Expression, MessageScope, Missing, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (kind, other, body) = input;
    let multipart = format!("multipart/form-data; boundary={other}");
    let content_type = match kind % 8 {
        0 => "application/json",
        1 => "text/xml",
        2 => "application/x-www-form-urlencoded",
        3 => "multipart/form-data; boundary=b",
        4 => "text/plain",
        5 => "",
        6 => multipart.as_str(),
        _ => other,
    };
    let Ok(json) = decode(content_type, body) else { return };
    assert_eq!(decode(content_type, body).as_deref(), Ok(json.as_ref()));
    // What was made is JSON by its own rules: one value, no name twice, not too deep.
    let again = decode("application/json", &json).expect("JSON");
    assert_eq!(again, json);
    let scope = MessageScope::new("a", &[], &json).with_item(Some(&json));
    for text in ["body", "item", "a.b[0]"] {
        if let Ok(expression) = Expression::compile(text, Missing::Empty) {
            let _ = expression.evaluate(&scope);
        }
    }
});
