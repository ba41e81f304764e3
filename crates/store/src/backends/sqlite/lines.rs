//! Reading lines: how they stand, and what waits for an endpoint.

use bellwire_core::{
    id::{EndpointId, Id, MessageId},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    claim::earliest,
    fault::Fault,
    lease::Leases,
    line::{BLOCKED, FIRST, HEAD, NEXT_ERA},
    partition::{Days, Kind, day_of},
    row::{key, number},
};
use crate::query::{Backlog, LineHead, LineQuery, LineRow, Rows};

/// The lines of an endpoint, from a key on.
pub(super) const LINES: &str = "SELECT okey, last, succeeded, length FROM sequence \
     WHERE endpoint = ?1 AND okey >= ?2 AND gone = 0 ORDER BY okey";
/// The blocked lines of an endpoint, from a key on.
pub(super) const BLOCKED_LINES: &str = "SELECT sequence.okey, sequence.last, sequence.succeeded, sequence.length \
     FROM line CROSS JOIN sequence ON sequence.endpoint = line.endpoint AND sequence.okey = line.okey \
     WHERE line.endpoint = ?1 AND line.state = 2 AND line.okey >= ?2 AND sequence.gone = 0 ORDER BY line.okey";
/// How many lines of an endpoint are blocked.
pub(super) const COUNT_BLOCKED: &str = "SELECT count(*) FROM line WHERE endpoint = ?1 AND state = 2";

/// How the lines of an endpoint stand.
pub(super) fn lines(connection: &Connection, endpoint: EndpointId, query: &LineQuery) -> Result<Rows<LineRow>, Fault> {
    let endpoint = endpoint.number();
    let days = Days::read(connection)?;
    let from = match (&query.key, &query.after) {
        (Some(wanted), _) => wanted.as_str(),
        (None, after) => after.as_deref().unwrap_or(""),
    };
    let sql = if query.blocked { BLOCKED_LINES } else { LINES };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((key(endpoint), from))?;
    let mut page = Rows::EMPTY;
    while let Some(row) = rows.next()? {
        let mut line = line(row)?;
        if query.key.as_ref().is_some_and(|wanted| *wanted != line.key) {
            break;
        }
        if query.after.as_ref().is_some_and(|after| line.key <= *after) {
            continue;
        }
        if page.items.len() >= query.limit {
            page.more = true;
            break;
        }
        if line.waiting > 0 {
            line.head = head(connection, &days, endpoint, &line.key)?;
        }
        page.items.push(line);
    }
    Ok(page)
}

fn line(row: &Row<'_>) -> rusqlite::Result<LineRow> {
    Ok(LineRow {
        key: row.get(0)?,
        last: number(row.get(1)?),
        succeeded: number(row.get(2)?),
        waiting: number(row.get(3)?),
        head: None,
    })
}

/// The first of a line, in the first era in which there is one.
fn head(connection: &Connection, days: &Days, endpoint: u64, okey: &str) -> Result<Option<LineHead>, Fault> {
    let mut era = i64::MIN;
    loop {
        let next: Option<i64> = connection
            .prepare_cached(NEXT_ERA)?
            .query_row((key(endpoint), era), |row| row.get(0))?;
        let Some(next) = next else { return Ok(None) };
        era = next;
        let found: Option<(u64, u64, i64)> = connection
            .prepare_cached(FIRST)?
            .query_row((key(endpoint), era, okey), |row| {
                Ok((number(row.get(0)?), number(row.get(1)?), row.get(2)?))
            })
            .optional()?;
        if let Some((sequence, message, state)) = found {
            let next_at = match state {
                HEAD => next_at(connection, days, message, endpoint)?,
                _ => None,
            };
            return Ok(Some(LineHead {
                message: MessageId::from_number(message),
                sequence,
                blocked: state == BLOCKED,
                next_at,
            }));
        }
    }
}

fn next_at(connection: &Connection, days: &Days, message: u64, endpoint: u64) -> Result<Option<Timestamp>, Fault> {
    let day = day_of(message);
    if !days.has(Kind::Message, day) {
        return Ok(None);
    }
    let sql = format!("SELECT next_at FROM delivery_{day} WHERE msg = ?1 AND endpoint = ?2");
    let found: Option<Option<i64>> = connection
        .prepare_cached(&sql)?
        .query_row((key(message), key(endpoint)), |row| row.get(0))
        .optional()?;
    Ok(found.flatten().map(Timestamp::from_micros))
}

/// What waits for an endpoint. What is out has its place in the queue all the same, and is not counted.
pub(super) fn backlog(connection: &Connection, leases: &Leases, endpoint: EndpointId) -> Result<Backlog, Fault> {
    let endpoint = endpoint.number();
    let out = leases.of(endpoint);
    let waiting: Option<i64> = connection
        .prepare_cached("SELECT waiting FROM backlog WHERE endpoint = ?1")?
        .query_row([key(endpoint)], |row| row.get(0))
        .optional()?;
    let blocked: i64 = connection
        .prepare_cached(COUNT_BLOCKED)?
        .query_row([key(endpoint)], |row| row.get(0))?;
    Ok(Backlog {
        waiting: waiting.map_or(0, number).saturating_sub(out.len() as u64),
        oldest_due: earliest(connection, endpoint, &out)?,
        blocked_lines: number(blocked),
    })
}
