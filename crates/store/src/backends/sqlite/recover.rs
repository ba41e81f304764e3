//! What is done when a store is opened: deliveries that were out in memory when the process ended wait in the queue again.
//!
//! Only messages from the bookkeeping's mark on are looked at, so that this takes as long as what was in flight, not as long
//! as what is stored.

use bellwire_core::{delivery::Progress, time::Timestamp};
use rusqlite::Connection;

use super::{
    backlog::{self, Backlogs},
    books::Books,
    fault::Fault,
    ingest::{Pending, put_pending},
    lease::Leases,
    partition::{Kind, Tables, day_of},
    row::{endpoints_in, number},
    scan::stride,
    tx::{Effects, Ids, Tx},
};

/// Brings back what was out. Returns the bookkeeping to go on with.
///
/// What is ordered has its row and its place in the queue all along: nothing is to be done about it.
pub(super) fn recover(connection: &Connection, backlogs: &mut Backlogs, now: Timestamp) -> Result<Books, Fault> {
    let found = Books::read(connection)?;
    let mut tables = Tables::load(connection)?;
    let newest = tables.days().of(Kind::Message).next_back();
    let largest: Option<i64> = match newest {
        Some(day) => connection.query_row(&format!("SELECT max(id) FROM message_{day}"), [], |row| row.get(0))?,
        None => None,
    };
    let last_id = found.last_id.max(largest.map_or(0, number));
    let mut brought_back = 0;
    let days: Vec<i64> = tables.days().from(Kind::Message, day_of(found.mark)).collect();
    for day in days {
        let mut from = found.mark;
        loop {
            let seen = stride(connection, tables.days(), day, from)?;
            let Some((last, _)) = seen.messages.last() else { break };
            from = last + 1;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let mut tx = Tx {
                connection,
                now,
                ids: &mut Ids::after(last_id),
                tables: &mut tables,
                leases: &Leases::default(),
                attached: false,
                idempotency_ttl: std::time::Duration::ZERO,
                effects: Effects::default(),
            };
            for (message, endpoints) in &seen.messages {
                for endpoint in endpoints_in(endpoints) {
                    let delivery = (*message, endpoint);
                    if !seen.rows.contains_key(&delivery) && !seen.attempted.contains(&delivery) {
                        let pending = Pending {
                            message: *message,
                            endpoint,
                            progress: Progress::default(),
                            due_at: now,
                            spot: None,
                        };
                        put_pending(&mut tx, &pending)?;
                        brought_back += 1;
                    }
                }
            }
            let numbers = backlogs.after(&tx.effects.waiting);
            backlog::write(connection, &numbers)?;
            Books { mark: from, last_id }.write(connection)?;
            connection.execute_batch("COMMIT")?;
            backlogs.set(&numbers);
        }
    }
    let books = Books {
        mark: last_id + 1,
        last_id,
    };
    if books != found {
        books.write(connection)?;
    }
    if brought_back > 0 {
        tracing::info!(
            deliveries = brought_back,
            "what was under way when the server stopped waits again"
        );
    }
    Ok(books)
}
