//! Requests that were refused: kept for people to look at, of each source the newest.

use std::collections::BTreeSet;

use bellwire_core::id::{Id, SourceId};
use rusqlite::Connection;

use super::{
    books,
    fault::Fault,
    paging::Walk,
    row::{key, read_json},
    tx::Tx,
};
use crate::{
    error::StoreError,
    query::{Page, REFUSED_MAX, RefusedRequest, Rows},
};

const PUT: &str = "INSERT OR REPLACE INTO refused (number, source, document) \
     SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM source WHERE id = ?2)";
/// The newest of a source that is one too many.
pub(super) const ONE_TOO_MANY: &str =
    "SELECT number FROM refused WHERE source = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2";
/// The older ones of a source.
pub(super) const DELETE_UP_TO: &str = "DELETE FROM refused WHERE source = ?1 AND number <= ?2";

/// Keeps requests, and forgets older ones of the same sources.
pub(super) fn refuse(tx: &Tx<'_>, batch: &[RefusedRequest]) -> Result<(), Fault> {
    if let Some(largest) = batch.iter().map(|request| request.number).max() {
        books::note_put(tx.connection, largest)?;
    }
    for request in batch {
        let document = serde_json::to_string(request)
            .map_err(|error| StoreError::Corrupt(format!("a refused request cannot be written: {error}")))?;
        tx.connection
            .prepare_cached(PUT)?
            .execute((key(request.number), key(request.source.number()), document))?;
    }
    let sources: BTreeSet<SourceId> = batch.iter().map(|request| request.source).collect();
    for source in sources {
        let source = key(source.number());
        let sql = DELETE_UP_TO.replace("?2", &format!("({ONE_TOO_MANY})"));
        tx.connection
            .prepare_cached(&sql)?
            .execute((source, i64::try_from(REFUSED_MAX).unwrap_or(i64::MAX)))?;
    }
    Ok(())
}

/// Forgets all that a source refused.
pub(super) fn forget(connection: &Connection, source: SourceId) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM refused WHERE source = ?1", [key(source.number())])?;
    Ok(())
}

/// The statement that walks a source's refused requests.
pub(super) fn of_source_sql(ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT document FROM refused WHERE source = ?1 AND number >= ?2 AND number < ?3 ORDER BY number {direction}"
    )
}

/// Requests that a source refused.
pub(super) fn refused(connection: &Connection, source: SourceId, page: Page) -> Result<Rows<RefusedRequest>, Fault> {
    let mut walk = Walk::new(page);
    let span = walk.span();
    let mut statement = connection.prepare_cached(&of_source_sql(walk.ascending()))?;
    let mut rows = statement.query((key(source.number()), span.first_key(), span.end_key()))?;
    while let Some(row) = rows.next()? {
        let Some(request) = read_json(row, 0)? else { continue };
        if walk.push(request).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}
