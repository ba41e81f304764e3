//! Bodies of requests as JSON: what expressions see of XML, forms, files and texts.
//!
//! Called by whoever takes a request in, and again by whoever acts on it later: the same bytes always make the same JSON, so
//! only the bytes are kept. `docs/templates.md` says to people what becomes of what.
//!
//! It deliberately guesses little. JSON inside of a field stays a text, a number in XML stays a text, and nothing that a
//! document asks for is looked up: XML with a document type is refused.

mod charset;
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
    charset::Charset,
    media::{Kind, Media},
    members::Value,
};

/// How deep objects and lists may lie in each other: the same as for payloads that are published.
pub const DEPTH_MAX: usize = 100;

/// The longest body that is not JSON already, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1_024 * 1_024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What nothing is decoded to.
const NOTHING: &[u8] = b"null";

/// The body as JSON text, borrowed when it is JSON already.
///
/// The content type decides. JSON that is called a text or a form is taken as JSON all the same; without a content type, or with
/// `application/octet-stream`, what is an object or a list is JSON and anything else a text. An empty body is `null`, and so are
/// bytes that nobody called JSON, XML or a form and that are no text: expressions see nothing of an image.
///
/// # Errors
/// When the body is not the JSON, XML or form that its content type says, or is larger or deeper than allowed. The text says where.
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
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let charset = charset(&media, body);
    let text = match text(&media, charset, body)? {
        Some(text) => text,
        None => return Ok(Cow::Borrowed(NOTHING)),
    };
    if media.kind == Kind::Json {
        json::check(&text)?;
        return Ok(bytes(text));
    }
    if media.kind != Kind::Xml && text.trim_start().starts_with(['{', '[']) && json::check(&text).is_ok() {
        return Ok(bytes(text));
    }
    bounded(body)?;
    match media.kind {
        Kind::Xml => made(xml::read(&text)?),
        Kind::Form => made(form::read(body, charset)?),
        _ => made(Value::Text(text.into_owned())),
    }
}

/// What the content type says, or in XML the document itself.
fn charset(media: &Media, body: &[u8]) -> Charset {
    let said = media.parameter("charset").map(str::to_owned);
    let declared = || charset::of_declaration(body).filter(|_| media.kind == Kind::Xml);
    said.or_else(declared)
        .map_or(Charset::Utf8, |name| Charset::named(&name))
}

/// The body as text; nothing where its bytes are none, and nobody said that they are.
fn text<'a>(media: &Media, charset: Charset, body: &'a [u8]) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let Err(error) = std::str::from_utf8(body) else {
        return Ok(Some(charset.text(body)));
    };
    match (media.kind, charset) {
        (Kind::Form, _) | (_, Charset::Western) => Ok(Some(charset.text(body))),
        // JSON is UTF-8 (RFC 8259, section 8.1), and so is XML that does not say otherwise.
        (Kind::Json, _) | (Kind::Xml, Charset::Utf8) => Err(DecodeError::NotUtf8 {
            at: error.valid_up_to(),
            said: media.parameter("charset").map(str::to_owned),
        }),
        _ => Ok(None),
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
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
        // Nobody said that these are JSON.
        assert_eq!(json("", "{\"a\": 1"), "\"{\\\"a\\\": 1\"");
        assert_eq!(json("application/octet-stream", "[INFO] up"), "\"[INFO] up\"");
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
    fn a_byte_order_mark_is_passed_over_and_json_in_another_encoding_is_named() {
        assert_eq!(json("application/json", "\u{feff}{}"), "{}");
        assert_eq!(json("text/plain", "\u{feff}x"), "\"x\"");
        assert_eq!(json("text/xml", "\u{feff}<a/>"), r#"{"a":""}"#);
        let error = decode("application/json", b"\xff\xfe{\0}\0").unwrap_err();
        assert_eq!(error.to_string(), "the body is not UTF-8 (byte 0); send UTF-8");
    }

    #[test]
    fn western_letters_are_read_where_somebody_says_that_they_are_such() {
        let read = |content_type: &str, body: &[u8]| {
            String::from_utf8(decode(content_type, body).unwrap().into_owned()).unwrap()
        };
        assert_eq!(read("text/plain; charset=\"ISO-8859-1\"", b"caf\xe9"), "\"café\"");
        assert_eq!(
            read("application/json; charset=latin1", b"{\"a\":\"\xe9\"}"),
            "{\"a\":\"é\"}"
        );
        let declared = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>caf\xe9</a>";
        assert_eq!(read("text/xml", declared), r#"{"a":"café"}"#);
        let form = "application/x-www-form-urlencoded; charset=windows-1252";
        assert_eq!(read(form, b"a=%E9\xe9&b=%80"), r#"{"a":"éé","b":"€"}"#);
    }

    #[test]
    fn bytes_that_nobody_called_a_text_of_some_form_are_nothing() {
        for content_type in [
            "image/png",
            "",
            "application/octet-stream",
            "text/plain",
            "text/xml; charset=utf-16",
        ] {
            let decoded = decode(content_type, b"\x89PNG\r\n\x1a\n\xff").unwrap();
            assert_eq!(decoded.as_ref(), b"null", "{content_type}");
        }
        for content_type in ["application/json", "application/soap+xml", "text/xml; charset=utf-8"] {
            assert!(decode(content_type, b"\x89PNG").is_err(), "{content_type}");
        }
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
