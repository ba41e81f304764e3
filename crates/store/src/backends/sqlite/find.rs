//! Finding messages when nobody says whose they are: by their id, by their event id, by what stands in them.

use std::ops::ControlFlow;

use bellwire_core::{
    attempt::Attempt,
    id::{AppId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use rusqlite::Connection;

use super::{
    fault::Fault,
    ingest,
    message::{accepted, each_of_app, fits, payload, stored},
    paging::Span,
    partition::{Days, Kind, day_of},
    row::{self, ATTEMPT_COLUMNS, MESSAGE_COLUMNS, Stored, key, number},
};
use crate::scan::{ANSWERED_WITHIN_DAYS, Hit, Scan, Scanned};

/// A message, whosever it is.
pub(super) fn message(connection: &Connection, id: MessageId) -> Result<Option<Message>, Fault> {
    let days = Days::read(connection)?;
    Ok(stored(connection, &days, id.number())?.map(|found| found.message))
}

/// The messages with this event id, of these applications.
pub(super) fn by_event_id(connection: &Connection, apps: &[AppId], event_id: &str) -> Result<Vec<Message>, Fault> {
    let days = Days::read(connection)?;
    let mut found = Vec::new();
    for app in apps {
        if let Some(id) = ingest::by_event_id(connection, key(app.number()), event_id)? {
            found.extend(stored(connection, &days, number(id))?.map(|found| found.message));
        }
    }
    Ok(found)
}

/// The statement that walks the messages of a day, newest first, whosever they are.
pub(super) fn newest_sql(day: i64) -> String {
    format!("SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE id >= ?1 AND id < ?2 ORDER BY id DESC")
}

/// Looks through messages, newest first, for as long as the scan may.
pub(super) fn scan(connection: &Connection, scan: &Scan, now: Timestamp) -> Result<Scanned, Fault> {
    let days = Days::read(connection)?;
    let below = Span {
        first: 0,
        end: scan.below.unwrap_or(u64::MAX),
    };
    let span = accepted(&scan.filter).and(below);
    let mut scanned = Scanned::default();
    let mut read = 0;
    let mut visit = |found: Stored| -> Result<ControlFlow<()>, Fault> {
        scanned.seen += 1;
        scanned.reached = Some(found.message.id.number());
        if scan.is_of(found.message.app) && fits(&scan.filter, &found.message) {
            let (hit, bytes) = look(connection, &days, scan, found, now)?;
            read += bytes;
            scanned.hits.extend(hit);
        }
        let is_over = scanned.seen >= scan.rows as u64 || read >= scan.bytes || scanned.hits.len() >= scan.hits;
        Ok(match is_over {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    };
    let stopped = match scan.apps[..] {
        [] => false,
        [app] => {
            let mut stopped = false;
            each_of_app(connection, &days, app, span, false, |found| {
                let flow = visit(found)?;
                stopped = flow.is_break();
                Ok(flow)
            })?;
            stopped
        }
        _ => each(connection, &days, span, visit)?,
    };
    scanned.done = !stopped;
    Ok(scanned)
}

/// Walks all messages within a span of ids, newest first; tells whether it was stopped.
fn each(
    connection: &Connection,
    days: &Days,
    span: Span,
    mut visit: impl FnMut(Stored) -> Result<ControlFlow<()>, Fault>,
) -> Result<bool, Fault> {
    for day in span.days(days, Kind::Message, false) {
        let mut statement = connection.prepare_cached(&newest_sql(day))?;
        let mut rows = statement.query((span.first_key(), span.end_key()))?;
        while let Some(row) = rows.next()? {
            if visit(row::message(row)?)?.is_break() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Looks at one message: what is found, and how many bytes were read for it.
fn look(
    connection: &Connection,
    days: &Days,
    scan: &Scan,
    found: Stored,
    now: Timestamp,
) -> Result<(Option<Hit>, usize), Fault> {
    let routed = scan.endpoint.is_some_and(|endpoint| found.goes_to(endpoint.number()));
    let message = found.message;
    let body = match scan.reads_payloads() {
        true => payload(connection, days, &message, now)?,
        false => None,
    };
    let attempts = match scan.reads_attempts() {
        true => answers(connection, days, message.id.number())?,
        false => Vec::new(),
    };
    let bytes = body.as_ref().map_or(0, |body| body.len())
        + attempts.iter().map(|attempt| attempt.response.len()).sum::<usize>();
    let found = scan.judge(&message, body.as_deref(), &attempts, routed);
    Ok((found.map(|found| Hit { message, found }), bytes))
}

/// The attempts of a message that are soon enough after it.
fn answers(connection: &Connection, days: &Days, message: u64) -> Result<Vec<Attempt>, Fault> {
    let last = day_of(message) + ANSWERED_WITHIN_DAYS;
    let mut attempts = Vec::new();
    for day in days.of_attempts(message).take_while(|day| *day <= last) {
        let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = ?1 ORDER BY id");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([key(message)])?;
        while let Some(row) = rows.next()? {
            attempts.push(row::attempt(row)?);
        }
    }
    Ok(attempts)
}
