//! The end of holds: attempts, next states, health and notices.
//!
//! A fresh delivery that succeeds costs its attempt's row and nothing else. One that does not gets a row of its own, unless
//! somebody started it anew meanwhile: then that newer run counts. The end of a line's head gives the next one its turn.

use std::{collections::HashMap, sync::Arc};

use bellwire_core::{
    attempt::Outcome,
    decide::Health,
    id::{EndpointId, Id},
    time::Timestamp,
};
use rusqlite::{OptionalExtension as _, params};

use super::super::common::verdict::{progress_after, shown_response, standing};
pub(super) use super::lease::{FRESH, IN_LINE, ROWED};
use super::{
    ingest::{Pending, append_notices, put_due},
    line::{self, Spot},
    partition::{Kind, day_of},
    row::{PENDING, SUCCEEDED, key, trigger_code},
    tx::Tx,
};
use crate::contract::{Settlement, Verdict};

const INSERT_ATTEMPT: &str = "INSERT OR IGNORE INTO attempt_{d} (msg, id, endpoint, app, started_at, duration_us, status, ok, failure, \
     trigger, number, last, url, signature, response, response_headers) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
const INSERT_DELIVERY: &str = "INSERT OR IGNORE INTO delivery_{d} (msg, endpoint, state, run, tries, trigger, next_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const FIND_DELIVERY: &str =
    "SELECT state, run, tries, next_at, okey, seq, era FROM delivery_{d} WHERE msg = ?1 AND endpoint = ?2";
const UPDATE_DELIVERY: &str =
    "UPDATE delivery_{d} SET state = ?3, tries = ?4, next_at = ?5, era = ?6 WHERE msg = ?1 AND endpoint = ?2";
const DELETE_DUE: &str = "DELETE FROM due WHERE endpoint = ?1 AND next_at = ?2 AND msg = ?3";

/// Settles what has gathered, in the order of the messages, so that rows are written side by side.
///
/// # Errors
/// Those of SQLite: the whole transaction fails then.
pub(super) fn settle(tx: &mut Tx<'_>, batches: &[Arc<Vec<Settlement>>]) -> rusqlite::Result<()> {
    let mut settlements: Vec<&Settlement> = batches.iter().flat_map(|batch| batch.iter()).collect();
    let mut health: HashMap<EndpointId, Health> = HashMap::new();
    for settlement in &settlements {
        if let Some(changed) = settlement.health {
            health.insert(settlement.key.endpoint, changed);
        }
    }
    settlements.sort_by_key(|settlement| settlement.key);
    for settlement in settlements {
        settle_one(tx, settlement)?;
    }
    for (endpoint, health) in health {
        put_health(tx, endpoint, health)?;
    }
    Ok(())
}

fn settle_one(tx: &mut Tx<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    let (message, endpoint) = (settlement.key.message.number(), settlement.key.endpoint.number());
    let decides = if settlement.lease == FRESH {
        tx.effects.settled.push((message, endpoint));
        match settlement.verdict {
            // The hot path: nothing to look up. Only a notice has to know whether a newer run makes it out of date.
            Verdict::Succeeded => settlement.notices.is_empty() || find_row(tx, message, endpoint)?.is_none(),
            _ => make_row(tx, settlement)?,
        }
    } else {
        let found = find_row(tx, message, endpoint)?;
        if let Some(row) = &found
            && row.run == settlement.progress.run
            && row.tries > settlement.progress.tries
        {
            // Settled before, and perhaps out again: a repetition changes nothing.
            return Ok(());
        }
        tx.effects.returned.push((endpoint, message));
        change_row(tx, settlement, found)?
    };
    if let Some(outcome) = &settlement.outcome {
        put_attempt(tx, settlement, outcome)?;
    }
    if decides {
        append_notices(tx, settlement.notices.clone())
    } else {
        Ok(())
    }
}

/// What a delivery's row says.
struct Row {
    state: i64,
    run: u32,
    tries: u16,
    due_at: Option<i64>,
    spot: Option<Spot>,
}

fn find_row(tx: &mut Tx<'_>, message: u64, endpoint: u64) -> rusqlite::Result<Option<Row>> {
    let day = day_of(message);
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(None);
    }
    let sql = tx.tables.sql(FIND_DELIVERY, day);
    tx.connection
        .prepare_cached(sql)?
        .query_row((key(message), key(endpoint)), |row| {
            Ok(Row {
                state: row.get(0)?,
                run: row.get(1)?,
                tries: row.get(2)?,
                due_at: row.get(3)?,
                spot: Spot::read(row, 4)?,
            })
        })
        .optional()
}

fn put_attempt(tx: &mut Tx<'_>, settlement: &Settlement, outcome: &Outcome) -> rusqlite::Result<()> {
    let id = settlement
        .attempt_id
        .map_or_else(|| tx.ids.next_number(tx.now), Id::number);
    let day = day_of(id);
    tx.ensure(Kind::Attempt, day)?;
    let headers = match &outcome.response_headers[..] {
        [] => None,
        headers => serde_json::to_string(headers).ok(),
    };
    let last = matches!(
        settlement.verdict,
        Verdict::Succeeded | Verdict::Failed | Verdict::Blocked | Verdict::Cancelled
    );
    let sql = tx.tables.sql(INSERT_ATTEMPT, day);
    tx.connection.prepare_cached(sql)?.execute(params![
        key(settlement.key.message.number()),
        key(id),
        key(settlement.key.endpoint.number()),
        key(settlement.app.number()),
        outcome.started_at.micros(),
        i64::try_from(outcome.duration.as_micros()).unwrap_or(i64::MAX),
        outcome.status_code,
        outcome.failure.is_none(),
        outcome.failure.as_ref().map(|failure| failure.reason),
        trigger_code(settlement.progress.trigger),
        settlement.progress.tries.saturating_add(1),
        last,
        outcome.url,
        outcome.signature,
        shown_response(outcome),
        headers,
    ])?;
    tx.tables.count(Kind::Attempt, day, 1);
    Ok(())
}

/// A fresh delivery that is not over after its first try. False when a newer run has a row already.
fn make_row(tx: &mut Tx<'_>, settlement: &Settlement) -> rusqlite::Result<bool> {
    let (message, endpoint) = (settlement.key.message.number(), settlement.key.endpoint.number());
    let day = day_of(message);
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(false);
    }
    let progress = progress_after(settlement);
    let (state, next_at) = standing(settlement.verdict);
    let sql = tx.tables.sql(INSERT_DELIVERY, day);
    let made = tx.connection.prepare_cached(sql)?.execute((
        key(message),
        key(endpoint),
        state,
        progress.run,
        progress.tries,
        trigger_code(progress.trigger),
        next_at.map(Timestamp::micros),
    ))?;
    if let Some(due_at) = next_at.filter(|_| made == 1) {
        let pending = Pending {
            message,
            endpoint,
            progress,
            due_at,
            spot: None,
        };
        put_due(tx, &pending)?;
    }
    Ok(made == 1)
}

/// A delivery that had a row when it was claimed. False when its run is another by now: then only the lease ends.
fn change_row(tx: &mut Tx<'_>, settlement: &Settlement, found: Option<Row>) -> rusqlite::Result<bool> {
    let (message, endpoint) = (settlement.key.message.number(), settlement.key.endpoint.number());
    let day = day_of(message);
    let Some(found) = found else {
        // Its message is gone. Its place is cleared away, and the next of its line has its turn, when it comes up.
        tx.effects.head(endpoint, tx.now);
        return Ok(false);
    };
    if found.run != settlement.progress.run || found.state != PENDING {
        // While the old run was out, the new one was passed over: tell that it waits.
        if let (PENDING, Some(due_at)) = (found.state, found.due_at) {
            tx.effects.head(endpoint, Timestamp::from_micros(due_at));
        }
        return Ok(false);
    }
    let progress = progress_after(settlement);
    let (state, next_at) = standing(settlement.verdict);
    let stays_in_line = next_at.is_some() || settlement.verdict == Verdict::Blocked;
    let sql = tx.tables.sql(UPDATE_DELIVERY, day);
    tx.connection.prepare_cached(sql)?.execute((
        key(message),
        key(endpoint),
        state,
        progress.tries,
        next_at.map(Timestamp::micros),
        found.spot.as_ref().and_then(|spot| spot.era).filter(|_| stays_in_line),
    ))?;
    if let Some(due_at) = found.due_at {
        delete_due(tx, message, endpoint, due_at)?;
    }
    if let Some(due_at) = next_at {
        let pending = Pending {
            message,
            endpoint,
            progress,
            due_at,
            spot: found.spot.as_ref(),
        };
        put_due(tx, &pending)?;
    } else if let Some(spot) = &found.spot {
        if stays_in_line {
            line::block(tx, endpoint, spot)?;
        } else {
            line::leave(tx, endpoint, spot, state == SUCCEEDED)?;
        }
    }
    Ok(true)
}

/// Takes a place out of the queue.
pub(super) fn delete_due(tx: &mut Tx<'_>, message: u64, endpoint: u64, due_at: i64) -> rusqlite::Result<()> {
    let removed = tx
        .connection
        .prepare_cached(DELETE_DUE)?
        .execute((key(endpoint), due_at, key(message)))?;
    if removed > 0 {
        tx.effects.wait(endpoint, -1);
    }
    Ok(())
}

fn put_health(tx: &mut Tx<'_>, endpoint: EndpointId, health: Health) -> rusqlite::Result<()> {
    match health.failing_since {
        Some(since) => tx
            .connection
            .prepare_cached("INSERT OR REPLACE INTO endpoint_health (endpoint, failing_since) VALUES (?1, ?2)")?
            .execute((key(endpoint.number()), since.micros())),
        None => tx
            .connection
            .prepare_cached("DELETE FROM endpoint_health WHERE endpoint = ?1")?
            .execute([key(endpoint.number())]),
    }?;
    Ok(())
}
