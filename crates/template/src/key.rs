//! Ordering keys made from the message by an expression.

use bellwire_core::order::check_key;
use minijinja::{Value, value::ValueKind};

use crate::{Expression, MessageScope, Missing, TemplateError};

/// An expression that gives messages their ordering key.
#[derive(Debug)]
pub struct KeyExpression(Expression);

impl KeyExpression {
    /// Compiles a key expression, such as `body.customer.id` or `type ~ ":" ~ id`.
    ///
    /// # Errors
    /// Those of [`Expression::compile`].
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        Expression::compile(text, Missing::Empty).map(Self)
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// The message's ordering key: a string as it is, a number as its text; a number that the expression only names is taken
    /// as the publisher wrote it, digit by digit (`1.50` is not `1.5`). `None`, so not ordered, when the value is missing, null,
    /// empty or of another sort, or when the expression fails.
    ///
    /// A text that cannot be a key (too long, or with control characters, see
    /// [`check_key`](bellwire_core::order::check_key)) is replaced by `sha256:` and the hash of it in hexadecimal: equal texts
    /// still have equal keys, so no order is lost.
    pub fn key(&self, scope: &MessageScope<'_>) -> Option<String> {
        self.written(scope).map(fitting)
    }

    /// As [`Self::key`], of any length and with whatever is in it.
    pub fn written(&self, scope: &MessageScope<'_>) -> Option<String> {
        let text = match self.0.path() {
            Some(path) => {
                let (written, value) = scope.find(path)?;
                match value.kind() {
                    ValueKind::String => value.as_str()?.to_owned(),
                    // Also one that is too large to calculate with.
                    ValueKind::Number => std::str::from_utf8(&written).ok()?.to_owned(),
                    ValueKind::Invalid => as_written(&written)?,
                    _ => return None,
                }
            }
            None => text_of(&self.0.value(scope).ok()?)?,
        };
        (!text.is_empty()).then_some(text)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::String => value.as_str().map(str::to_owned),
        ValueKind::Number => Some(value.to_string()),
        _ => None,
    }
}

/// A number that no double can hold is still a text.
fn as_written(written: &[u8]) -> Option<String> {
    serde_json::from_slice::<&serde_json::value::RawValue>(written)
        .ok()
        .map(|raw| raw.get())
        .filter(|text| text.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        .map(str::to_owned)
}

fn fitting(text: String) -> String {
    if check_key(&text).is_ok() {
        return text;
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned()).chain(digits).collect()
}
