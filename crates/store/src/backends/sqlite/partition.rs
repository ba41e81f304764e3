//! Tables per day: which there are, making them when they are first needed, and the text of statements about them.
//!
//! What is where follows from ids: a message's day is that of its id, an attempt's likewise; a payload lies in the day it
//! expires on, an idempotency key too.

use std::collections::{BTreeSet, HashMap};

use bellwire_core::id::{Id, MessageId};
use rusqlite::Connection;

use super::schema;

/// What is kept in tables per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
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

    fn ddl(self) -> &'static str {
        match self {
            Self::Message => schema::MESSAGE,
            Self::Payload => schema::PAYLOAD,
            Self::Attempt => schema::ATTEMPT,
            Self::Idempotent => schema::IDEMPOTENT,
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
pub(super) fn day_of(number: u64) -> i64 {
    MessageId::from_number(number).created_at().day()
}

/// A statement about the tables of one day.
pub(super) fn render(template: &str, day: i64) -> String {
    template.replace("{d}", &day.to_string())
}

/// Which partitions there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Days(BTreeSet<(Kind, i64)>);

impl Days {
    /// As the connection's present snapshot shows them.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("SELECT kind, day FROM partition")?;
        let mut rows = statement.query([])?;
        let mut days = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let name = row.get_ref(0)?;
            let name = name.as_str().unwrap_or("");
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) {
                days.insert((kind, row.get(1)?));
            }
        }
        Ok(Self(days))
    }

    pub fn has(&self, kind: Kind, day: i64) -> bool {
        self.0.contains(&(kind, day))
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

    fn add(&mut self, kind: Kind, day: i64) {
        self.0.insert((kind, day));
    }

    fn remove(&mut self, kind: Kind, day: i64) {
        self.0.remove(&(kind, day));
    }
}

/// The writer's view: which partitions there are in its transaction, statement texts, and rows added since last told.
#[derive(Debug, Default)]
pub(super) struct Tables {
    days: Days,
    texts: HashMap<(&'static str, i64), Box<str>>,
    added: HashMap<(Kind, i64), i64>,
}

impl Tables {
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            days: Days::read(connection)?,
            ..Self::default()
        })
    }

    pub fn days(&self) -> &Days {
        &self.days
    }

    /// Makes the partition if it is not there, as a part of the connection's transaction.
    pub fn ensure(&mut self, connection: &Connection, kind: Kind, day: i64) -> rusqlite::Result<()> {
        if self.days.has(kind, day) {
            return Ok(());
        }
        connection.execute_batch(&render(kind.ddl(), day))?;
        connection.execute(
            "INSERT OR IGNORE INTO partition (kind, day) VALUES (?1, ?2)",
            (kind.name(), day),
        )?;
        self.days.add(kind, day);
        Ok(())
    }

    /// Drops the partition, as a part of the connection's transaction.
    pub fn drop(&mut self, connection: &Connection, kind: Kind, day: i64) -> rusqlite::Result<()> {
        for table in kind.tables() {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", render(table, day)))?;
        }
        connection.execute("DELETE FROM partition WHERE kind = ?1 AND day = ?2", (kind.name(), day))?;
        self.days.remove(kind, day);
        self.added.remove(&(kind, day));
        Ok(())
    }

    /// The text of a statement about a day's tables; made once.
    pub fn sql(&mut self, template: &'static str, day: i64) -> &str {
        // Days pass: what is kept stays small.
        if self.texts.len() > 512 {
            self.texts.clear();
        }
        self.texts
            .entry((template, day))
            .or_insert_with(|| render(template, day).into_boxed_str())
    }

    /// Notes that rows were added, for the estimate of how large a partition is.
    pub fn count(&mut self, kind: Kind, day: i64, rows: i64) {
        *self.added.entry((kind, day)).or_default() += rows;
    }

    /// Writes the estimates.
    pub fn tell_counts(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for ((kind, day), rows) in self.added.drain().filter(|(_, rows)| *rows != 0) {
            connection
                .prepare_cached("UPDATE partition SET rows = max(0, rows + ?3) WHERE kind = ?1 AND day = ?2")?
                .execute((kind.name(), day, rows))?;
        }
        Ok(())
    }

    /// After a rollback: what the file says.
    pub fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.days = Days::read(connection)?;
        Ok(())
    }
}
