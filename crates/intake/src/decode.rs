//! A body as JSON, without a copy where it is JSON already.

use std::borrow::Cow;

use bellwire_template::{DecodeError, decode};
use bytes::Bytes;

/// The body as JSON.
pub(crate) fn json(content_type: &str, body: &Bytes) -> Result<Bytes, DecodeError> {
    Ok(match decode(content_type, body)? {
        Cow::Borrowed(json) if body.as_ptr_range().contains(&json.as_ptr()) => body.slice_ref(json),
        Cow::Borrowed(json) => Bytes::copy_from_slice(json),
        Cow::Owned(json) => json.into(),
    })
}
