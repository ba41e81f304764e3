//! A message as it is shown, with its payload where that is wanted.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwire_core::{
    id::{Id as _, MessageId},
    message::Message,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{field::Time, inbound::InboundOut};

/// A payload as it is shown: the publisher's JSON object as it was written, or an empty object where there is none to show.
#[derive(Debug)]
pub(in crate::routes) enum Payload<'a> {
    /// From the request.
    Borrowed(&'a RawValue),
    /// From the store.
    Owned(Box<RawValue>),
    /// Not asked for, expired, expunged, or not JSON.
    Empty,
}

impl Payload<'static> {
    /// What the store has of it.
    pub fn of(message: &Message, with_content: bool) -> Self {
        let bytes = message
            .payload
            .as_ref()
            .filter(|bytes| with_content && bytes.first() == Some(&b'{'));
        bytes
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .map_or(Self::Empty, Self::Owned)
    }
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Borrowed(raw) => raw.serialize(serializer),
            Self::Owned(raw) => raw.serialize(serializer),
            Self::Empty => serializer.collect_map(std::iter::empty::<((), ())>()),
        }
    }
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct MessageOut<'a> {
    #[schemars(with = "String")]
    pub id: MessageId,
    pub event_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub deliver_at: Option<Timestamp>,
    /// `{}` when it was not asked for, has expired, or is not a JSON object.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: Payload<'a>,
    /// A payload that is not a JSON object, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_payload: Option<String>,
    /// How `rawPayload` is to be read, when it is not the payload's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_payload_encoding: Option<Encoding>,
    /// What the payload is, when not `application/json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How it came in, when a source brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundOut>,
    #[schemars(with = "Time")]
    pub timestamp: Timestamp,
}

impl MessageOut<'static> {
    /// What is answered of a message.
    pub fn of(message: Message, with_content: bool) -> Self {
        let payload = Payload::of(&message, with_content);
        let raw = message
            .payload
            .as_ref()
            .filter(|_| with_content && matches!(payload, Payload::Empty));
        let (raw_payload, raw_payload_encoding) = raw.map(|bytes| text_of(bytes)).unzip();
        Self {
            payload,
            raw_payload,
            raw_payload_encoding: raw_payload_encoding.flatten(),
            inbound: message.inbound.as_deref().map(InboundOut::from),
            content_type: message.content_type,
            id: message.id,
            timestamp: message.id.created_at(),
            event_type: message.event_type.into(),
            event_id: message.event_id,
            channels: (!message.channels.is_empty()).then_some(message.channels),
            tags: (!message.tags.is_empty()).then_some(message.tags),
            ordering_key: message.ordering_key,
            deliver_at: message.deliver_at,
        }
    }
}

/// How a text stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Encoding {
    /// RFC 4648 section 4: the bytes are not UTF-8.
    Base64,
}

/// A payload as text, and how it is to be read when it is not itself text.
pub(in crate::routes) fn text_of(payload: &[u8]) -> (String, Option<Encoding>) {
    match std::str::from_utf8(payload) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (STANDARD.encode(payload), Some(Encoding::Base64)),
    }
}
