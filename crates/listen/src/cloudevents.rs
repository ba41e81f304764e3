//! CloudEvents 1.0 over HTTP, in its three modes (CloudEvents, "HTTP Protocol Binding", section 3).
//!
//! For trusted requests: it reads, it does not judge who sent. The OPTIONS handshake is among [`crate::handshake`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::request::{Request, scalar};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique within its source.
    pub id: String,
    /// Where it happened.
    pub source: String,
    /// Its type.
    pub event_type: String,
    /// What it is about, within the source.
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    pub time: Option<String>,
    /// All other attributes by name: `dataschema`, and the extensions (CloudEvents 1.0, "Extension context attributes").
    pub extensions: Vec<(String, String)>,
    /// The media type of the data.
    pub content_type: Option<String>,
    /// The data's bytes; JSON data of the structured mode is written anew.
    pub data: Option<Vec<u8>>,
}

/// How an event is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in `ce-` headers, the body is the data.
    Binary,
    /// One JSON object with attributes and data.
    Structured,
    /// A JSON array of such objects.
    Batched,
}

/// Why something that is marked as CloudEvents is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudEventsError {
    /// An attribute that every event must have is absent or empty.
    #[error("the event has no `{0}`; CloudEvents 1.0 requires id, source, type and specversion")]
    Attribute(&'static str),
    /// Another version.
    #[error("`specversion` is not 1.0")]
    Version,
    /// The body is not what the content type says.
    #[error("the body is not {0}")]
    Body(&'static str),
}

/// Which mode a request is in; none when it is no CloudEvent.
#[must_use]
pub fn mode(request: &Request<'_>) -> Option<Mode> {
    let kind = header(request, "content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("application/cloudevents-batch") {
        Some(Mode::Batched)
    } else if kind.starts_with("application/cloudevents") {
        Some(Mode::Structured)
    } else {
        header(request, "ce-specversion").map(|_| Mode::Binary)
    }
}

/// The events of a request: none when it is no CloudEvent, one in binary and structured mode.
///
/// # Errors
/// [`CloudEventsError`] when it claims to be one and is not.
pub fn read(request: &Request<'_>) -> Result<Vec<Event>, CloudEventsError> {
    let json = |what| serde_json::from_slice::<Value>(request.body).map_err(|_| CloudEventsError::Body(what));
    match mode(request) {
        None => Ok(Vec::new()),
        Some(Mode::Binary) => Ok(vec![binary(request)?]),
        Some(Mode::Structured) => Ok(vec![structured(&json("a JSON object")?)?]),
        Some(Mode::Batched) => match json("a JSON array")? {
            Value::Array(events) => events.iter().map(structured).collect(),
            _ => Err(CloudEventsError::Body("a JSON array")),
        },
    }
}

fn header<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    let mut found = request
        .headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    found
        .next()
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

fn binary(request: &Request<'_>) -> Result<Event, CloudEventsError> {
    let attribute = |name: &str| header(request, &format!("ce-{name}")).map(unescape);
    let needed = |name: &'static str| attribute(name).ok_or(CloudEventsError::Attribute(name));
    if needed("specversion")? != "1.0" {
        return Err(CloudEventsError::Version);
    }
    Ok(Event {
        id: needed("id")?,
        source: needed("source")?,
        event_type: needed("type")?,
        subject: attribute("subject"),
        time: attribute("time"),
        extensions: extensions_in_headers(request),
        content_type: header(request, "content-type").map(str::to_owned),
        data: (!request.body.is_empty()).then(|| request.body.to_vec()),
    })
}

/// Percent-escapes of header values (section 3.1.3.2).
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

/// The attributes that have a field of their own, and the data.
const KNOWN: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "data_base64",
];

/// Names are lower-case letters and digits (CloudEvents 1.0, "Naming conventions").
fn is_extension(name: &str) -> bool {
    !KNOWN.contains(&name)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn extensions_in(event: &Value) -> Vec<(String, String)> {
    let members = event.as_object().into_iter().flatten();
    let extensions = members.filter(|(name, _)| is_extension(name));
    extensions
        .filter_map(|(name, value)| Some((name.clone(), scalar(value)?)))
        .collect()
}

fn extensions_in_headers(request: &Request<'_>) -> Vec<(String, String)> {
    let headers = request.headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("ce-").filter(|name| is_extension(name))?;
        Some((name.to_owned(), unescape(value.trim())))
    });
    headers.collect()
}

/// Whether data of that type is written as JSON in the structured mode; nothing said means JSON.
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn structured(event: &Value) -> Result<Event, CloudEventsError> {
    let attribute = |name: &str| {
        let text = event.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let needed = |name: &'static str| attribute(name).ok_or(CloudEventsError::Attribute(name));
    if needed("specversion")? != "1.0" {
        return Err(CloudEventsError::Version);
    }
    let data = match (event.get("data_base64"), event.get("data")) {
        (Some(Value::String(text)), None) => Some(
            STANDARD
                .decode(text)
                .map_err(|_| CloudEventsError::Body("base64 in `data_base64`"))?,
        ),
        (Some(_), _) => return Err(CloudEventsError::Body("one of `data` and `data_base64`")),
        // Data that is not JSON stands in a text (CloudEvents, "JSON Event Format", section 3.1).
        (None, Some(Value::String(text))) if !is_json(attribute("datacontenttype").as_deref()) => {
            Some(text.clone().into_bytes())
        }
        (None, Some(data)) => Some(data.to_string().into_bytes()),
        (None, None) => None,
    };
    Ok(Event {
        id: needed("id")?,
        source: needed("source")?,
        event_type: needed("type")?,
        subject: attribute("subject"),
        time: attribute("time"),
        extensions: extensions_in(event),
        content_type: attribute("datacontenttype").or_else(|| Some("application/json".into())),
        data,
    })
}

#[cfg(test)]
mod tests {
    use bellwire_core::time::Timestamp;

    use super::*;

    fn events(headers: &[(&str, &str)], body: &str) -> Result<Vec<Event>, CloudEventsError> {
        read(&Request {
            method: "POST",
            url: "https://example.com/in/x",
            headers,
            body: body.as_bytes(),
            received_at: Timestamp::from_secs(0),
            peer: None,
            fetched: None,
        })
    }

    const STRUCTURED: &str =
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-01-31T09:30:00Z","data":{"a":1}}"#;

    #[test]
    fn all_three_modes_are_read_as_the_same_event() {
        let binary = [
            ("ce-specversion", "1.0"),
            ("CE-Id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-time", "2026-01-31T09:30:00Z"),
            ("content-type", "application/json"),
        ];
        let one = events(&binary, r#"{"a":1}"#).unwrap();
        let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
        assert_eq!(events(&structured, STRUCTURED).unwrap(), one);
        let batched = [("content-type", "application/cloudevents-batch+json")];
        let two = events(&batched, &format!("[{STRUCTURED},{STRUCTURED}]")).unwrap();
        assert_eq!(two, [one.clone(), one].concat());
        assert_eq!(events(&[("content-type", "application/json")], "{}"), Ok(vec![]));
    }

    #[test]
    fn extensions_are_attributes_in_every_mode() {
        let expected = [
            ("partitionkey".to_owned(), "k1".to_owned()),
            ("sequence".to_owned(), "7".to_owned()),
        ];
        let binary = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-partitionkey", "k1"),
            ("ce-sequence", "7"),
        ];
        assert_eq!(events(&binary, "").unwrap()[0].extensions, expected);
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k1","sequence":7,"a-b":"no","x":[]}"#;
        let mut found = events(&[("content-type", "application/cloudevents+json")], event).unwrap();
        found[0].extensions.sort();
        assert_eq!(found[0].extensions, expected);
    }

    #[test]
    fn data_that_is_not_json_is_the_text_that_it_stands_in() {
        let event =
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/xml","data":"<a/>"}"#;
        let found = events(&[("content-type", "application/cloudevents+json")], event).unwrap();
        assert_eq!(found[0].data.as_deref(), Some(&b"<a/>"[..]));
    }

    #[test]
    fn header_values_are_unescaped() {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "Euro%20%E2%82%AC%"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ];
        assert_eq!(events(&headers, "").unwrap()[0].id, "Euro €%");
    }

    #[test]
    fn what_claims_to_be_an_event_and_is_none_is_an_error() {
        let structured = [("content-type", "application/cloudevents+json")];
        assert_eq!(
            events(&structured, r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#),
            Err(CloudEventsError::Attribute("id"))
        );
        assert_eq!(
            events(&structured, r#"{"specversion":"0.3"}"#),
            Err(CloudEventsError::Version)
        );
        assert!(matches!(events(&structured, "<x/>"), Err(CloudEventsError::Body(_))));
        let batched = [("content-type", "application/cloudevents-batch+json")];
        assert!(matches!(events(&batched, "{}"), Err(CloudEventsError::Body(_))));
    }
}
