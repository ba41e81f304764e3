//! What people changed.

use bellwire_core::{
    id::{EnvironmentId, Id, first_number_at},
    time::Timestamp,
};

use super::{
    argument::{args, kept},
    columns::{key, number},
    connection::Connection,
    fault::Fault,
    paging::{Span, Walk},
    row,
    tx::Tx,
};
use crate::{
    audit::{AuditEntry, AuditFilter, KEPT},
    error::StoreError,
    query::{Page, Rows},
};

/// Entries that are read at once.
const STEP: i64 = 512;
/// Entries forgotten in one transaction.
const FORGOTTEN_PER_COMMIT: i64 = 4_000;

/// Keeps an entry.
pub(super) fn put(tx: &mut Tx, entry: &AuditEntry) -> Result<(), Fault> {
    let document = serde_json::to_string(entry)
        .map_err(|error| StoreError::Corrupt(format!("an audit entry cannot be written: {error}")))?;
    let sql = "INSERT INTO audit (id, environment, document) VALUES ($1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET document = excluded.document";
    let (id, environment) = (key(entry.id.number()), key(entry.environment.number()));
    tx.queue(sql, kept![id, environment, document]);
    Ok(())
}

/// The statement that walks an environment's entries.
pub(super) fn of_environment_sql(ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT id, document FROM audit WHERE environment = $1 AND id >= $2 AND id < $3 ORDER BY id {direction} LIMIT {STEP}"
    )
}

/// Entries that fit.
pub(super) async fn entries(
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
    let mut left = walk.span().and(asked);
    'walk: loop {
        let args = args![key(environment.number()), left.first_key(), left.end_key()];
        let rows = connection.rows(&of_environment_sql(walk.ascending()), args).await?;
        for found in &rows {
            let entry: AuditEntry = row::json("an audit entry", found.get(1))?;
            if filter.takes(&entry) && walk.push(entry).is_break() {
                break 'walk;
            }
        }
        let last = rows.last().map(|found| number(found.get(0)));
        match last.filter(|_| rows.len() as i64 == STEP) {
            None => break,
            Some(last) if walk.ascending() => left.first = last + 1,
            Some(last) => left.end = last,
        }
    }
    Ok(walk.into_rows())
}

/// Forgets some of what is past its time; tells whether there is more.
pub(super) async fn forget(tx: &mut Tx, now: Timestamp) -> Result<bool, Fault> {
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < $1 ORDER BY id LIMIT $2)";
    let before = key(first_number_at(now.minus(KEPT)));
    let gone = tx.execute(sql, args![before, FORGOTTEN_PER_COMMIT]).await?;
    Ok(gone as i64 == FORGOTTEN_PER_COMMIT)
}
