//! How much waits for each endpoint, in the file: one row each, written anew by every transaction that changes it.

use rusqlite::Connection;

pub(super) use super::super::common::backlog::Backlogs;
use super::row::{key, number};

impl Backlogs {
    /// As the file says.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT endpoint, waiting FROM backlog")?;
        let rows = statement.query_map([], |row| Ok((number(row.get(0)?), row.get(1)?)))?;
        Ok(Self::all(rows.collect::<rusqlite::Result<_>>()?))
    }
}

/// Writes numbers, as a part of the connection's transaction.
pub(super) fn write(connection: &Connection, numbers: &[(u64, i64)]) -> rusqlite::Result<()> {
    for (endpoint, waiting) in numbers {
        if *waiting == 0 {
            let mut forget = connection.prepare_cached("DELETE FROM backlog WHERE endpoint = ?1")?;
            forget.execute([key(*endpoint)])?;
        } else {
            let sql = "INSERT OR REPLACE INTO backlog (endpoint, waiting) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute((key(*endpoint), waiting))?;
        }
    }
    Ok(())
}
