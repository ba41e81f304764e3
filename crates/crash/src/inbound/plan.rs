//! What comes in: every event as often as it comes, in an order drawn from the seed.

use bytes::Bytes;
use fastrand::Rng;
use ring::hmac;
use serde_json::json;

/// The secret that both sources verify with.
pub(crate) const SECRET: &str = "a-secret-for-the-crash-loop-only";
/// Numbered events of one key.
pub(crate) const PER_KEY: u32 = 50;
/// How often a numbered event comes.
const NUMBERED_COPIES: u32 = 2;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Takes effect once, however often it comes.
    Plain(u32),
    /// Takes effect once, and behind those of its key with lower numbers.
    Numbered { key: u32, number: u32 },
}

impl Event {
    /// The source it comes in by.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Event::Plain(_) => "once",
            Event::Numbered { .. } => "lines",
        }
    }

    /// The provider's id of it: the same each time it comes.
    pub(crate) fn id(self) -> String {
        match self {
            Event::Plain(number) => format!("event-{number}"),
            Event::Numbered { key, number } => format!("line-{key}-{number}"),
        }
    }

    /// What is posted.
    pub(crate) fn body(self) -> Bytes {
        let body = match self {
            Event::Plain(number) => json!({"number": number}),
            Event::Numbered { key, number } => json!({"key": format!("k{key}"), "number": number}),
        };
        body.to_string().into()
    }
}

/// `X-Hub-Signature-256` of a body (GitHub, "Validating webhook deliveries").
pub(crate) fn signature(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Every event as often as it comes, shuffled.
pub(crate) fn shuffled(events: u32, copies: u32, numbered: u32, seed: u64) -> Vec<Event> {
    let plain = (0..events).flat_map(|number| (0..copies).map(move |_| Event::Plain(number)));
    let in_lines = (0..numbered).flat_map(|at| {
        let event = Event::Numbered {
            key: at / PER_KEY,
            number: at % PER_KEY + 1,
        };
        (0..NUMBERED_COPIES).map(move |_| event)
    });
    let mut all: Vec<Event> = plain.chain(in_lines).collect();
    Rng::with_seed(seed).shuffle(&mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_comes_as_often_as_asked_and_a_seed_brings_the_same_order() {
        let all = shuffled(10, 3, 120, 7);
        assert_eq!(all.len(), 30 + 240);
        assert_eq!(all.iter().filter(|event| **event == Event::Plain(4)).count(), 3);
        let last = Event::Numbered { key: 2, number: 20 };
        assert_eq!(all.iter().filter(|event| **event == last).count(), 2);
        assert_eq!(all, shuffled(10, 3, 120, 7));
        assert_ne!(all, shuffled(10, 3, 120, 8));
    }
}
