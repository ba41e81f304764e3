//! Deliveries started anew or called off by hand.

use bellwire_core::{
    delivery::Progress,
    id::{EndpointId, Id},
    time::Timestamp,
};
use rusqlite::OptionalExtension as _;

use super::{
    fault::Fault,
    ingest::{exists, put_due},
    partition::{Kind, day_of},
    row::{CANCELLED, PENDING, key, number, trigger_code},
    settle::delete_due,
    tx::Tx,
};
use crate::query::Requeue;

const FIND_DELIVERY: &str = "SELECT state, run, next_at FROM delivery_{d} WHERE msg = ?1 AND endpoint = ?2";
const PUT_DELIVERY: &str = "INSERT OR REPLACE INTO delivery_{d} (msg, endpoint, state, run, tries, trigger, next_at) \
     VALUES (?1, ?2, 0, ?3, 0, ?4, ?5)";
const CANCEL_DELIVERY: &str = "UPDATE delivery_{d} SET state = ?3, next_at = NULL WHERE msg = ?1 AND endpoint = ?2";

/// Starts deliveries anew, each in a new run. Returns how many.
pub(super) fn requeue(tx: &mut Tx<'_>, batch: &[Requeue]) -> Result<u64, Fault> {
    let mut started = 0;
    for wish in batch {
        let (message, endpoint) = (wish.message.number(), wish.endpoint.number());
        if !exists(tx, message)? {
            continue;
        }
        let day = day_of(message);
        let sql = tx.tables.sql(FIND_DELIVERY, day);
        let found: Option<(i64, u32, Option<i64>)> = tx
            .connection
            .prepare_cached(sql)?
            .query_row((key(message), key(endpoint)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        if let Some((PENDING, _, Some(due_at))) = found {
            delete_due(tx, message, endpoint, due_at)?;
        }
        // Without a row there was a run 0 that needed none, or that is out in memory and must not decide any more.
        let run = found.map_or(0, |(_, run, _)| run) + 1;
        let progress = Progress {
            run,
            tries: 0,
            trigger: wish.trigger,
        };
        let sql = tx.tables.sql(PUT_DELIVERY, day);
        tx.connection.prepare_cached(sql)?.execute((
            key(message),
            key(endpoint),
            run,
            trigger_code(wish.trigger),
            wish.due_at.micros(),
        ))?;
        put_due(tx, message, endpoint, progress, wish.due_at)?;
        started += 1;
    }
    Ok(started)
}

/// Cancels what waits for an endpoint and is not out. Returns how many places in the queue were freed.
pub(super) fn cancel(tx: &mut Tx<'_>, endpoint: EndpointId, limit: usize) -> Result<u64, Fault> {
    let endpoint = endpoint.number();
    let mut waiting: Vec<(i64, u64)> = Vec::new();
    {
        let mut statement = tx
            .connection
            .prepare_cached("SELECT next_at, msg FROM due WHERE endpoint = ?1 ORDER BY next_at, msg")?;
        let mut rows = statement.query([key(endpoint)])?;
        while waiting.len() < limit
            && let Some(row) = rows.next()?
        {
            let message = number(row.get(1)?);
            // Held until the commit, so that nobody claims it meanwhile from an older snapshot.
            if tx.leases.hold((endpoint, message)) {
                tx.effects.held.push((endpoint, message));
                waiting.push((row.get(0)?, message));
            }
        }
    }
    for (due_at, message) in &waiting {
        delete_due(tx, *message, endpoint, *due_at)?;
        let day = day_of(*message);
        if tx.tables.days().has(Kind::Message, day) {
            let sql = tx.tables.sql(CANCEL_DELIVERY, day);
            tx.connection
                .prepare_cached(sql)?
                .execute((key(*message), key(endpoint), CANCELLED))?;
        }
    }
    Ok(waiting.len() as u64)
}

/// Takes places out of the queue whose message is gone.
pub(super) fn forget_gone(tx: &mut Tx<'_>, endpoint: u64, places: &[(Timestamp, u64)]) -> Result<(), Fault> {
    for (due_at, message) in places {
        if !exists(tx, *message)? {
            delete_due(tx, *message, endpoint, due_at.micros())?;
        }
    }
    Ok(())
}
