//! Tables per day: which there are, and where what is found.
//!
//! What is where follows from ids: a message's day is that of its id, an attempt's likewise; a payload lies in the day it
//! expires on, an idempotency key too.

use std::collections::BTreeSet;

use bellwire_core::id::{Id, MessageId};

/// What is kept in tables per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Message,
    Payload,
    Attempt,
    Idempotent,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Message, Self::Payload, Self::Attempt, Self::Idempotent];

    /// Its name in the `partition` table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Payload => "payload",
            Self::Attempt => "attempt",
            Self::Idempotent => "idempotent",
        }
    }

    /// The tables of one day.
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Message => &["message_{d}", "delivery_{d}"],
            Self::Payload => &["payload_{d}"],
            Self::Attempt => &["attempt_{d}"],
            Self::Idempotent => &["idempotent_{d}"],
        }
    }
}

/// The day that an id of a message or an attempt lies in.
pub(crate) fn day_of(number: u64) -> i64 {
    MessageId::from_number(number).created_at().day()
}

/// A statement about the tables of one day.
pub(crate) fn render(template: &str, day: i64) -> String {
    template.replace("{d}", &day.to_string())
}

/// Which partitions there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Days(BTreeSet<(Kind, i64)>);

impl Days {
    /// From names of kinds and days; names that are not known are left out.
    pub fn named<'n>(rows: impl IntoIterator<Item = (&'n str, i64)>) -> Self {
        let known = |(name, day)| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
            Some((kind, day))
        };
        Self(rows.into_iter().filter_map(known).collect())
    }

    pub fn has(&self, kind: Kind, day: i64) -> bool {
        self.0.contains(&(kind, day))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (Kind, i64)> + '_ {
        self.0.iter().copied()
    }

    /// Days of a kind, oldest first.
    pub fn of(&self, kind: Kind) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.from(kind, i64::MIN)
    }

    /// Days of a kind from one on, oldest first.
    pub fn from(&self, kind: Kind, first: i64) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.0.range((kind, first)..=(kind, i64::MAX)).map(|(_, day)| *day)
    }

    /// Days in which a message's attempts can lie, oldest first. An attempt's id may have been given by somebody whose clock
    /// was a little behind the one that gave the message's.
    pub fn of_attempts(&self, message: u64) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.from(Kind::Attempt, day_of(message) - 1)
    }

    pub fn add(&mut self, kind: Kind, day: i64) {
        self.0.insert((kind, day));
    }

    pub fn remove(&mut self, kind: Kind, day: i64) {
        self.0.remove(&(kind, day));
    }
}
