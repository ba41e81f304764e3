//! Reading attempts.

use std::{collections::HashMap, time::Duration};

use bellwire_core::{
    attempt::Attempt,
    id::{AppId, EndpointId, Id, MessageId},
    message::Message,
    time::Timestamp,
};

use super::{
    argument::args,
    columns::{ATTEMPT_COLUMNS, key, number},
    connection::Connection,
    days::{Days, Kind, day_of},
    fault::Fault,
    fit::{asks_about_message, begun, fits_attempt, fits_but_for_time},
    message::{stored, stored_all, with_payloads},
    paging::Walk,
    partition, row,
};
use crate::query::{AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, MessageFilter, Page, Rows};

/// Rows that are read at once.
const STEP: i64 = 512;

/// The statement that walks a message's attempts of one day.
pub(super) fn of_message_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = $1 AND id >= $2 AND id < $3 ORDER BY id {direction} LIMIT {STEP}"
    )
}

/// The statement that walks the attempts of one day at an endpoint.
pub(super) fn of_endpoint_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE endpoint = $1 AND id >= $2 AND id < $3 \
         ORDER BY id {direction} LIMIT {STEP}"
    )
}

/// The statement that counts the attempts of one day at endpoints.
pub(super) fn counting_sql(day: i64) -> String {
    format!("SELECT started_at, ok, msg FROM attempt_{day} WHERE endpoint = ANY ($1) AND id >= $2 AND id < $3")
}

/// Attempts of one message that fit.
pub(super) async fn of_message(
    connection: &Connection,
    app: AppId,
    message: MessageId,
    filter: &AttemptFilter,
    page: Page,
) -> Result<Rows<AttemptRow>, Fault> {
    let days = partition::read(connection).await?;
    let found = stored(connection, &days, message.number()).await?;
    let found: Option<Message> = found.map(|found| found.message).filter(|message| message.app == app);
    let is_fit = |found: &Message| fits_but_for_time(&filter.message, found);
    if asks_about_message(&filter.message) && !found.as_ref().is_some_and(is_fit) {
        return Ok(Rows::EMPTY);
    }
    let mut walk = Walk::new(page);
    let span = walk.span().and(begun(&filter.message));
    let mut its_days: Vec<i64> = days.of_attempts(message.number()).collect();
    if !walk.ascending() {
        its_days.reverse();
    }
    'days: for day in its_days {
        let mut left = span;
        loop {
            let sql = of_message_sql(day, walk.ascending());
            let args = args![key(message.number()), left.first_key(), left.end_key()];
            let attempts = read(connection, &sql, args).await?;
            let last = attempts.last().map(|attempt| attempt.id.number());
            let is_last = (attempts.len() as i64) < STEP;
            for attempt in attempts {
                let is_wanted = attempt.app == app && fits_attempt(filter, &attempt);
                let message = found.clone();
                if is_wanted && walk.push(AttemptRow { attempt, message }).is_break() {
                    break 'days;
                }
            }
            match last.filter(|_| !is_last) {
                None => break,
                Some(last) if walk.ascending() => left.first = last + 1,
                Some(last) => left.end = last,
            }
        }
    }
    Ok(walk.into_rows())
}

async fn read(connection: &Connection, sql: &str, args: &[super::connection::Arg<'_>]) -> Result<Vec<Attempt>, Fault> {
    connection.rows(sql, args).await?.iter().map(row::attempt).collect()
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
pub(super) async fn of_endpoint(
    connection: &Connection,
    query: &EndpointQuery,
    now: Timestamp,
) -> Result<Rows<AttemptRow>, Fault> {
    let days = partition::read(connection).await?;
    let mut walk = Walk::new(query.page);
    let span = walk.span().and(begun(&query.filter.message));
    let asks = asks_about_message(&query.filter.message);
    'days: for day in span.days(&days, Kind::Attempt, walk.ascending()) {
        let mut left = span;
        loop {
            let sql = of_endpoint_sql(day, walk.ascending());
            let args = args![key(query.endpoint.number()), left.first_key(), left.end_key()];
            let attempts = read(connection, &sql, args).await?;
            let last = attempts.last().map(|attempt| attempt.id.number());
            let is_last = (attempts.len() as i64) < STEP;
            let wanted: Vec<Attempt> = attempts
                .into_iter()
                .filter(|attempt| attempt.app == query.app && fits_attempt(&query.filter, attempt))
                .collect();
            let ids = wanted.iter().map(|attempt| attempt.message.number());
            let messages = stored_all(connection, &days, ids).await?;
            for attempt in wanted {
                let message = messages
                    .get(&attempt.message.number())
                    .map(|found| found.message.clone());
                let is_fit = |found: &Message| fits_but_for_time(&query.filter.message, found);
                if asks && !message.as_ref().is_some_and(is_fit) {
                    continue;
                }
                if walk.push(AttemptRow { attempt, message }).is_break() {
                    break 'days;
                }
            }
            match last.filter(|_| !is_last) {
                None => break,
                Some(last) if walk.ascending() => left.first = last + 1,
                Some(last) => left.end = last,
            }
        }
    }
    let mut rows = walk.into_rows();
    if query.with_payload {
        // One message may have several attempts on the page.
        for row in &mut rows.items {
            with_payloads(connection, &days, row.message.iter_mut(), now).await?;
        }
    }
    Ok(rows)
}

/// One attempt.
pub(super) async fn one(connection: &Connection, wanted: AttemptKey) -> Result<Option<AttemptRow>, Fault> {
    let days = partition::read(connection).await?;
    let day = day_of(wanted.attempt.number());
    if !days.has(Kind::Attempt, day) {
        return Ok(None);
    }
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempt_{day} WHERE msg = $1 AND id = $2");
    let args = args![key(wanted.message.number()), key(wanted.attempt.number())];
    let found = read(connection, &sql, args).await?.pop();
    let Some(attempt) = found.filter(|attempt| attempt.app == wanted.app) else {
        return Ok(None);
    };
    let message = stored(connection, &days, wanted.message.number()).await?;
    let message = message.map(|found| found.message);
    Ok(Some(AttemptRow { attempt, message }))
}

/// The status codes of messages' last attempts at an endpoint, and why they failed, of those that have one.
pub(super) async fn last_statuses(
    connection: &Connection,
    days: &Days,
    messages: impl Iterator<Item = u64>,
    endpoint: u64,
) -> Result<HashMap<u64, (u16, Option<String>)>, Fault> {
    let mut statuses = HashMap::new();
    let messages: Vec<i64> = messages.map(key).collect();
    let Some(first) = messages.iter().min() else {
        return Ok(statuses);
    };
    for day in days.of_attempts(number(*first)) {
        let sql = format!(
            "SELECT DISTINCT ON (msg) msg, status, failure FROM attempt_{day} WHERE msg = ANY ($1) AND endpoint = $2 \
             ORDER BY msg, id DESC"
        );
        for row in connection.rows(&sql, args![messages, key(endpoint)]).await? {
            statuses.insert(number(row.get(0)), (row.get::<_, i16>(1) as u16, row.get(2)));
        }
    }
    Ok(statuses)
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
pub(super) async fn counts(connection: &Connection, query: &CountQuery) -> Result<Vec<AttemptCounts>, Fault> {
    let days = partition::read(connection).await?;
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
    let endpoints: Vec<i64> = query.endpoints.iter().map(|endpoint| key(endpoint.number())).collect();
    for day in span.days(&days, Kind::Attempt, true) {
        let args = args![endpoints, span.first_key(), span.end_key()];
        let rows = connection.rows(&counting_sql(day), args).await?;
        let mut messages = HashMap::new();
        if !filter.event_types.is_empty() {
            let ids = rows.iter().map(|row| number(row.get(2)));
            messages = stored_all(connection, &days, ids).await?;
        }
        for row in rows {
            let at: i64 = row.get(0);
            let place = usize::try_from((at - query.since.micros()).div_euclid(bucket)).ok();
            let Some(counted) = place.and_then(|place| counts.get_mut(place)) else {
                continue;
            };
            if !filter.event_types.is_empty() {
                let found = messages.get(&number(row.get(2)));
                if !found.is_some_and(|found| fits_but_for_time(&filter, &found.message)) {
                    continue;
                }
            }
            if row.get(1) {
                counted.succeeded += 1
            } else {
                counted.failed += 1
            }
        }
    }
    Ok(counts)
}
