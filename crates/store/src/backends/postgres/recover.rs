//! What is done when a node's place is taken: deliveries that were out in memory when its process ended wait in the queue again.
//!
//! Only the node's own messages from its bookkeeping's mark on are looked at, so that this takes as long as what was in flight,
//! not as long as what is stored.

use std::{sync::Arc, time::Duration};

use bellwire_core::{delivery::Progress, id::node_of, time::Timestamp};

use super::{
    argument::kept,
    books::Books,
    columns::endpoints_in,
    connection::Connection,
    days::{Days, Kind, day_of},
    due::{Pending, put_due, put_rows},
    effects::Ids,
    fault::Fault,
    lease::Leases,
    node::Ownership,
    partition,
    scan::{Stride, stride},
    tx::{Parts, Terms, Tx},
};

/// Brings back what was out. Returns the connection, which tables there are, and the bookkeeping to go on with.
///
/// What is ordered has its row and its place in the queue all along: nothing is to be done about it.
pub(super) async fn recover(
    connection: Connection,
    begin: &str,
    own: Ownership,
    found: Books,
    now: Timestamp,
) -> Result<(Connection, Days, Books), Fault> {
    connection.batch(begin).await?;
    let days = partition::read(&connection).await?;
    connection.batch("COMMIT").await?;
    let mut books = found;
    let mut parts = Parts {
        connection,
        ids: Ids::after(0),
        days,
    };
    let mut brought_back = 0;
    let touched: Vec<i64> = parts.days.from(Kind::Message, day_of(found.mark)).collect();
    for day in touched {
        let mut from = found.mark;
        loop {
            let mut tx = Tx::begin(
                parts,
                Terms {
                    begin,
                    now,
                    leases: &Arc::new(Leases::default()),
                    attached: false,
                    idempotency_ttl: Duration::ZERO,
                    own,
                    owned: &Arc::default(),
                },
            );
            // It takes a while where much was under way: nobody shall take this node for gone meanwhile.
            tx.queue(
                "UPDATE member SET renewed_at = clock_timestamp() WHERE number = $1",
                kept![own.number],
            );
            let days = tx.days.clone();
            let seen = stride(tx.flushed().await?, &days, day, from).await?;
            let last = seen.messages.last().map(|(last, _)| *last);
            let lost = lost(&seen, own, now);
            let newest = seen
                .messages
                .iter()
                .map(|(id, _)| *id)
                .filter(|id| is_own(own, *id))
                .max();
            books.last_id = books.last_id.max(newest.unwrap_or(0));
            if let Some(last) = last {
                books.mark = last + 1;
                books.write(&mut tx);
            }
            put_rows(&mut tx, lost.iter().map(|pending| (pending, Some(now))));
            put_due(&mut tx, &lost);
            brought_back += lost.len();
            tx.commit(0).await?;
            (parts, _) = tx.into_parts();
            match last {
                Some(last) => from = last + 1,
                None => break,
            }
        }
    }
    books.mark = books.last_id + 1;
    if brought_back > 0 {
        tracing::info!(
            deliveries = brought_back,
            "what was under way when the server stopped waits again"
        );
    }
    Ok((parts.connection, parts.days, books))
}

fn is_own(own: Ownership, message: u64) -> bool {
    node_of(message) == own.number.unsigned_abs()
}

/// Deliveries of the node's messages that have neither a row nor an attempt.
fn lost(seen: &Stride, own: Ownership, now: Timestamp) -> Vec<Pending> {
    let mut lost = Vec::new();
    for (message, endpoints) in seen.messages.iter().filter(|(message, _)| is_own(own, *message)) {
        for endpoint in endpoints_in(endpoints) {
            let delivery = (*message, endpoint);
            if !seen.rows.contains_key(&delivery) && !seen.attempted.contains(&delivery) {
                lost.push(Pending {
                    message: *message,
                    endpoint,
                    progress: Progress::default(),
                    due_at: now,
                    spot: None,
                });
            }
        }
    }
    lost
}
