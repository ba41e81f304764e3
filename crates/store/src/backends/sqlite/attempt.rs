//! Reading attempts.

use std::time::Duration;

use bellwire_core::{
    id::{AppId, EndpointId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    super::common::fit::{asks_about_message, begun, fits_attempt as fits},
    fault::Fault,
    message::{fits_but_for_time, payload, stored},
    paging::Walk,
    partition::{Days, Kind, day_of},
    row::{self, ATTEMPT_COLUMNS, key, number},
};
use crate::query::{AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, MessageFilter, Page, Rows};

/// The statement that walks a message's attempts of one day.
pub(super) fn of_message_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = ?1 AND id >= ?2 AND id < ?3 ORDER BY id {direction}"
    )
}

/// The statement that walks the attempts of one day at an endpoint.
pub(super) fn of_endpoint_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 ORDER BY id {direction}"
    )
}

/// The statement that counts the attempts of one day at an endpoint.
pub(super) fn counting_sql(day: i64) -> String {
    format!("SELECT started_at, ok, msg FROM attempt_{day} WHERE endpoint = ?1 AND id >= ?2 AND id < ?3")
}

/// Attempts of one message that fit.
pub(super) fn of_message(
    connection: &Connection,
    app: AppId,
    message: MessageId,
    filter: &AttemptFilter,
    page: Page,
) -> Result<Rows<AttemptRow>, Fault> {
    let days = Days::read(connection)?;
    let found = stored(connection, &days, message.number())?.filter(|found| found.message.app == app);
    let found: Option<Message> = found.map(|found| found.message);
    if asks_about_message(&filter.message)
        && !found
            .as_ref()
            .is_some_and(|found| fits_but_for_time(&filter.message, found))
    {
        return Ok(Rows::EMPTY);
    }
    let mut walk = Walk::new(page);
    let span = walk.span().and(begun(&filter.message));
    let mut its_days: Vec<i64> = days.of_attempts(message.number()).collect();
    if !walk.ascending() {
        its_days.reverse();
    }
    'days: for day in its_days {
        let mut statement = connection.prepare_cached(&of_message_sql(day, walk.ascending()))?;
        let mut rows = statement.query((key(message.number()), span.first_key(), span.end_key()))?;
        while let Some(row) = rows.next()? {
            let attempt = row::attempt(row)?;
            if attempt.app == app
                && fits(filter, &attempt)
                && walk
                    .push(AttemptRow {
                        attempt,
                        message: found.clone(),
                    })
                    .is_break()
            {
                break 'days;
            }
        }
    }
    Ok(walk.into_rows())
}

/// What is asked of an endpoint's attempts.
pub(super) struct EndpointQuery {
    pub app: AppId,
    pub endpoint: EndpointId,
    pub filter: AttemptFilter,
    pub page: Page,
    pub with_payload: bool,
}

/// Attempts at one endpoint that fit.
pub(super) fn of_endpoint(
    connection: &Connection,
    query: &EndpointQuery,
    now: Timestamp,
) -> Result<Rows<AttemptRow>, Fault> {
    let days = Days::read(connection)?;
    let mut walk = Walk::new(query.page);
    let span = walk.span().and(begun(&query.filter.message));
    'days: for day in span.days(&days, Kind::Attempt, walk.ascending()) {
        let mut statement = connection.prepare_cached(&of_endpoint_sql(day, walk.ascending()))?;
        let mut rows = statement.query((key(query.endpoint.number()), span.first_key(), span.end_key()))?;
        while let Some(row) = rows.next()? {
            let attempt = row::attempt(row)?;
            if attempt.app != query.app || !fits(&query.filter, &attempt) {
                continue;
            }
            let found = stored(connection, &days, attempt.message.number())?.map(|found| found.message);
            let asks = asks_about_message(&query.filter.message);
            if asks
                && !found
                    .as_ref()
                    .is_some_and(|found| fits_but_for_time(&query.filter.message, found))
            {
                continue;
            }
            let mut message = found;
            if let Some(message) = message.as_mut().filter(|_| query.with_payload && walk.has_room()) {
                message.payload = payload(connection, &days, message, now)?;
            }
            if walk.push(AttemptRow { attempt, message }).is_break() {
                break 'days;
            }
        }
    }
    Ok(walk.into_rows())
}

/// One attempt.
pub(super) fn one(connection: &Connection, wanted: AttemptKey) -> Result<Option<AttemptRow>, Fault> {
    let days = Days::read(connection)?;
    let day = day_of(wanted.attempt.number());
    if !days.has(Kind::Attempt, day) {
        return Ok(None);
    }
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = ?1 AND id = ?2");
    let attempt = connection
        .prepare_cached(&sql)?
        .query_row(
            (key(wanted.message.number()), key(wanted.attempt.number())),
            row::attempt,
        )
        .optional()?;
    let Some(attempt) = attempt.filter(|attempt| attempt.app == wanted.app) else {
        return Ok(None);
    };
    let message = stored(connection, &days, wanted.message.number())?.map(|found| found.message);
    Ok(Some(AttemptRow { attempt, message }))
}

/// The status code of the last attempt of a delivery, and why it failed. `many`: there may be several, so the newest days are looked at first;
/// otherwise there is at most one, soon after the message.
pub(super) fn last_status(
    connection: &Connection,
    days: &Days,
    message: u64,
    endpoint: u64,
    many: bool,
) -> Result<Option<(u16, Option<String>)>, Fault> {
    let mut candidates: Vec<i64> = days.of_attempts(message).collect();
    if many {
        candidates.reverse();
    }
    for day in candidates {
        let sql = format!(
            "SELECT status, failure FROM attempt_{day} WHERE msg = ?1 AND endpoint = ?2 ORDER BY id DESC LIMIT 1"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement
            .query_row((key(message), key(endpoint)), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What is counted for a chart.
pub(super) struct CountQuery {
    pub endpoints: Vec<EndpointId>,
    pub event_types: Vec<String>,
    pub since: Timestamp,
    pub bucket: Duration,
    pub n: usize,
}

/// Attempts per span of time.
pub(super) fn counts(connection: &Connection, query: &CountQuery) -> Result<Vec<AttemptCounts>, Fault> {
    let days = Days::read(connection)?;
    let mut counts = vec![AttemptCounts::default(); query.n];
    let bucket = i64::try_from(query.bucket.as_micros()).unwrap_or(i64::MAX).max(1);
    let until = query
        .since
        .micros()
        .saturating_add(bucket.saturating_mul(i64::try_from(query.n).unwrap_or(i64::MAX)));
    let filter = MessageFilter {
        after: Some(query.since),
        before: Some(Timestamp::from_micros(until)),
        event_types: query.event_types.clone(),
        ..MessageFilter::default()
    };
    let span = begun(&filter);
    for day in span.days(&days, Kind::Attempt, true) {
        let mut statement = connection.prepare_cached(&counting_sql(day))?;
        for endpoint in &query.endpoints {
            let mut rows = statement.query((key(endpoint.number()), span.first_key(), span.end_key()))?;
            while let Some(row) = rows.next()? {
                let at: i64 = row.get(0)?;
                let place = usize::try_from((at - query.since.micros()).div_euclid(bucket)).ok();
                let Some(counted) = place.and_then(|place| counts.get_mut(place)) else {
                    continue;
                };
                if !filter.event_types.is_empty() {
                    let found = stored(connection, &days, number(row.get(2)?))?;
                    if !found.is_some_and(|found| fits_but_for_time(&filter, &found.message)) {
                        continue;
                    }
                }
                if row.get(1)? {
                    counted.succeeded += 1
                } else {
                    counted.failed += 1
                }
            }
        }
    }
    Ok(counts)
}
