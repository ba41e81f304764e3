//! Finding messages when nobody says whose they are: by their id, by their event id, by what stands in them.

use std::collections::HashMap;

use bellwire_core::{
    attempt::Attempt,
    id::{AppId, Id, MessageId},
    message::Message,
    time::Timestamp,
};

use super::{
    argument::{args, text},
    columns::{ATTEMPT_COLUMNS, MESSAGE_COLUMNS, Stored, key, number},
    connection::Connection,
    days::{Days, Kind, day_of},
    fault::Fault,
    fit::{accepted, fits},
    message::{payloads, stored, stored_all},
    paging::Span,
    partition, row,
};
use crate::scan::{ANSWERED_WITHIN_DAYS, Hit, Scan, Scanned};

/// Messages that are read at once when their payloads are, too.
const STEP_WITH_PAYLOADS: usize = 32;
/// Messages that are read at once when they alone are.
const STEP: usize = 512;

/// A message, whosever it is.
pub(super) async fn message(connection: &Connection, id: MessageId) -> Result<Option<Message>, Fault> {
    let days = partition::read(connection).await?;
    let found = stored(connection, &days, id.number()).await?;
    Ok(found.map(|found| found.message))
}

/// The messages with this event id, of these applications.
pub(super) async fn by_event_id(
    connection: &Connection,
    apps: &[AppId],
    event_id: &str,
) -> Result<Vec<Message>, Fault> {
    let days = partition::read(connection).await?;
    let wanted: Vec<i64> = apps.iter().map(|app| key(app.number())).collect();
    let sql = "SELECT msg FROM event_id WHERE app = ANY ($1) AND event_id = $2 ORDER BY app";
    let rows = connection.rows(sql, args![wanted, text(event_id)]).await?;
    let ids: Vec<u64> = rows.iter().map(|row| number(row.get(0))).collect();
    let mut found = stored_all(connection, &days, ids.iter().copied()).await?;
    let found = ids.iter().filter_map(|id| found.remove(id));
    Ok(found.map(|found| found.message).collect())
}

/// The statement that walks the messages of a day, newest first, whosever they are.
pub(super) fn newest_sql(day: i64) -> String {
    format!("SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3")
}

/// Looks through messages, newest first, for as long as the scan may.
pub(super) async fn scan(connection: &Connection, scan: &Scan, now: Timestamp) -> Result<Scanned, Fault> {
    let days = partition::read(connection).await?;
    let below = Span {
        first: 0,
        end: scan.below.unwrap_or(u64::MAX),
    };
    let span = accepted(&scan.filter).and(below);
    let mut scanned = Scanned::default();
    let mut read = 0;
    let step = if scan.reads_payloads() {
        STEP_WITH_PAYLOADS
    } else {
        STEP
    };
    if scan.apps.is_empty() {
        scanned.done = true;
        return Ok(scanned);
    }
    for day in span.days(&days, Kind::Message, false) {
        let mut left = span;
        loop {
            let found = newest(connection, day, scan, left, step as i64).await?;
            let is_last = found.len() < step;
            for (found, payload, attempts) in with_all(connection, &days, scan, found, now).await? {
                let id = found.message.id.number();
                left.end = id;
                scanned.seen += 1;
                scanned.reached = Some(id);
                read += payload.as_ref().map_or(0, |body| body.len())
                    + attempts.iter().map(|attempt| attempt.response.len()).sum::<usize>();
                let routed = scan.endpoint.is_some_and(|endpoint| found.goes_to(endpoint.number()));
                let message = found.message;
                if scan.is_of(message.app)
                    && fits(&scan.filter, &message)
                    && let Some(found) = scan.judge(&message, payload.as_deref(), &attempts, routed)
                {
                    scanned.hits.push(Hit { message, found });
                }
                let is_over = scanned.seen >= scan.rows as u64 || read >= scan.bytes || scanned.hits.len() >= scan.hits;
                if is_over {
                    return Ok(scanned);
                }
            }
            if is_last {
                break;
            }
        }
    }
    scanned.done = true;
    Ok(scanned)
}

/// The next messages of a day.
async fn newest(connection: &Connection, day: i64, scan: &Scan, span: Span, step: i64) -> Result<Vec<Stored>, Fault> {
    let rows = match scan.apps[..] {
        [app] => {
            let args = args![key(app.number()), span.first_key(), span.end_key(), step];
            connection.rows(&super::message::of_app_sql(day, false), args).await?
        }
        _ => {
            let args = args![span.first_key(), span.end_key(), step];
            connection.rows(&newest_sql(day), args).await?
        }
    };
    rows.iter().map(|found| row::message(found, 0)).collect()
}

/// Messages with what the scan has to read of each.
async fn with_all(
    connection: &Connection,
    days: &Days,
    scan: &Scan,
    found: Vec<Stored>,
    now: Timestamp,
) -> Result<Vec<(Stored, Option<bytes::Bytes>, Vec<Attempt>)>, Fault> {
    let wanted: Vec<&Stored> = found
        .iter()
        .filter(|found| scan.is_of(found.message.app) && fits(&scan.filter, &found.message))
        .collect();
    let mut bodies = match scan.reads_payloads() {
        true => payloads(connection, days, wanted.iter().map(|found| &found.message), now).await?,
        false => HashMap::new(),
    };
    let mut answers = match scan.reads_attempts() {
        true => attempts(connection, days, wanted.iter().map(|found| found.message.id.number())).await?,
        false => HashMap::new(),
    };
    let whole = found.into_iter().map(|found| {
        let id = found.message.id.number();
        (found, bodies.remove(&id), answers.remove(&id).unwrap_or_default())
    });
    Ok(whole.collect())
}

/// The attempts of messages that are soon enough after them.
async fn attempts(
    connection: &Connection,
    days: &Days,
    messages: impl Iterator<Item = u64>,
) -> Result<HashMap<u64, Vec<Attempt>>, Fault> {
    let messages: Vec<u64> = messages.collect();
    let mut found: HashMap<u64, Vec<Attempt>> = HashMap::new();
    let (Some(first), Some(last)) = (messages.iter().min(), messages.iter().max()) else {
        return Ok(found);
    };
    let until = day_of(*last) + ANSWERED_WITHIN_DAYS;
    let ids: Vec<i64> = messages.iter().map(|id| key(*id)).collect();
    for day in days.of_attempts(*first).take_while(|day| *day <= until) {
        let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = ANY ($1) ORDER BY id");
        for read in connection.rows(&sql, args![ids]).await? {
            let attempt = row::attempt(&read)?;
            if day <= day_of(attempt.message.number()) + ANSWERED_WITHIN_DAYS {
                found.entry(attempt.message.number()).or_default().push(attempt);
            }
        }
    }
    Ok(found)
}
