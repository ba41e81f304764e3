//! What the language does, seen from outside.

mod bodies;
mod hostile;
mod keys;
mod language;
mod properties;
mod templates;

use bellwire_template::{Expression, MessageScope, Missing, TemplateError};
use serde_json::Value;

const PAYLOAD: &str = r#"{
    "id": "in_7", "type": "payload's own", "amount": 250, "rate": 1.50, "big": 12345678901234567890,
    "huge": 123456789012345678901234567890123456789012345678901234567890, "paid": true, "nothing": null, "empty": "",
    "customer": {"id": 42, "name": "Ada <ada@example.com>", "tags": ["new", "vip"]},
    "lines": [{"sku": "a", "count": 2}, {"sku": "b", "count": 3}]
}"#;

fn channels() -> Vec<String> {
    vec!["eu".to_owned(), "shop".to_owned()]
}

/// Evaluates over the payload above.
fn evaluate(text: &str) -> Result<Value, TemplateError> {
    let channels = channels();
    let scope = MessageScope::new("invoice.paid", &channels, PAYLOAD.as_bytes());
    Expression::compile(text, Missing::Empty)?.evaluate(&scope)
}

fn holds(text: &str) -> bool {
    evaluate(&format!("true if {text} else false")).expect(text) == Value::Bool(true)
}
