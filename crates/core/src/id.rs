//! Public ids: a prefix and 27 letters and digits that sort by time.
//!
//! An id is a 63-bit number (milliseconds since 2020, a node, a sequence) that a store uses as its row key, so that no second
//! unique index is needed. The text form writes that number in 11 base-62 digits, then 16 digits derived from prefix and
//! number: a mistyped id, or an id of another kind, is recognised without a look-up. The tail is no secret and grants nothing.

use std::{fmt, str::FromStr};

use crate::time::Timestamp;

/// Digits after the prefix.
pub const BODY_LEN: usize = 27;
const NUMBER_LEN: usize = 11;
const HALF_LEN: usize = 8;
const HALF_SPACE: u64 = 62u64.pow(8);
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 2020-01-01T00:00:00Z in milliseconds: 41 bits of milliseconds last until 2089.
const EPOCH_MILLIS: i64 = 1_577_836_800_000;
const SEQUENCE_BITS: u32 = 12;
const NODE_BITS: u32 = 10;

/// Text that is not an id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an id of the form {prefix}… with 27 letters and digits")]
pub struct IdError {
    prefix: &'static str,
    given: String,
}

/// One kind of id.
pub trait Id: Copy + Ord + fmt::Display + FromStr<Err = IdError> {
    /// What its text starts with, underscore included.
    const PREFIX: &'static str;
    /// From the number.
    fn from_number(number: u64) -> Self;
    /// The number, at most 63 bits: what stores use as their key.
    fn number(self) -> u64;
    /// When it was made, to the millisecond.
    fn created_at(self) -> Timestamp {
        created_at(self.number())
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            fn from_number(number: u64) -> Self {
                Self(number & (u64::MAX >> 1))
            }
            fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                let body = encode($prefix, self.0);
                f.write_str(std::str::from_utf8(&body).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|body| decode($prefix, body))
                    .map(Self)
                    .ok_or_else(|| IdError { prefix: $prefix, given: text.chars().take(64).collect() })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An environment: the isolation above all others.
    EnvironmentId = "env_";
    /// An application: a tenant inside an environment.
    AppId = "app_";
    /// An endpoint: where a message goes.
    EndpointId = "ep_";
    /// A message: one accepted event.
    MessageId = "msg_";
    /// An attempt: one try of a delivery.
    AttemptId = "atmpt_";
    /// An API token.
    TokenId = "tok_";
    /// A background task.
    TaskId = "qtask_";
    /// A source of messages besides the API.
    SourceId = "src_";
    /// A request that a source refused.
    RefusedId = "log";
}

fn created_at(number: u64) -> Timestamp {
    let millis = (number >> (NODE_BITS + SEQUENCE_BITS)) as i64;
    Timestamp::from_millis(millis + EPOCH_MILLIS)
}

/// The smallest number that an id made at `at` can have: turns a time range into a range of ids.
pub fn first_number_at(at: Timestamp) -> u64 {
    let millis = (at.millis() - EPOCH_MILLIS).clamp(0, (1 << 41) - 1) as u64;
    millis << (NODE_BITS + SEQUENCE_BITS)
}

/// The node (see [`IdGenerator::new`]) that made a number.
pub fn node_of(number: u64) -> u16 {
    ((number >> SEQUENCE_BITS) & ((1 << NODE_BITS) - 1)) as u16
}

/// Makes numbers that only ever grow, also when the clock goes back.
#[derive(Debug, Clone)]
pub struct IdGenerator {
    node: u64,
    last: u64,
}

impl IdGenerator {
    /// A generator for one node (0 to 1023; larger values wrap) that continues after `last`.
    pub fn new(node: u16, last: u64) -> Self {
        Self {
            node: u64::from(node) & ((1 << NODE_BITS) - 1),
            last,
        }
    }

    /// The next number. `now` is when; a clock that stands still or goes back only uses up sequence numbers.
    pub fn next_number(&mut self, now: Timestamp) -> u64 {
        let fresh = first_number_at(now) | (self.node << SEQUENCE_BITS);
        let same_slot = self.last >> SEQUENCE_BITS == fresh >> SEQUENCE_BITS || fresh <= self.last;
        self.last = if !same_slot {
            fresh
        } else if u64::from(node_of(self.last)) == self.node
            && (self.last + 1) >> SEQUENCE_BITS == self.last >> SEQUENCE_BITS
        {
            self.last + 1
        } else {
            // The sequence of this millisecond is used up, or another node made the last one: borrow from the next one, keeping the node.
            let millis = (self.last >> (NODE_BITS + SEQUENCE_BITS)) + 1;
            (millis << (NODE_BITS + SEQUENCE_BITS)) | (self.node << SEQUENCE_BITS)
        };
        self.last
    }

    /// The next id of a kind.
    pub fn next<T: Id>(&mut self, now: Timestamp) -> T {
        T::from_number(self.next_number(now))
    }
}

fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn tail(prefix: &str, number: u64) -> [u64; 2] {
    let kind = prefix.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let first = mix(number ^ kind);
    let second = mix(first ^ number.rotate_left(32));
    [first % HALF_SPACE, second % HALF_SPACE]
}

fn put(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(value % 62) as usize];
        value /= 62;
    }
}

fn encode(prefix: &str, number: u64) -> [u8; BODY_LEN] {
    let mut body = [0; BODY_LEN];
    let [first, second] = tail(prefix, number);
    put(number, &mut body[..NUMBER_LEN]);
    put(first, &mut body[NUMBER_LEN..NUMBER_LEN + HALF_LEN]);
    put(second, &mut body[NUMBER_LEN + HALF_LEN..]);
    body
}

fn decode(prefix: &str, body: &str) -> Option<u64> {
    let bytes = body.as_bytes();
    if bytes.len() != BODY_LEN {
        return None;
    }
    let number = bytes[..NUMBER_LEN].iter().try_fold(0u64, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(u64::from(digit))
    })?;
    (number <= u64::MAX >> 1 && encode(prefix, number) == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_sort_by_time_in_number_and_in_text() {
        let mut generator = IdGenerator::new(3, 0);
        let mut last: Option<MessageId> = None;
        // The clock stands still, goes back, and jumps ahead; 5,000 ids overflow one millisecond's sequence.
        for millis in std::iter::repeat_n(1_766_000_000_000, 5_000).chain([1_700_000_000_000, 1_766_000_000_500]) {
            let id: MessageId = generator.next(Timestamp::from_millis(millis));
            if let Some(last) = last {
                assert!(id > last && id.to_string() > last.to_string());
            }
            assert_eq!(node_of(id.number()), 3);
            last = Some(id);
        }
    }

    #[test]
    fn a_number_is_the_nodes_own_whoever_made_the_one_before() {
        let now = Timestamp::from_millis(1_766_000_000_000);
        for (other, millis) in [(5, 1_766_000_000_000), (1, 1_766_000_000_000), (5, 1_766_000_009_000)] {
            let before = IdGenerator::new(other, 0).next_number(Timestamp::from_millis(millis));
            let mut generator = IdGenerator::new(3, before);
            for _ in 0..3 {
                let number = generator.next_number(now);
                assert!(number > before && node_of(number) == 3);
            }
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        let at = Timestamp::from_millis(1_766_000_000_123);
        let id: AppId = IdGenerator::new(0, 0).next(at);
        assert_eq!(id.created_at(), at);
        assert!(id.number() >= first_number_at(at));
        assert!(id.number() < first_number_at(Timestamp::from_millis(1_766_000_000_124)));
    }

    #[test]
    fn an_id_of_another_kind_or_with_a_typo_is_refused() {
        let id = AppId::from_number(123_456_789).to_string();
        assert_eq!(id.len(), 4 + BODY_LEN);
        assert_eq!(id.parse::<AppId>().map(Id::number), Ok(123_456_789));
        assert!(id.replace("app_", "ep_").parse::<EndpointId>().is_err());
        assert!(id.parse::<EndpointId>().is_err());
        for at in 4..id.len() {
            let mut typo = id.clone().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert!(String::from_utf8(typo).unwrap().parse::<AppId>().is_err());
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back(number in 0..=u64::MAX >> 1) {
            let id = MessageId::from_number(number);
            prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,40}") {
            let _ = text.parse::<MessageId>();
        }
    }
}
