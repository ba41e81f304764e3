//! Bodies of requests as JSON: what expressions see of XML, forms, files and texts.
//!
//! Called by whoever takes a request in, and again by whoever acts on it later: the same bytes always make the same JSON, so
//! only the bytes are kept. `docs/templates.md` says to people what becomes of what.
//!
//! It deliberately guesses little. JSON inside of a field stays a text, a number in XML stays a text, and nothing that a
//! document asks for is looked up: XML with a document type is refused.

mod error;
mod form;
mod json;
mod media;
mod members;
mod multipart;
mod xml;

use std::borrow::Cow;

pub use self::error::DecodeError;
use self::{
    media::{Kind, Media},
    members::Value,
};

/// How deep objects and lists may lie in each other: the same as for payloads that are published.
pub const DEPTH_MAX: usize = 100;

/// The longest body that is not JSON already, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// What nothing is decoded to.
const NOTHING: &[u8] = b"null";

/// The body as JSON text, borrowed when it is JSON already.
///
/// The content type decides. JSON that is called a text or a form is taken as JSON all the same; without a content type, or with
/// `application/octet-stream`, what begins like an object or a list is JSON and anything else a text. An empty body is `null`.
///
/// # Errors
/// When the body is not what its content type says, or is larger or deeper than allowed. The text says where.
pub fn decode<'a>(content_type: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    if body.is_empty() {
        return Ok(Cow::Borrowed(NOTHING));
    }
    let media = Media::read(content_type);
    if media.kind == Kind::Multipart {
        bounded(body)?;
        let boundary = media.parameter("boundary").unwrap_or_default();
        return made(multipart::read(boundary, body)?);
    }
    let text = text(body, &media)?;
    let begins_like_json = text.trim_start().starts_with(['{', '[']);
    if media.kind == Kind::Json || (media.kind == Kind::Unknown && begins_like_json) {
        json::check(text)?;
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    bounded(body)?;
    match media.kind {
        Kind::Xml => made(xml::read(text)?),
        _ if begins_like_json && json::check(text).is_ok() => Ok(Cow::Borrowed(text.as_bytes())),
        Kind::Form => made(form::read(text)?),
        _ => made(Value::Text(text.to_owned())),
    }
}

/// The body as text, without a byte order mark.
fn text<'a>(body: &'a [u8], media: &Media) -> Result<&'a str, DecodeError> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(DecodeError::NotUtf8 {
            at: error.valid_up_to(),
            said: media.parameter("charset").map(str::to_owned),
        }),
    }
}

fn bounded(body: &[u8]) -> Result<(), DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooMuch {
            what: "bytes that are not JSON",
            max: BODY_BYTES_MAX,
        });
    }
    Ok(())
}

fn made<'a>(value: Value) -> Result<Cow<'a, [u8]>, DecodeError> {
    match serde_json::to_vec(&value) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(error) => Err(DecodeError::malformed("body", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(content_type: &str, body: &str) -> String {
        String::from_utf8(decode(content_type, body.as_bytes()).expect(body).into_owned()).unwrap()
    }

    #[test]
    fn json_is_borrowed_as_it_is_whatever_kind_of_json_it_is_called() {
        let body = " {\"a\": 1.50, \"b\": [1e400, \"\\u00e4\"]}\n";
        for content_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
            "application/vnd.github+json",
            "text/json",
            "",
            "application/octet-stream",
        ] {
            let decoded = decode(content_type, body.as_bytes()).unwrap();
            assert!(matches!(decoded, Cow::Borrowed(_)), "{content_type}");
            assert_eq!(decoded.as_ref(), body.as_bytes(), "{content_type}");
        }
        for body in ["1", "\"x\"", "null", "true"] {
            assert_eq!(json("application/json", body), body);
        }
    }

    #[test]
    fn json_that_is_called_a_text_or_a_form_is_json_and_what_only_looks_so_is_not() {
        // Amazon SNS and many a command line call it so.
        for content_type in [
            "text/plain; charset=UTF-8",
            "application/x-www-form-urlencoded",
            "text/csv",
        ] {
            assert_eq!(json(content_type, "{\"a\": 1}"), "{\"a\": 1}", "{content_type}");
        }
        assert_eq!(json("text/plain", "[INFO] up"), "\"[INFO] up\"");
        assert_eq!(json("application/x-www-form-urlencoded", "[a]=1"), r#"{"[a]":"1"}"#);
        assert!(decode("", b"{\"a\": 1").is_err() && decode("", b"[INFO] up").is_err());
    }

    #[test]
    fn texts_become_strings_and_nothing_becomes_null() {
        assert_eq!(json("text/plain", "up \"again\"\n"), r#""up \"again\"\n""#);
        assert_eq!(json("", "5"), "\"5\"");
        assert_eq!(json("image/svg", "x"), "\"x\"");
        for content_type in ["application/json", "text/plain", "", "multipart/form-data", "text/xml"] {
            assert_eq!(json(content_type, ""), "null");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_other_encodings_are_named() {
        assert_eq!(json("application/json", "\u{feff}{}"), "{}");
        assert_eq!(json("text/plain", "\u{feff}x"), "\"x\"");
        assert_eq!(json("text/xml", "\u{feff}<a/>"), r#"{"a":""}"#);
        let error = decode("text/plain; charset=\"ISO-8859-1\"", b"caf\xe9").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the body is not UTF-8 (byte 3) but, by its content type, ISO-8859-1; send UTF-8"
        );
        let error = decode("application/json", b"\xff\xfe{\0}\0").unwrap_err();
        assert_eq!(error.to_string(), "the body is not UTF-8 (byte 0); send UTF-8");
    }

    #[test]
    fn what_is_not_json_is_bounded() {
        let large = vec![b'x'; BODY_BYTES_MAX + 1];
        for content_type in ["text/plain", "text/xml", "multipart/form-data; boundary=x"] {
            let error = decode(content_type, &large).unwrap_err();
            assert!(matches!(error, DecodeError::TooMuch { .. }), "{error}");
        }
    }
}
