//! Messages as CloudEvents 1.0.2: their attributes, as headers (binary mode) and as one JSON document (structured mode).
//!
//! The batched mode is a batch's ([`crate::batch`]), of the same attributes.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{message::Message, order::Place};

/// The `content-type` of a CloudEvent in structured mode (JSON Event Format, section 3).
pub const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// What of a message a CloudEvent says.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The message.
    pub message: &'a Message,
    /// Its place in its line, where order is kept.
    pub place: Option<&'a Place>,
    /// What the server is reached by, without a slash at its end; may be empty. The source is this and `/app/{id}`.
    pub server: &'a str,
    /// What the data is.
    pub content_type: &'a str,
}

impl Event<'_> {
    /// The attributes by their names, in the order in which they are written.
    ///
    /// `subject` is the ordering key: what the event is about. A line's number is the extension `sequence`, written with 20
    /// digits so that it sorts as text, which is what that extension asks for; the previous one `previoussequence`, and the key
    /// `partitionkey` (Partitioning extension).
    pub fn attributes(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let message = self.message;
        let mut attributes: Vec<(&'static str, Cow<'_, str>)> = vec![
            ("specversion", "1.0".into()),
            ("id", message.id.to_string().into()),
            ("source", format!("{}/app/{}", self.server, message.app).into()),
            ("type", message.event_type.as_str().into()),
        ];
        if let Some(key) = message.ordering_key.as_deref().filter(|key| !key.is_empty()) {
            attributes.push(("subject", key.into()));
        }
        attributes.push(("time", message.created_at.to_string().into()));
        attributes.push((CONTENT_TYPE, self.content_type.into()));
        if let Some(place) = self.place {
            // Integers of CloudEvents have 32 bits, so numbers go as text.
            attributes.push(("sequence", format!("{:020}", place.sequence).into()));
            if let Some(previous) = place.previous {
                attributes.push(("previoussequence", format!("{previous:020}").into()));
            }
            if !place.key.is_empty() {
                attributes.push(("partitionkey", place.key.as_ref().into()));
            }
        }
        attributes
    }

    /// The attributes as headers: names beginning with `ce-`, values as they may stand in a header (HTTP Protocol Binding,
    /// section 3.1.3). What the data is stays the request's `content-type`.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.attributes()
            .into_iter()
            .filter(|(name, _)| *name != CONTENT_TYPE)
            .map(|(name, value)| (format!("ce-{name}"), header_value(&value)))
            .collect()
    }

    /// The whole event as JSON: JSON data spliced in as the bytes it came in, other text as a string, and anything else in
    /// base64 (JSON Event Format, section 3.1).
    pub fn structured(&self, data: &[u8], is_json: bool) -> Bytes {
        let mut out = Vec::with_capacity(data.len() + 512);
        write_attributes(&mut out, &self.attributes());
        match std::str::from_utf8(data) {
            _ if is_json => {
                out.extend_from_slice(b",\"data\":");
                out.extend_from_slice(data);
            }
            Ok(text) => {
                out.extend_from_slice(b",\"data\":");
                string(&mut out, text);
            }
            Err(_) => {
                out.extend_from_slice(b",\"data_base64\":");
                string(&mut out, &STANDARD.encode(data));
            }
        }
        out.push(b'}');
        Bytes::from(out)
    }
}

const CONTENT_TYPE: &str = "datacontenttype";

/// `{` and the attributes.
pub(crate) fn write_attributes(out: &mut Vec<u8>, attributes: &[(&str, Cow<'_, str>)]) {
    for (at, (name, value)) in attributes.iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        string(out, name);
        out.push(b':');
        string(out, value);
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // A `Value` of a text cannot fail to be written, and its `Display` is JSON.
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

fn header_value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => value.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => value.push(char::from(byte)),
            other => value.push_str(&format!("%{other:02X}")),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        id::{AppId, Id as _, MessageId},
        time::Timestamp,
    };

    fn message() -> Message {
        Message {
            id: MessageId::from_number(3),
            app: AppId::from_number(1),
            event_type: "invoice.paid".to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: Some("Kunde \"7\" 50%".to_owned()),
            payload: None,
            payload_expires_at: Timestamp::MAX,
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            created_at: Timestamp::from_secs(1_766_000_000),
        }
    }

    fn event(message: &Message) -> Event<'_> {
        Event {
            message,
            place: None,
            server: "https://hooks.example",
            content_type: "application/json",
        }
    }

    #[test]
    fn a_document_holds_the_attributes_and_the_data_as_it_came() {
        let message = message();
        let data = b"{\"b\" : 1.50}";
        let text = event(&message).structured(data, true);
        assert!(text.ends_with(b",\"data\":{\"b\" : 1.50}}"));
        let found: Value = serde_json::from_slice(&text).unwrap();
        let expected = json!({
            "specversion": "1.0", "id": message.id.to_string(), "source": format!("https://hooks.example/app/{}", message.app),
            "type": "invoice.paid", "subject": "Kunde \"7\" 50%", "time": "2025-12-17T19:33:20.000000Z",
            "datacontenttype": "application/json", "data": {"b": 1.5}
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn text_is_a_string_and_bytes_are_base64() {
        let message = message();
        let found =
            |data: &[u8]| -> Value { serde_json::from_slice(&event(&message).structured(data, false)).unwrap() };
        assert_eq!(found(b"up \"again\"")["data"], "up \"again\"");
        assert_eq!(found(b"\xff\x00")["data_base64"], "/wA=");
    }

    #[test]
    fn headers_are_escaped_and_leave_the_content_type_alone() {
        let mut message = message();
        let place = Place {
            key: Arc::from("é"),
            sequence: 5,
            previous: Some(3),
        };
        let ordered = |message| Event {
            place: Some(&place),
            ..event(message)
        };
        let headers = ordered(&message).headers();
        let value = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("ce-specversion"), Some("1.0"));
        assert_eq!(value("ce-subject"), Some("Kunde%20%227%22%2050%25"));
        assert_eq!(value("ce-partitionkey"), Some("%C3%A9"));
        assert_eq!(value("ce-sequence"), Some("00000000000000000005"));
        assert_eq!(value("ce-datacontenttype"), None);
        message.ordering_key = None;
        assert!(event(&message).headers().iter().all(|(name, _)| name != "ce-subject"));
    }
}
