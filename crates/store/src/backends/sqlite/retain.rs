//! Forgetting: days that are over, and applications that are gone.
//!
//! A day's tables are dropped as a whole. Where that would take long, rows are deleted first, a few at a time, so that
//! publishers never wait for it.

use bellwire_core::{
    id::{AppId, Id},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    books,
    fault::Fault,
    held,
    line::{self, Spot},
    partition::{Days, Kind, day_of, render},
    row::{PENDING, key, number},
    settle::delete_due,
    tend,
    tx::Tx,
};
use crate::query::Cutoffs;

/// Dropping so many rows at once takes some tens of milliseconds.
const ROWS_DROPPED_AT_ONCE: i64 = 200_000;
/// Rows deleted in one transaction.
const ROWS_PER_STEP: i64 = 4_000;

/// A day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub kind: Kind,
    pub day: i64,
    /// About how many rows it has.
    pub rows: i64,
}

/// The days that are over, those first that may go first.
pub(super) fn victims(connection: &Connection, cutoffs: Cutoffs, now: Timestamp) -> Result<Vec<Victim>, Fault> {
    let days = Days::read(connection)?;
    let mut victims = Vec::new();
    for (kind, cutoff) in [
        (Kind::Idempotent, now),
        (Kind::Payload, cutoffs.payloads),
        (Kind::Attempt, cutoffs.attempts),
        (Kind::Message, cutoffs.messages),
    ] {
        for day in days.of(kind).take_while(|day| *day < cutoff.day()) {
            let rows: Option<i64> = connection
                .prepare_cached("SELECT rows FROM partition WHERE kind = ?1 AND day = ?2")?
                .query_row((kind.name(), day), |row| row.get(0))
                .optional()?;
            victims.push(Victim {
                kind,
                day,
                rows: rows.unwrap_or(0),
            });
        }
    }
    Ok(victims)
}

/// Takes one step towards forgetting a day. Answers whether it is gone.
pub(super) fn step(tx: &mut Tx<'_>, victim: Victim, after: u64) -> Result<Step, Fault> {
    let Victim { kind, day, rows } = victim;
    if !tx.tables.days().has(kind, day) {
        return Ok(Step::Gone);
    }
    let large = rows > ROWS_DROPPED_AT_ONCE;
    match kind {
        Kind::Attempt => books::set_attempts_kept_from(tx.connection, day + 1)?,
        Kind::Message => {
            // A blocked head whose message goes must not hold up its line for ever. Whoever waits behind it, and whoever is
            // due, is passed over when it comes up.
            if tend::release_older(tx, day)? {
                return Ok(Step::GoOn(after));
            }
            if let Some(last) = forget_event_ids(tx, day, after)? {
                if !large {
                    return Ok(Step::GoOn(last));
                }
                let messages = delete_up_to(tx, "DELETE FROM message_{d} WHERE id <= ?1", day, last)?;
                let rows = delete_up_to(tx, "DELETE FROM delivery_{d} WHERE msg <= ?1", day, last)?;
                tx.tables.count(kind, day, -(messages + rows));
                return Ok(Step::GoOn(0));
            }
        }
        Kind::Payload | Kind::Idempotent => {}
    }
    let delete_some = match kind {
        Kind::Payload => Some(
            "DELETE FROM payload_{d} WHERE id <= (SELECT max(id) FROM (SELECT id FROM payload_{d} ORDER BY id LIMIT ?1))",
        ),
        Kind::Attempt => Some(
            "DELETE FROM attempt_{d} WHERE msg <= (SELECT max(msg) FROM (SELECT msg FROM attempt_{d} ORDER BY msg LIMIT ?1))",
        ),
        Kind::Message | Kind::Idempotent => None,
    };
    if let Some(template) = delete_some.filter(|_| large) {
        let gone = delete_up_to(tx, template, day, ROWS_PER_STEP as u64)?;
        tx.tables.count(kind, day, -gone);
        if gone > 0 {
            return Ok(Step::GoOn(0));
        }
    }
    tx.tables.drop(tx.connection, kind, day)?;
    Ok(Step::Gone)
}

fn delete_up_to(tx: &mut Tx<'_>, template: &'static str, day: i64, bound: u64) -> Result<i64, Fault> {
    let sql = tx.tables.sql(template, day);
    Ok(tx.connection.prepare_cached(sql)?.execute([key(bound)])? as i64)
}

/// How far forgetting a day has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is gone.
    Gone,
    /// Once more, with this.
    GoOn(u64),
}

/// Forgets the event ids of some messages of a day; answers from where to go on, if there are more.
fn forget_event_ids(tx: &mut Tx<'_>, day: i64, after: u64) -> Result<Option<u64>, Fault> {
    let sql = format!("SELECT id, app, event_id FROM message_{day} WHERE id > ?1 ORDER BY id LIMIT ?2");
    let mut statement = tx.connection.prepare_cached(&sql)?;
    let mut rows = statement.query((key(after), ROWS_PER_STEP))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(number(row.get(0)?));
        if let Some(event_id) = row.get::<_, Option<String>>(2)? {
            tx.connection
                .prepare_cached("DELETE FROM event_id WHERE app = ?1 AND event_id = ?2 AND msg = ?3")?
                .execute((row.get::<_, i64>(1)?, event_id, row.get::<_, i64>(0)?))?;
        }
    }
    Ok(last)
}

/// Where blanking has come to: a day, and the last message seen in it.
pub(super) type Blanked = Option<(i64, u64)>;

/// Overwrites, in place, the payloads and the answers of some messages of an application that is to be erased. Answers where
/// to go on, if there is more.
///
/// Deleting a row moves others within and between pages, and what they leave behind there stays. So nothing is deleted
/// before all of it has become worthless.
pub(super) fn blank(tx: &mut Tx<'_>, app: AppId, after: Blanked, limit: usize) -> Result<Blanked, Fault> {
    let (first, last) = after.unwrap_or((i64::MIN, 0));
    let Some(day) = tx.tables.days().from(Kind::Message, first).next() else {
        return Ok(None);
    };
    let last = if day == first { last } else { 0 };
    let sql = render(
        "SELECT id, payload_expires_at FROM message_{d} WHERE app = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        day,
    );
    let found: Vec<(i64, i64)> = tx
        .connection
        .prepare_cached(&sql)?
        .query_map(
            (key(app.number()), key(last), i64::try_from(limit).unwrap_or(i64::MAX)),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (id, payload_expires_at) in &found {
        let payload_day = Timestamp::from_micros(*payload_expires_at).day();
        if tx.tables.days().has(Kind::Payload, payload_day) {
            let blanks = "UPDATE payload_{d} SET body = zeroblob(length(body)) WHERE id = ?1";
            delete(tx, blanks, payload_day, *id)?;
        }
        let attempt_days: Vec<i64> = tx.tables.days().of_attempts(number(*id)).collect();
        for attempt_day in attempt_days {
            let blanks = "UPDATE attempt_{d} SET response = zeroblob(length(response)), \
                 response_headers = printf('%*s', length(CAST(response_headers AS BLOB)), '') \
                 WHERE msg = ?1 AND (response IS NOT NULL OR response_headers IS NOT NULL)";
            delete(tx, blanks, attempt_day, *id)?;
        }
    }
    Ok(match found.last() {
        Some((id, _)) if found.len() == limit => Some((day, number(*id))),
        _ => Some((day + 1, 0)),
    })
}

/// Removes some messages of an application, with all about them. Answers how many.
pub(super) fn erase_app(tx: &mut Tx<'_>, app: AppId, limit: usize) -> Result<u64, Fault> {
    let days: Vec<i64> = tx.tables.days().of(Kind::Message).collect();
    // Held ones first: what is released meanwhile is a message then, and found below.
    let mut erased = held::erase(tx, app, limit)?;
    for day in days {
        let left = limit.saturating_sub(erased);
        if left == 0 {
            break;
        }
        let sql = render(
            "SELECT id, event_id, payload_expires_at FROM message_{d} WHERE app = ?1 LIMIT ?2",
            day,
        );
        let found: Vec<(i64, Option<String>, i64)> = tx
            .connection
            .prepare_cached(&sql)?
            .query_map((key(app.number()), i64::try_from(left).unwrap_or(i64::MAX)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        erased += found.len();
        for (id, event_id, payload_expires_at) in found {
            erase_message(tx, number(id), Timestamp::from_micros(payload_expires_at))?;
            if let Some(event_id) = event_id {
                tx.connection
                    .prepare_cached("DELETE FROM event_id WHERE app = ?1 AND event_id = ?2")?
                    .execute((key(app.number()), event_id))?;
            }
        }
    }
    Ok(erased as u64)
}

fn erase_message(tx: &mut Tx<'_>, message: u64, payload_expires_at: Timestamp) -> Result<(), Fault> {
    let (id, day) = (key(message), day_of(message));
    let sql = render(
        "SELECT endpoint, next_at, okey, seq, era FROM delivery_{d} WHERE msg = ?1 AND (state = ?2 OR era IS NOT NULL)",
        day,
    );
    let waiting: Vec<(u64, Option<i64>, Option<Spot>)> = tx
        .connection
        .prepare_cached(&sql)?
        .query_map((id, PENDING), |row| {
            Ok((number(row.get(0)?), row.get(1)?, Spot::read(row, 2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    delete(tx, "DELETE FROM delivery_{d} WHERE msg = ?1", day, id)?;
    for (endpoint, due_at, spot) in waiting {
        if let Some(due_at) = due_at {
            delete_due(tx, message, endpoint, due_at)?;
        }
        if let Some(spot) = spot {
            line::leave(tx, endpoint, &spot, false)?;
        }
    }
    let attempt_days: Vec<i64> = tx.tables.days().of_attempts(message).collect();
    for attempt_day in attempt_days {
        delete(tx, "DELETE FROM attempt_{d} WHERE msg = ?1", attempt_day, id)?;
    }
    if tx.tables.days().has(Kind::Payload, payload_expires_at.day()) {
        delete(
            tx,
            "DELETE FROM payload_{d} WHERE id = ?1",
            payload_expires_at.day(),
            id,
        )?;
    }
    delete(tx, "DELETE FROM message_{d} WHERE id = ?1", day, id)
}

fn delete(tx: &mut Tx<'_>, template: &'static str, day: i64, id: i64) -> Result<(), Fault> {
    let sql = tx.tables.sql(template, day);
    tx.connection.prepare_cached(sql)?.execute([id])?;
    Ok(())
}
