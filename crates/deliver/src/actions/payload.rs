//! The payload as JSON, for templates.

use std::borrow::Cow;

/// The payload as JSON; `null` when it is none that can be read.
pub(super) fn json<'a>(_content_type: &str, body: &'a [u8]) -> Cow<'a, [u8]> {
    if bellwire_core::batch::is_json(body) {
        return Cow::Borrowed(body);
    }
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Owned(serde_json::Value::from(text).to_string().into_bytes()),
        Err(_) => Cow::Borrowed(b"null"),
    }
}
