//! What the store keeps about itself: from where each node's recovery has to look, the last ids, what was dropped.

use std::collections::HashMap;

use bellwire_core::id::{first_number_at, node_of};

use super::{
    argument::{args, kept},
    columns::{key, number},
    connection::Connection,
    fault::Fault,
    tx::Tx,
};

/// What a node's recovery starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books {
    /// Every delivery of a message of this node below this number that has no row was made at its first try.
    pub mark: u64,
    /// The largest id this node gave to a message or an attempt, or nearly.
    pub last_id: u64,
}

impl Books {
    /// As a part of a transaction of this node.
    pub fn write(&self, tx: &mut Tx) {
        let sql = "UPDATE node SET mark = $2, last_id = $3 WHERE number = $1";
        tx.queue(sql, kept![tx.node, key(self.mark), key(self.last_id)]);
    }
}

/// Nothing of this node is out, and what it makes from now on is later than now: whoever buries it need not look further back.
pub(super) fn move_on(tx: &mut Tx) {
    tx.ids.skip_to(first_number_at(tx.now));
}

/// The marks of all nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks(HashMap<u16, u64>);

impl Marks {
    /// As the connection's snapshot shows them.
    pub async fn read(connection: &Connection) -> Result<Self, Fault> {
        // Where a node was buried, all is settled or has a row.
        let sql = "SELECT node.number, CASE WHEN member.number IS NULL THEN 9223372036854775807 ELSE node.mark END \
             FROM node LEFT JOIN member ON member.number = node.number";
        let rows = connection.rows(sql, &[]).await?;
        let mark = |row: &tokio_postgres::Row| (row.get::<_, i16>(0).unsigned_abs(), number(row.get(1)));
        Ok(Self(rows.iter().map(mark).collect()))
    }

    /// Whether a delivery of this message that has no row counts as made by the bookkeeping alone.
    pub fn is_below(&self, message: u64) -> bool {
        self.0.get(&node_of(message)).is_some_and(|mark| message < *mark)
    }

    /// Messages from here on may be above their node's mark.
    pub fn least(&self) -> u64 {
        self.0.values().copied().min().unwrap_or(0)
    }
}

/// The largest number of an id that was ever put into the configuration.
pub(super) async fn largest_put(connection: &Connection) -> Result<u64, Fault> {
    Ok(number(value(connection, "largest_put").await?))
}

/// Notes that an id of this number was put.
pub(super) fn note_put(tx: &mut Tx, put: u64) {
    raise(tx, "largest_put", key(put));
}

/// Attempts of this day and later are all kept; those before may have been dropped.
pub(super) async fn attempts_kept_from(connection: &Connection) -> Result<i64, Fault> {
    value(connection, "attempts_kept_from").await
}

/// Notes that attempts before this day were dropped.
pub(super) fn set_attempts_kept_from(tx: &mut Tx, day: i64) {
    raise(tx, "attempts_kept_from", day);
}

async fn value(connection: &Connection, name: &str) -> Result<i64, Fault> {
    let found = connection
        .row("SELECT value FROM meta WHERE key = $1", args![name])
        .await?;
    Ok(found.map_or(0, |row| row.get(0)))
}

fn raise(tx: &mut Tx, name: &'static str, to: i64) {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value < excluded.value";
    tx.queue(sql, kept![name, to]);
}
