//! What an installation consists of: the tables that every backend has, their columns, and what those hold.
//!
//! The names are those of both schemas. What only one of them keeps (which shard an endpoint is in, how much waits) follows from
//! these and is made anew where it is needed.

use crate::backends::common::days::{Kind, render};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A number of 64 bits.
    Big,
    /// A number of 32 bits, without a sign.
    Medium,
    /// A number of 16 bits, without a sign.
    Small,
    /// Yes or no.
    Flag,
    /// Text, U+0000 included.
    Text,
    /// Bytes.
    Bytes,
}

use Holds::{Big, Bytes, Flag, Medium, Small, Text};

/// A value on its way. A flag is 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Number(_) => 0,
                Self::Text(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
            }
    }
}

/// The values of a row, in the order of the table's columns.
pub(crate) type Row = Vec<Value>;

/// A table, or the tables of all days of one kind.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name; that of a day's table ends with `_` and the day.
    pub name: &'static str,
    /// Of which kind of days it is.
    pub of: Option<Kind>,
    /// The columns, those of the primary key first.
    pub columns: &'static [(&'static str, Holds)],
    /// How many of them are the key.
    pub key: usize,
    /// The columns that may be large.
    pub large: &'static [&'static str],
}

impl Table {
    /// The table's name, of this day if it is one per day.
    pub fn on(&self, day: Option<i64>) -> String {
        match day {
            Some(day) => render(&format!("{}_{{d}}", self.name), day),
            None => self.name.to_owned(),
        }
    }

    /// The names of the columns, as a statement lists them.
    pub fn list(&self) -> String {
        names(self.columns)
    }

    /// The columns of the key.
    pub fn key_columns(&self) -> &'static [(&'static str, Holds)] {
        &self.columns[..self.key]
    }
}

/// Names, as a statement lists them.
pub(crate) fn names(columns: &[(&str, Holds)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

const fn table(
    name: &'static str,
    key: usize,
    columns: &'static [(&'static str, Holds)],
    large: &'static [&'static str],
) -> Table {
    Table {
        name,
        of: None,
        columns,
        key,
        large,
    }
}

const fn daily(
    name: &'static str,
    of: Kind,
    key: usize,
    columns: &'static [(&'static str, Holds)],
    large: &'static [&'static str],
) -> Table {
    Table {
        name,
        of: Some(of),
        columns,
        key,
        large,
    }
}

/// The queue: in the shared store its key begins with the shard.
pub(crate) const QUEUE: &str = "due";
/// What is held: its ids are given by the database.
pub(crate) const HELD: &str = "held";

/// All of them, in the order in which they are copied.
pub(crate) const TABLES: &[Table] = &[
    table(
        "environment",
        1,
        &[("id", Big), ("name", Text), ("document", Text)],
        &[],
    ),
    table(
        "app",
        1,
        &[("id", Big), ("environment", Big), ("uid", Text), ("document", Text)],
        &[],
    ),
    table(
        "endpoint",
        1,
        &[
            ("id", Big),
            ("app", Big),
            ("uid", Text),
            ("document", Text),
            ("sealed", Bytes),
        ],
        &["document"],
    ),
    table("endpoint_health", 1, &[("endpoint", Big), ("failing_since", Big)], &[]),
    table(
        "event_type",
        2,
        &[("environment", Big), ("name", Text), ("document", Text)],
        &["document"],
    ),
    table("token", 1, &[("id", Big), ("app", Big), ("document", Text)], &[]),
    table(
        "task",
        1,
        &[("id", Big), ("environment", Big), ("status", Text), ("document", Text)],
        &[],
    ),
    table(
        "source",
        1,
        &[
            ("id", Big),
            ("environment", Big),
            ("uid", Text),
            ("document", Text),
            ("sealed", Bytes),
        ],
        &["document"],
    ),
    daily(
        "message",
        Kind::Message,
        1,
        &[
            ("id", Big),
            ("app", Big),
            ("event_type", Text),
            ("event_id", Text),
            ("channels", Text),
            ("tags", Text),
            ("payload_expires_at", Big),
            ("deliver_at", Big),
            ("traceparent", Text),
            ("content_type", Text),
            ("created_at", Big),
            ("endpoints", Bytes),
            ("ordering_key", Text),
            ("inbound", Text),
        ],
        &["inbound"],
    ),
    daily(
        "delivery",
        Kind::Message,
        2,
        &[
            ("msg", Big),
            ("endpoint", Big),
            ("state", Small),
            ("run", Medium),
            ("tries", Small),
            ("trigger", Small),
            ("next_at", Big),
            ("okey", Text),
            ("seq", Big),
            ("era", Big),
        ],
        &[],
    ),
    daily("payload", Kind::Payload, 1, &[("id", Big), ("body", Bytes)], &["body"]),
    daily(
        "attempt",
        Kind::Attempt,
        2,
        &[
            ("msg", Big),
            ("id", Big),
            ("endpoint", Big),
            ("app", Big),
            ("started_at", Big),
            ("duration_us", Big),
            ("status", Small),
            ("ok", Flag),
            ("failure", Text),
            ("trigger", Small),
            ("number", Small),
            ("last", Flag),
            ("url", Text),
            ("signature", Text),
            ("response", Bytes),
            ("response_headers", Text),
        ],
        &["response"],
    ),
    daily(
        "idempotent",
        Kind::Idempotent,
        1,
        &[
            ("key", Bytes),
            ("body_hash", Bytes),
            ("msg", Big),
            ("status", Small),
            ("answer", Bytes),
            ("expires_at", Big),
        ],
        &["answer"],
    ),
    table("event_id", 2, &[("app", Big), ("event_id", Text), ("msg", Big)], &[]),
    table(
        QUEUE,
        3,
        &[
            ("endpoint", Big),
            ("next_at", Big),
            ("msg", Big),
            ("run", Medium),
            ("tries", Small),
            ("trigger", Small),
            ("okey", Text),
            ("seq", Big),
            ("era", Big),
        ],
        &[],
    ),
    table(
        "sequence",
        2,
        &[
            ("endpoint", Big),
            ("okey", Text),
            ("last", Big),
            ("succeeded", Big),
            ("length", Big),
            ("gone", Flag),
        ],
        &[],
    ),
    table(
        "line",
        4,
        &[
            ("endpoint", Big),
            ("era", Big),
            ("okey", Text),
            ("seq", Big),
            ("msg", Big),
            ("state", Small),
        ],
        &[],
    ),
    table(
        "stream",
        2,
        &[
            ("app", Big),
            ("okey", Text),
            ("number", Big),
            ("start", Big),
            ("version", Text),
            ("gaps", Text),
            ("day", Big),
        ],
        &["gaps"],
    ),
    table(
        HELD,
        1,
        &[
            ("id", Big),
            ("app", Big),
            ("okey", Text),
            ("number", Big),
            ("until", Big),
            ("came_at", Big),
            ("missing", Big),
            ("event_id", Text),
            ("document", Text),
            ("body", Bytes),
        ],
        &["document", "body"],
    ),
    table(
        "refused",
        1,
        &[("number", Big), ("source", Big), ("document", Text)],
        &["document"],
    ),
    table(
        "audit",
        1,
        &[("id", Big), ("environment", Big), ("document", Text)],
        &["document"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_table_is_there_once_and_begins_with_its_key() {
        let names: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), TABLES.len());
        for table in TABLES {
            assert!(table.key >= 1 && table.key <= table.columns.len(), "{}", table.name);
            let known = |name: &&str| table.columns.iter().any(|(column, _)| column == name);
            assert!(table.large.iter().all(known), "{}", table.name);
        }
        let daily: BTreeSet<Kind> = TABLES.iter().filter_map(|table| table.of).collect();
        assert_eq!(daily.len(), Kind::ALL.len(), "no kind of day is left out");
    }
}
