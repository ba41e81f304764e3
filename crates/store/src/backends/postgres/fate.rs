//! Whether a transaction was committed whose answer got lost.
//!
//! Where the connection breaks while a commit is on its way, nobody knows. Taking it for failed would be wrong: a message that
//! was accepted after all, with its idempotency key, would never be delivered. So each transaction leaves something to be known by,
//! and the writer looks for it before it writes anything else.

use super::{
    argument::{args, kept},
    columns::key,
    connection::Connection,
    days::day_of,
    fault::Fault,
    node::Ownership,
    tx::Tx,
};

/// What a transaction that was committed has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witness {
    /// A message.
    Message(u64),
    /// An attempt of a message.
    Attempt {
        /// Of which message.
        message: u64,
        /// Its id.
        id: u64,
    },
    /// A number in the node's row.
    Marker(i64),
}

/// Leaves a number, in a transaction that leaves nothing else of its own.
pub(super) fn leave_marker(tx: &mut Tx, marker: i64) -> Witness {
    tx.queue("UPDATE node SET marker = $2 WHERE number = $1", kept![tx.node, marker]);
    Witness::Marker(marker)
}

/// Whether the transaction was committed. Waits for it where the server is still at it.
///
/// # Errors
/// Those of the database; its fate is not known then.
pub(super) async fn was_committed(
    connection: &Connection,
    begin: &str,
    own: Ownership,
    witness: Witness,
) -> Result<bool, Fault> {
    connection.batch(begin).await?;
    connection
        .rows("SELECT own($1, $2)", args![own.number, own.epoch])
        .await?;
    // Every transaction of this node holds its row until it ends.
    let sql = "SELECT 1 FROM node WHERE number = $1 FOR UPDATE";
    connection.rows(sql, args![own.number]).await?;
    let found = match witness {
        Witness::Message(id) => {
            let sql = format!("SELECT 1 FROM message_{} WHERE id = $1", day_of(id));
            look(connection, &sql, args![key(id)]).await?
        }
        Witness::Attempt { message, id } => {
            let sql = format!("SELECT 1 FROM attempt_{} WHERE msg = $1 AND id = $2", day_of(id));
            look(connection, &sql, args![key(message), key(id)]).await?
        }
        Witness::Marker(marker) => {
            let sql = "SELECT 1 FROM node WHERE number = $1 AND marker = $2";
            look(connection, sql, args![own.number, marker]).await?
        }
    };
    connection.batch("ROLLBACK").await?;
    Ok(found)
}

/// Where even the table is not there, the transaction that would have made it was not committed.
async fn look(connection: &Connection, sql: &str, args: &[super::connection::Arg<'_>]) -> Result<bool, Fault> {
    match connection.row(sql, args).await {
        Err(fault) if fault.is_about_a_missing_table() => Ok(false),
        found => Ok(found?.is_some()),
    }
}
