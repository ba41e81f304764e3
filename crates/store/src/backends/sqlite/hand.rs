//! Deliveries started anew or called off by hand.

use bellwire_core::{
    delivery::{Progress, Trigger},
    id::Id,
    time::Timestamp,
};
use rusqlite::OptionalExtension as _;

use super::{
    fault::Fault,
    ingest::{Pending, exists, put_due},
    line::{self, Spot},
    partition::{Kind, day_of},
    row::{CANCELLED, PENDING, key, number, trigger_code},
    settle::delete_due,
    tend::{self, Piece},
    tx::Tx,
};
use crate::query::Requeue;

const FIND_DELIVERY: &str =
    "SELECT state, run, next_at, okey, seq, era FROM delivery_{d} WHERE msg = ?1 AND endpoint = ?2";
const PUT_DELIVERY: &str = "INSERT INTO delivery_{d} (msg, endpoint, state, run, tries, trigger, next_at) \
     VALUES (?1, ?2, 0, ?3, 0, ?4, ?5) \
     ON CONFLICT DO UPDATE SET state = 0, run = excluded.run, tries = 0, trigger = excluded.trigger, next_at = excluded.next_at";
const CANCEL_DELIVERY: &str =
    "UPDATE delivery_{d} SET state = ?3, next_at = NULL, era = NULL WHERE msg = ?1 AND endpoint = ?2";
const CANCELLABLE: &str = "SELECT next_at, msg, okey, seq, era FROM due WHERE endpoint = ?1 ORDER BY next_at, msg";
const FIND_PLACE: &str = "SELECT okey, seq, era FROM due WHERE endpoint = ?1 AND next_at = ?2 AND msg = ?3";

/// Starts deliveries anew, each in a new run. Returns how many.
pub(super) fn requeue(tx: &mut Tx<'_>, batch: &[Requeue]) -> Result<u64, Fault> {
    let mut started = 0;
    for wish in batch {
        let (message, endpoint) = (wish.message.number(), wish.endpoint.number());
        if start_anew(tx, message, endpoint, wish.due_at, wish.trigger)? {
            started += 1;
        }
    }
    Ok(started)
}

/// Starts a delivery anew. False when its message is gone.
pub(super) fn start_anew(
    tx: &mut Tx<'_>,
    message: u64,
    endpoint: u64,
    due_at: Timestamp,
    trigger: Trigger,
) -> Result<bool, Fault> {
    if !exists(tx, message)? {
        return Ok(false);
    }
    let day = day_of(message);
    let sql = tx.tables.sql(FIND_DELIVERY, day);
    let found: Option<(i64, u32, Option<i64>, Option<Spot>)> = tx
        .connection
        .prepare_cached(sql)?
        .query_row((key(message), key(endpoint)), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, Spot::read(row, 3)?))
        })
        .optional()?;
    // Without a row there was a run 0 that needed none, or that is out in memory and must not decide any more.
    let (state, run, place, spot) = match found {
        Some((state, run, place, spot)) => (Some(state), run + 1, place, spot),
        None => (None, 1, None, None),
    };
    let in_line = spot.as_ref().filter(|spot| spot.era.is_some());
    let waits_for_its_turn = in_line.is_some() && state == Some(PENDING) && place.is_none();
    if let (Some(PENDING), Some(place)) = (state, place) {
        delete_due(tx, message, endpoint, place)?;
    }
    let sql = tx.tables.sql(PUT_DELIVERY, day);
    tx.connection.prepare_cached(sql)?.execute((
        key(message),
        key(endpoint),
        run,
        trigger_code(trigger),
        (!waits_for_its_turn).then_some(due_at.micros()),
    ))?;
    if waits_for_its_turn {
        return Ok(true);
    }
    if let Some(spot) = in_line {
        line::unblock(tx, endpoint, spot)?;
    }
    let progress = Progress { run, tries: 0, trigger };
    let pending = Pending {
        message,
        endpoint,
        progress,
        due_at,
        spot: spot.as_ref(),
    };
    put_due(tx, &pending)?;
    Ok(true)
}

/// Cancels what waits for an endpoint and is not out: those that wait in line first, so that nobody gets a turn for nothing.
/// Blocked heads leave their lines. Returns how many were cancelled, and whether blocked heads are left.
pub(super) fn cancel(tx: &mut Tx<'_>, endpoint: u64, limit: usize) -> Result<Piece<()>, Fault> {
    let mut cancelled = tend::cancel_waiting(tx, endpoint, limit)?;
    let mut next = None;
    if cancelled < limit {
        if tend::release_blocked(tx, endpoint)? {
            next = Some(());
        }
        cancelled += cancel_due(tx, endpoint, limit - cancelled)?;
    }
    Ok(Piece {
        changed: cancelled as u64,
        next,
    })
}

/// Cancels what has a place in the queue and is not out.
fn cancel_due(tx: &mut Tx<'_>, endpoint: u64, limit: usize) -> Result<usize, Fault> {
    let mut found: Vec<(i64, u64, Option<Spot>)> = Vec::new();
    {
        let mut statement = tx.connection.prepare_cached(CANCELLABLE)?;
        let mut rows = statement.query([key(endpoint)])?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let message = number(row.get(1)?);
            if hold(tx, endpoint, message) {
                found.push((row.get(0)?, message, Spot::read(row, 2)?));
            }
        }
    }
    for (due_at, message, spot) in &found {
        delete_due(tx, *message, endpoint, *due_at)?;
        cancel_row(tx, *message, endpoint)?;
        if let Some(spot) = spot {
            line::leave(tx, endpoint, spot, false)?;
        }
    }
    Ok(found.len())
}

/// Holds a delivery until the commit, so that nobody claims it meanwhile from an older snapshot. False when it is out.
pub(super) fn hold(tx: &mut Tx<'_>, endpoint: u64, message: u64) -> bool {
    let is_free = tx.leases.hold((endpoint, message));
    if is_free {
        tx.effects.held.push((endpoint, message));
    }
    is_free
}

/// Says in a delivery's row that it is cancelled, and in no line any more.
pub(super) fn cancel_row(tx: &mut Tx<'_>, message: u64, endpoint: u64) -> Result<(), Fault> {
    let day = day_of(message);
    if tx.tables.days().has(Kind::Message, day) {
        let sql = tx.tables.sql(CANCEL_DELIVERY, day);
        tx.connection
            .prepare_cached(sql)?
            .execute((key(message), key(endpoint), CANCELLED))?;
    }
    Ok(())
}

/// Takes places out of the queue whose message is gone. The next of their lines have their turn: answers when the earliest
/// of those is due.
pub(super) fn forget_gone(
    tx: &mut Tx<'_>,
    endpoint: u64,
    places: &[(Timestamp, u64)],
) -> Result<Option<Timestamp>, Fault> {
    for (due_at, message) in places {
        if exists(tx, *message)? {
            continue;
        }
        let spot: Option<Spot> = tx
            .connection
            .prepare_cached(FIND_PLACE)?
            .query_row((key(endpoint), due_at.micros(), key(*message)), |row| {
                Spot::read(row, 0)
            })
            .optional()?
            .flatten();
        delete_due(tx, *message, endpoint, due_at.micros())?;
        if let Some(spot) = spot {
            line::leave(tx, endpoint, &spot, false)?;
        }
    }
    Ok(tx.effects.heads.get(&endpoint).copied())
}
