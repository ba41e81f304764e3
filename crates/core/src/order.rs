//! Order: which deliveries of an endpoint wait for each other, and how they are numbered.
//!
//! An endpoint's deliveries form *lines*, one per ordering key (`key`) or one for all (`endpoint`). The delivery at the head of
//! a line is attempted and retried; those behind it wait for their turn, until the head has ended and its end is durable. Each
//! gets the next number of its line in the transaction that accepts its message, so the numbers have no gaps.
//!
//! A change of an endpoint's order begins a new *era*: what was accepted earlier keeps its lines, and no line of the new era
//! moves before all lines of the old one are empty. So nothing that was promised an order loses it.
//!
//! Stores keep lines; what they do is pinned down by the conformance suite, and [`Lines`] is the pure model of it.

mod lines;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::lines::{Left, Lines, Standing, Tended};

/// Which deliveries of an endpoint wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// None: each is attempted when it is due.
    #[default]
    None,
    /// Those with the same ordering key. Messages without a key wait for nobody and have no number.
    Key,
    /// All of them.
    Endpoint,
}

impl Ordering {
    /// Every mode, by its name in the API.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("key", Self::Key), ("endpoint", Self::Endpoint)];
}

/// What becomes of a line whose head was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The next one has its turn, and says which number was the last that succeeded.
    #[default]
    Skip,
    /// The line waits until a person retries or skips its head, or discards the line.
    Block,
}

impl OnExhausted {
    /// Every choice, by its name in the API.
    pub const NAMES: &'static [(&'static str, Self)] = &[("skip", Self::Skip), ("block", Self::Block)];
}

/// How an endpoint orders its deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderSettings {
    /// Which wait for each other.
    #[serde(default)]
    pub ordering: Ordering,
    /// What a line does when its head is given up.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
    /// An expression over the message that gives its ordering key; `None`: the publisher's `orderingKey`.
    #[serde(default)]
    pub key_expression: Option<String>,
    /// Counts the changes of mode or expression. Never decreases.
    #[serde(default)]
    pub era: u32,
}

impl OrderSettings {
    /// Takes over new settings; a change of which deliveries wait for each other begins a new era.
    pub fn change_to(&mut self, ordering: Ordering, on_exhausted: OnExhausted, key_expression: Option<String>) {
        let changes = self.ordering != ordering || self.key_expression != key_expression;
        *self = Self {
            ordering,
            on_exhausted,
            key_expression,
            era: self.era.saturating_add(u32::from(changes)),
        };
    }
}

/// The longest ordering key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 256;

/// Why a text cannot be an ordering key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error("an ordering key is not empty; leave it out for a message that waits for nobody")]
    Empty,
    /// It is too long.
    #[error("an ordering key has at most {KEY_BYTES_MAX} bytes, and this one has {0}")]
    TooLong(usize),
    /// It holds a control character.
    #[error("an ordering key has no control characters; this one has one at byte {0}")]
    Control(usize),
}

/// Checks an ordering key: 1 to 256 bytes of UTF-8 without control characters.
///
/// # Errors
/// [`KeyError`] says what is wrong.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong(key.len()));
    }
    match key.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(KeyError::Control(at)),
        None => Ok(()),
    }
}

/// Which line a new delivery joins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// The ordering key; empty when all deliveries of the endpoint form one line.
    pub key: Arc<str>,
    /// The era of the endpoint's settings by which it was routed.
    pub era: u32,
}

/// The place of a delivery in its line, told to the receiver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The ordering key; empty when all deliveries of the endpoint form one line.
    pub key: Arc<str>,
    /// Its number: 1 for the first message of this key at this endpoint, without gaps.
    pub sequence: u64,
    /// The number of the last one before it that succeeded; 0 when none did. What lies between was given up. `None` when it
    /// is sent again outside of its turn (a resend or replay of what had ended).
    pub previous: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_in_bytes_and_say_what_is_wrong() {
        assert_eq!(check_key(""), Err(KeyError::Empty));
        assert_eq!(check_key(&"é".repeat(128)), Ok(()));
        assert_eq!(check_key(&"é".repeat(129)), Err(KeyError::TooLong(258)));
        assert_eq!(check_key("a\u{7}"), Err(KeyError::Control(1)));
        assert_eq!(check_key("customer 42/äöü"), Ok(()));
    }

    #[test]
    fn an_era_begins_when_other_deliveries_wait_for_each_other_and_not_otherwise() {
        let mut settings = OrderSettings::default();
        settings.change_to(Ordering::Key, OnExhausted::Skip, None);
        assert_eq!(settings.era, 1);
        settings.change_to(Ordering::Key, OnExhausted::Block, None);
        assert_eq!(settings.era, 1);
        settings.change_to(Ordering::Key, OnExhausted::Block, Some("data.id".to_owned()));
        assert_eq!(settings.era, 2);
        settings.change_to(Ordering::Endpoint, OnExhausted::Block, None);
        assert_eq!(settings.era, 3);
    }
}
