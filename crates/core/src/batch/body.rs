//! What a batch says: its messages, each payload spliced in as the bytes that were published.

use bytes::Bytes;

use super::BatchFormat;
use crate::{
    cloudevent::{Event, write_attributes},
    message::Message,
    order::Place,
};

/// One message of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The message.
    pub message: &'a Message,
    /// Its payload: one JSON value ([`super::is_json`]).
    pub payload: &'a Bytes,
    /// Its place in its line, where order is kept.
    pub place: Option<&'a Place>,
}

/// The body of a batch of these messages.
///
/// As JSON, each is an object with `id`, `type`, `timestamp` (when it was accepted) and `data`; in a line also `sequence`,
/// `previousSequence` and `orderingKey`, as the headers of a single message would say. As CloudEvents, each has the attributes of
/// [`Event`]; `server` is what their source begins with.
pub fn body(format: BatchFormat, server: &str, items: &[Item<'_>]) -> Bytes {
    let payloads: usize = items.iter().map(|item| item.payload.len()).sum();
    let mut out = Vec::with_capacity(payloads + items.len() * 256 + 2);
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match format {
            BatchFormat::Json => json(&mut out, item),
            BatchFormat::Cloudevents => cloudevent(&mut out, server, item),
        }
    }
    out.push(b']');
    Bytes::from(out)
}

fn json(out: &mut Vec<u8>, item: &Item<'_>) {
    out.extend_from_slice(b"{\"id\":");
    string(out, &item.message.id.to_string());
    member(out, "type", &item.message.event_type);
    member(out, "timestamp", &item.message.created_at.to_string());
    if let Some(place) = item.place {
        out.extend_from_slice(format!(",\"sequence\":{}", place.sequence).as_bytes());
        if let Some(previous) = place.previous {
            out.extend_from_slice(format!(",\"previousSequence\":{previous}").as_bytes());
        }
        if !place.key.is_empty() {
            member(out, "orderingKey", &place.key);
        }
    }
    data(out, item.payload);
}

/// CloudEvents 1.0, JSON Event Format, sections 2 to 4.
fn cloudevent(out: &mut Vec<u8>, server: &str, item: &Item<'_>) {
    let event = Event {
        message: item.message,
        place: item.place,
        server,
        content_type: "application/json",
    };
    write_attributes(out, &event.attributes());
    data(out, item.payload);
}

fn data(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(payload);
    out.push(b'}');
}

/// `,"name":"value"`; the name needs no escapes.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    // A `Value` of a text cannot fail to be written, and its `Display` is JSON.
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
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

    fn message(number: u64) -> Message {
        Message {
            id: MessageId::from_number(number),
            app: AppId::from_number(1),
            event_type: "invoice.paid".to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: None,
            payload_expires_at: Timestamp::MAX,
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            created_at: Timestamp::from_secs(1_766_000_000),
        }
    }

    #[test]
    fn payloads_stay_byte_for_byte_what_was_published() {
        let published = ["{\"b\" : 1.0,\"a\":12345678901234567890.10}", "  [1e400, \"\\u00e9\"] "].map(Bytes::from);
        let messages = [message(1), message(2)];
        for format in [BatchFormat::Json, BatchFormat::Cloudevents] {
            let items: Vec<_> = messages
                .iter()
                .zip(&published)
                .map(|(message, payload)| Item {
                    message,
                    payload,
                    place: None,
                })
                .collect();
            let body = body(format, "", &items);
            let text = std::str::from_utf8(&body).unwrap();
            assert!(
                serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text)
                    .unwrap()
                    .len()
                    == 2
            );
            for payload in &published {
                let spliced = format!("\"data\":{}}}", std::str::from_utf8(payload).unwrap());
                assert!(text.contains(&spliced), "{text}");
            }
        }
    }

    #[test]
    fn an_item_says_what_the_headers_of_a_single_message_would() {
        let message = message(3);
        let place = Place {
            key: Arc::from("kunde \"7\""),
            sequence: 5,
            previous: Some(3),
        };
        let payload = Bytes::from("{\"n\":1}");
        let item = Item {
            message: &message,
            payload: &payload,
            place: Some(&place),
        };
        let found: Value = serde_json::from_slice(&body(BatchFormat::Json, "", &[item])).unwrap();
        let id = message.id.to_string();
        let expected = json!([{
            "id": id, "type": "invoice.paid", "timestamp": "2025-12-17T19:33:20.000000Z", "sequence": 5, "previousSequence": 3,
            "orderingKey": "kunde \"7\"", "data": { "n": 1 }
        }]);
        assert_eq!(found, expected);
        let found: Value = serde_json::from_slice(&body(BatchFormat::Cloudevents, "", &[item])).unwrap();
        let source = format!("/app/{}", message.app);
        let expected = json!([{
            "specversion": "1.0", "id": id, "source": source, "type": "invoice.paid", "time": "2025-12-17T19:33:20.000000Z",
            "datacontenttype": "application/json", "sequence": "00000000000000000005",
            "previoussequence": "00000000000000000003", "partitionkey": "kunde \"7\"", "data": { "n": 1 }
        }]);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_sent_outside_of_its_turn_has_no_previous_and_an_endpoints_only_line_no_key() {
        let message = message(3);
        let place = Place {
            key: Arc::from(""),
            sequence: 5,
            previous: None,
        };
        let payload = Bytes::from("1");
        let item = Item {
            message: &message,
            payload: &payload,
            place: Some(&place),
        };
        let found: Value = serde_json::from_slice(&body(BatchFormat::Json, "", &[item])).unwrap();
        assert_eq!(found[0]["sequence"], 5);
        assert!(found[0].get("previousSequence").is_none() && found[0].get("orderingKey").is_none());
    }
}
