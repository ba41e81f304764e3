//! What is published, under which keys, and who wants it: a pure function of the seed.
//!
//! The endpoints differ in what they order, in what they want (so that one message takes a number here and none there) and in
//! how soon they give up. All of them fail at random.

use bytes::Bytes;

use crate::payload::Messages;

/// The event types, and how many of a hundred messages are of each.
const KINDS: [(&str, u8); 4] = [
    ("order.first", 50),
    ("order.second", 25),
    ("order.third", 22),
    ("order.rare", 3),
];
/// The first keys are used by all publishers, the rest by one each.
const SHARED_KEYS: u32 = 16;
/// So many messages in a row favour the same few keys, so that lines grow long.
const WAVE_MESSAGES: u64 = 2_048;
/// How many keys they favour.
const WAVE_KEYS: u32 = 64;

/// The names of the event types.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// Which deliveries of an endpoint wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    None,
    Key,
    Endpoint,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// Its uid, and its name in the summary.
    pub(crate) name: &'static str,
    pub(crate) order: Order,
    /// `onExhausted`.
    pub(crate) on_exhausted: &'static str,
    /// The waits before retries, in milliseconds.
    pub(crate) waits_ms: &'static [u16],
    /// The event types it wants, as indices; none is all.
    pub(crate) wants: &'static [u8],
    /// `maxInFlight` as it is set up.
    pub(crate) in_flight_max: u32,
}

/// Long enough that even of a million deliveries none is given up: 0.2 ^ 17.
const PATIENT: &[u16] = &[
    20, 40, 60, 80, 100, 150, 200, 300, 300, 300, 300, 300, 300, 300, 300, 300,
];
/// Two tries: of a hundred deliveries, four are given up.
const HASTY: &[u16] = &[40];

/// The endpoints of a run.
pub(crate) const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        name: "by-key",
        order: Order::Key,
        on_exhausted: "skip",
        waits_ms: PATIENT,
        wants: &[],
        in_flight_max: 32,
    },
    Endpoint {
        name: "by-key-filtered",
        order: Order::Key,
        on_exhausted: "block",
        waits_ms: PATIENT,
        wants: &[1, 2, 3],
        in_flight_max: 16,
    },
    Endpoint {
        name: "by-key-hasty",
        order: Order::Key,
        on_exhausted: "skip",
        waits_ms: HASTY,
        wants: &[0],
        in_flight_max: 16,
    },
    Endpoint {
        name: "by-endpoint",
        order: Order::Endpoint,
        on_exhausted: "skip",
        waits_ms: PATIENT,
        wants: &[3],
        in_flight_max: 8,
    },
    Endpoint {
        name: "unordered",
        order: Order::None,
        on_exhausted: "skip",
        waits_ms: PATIENT,
        wants: &[1],
        in_flight_max: 8,
    },
];

impl Endpoint {
    /// Whether a message of this type is to be delivered here.
    pub(crate) fn wants(&self, kind: u8) -> bool {
        self.wants.is_empty() || self.wants.contains(&kind)
    }

    /// The line that a message with this key joins here; `None`: it waits for nobody.
    pub(crate) fn line(&self, key: Option<u32>) -> Option<LineKey> {
        match self.order {
            Order::None => None,
            Order::Key => key.map(LineKey::Key),
            Order::Endpoint => Some(LineKey::All),
        }
    }

    /// Whether deliveries are expected to be given up here.
    pub(crate) fn gives_up(&self) -> bool {
        self.waits_ms.len() < PATIENT.len()
    }

    /// How many tries a delivery has.
    pub(crate) fn tries(&self) -> usize {
        self.waits_ms.len() + 1
    }
}

/// Which line of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LineKey {
    /// The only one.
    All,
    /// That of a key.
    Key(u32),
}

impl LineKey {
    /// The ordering key as the API has it: empty for the only line of an endpoint.
    pub(crate) fn text(self) -> String {
        match self {
            LineKey::All => String::new(),
            LineKey::Key(key) => key_text(key),
        }
    }
}

/// The ordering key of this number. Some hold what a header may not.
pub(crate) fn key_text(key: u32) -> String {
    match key % 4 {
        2 => format!("Kunde {key}/ä"),
        3 => format!("100%-{key}"),
        _ => format!("key-{key}"),
    }
}

/// How a run's messages are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) messages: Messages,
    /// How many ordering keys there are.
    pub(crate) keys: u32,
    /// How many publishers.
    pub(crate) publishers: u32,
}

impl Script {
    /// The event type of a message, as an index.
    pub(crate) fn kind(&self, seq: u64) -> u8 {
        let mut left = self.messages.rng(seq, 3).u8(0..100);
        for (kind, (_, share)) in (0..).zip(KINDS) {
            if left < share {
                return kind;
            }
            left -= share;
        }
        0
    }

    /// The ordering key of a message of this publisher: one of its own, sometimes one that all publishers use, and of every
    /// sixteenth message none.
    pub(crate) fn key(&self, seq: u64, publisher: u32) -> Option<u32> {
        let mut rng = self.messages.rng(seq, 4);
        match rng.u8(0..16) {
            0 => return None,
            1 => return Some(rng.u32(..SHARED_KEYS.min(self.keys))),
            _ => {}
        }
        let own = self.keys.saturating_sub(SHARED_KEYS) / self.publishers;
        if own == 0 {
            return Some(rng.u32(..self.keys));
        }
        let at = if rng.bool() {
            rng.u32(..own)
        } else {
            let favoured = rng.u64(..u64::from(WAVE_KEYS.div_ceil(self.publishers)));
            self.messages.rng(seq / WAVE_MESSAGES * 1_024 + favoured, 5).u32(..own)
        };
        Some(SHARED_KEYS + at * self.publishers + publisher)
    }

    /// The body of the publishing request.
    pub(crate) fn request(&self, seq: u64, key: Option<u32>) -> Bytes {
        let (kind, _) = KINDS.get(usize::from(self.kind(seq))).copied().unwrap_or_default();
        let mut body = format!("{{\"eventType\":\"{kind}\",").into_bytes();
        if let Some(key) = key {
            body.extend_from_slice(format!("\"orderingKey\":\"{}\",", key_text(key)).as_bytes());
        }
        if self.messages.key(seq).event_id() {
            body.extend_from_slice(format!("\"eventId\":\"{}\",", self.messages.key_text(seq)).as_bytes());
        }
        body.extend_from_slice(b"\"payload\":");
        body.extend_from_slice(&self.messages.payload(seq));
        body.push(b'}');
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const SCRIPT: Script = Script {
        messages: Messages {
            seed: 7,
            payload_bytes: 200,
        },
        keys: 1_000,
        publishers: 8,
    };

    #[test]
    fn every_type_is_published_and_every_endpoint_wants_a_part() {
        let mut counts = [0; 4];
        for seq in 0..10_000 {
            counts[usize::from(SCRIPT.kind(seq))] += 1;
        }
        for (count, (name, share)) in counts.into_iter().zip(KINDS) {
            let expected = i32::from(share) * 100;
            assert!((expected - 150..=expected + 150).contains(&count), "{name}: {count}");
        }
        assert_eq!(KINDS.iter().map(|(_, share)| share).sum::<u8>(), 100);
        assert_eq!(ENDPOINTS.iter().filter(|endpoint| endpoint.wants(3)).count(), 3);
    }

    #[test]
    fn keys_belong_to_one_publisher_but_for_the_shared_ones_and_all_are_used() {
        let mut users: HashMap<u32, HashSet<u32>> = HashMap::new();
        let mut without = 0;
        for seq in 0..50_000 {
            let publisher = seq as u32 % SCRIPT.publishers;
            match SCRIPT.key(seq, publisher) {
                Some(key) => _ = users.entry(key).or_default().insert(publisher),
                None => without += 1,
            }
        }
        assert!((2_500..4_000).contains(&without), "{without}");
        assert!(users.keys().all(|key| *key < SCRIPT.keys));
        assert!(users.len() > 980, "{}", users.len());
        assert!(
            users
                .iter()
                .all(|(key, users)| (*key < SHARED_KEYS) == (users.len() > 1))
        );
    }

    #[test]
    fn a_few_keys_are_favoured_for_a_while() {
        let mut counts: HashMap<_, u32> = HashMap::new();
        for seq in 0..WAVE_MESSAGES {
            *counts.entry(SCRIPT.key(seq, seq as u32 % 8)).or_default() += 1;
        }
        counts.remove(&None);
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let favoured: u32 = counts.iter().take(64).sum();
        assert!(favoured > 700, "{favoured}");
    }

    #[test]
    fn with_fewer_keys_than_publishers_there_are_still_keys() {
        for keys in [1, 16, 20] {
            let script = Script { keys, ..SCRIPT };
            let drawn: HashSet<_> = (0..2_000).filter_map(|seq| script.key(seq, seq as u32 % 8)).collect();
            assert!(!drawn.is_empty() && drawn.iter().all(|key| *key < keys), "{keys}");
        }
    }

    #[test]
    fn request_names_type_and_key_and_holds_the_payload() {
        for (seq, key) in [(0, None), (1, Some(6)), (2, Some(7))] {
            let json: serde_json::Value = serde_json::from_slice(&SCRIPT.request(seq, key)).unwrap();
            assert_eq!(json["payload"]["seq"], seq);
            assert_eq!(json["orderingKey"].as_str(), key.map(key_text).as_deref());
            assert!(kinds().any(|kind| json["eventType"] == kind));
        }
    }
}
