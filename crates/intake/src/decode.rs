//! A body as JSON, without a copy where it is JSON already.

use bytes::Bytes;

/// The body as JSON; an empty one is `null`.
pub(crate) fn json(_content_type: &str, body: &Bytes) -> Result<Bytes, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    Ok(body.clone())
}
