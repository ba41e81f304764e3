//! Batching: several messages in one request, when an endpoint asks for it.
//!
//! A batch is formed from deliveries that are due; it is one request with one answer, and each of its deliveries gets an
//! attempt of its own with that outcome. Retries are the deliveries': they may go in another batch. At an endpoint that asks
//! for batches, a message that comes alone is a batch of one.
//!
//! The scheduler forms batches by [`Filling`]; `deliver` makes the request of [`id`], [`content_type`](BatchFormat::content_type)
//! and [`body`].

mod body;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Id as _, MessageId},
    message::Message,
    time::span::Span,
};

pub use body::{Item, body};

/// How an endpoint takes several messages at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSettings {
    /// At most so many messages in one request, from 2 to [`MESSAGES_MAX`].
    pub messages_max: u16,
    /// A batch that is not full leaves when its oldest message was accepted so long ago, at most [`WAIT_MAX`].
    pub wait: Span,
    /// What the request looks like.
    pub format: BatchFormat,
}

/// The most messages in one batch.
pub const MESSAGES_MAX: u16 = 1_000;
/// The longest that a batch waits for company.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// A batch of more than one message has at most so many bytes of payload.
pub const BYTES_MAX: usize = 1 << 20;

/// What a batch looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFormat {
    /// A JSON array of objects with `id`, `type`, `timestamp` and `data` (the payload); `application/json`.
    #[default]
    Json,
    /// The JSON batch format of CloudEvents 1.0 (JSON Event Format, section 4); `application/cloudevents-batch+json`.
    Cloudevents,
}

impl BatchFormat {
    /// Every format, by its name in the API.
    pub const NAMES: &'static [(&'static str, Self)] = &[("json", Self::Json), ("cloudevents", Self::Cloudevents)];

    /// The `content-type` of a batch.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cloudevents => "application/cloudevents-batch+json",
        }
    }
}

/// What the `webhook-id` of a batch begins with; that of a single message begins with `msg_`.
pub const ID_PREFIX: &str = "batch_";

/// The `webhook-id` of a batch: that of its first message, with another prefix. A retry may go in other company and then has
/// another one; the ids of the messages inside never change.
pub fn id(first: MessageId) -> String {
    let message = first.to_string();
    let digits = message.strip_prefix(MessageId::PREFIX).unwrap_or(&message);
    format!("{ID_PREFIX}{digits}")
}

/// Whether a message is sent alone and as it is, also where batches are wanted: its publisher said what its payload is, which
/// then need not be JSON. Cheap; [`is_json`] judges payloads about which nothing was said.
pub fn goes_alone(message: &Message) -> bool {
    message.content_type.is_some()
}

/// Whether a payload is one JSON value and nothing else: what is spliced into a batch must not break it for the others. Reads
/// all of it; nothing for a lock.
pub fn is_json(payload: &[u8]) -> bool {
    std::str::from_utf8(payload).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// A batch while it is formed: which message may still join it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filling {
    messages: usize,
    bytes: usize,
    alone: bool,
}

impl Filling {
    /// Whether `next` may join. The first always may, however large; one that [`goes_alone`] only joins an empty batch, and
    /// nothing joins it.
    pub fn fits(&self, settings: BatchSettings, next: &Message) -> bool {
        let room = !self.is_full(settings) && self.bytes.saturating_add(bytes_of(next)) <= BYTES_MAX;
        self.messages == 0 || (room && !goes_alone(next))
    }

    /// `next` has joined.
    pub fn add(&mut self, next: &Message) {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(bytes_of(next));
        self.alone |= goes_alone(next);
    }

    /// Whether it leaves now: nothing more may join, whatever comes.
    pub fn is_full(&self, settings: BatchSettings) -> bool {
        self.alone || self.messages >= usize::from(settings.messages_max.max(1)) || self.bytes >= BYTES_MAX
    }

    /// How many have joined.
    pub fn messages(&self) -> usize {
        self.messages
    }
}

/// A payload that has expired takes no room: its delivery ends without being sent.
fn bytes_of(message: &Message) -> usize {
    message.payload.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{id::AppId, time::Timestamp};

    const SETTINGS: BatchSettings = BatchSettings {
        messages_max: 3,
        wait: Span(Duration::ZERO),
        format: BatchFormat::Json,
    };

    fn message(bytes: usize, content_type: Option<&str>) -> Message {
        Message {
            id: MessageId::from_number(5),
            app: AppId::from_number(1),
            event_type: "a.b".to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: Some(Bytes::from(vec![b'1'; bytes])),
            payload_expires_at: Timestamp::MAX,
            deliver_at: None,
            traceparent: None,
            content_type: content_type.map(str::to_owned),
            inbound: None,
            created_at: Timestamp::from_secs(1_766_000_000),
        }
    }

    #[test]
    fn a_batch_ends_at_its_number_of_messages() {
        let mut filling = Filling::default();
        for _ in 0..3 {
            assert!(!filling.is_full(SETTINGS) && filling.fits(SETTINGS, &message(1, None)));
            filling.add(&message(1, None));
        }
        assert!(filling.is_full(SETTINGS) && !filling.fits(SETTINGS, &message(1, None)));
        assert_eq!(filling.messages(), 3);
    }

    #[test]
    fn a_message_that_need_not_be_json_goes_alone() {
        let text = message(1, Some("text/plain"));
        assert!(goes_alone(&text) && goes_alone(&message(1, Some("application/json"))));
        assert!(!goes_alone(&message(1, None)));
        for (payload, json) in [
            ("{}", true),
            (" 1e400\n", true),
            ("{}{}", false),
            ("{},{}", false),
            ("", false),
        ] {
            assert_eq!(is_json(payload.as_bytes()), json, "{payload}");
        }
        assert!(!is_json(b"\"\xff\""));
        let mut filling = Filling::default();
        assert!(filling.fits(SETTINGS, &text));
        filling.add(&text);
        assert!(filling.is_full(SETTINGS) && !filling.fits(SETTINGS, &message(1, None)));
        let mut filling = Filling::default();
        filling.add(&message(1, None));
        assert!(!filling.fits(SETTINGS, &text) && !filling.is_full(SETTINGS));
    }

    #[test]
    fn the_id_says_that_it_is_a_batch_and_which_message_is_first() {
        let first = MessageId::from_number(5);
        let digits = first.to_string().replace("msg_", "");
        assert_eq!(id(first), format!("batch_{digits}"));
    }

    proptest! {
        #[test]
        fn what_fits_stays_within_the_limits(sizes in proptest::collection::vec(0..BYTES_MAX * 2, 1..20)) {
            let (mut filling, mut bytes) = (Filling::default(), 0);
            for size in sizes {
                let next = message(size, None);
                if filling.fits(SETTINGS, &next) {
                    filling.add(&next);
                    bytes += size;
                }
            }
            prop_assert!(filling.messages() >= 1, "the first always joins");
            prop_assert!(filling.messages() == 1 || bytes <= BYTES_MAX);
            prop_assert!(filling.messages() <= 3);
        }
    }
}
