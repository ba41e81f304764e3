//! What the store keeps about itself: from where recovery has to look, the last id.

use rusqlite::{Connection, OptionalExtension as _};

use super::row::{key, number};

/// What recovery starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books {
    /// Every delivery of a message below this number that has no row was made at its first try.
    pub mark: u64,
    /// The largest id given to a message or an attempt, or nearly.
    pub last_id: u64,
}

impl Books {
    /// As the connection's snapshot shows them.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mark = number(value(connection, "mark")?.unwrap_or(0));
        Ok(Self {
            mark,
            last_id: number(value(connection, "last_id")?.unwrap_or(0)),
        })
    }

    /// As a part of the connection's transaction.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        put(connection, "mark", key(self.mark))?;
        put(connection, "last_id", key(self.last_id))
    }
}

/// The largest number of an id that was ever put into the configuration.
pub(super) fn largest_put(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(number(value(connection, "largest_put")?.unwrap_or(0)))
}

/// Notes that an id of this number was put.
pub(super) fn note_put(connection: &Connection, put: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES ('largest_put', ?1) \
             ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
        )?
        .execute([key(put)])?;
    Ok(())
}

/// Attempts of this day and later are all kept; those before may have been dropped.
pub(super) fn attempts_kept_from(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(value(connection, "attempts_kept_from")?.unwrap_or(0))
}

/// Notes that attempts before this day were dropped.
pub(super) fn set_attempts_kept_from(connection: &Connection, day: i64) -> rusqlite::Result<()> {
    put(
        connection,
        "attempts_kept_from",
        day.max(attempts_kept_from(connection)?),
    )
}

fn value(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

fn put(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    statement.execute((name, value))?;
    Ok(())
}
