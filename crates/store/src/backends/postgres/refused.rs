//! Requests that were refused: kept for people to look at, of each source the newest.

use bellwire_core::id::{Id, SourceId};

use super::{
    argument::{args, kept},
    books,
    columns::key,
    connection::Connection,
    fault::Fault,
    paging::Walk,
    row,
    tx::{Tx, sorted},
};
use crate::{
    error::StoreError,
    query::{Page, REFUSED_MAX, RefusedRequest, Rows},
};

const PUT: &str = "INSERT INTO refused (number, source, document) SELECT t.number, t.source, t.document \
     FROM unnest($1, $2, $3) AS t (number, source, document) WHERE EXISTS (SELECT 1 FROM source WHERE source.id = t.source) \
     ON CONFLICT (number) DO UPDATE SET source = excluded.source, document = excluded.document";
/// Forgets the older ones of a source.
pub(super) const DELETE_OLDER: &str = "DELETE FROM refused WHERE source = $1 AND number <= \
     (SELECT number FROM refused WHERE source = $1 ORDER BY number DESC LIMIT 1 OFFSET $2)";

/// Keeps requests, and forgets older ones of the same sources.
pub(super) fn refuse(tx: &mut Tx, batch: &[RefusedRequest]) -> Result<(), Fault> {
    if let Some(largest) = batch.iter().map(|request| request.number).max() {
        books::note_put(tx, largest);
    }
    let (mut numbers, mut sources, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for request in batch {
        let document = serde_json::to_string(request)
            .map_err(|error| StoreError::Corrupt(format!("a refused request cannot be written: {error}")))?;
        numbers.push(key(request.number));
        sources.push(key(request.source.number()));
        documents.push(document);
    }
    let touched = sorted(sources.iter().copied());
    tx.queue(PUT, kept![numbers, sources, documents]);
    for source in touched {
        tx.queue(DELETE_OLDER, kept![source, REFUSED_MAX as i64]);
    }
    Ok(())
}

/// Forgets all that a source refused.
pub(super) fn forget(tx: &mut Tx, source: SourceId) {
    tx.queue("DELETE FROM refused WHERE source = $1", kept![key(source.number())]);
}

/// The statement that walks a source's refused requests.
pub(super) fn of_source_sql(ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT document FROM refused WHERE source = $1 AND number >= $2 AND number < $3 ORDER BY number {direction} LIMIT $4"
    )
}

/// Requests that a source refused.
pub(super) async fn refused(
    connection: &Connection,
    source: SourceId,
    page: Page,
) -> Result<Rows<RefusedRequest>, Fault> {
    let mut walk = Walk::new(page);
    let span = walk.span();
    let limit = page.limit as i64 + 1;
    let args = args![key(source.number()), span.first_key(), span.end_key(), limit];
    for row in connection.rows(&of_source_sql(walk.ascending()), args).await? {
        if walk.push(row::json("a refused request", row.get(0))?).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}
