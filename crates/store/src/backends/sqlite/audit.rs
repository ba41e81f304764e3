//! What people changed.

use bellwire_core::{
    id::{EnvironmentId, Id, first_number_at},
    time::Timestamp,
};
use rusqlite::Connection;

use super::{
    fault::Fault,
    paging::{Span, Walk},
    row::{key, read_json},
    tx::Tx,
};
use crate::{
    audit::{AuditEntry, AuditFilter, KEPT},
    error::StoreError,
    query::{Page, Rows},
};

/// Entries forgotten in one transaction.
const FORGOTTEN_PER_COMMIT: i64 = 4_000;
/// Forgets old ones.
pub(super) const FORGET: &str =
    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ?1 ORDER BY id LIMIT ?2)";

/// Keeps an entry.
pub(super) fn put(connection: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let document = serde_json::to_string(entry)
        .map_err(|error| StoreError::Corrupt(format!("an audit entry cannot be written: {error}")))?;
    let sql = "INSERT OR REPLACE INTO audit (id, environment, document) VALUES (?1, ?2, ?3)";
    connection
        .prepare_cached(sql)?
        .execute((key(entry.id.number()), key(entry.environment.number()), document))?;
    Ok(())
}

/// The statement that walks an environment's entries.
pub(super) fn of_environment_sql(ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!("SELECT document FROM audit WHERE environment = ?1 AND id >= ?2 AND id < ?3 ORDER BY id {direction}")
}

/// Entries that fit.
pub(super) fn entries(
    connection: &Connection,
    environment: EnvironmentId,
    filter: &AuditFilter,
    page: Page,
) -> Result<Rows<AuditEntry>, Fault> {
    let mut walk = Walk::new(page);
    let asked = Span {
        first: filter.since.map_or(0, first_number_at),
        end: u64::MAX,
    };
    let span = walk.span().and(asked);
    let mut statement = connection.prepare_cached(&of_environment_sql(walk.ascending()))?;
    let mut rows = statement.query((key(environment.number()), span.first_key(), span.end_key()))?;
    while let Some(row) = rows.next()? {
        let Some(entry) = read_json::<AuditEntry>(row, 0)? else {
            continue;
        };
        if filter.takes(&entry) && walk.push(entry).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}

/// Forgets some of what is past its time; tells whether there is more.
pub(super) fn forget(tx: &Tx<'_>, now: Timestamp) -> Result<bool, Fault> {
    let before = key(first_number_at(now.minus(KEPT)));
    let gone = tx
        .connection
        .prepare_cached(FORGET)?
        .execute((before, FORGOTTEN_PER_COMMIT))?;
    Ok(gone as i64 == FORGOTTEN_PER_COMMIT)
}
