//! What a request carries: one message, or those of a batch. Pure, and forgiving: what cannot be read is not there.

use bellwire_core::{
    batch::ID_PREFIX,
    sign::line::{ORDERING_KEY, PREVIOUS_SEQUENCE, SEQUENCE, decode_key},
};
use serde_json::Value;

/// A message's place in its line, as the sender says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The ordering key; empty when all messages of the endpoint form one line.
    pub key: String,
    /// Its number.
    pub sequence: u64,
    /// The last number before it that was taken; none outside of its turn.
    pub previous: Option<u64>,
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id, when it has one.
    pub id: Option<String>,
    /// The event type, as far as the request says it.
    pub event_type: Option<String>,
    /// Its place in its line, where order is kept.
    pub place: Option<Place>,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One message.
    Single(Item),
    /// The messages of a batch, in order.
    Batch(Vec<Item>),
}

impl Content {
    /// Reads it out of headers and body; `id` is the request's.
    pub fn of(id: Option<&str>, headers: &[(String, String)], body: &[u8]) -> Self {
        let parsed = serde_json::from_slice::<Value>(body).ok();
        if id.is_some_and(|id| id.starts_with(ID_PREFIX))
            && let Some(Value::Array(items)) = &parsed
        {
            return Self::Batch(items.iter().map(in_batch).collect());
        }
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let named = ["webhook-event-type", "bellwire-event-type", "ce-type"];
        let in_header = named.iter().find_map(|name| header(name)).map(str::to_owned);
        let number = |name: &str| header(name).and_then(|text| text.parse().ok());
        Self::Single(Item {
            id: id.map(str::to_owned),
            event_type: in_header.or_else(|| text(parsed.as_ref()?, &["type", "eventType"])),
            place: number(SEQUENCE).map(|sequence| Place {
                key: header(ORDERING_KEY)
                    .map_or_else(String::new, |key| decode_key(key).unwrap_or_else(|| key.to_owned())),
                sequence,
                previous: number(PREVIOUS_SEQUENCE),
            }),
        })
    }

    /// The messages.
    pub fn items(&self) -> &[Item] {
        match self {
            Self::Single(item) => std::slice::from_ref(item),
            Self::Batch(items) => items,
        }
    }
}

/// A message of a batch, in our JSON or as a CloudEvent.
fn in_batch(item: &Value) -> Item {
    Item {
        id: text(item, &["id"]),
        event_type: text(item, &["type"]),
        place: number(item, &["sequence"]).map(|sequence| Place {
            key: text(item, &["orderingKey", "partitionkey"]).unwrap_or_default(),
            sequence,
            previous: number(item, &["previousSequence", "previoussequence"]),
        }),
    }
}

fn text(item: &Value, names: &[&str]) -> Option<String> {
    let found = names.iter().find_map(|name| item.get(name))?;
    found.as_str().map(str::to_owned)
}

/// A number, also written as text.
fn number(item: &Value, names: &[&str]) -> Option<u64> {
    let found = names.iter().find_map(|name| item.get(name))?;
    found.as_u64().or_else(|| found.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_single_message_says_its_place_in_headers() {
        let headers = headers(&[
            ("webhook-sequence", "5"),
            ("webhook-previous-sequence", "3"),
            ("webhook-ordering-key", "Gr%C3%B6%C3%9Fe"),
        ]);
        let content = Content::of(Some("msg_1"), &headers, br#"{"type":"a.b","sequence":9}"#);
        let place = Place {
            key: "Größe".to_owned(),
            sequence: 5,
            previous: Some(3),
        };
        let item = Item {
            id: Some("msg_1".to_owned()),
            event_type: Some("a.b".to_owned()),
            place: Some(place),
        };
        assert_eq!(content, Content::Single(item));
        assert_eq!(Content::of(None, &[], b"x"), Content::Single(Item::default()));
    }

    #[test]
    fn a_batch_says_it_inside_in_both_formats() {
        let json = br#"[{"id":"msg_1","type":"a","sequence":5,"previousSequence":3,"orderingKey":"k","data":{}}]"#;
        let events = br#"[{"id":"msg_1","type":"a","sequence":"00000000000000000005",
            "previoussequence":"00000000000000000003","partitionkey":"k","data":{}}]"#;
        let place = Place {
            key: "k".to_owned(),
            sequence: 5,
            previous: Some(3),
        };
        let item = Item {
            id: Some("msg_1".to_owned()),
            event_type: Some("a".to_owned()),
            place: Some(place),
        };
        for body in [&json[..], &events[..]] {
            assert_eq!(
                Content::of(Some("batch_1"), &[], body),
                Content::Batch(vec![item.clone()])
            );
        }
        assert!(
            matches!(Content::of(Some("msg_1"), &[], json), Content::Single(_)),
            "an array can be a payload"
        );
    }
}
