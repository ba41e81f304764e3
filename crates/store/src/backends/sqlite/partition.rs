//! Tables per day: which there are, making them when they are first needed, and the text of statements about them.
//!
//! What is where follows from ids: a message's day is that of its id, an attempt's likewise; a payload lies in the day it
//! expires on, an idempotency key too.

use std::collections::HashMap;

use rusqlite::Connection;

use super::schema;

pub(super) use super::super::common::days::{Days, Kind, day_of, render};

fn ddl(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => schema::MESSAGE,
        Kind::Payload => schema::PAYLOAD,
        Kind::Attempt => schema::ATTEMPT,
        Kind::Idempotent => schema::IDEMPOTENT,
    }
}

impl Days {
    /// As the connection's present snapshot shows them.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("SELECT kind, day FROM partition")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(String, i64)> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Self::named(rows.iter().map(|(name, day)| (name.as_str(), *day))))
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
        connection.execute_batch(&render(ddl(kind), day))?;
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
