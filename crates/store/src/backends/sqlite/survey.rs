//! Looking at many attempts at once: samples of how they went, and which failed.

use std::time::Duration;

use bellwire_core::{
    delivery::Trigger,
    id::{AttemptId, EndpointId, Id, MessageId, first_number_at},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    fault::Fault,
    paging::Span,
    partition::{Days, Kind, day_of},
    row::{key, number},
};
use crate::{
    backends::common::columns::trigger_code,
    survey::{Counted, FailedAttempt, FailureQuery, Sample, SampleQuery, Timing},
};

/// A lag that is longer may be one that the message asked for.
const LAG_LOOKED_AT: Duration = Duration::from_secs(1);

/// The statement that tells whether an endpoint has attempts at all in a part of a day.
fn any_sql(day: i64) -> String {
    format!("SELECT 1 FROM attempt_{day} WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 LIMIT 1")
}

/// The statement that counts an endpoint's attempts in a part of a day, up to a bound.
pub(super) fn counting_sql(day: i64) -> String {
    format!(
        "SELECT count(*), total(ok), max(id) FROM (SELECT ok, id FROM attempt_{day} \
         WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 ORDER BY id LIMIT ?4)"
    )
}

/// The statement that tells how long the first of them took.
pub(super) fn timing_sql(day: i64) -> String {
    format!(
        "SELECT started_at, duration_us, msg, number, trigger FROM attempt_{day} \
         WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 ORDER BY id LIMIT ?4"
    )
}

/// The statement that walks an endpoint's failed attempts of a day, by an index that holds nothing else.
pub(super) fn failures_sql(day: i64) -> String {
    format!(
        "SELECT msg, id, failure, status, last FROM attempt_{day} WHERE endpoint = ?1 AND ok = 0 AND id >= ?2 AND id < ?3 \
         ORDER BY id DESC LIMIT ?4"
    )
}

/// The ids that were given from one time to another.
fn between(since: Timestamp, until: Timestamp) -> Span {
    Span {
        first: first_number_at(since),
        end: first_number_at(until),
    }
}

/// How attempts went in equal spans of time.
pub(super) fn sample(connection: &Connection, query: &SampleQuery) -> Result<Vec<Sample>, Fault> {
    let days = Days::read(connection)?;
    let mut samples = vec![Sample::default(); query.n];
    let whole = between(query.begin(0), query.begin(query.n));
    for day in whole.days(&days, Kind::Attempt, true) {
        let mut any = connection.prepare_cached(&any_sql(day))?;
        let mut counting = connection.prepare_cached(&counting_sql(day))?;
        let mut timing = connection.prepare_cached(&timing_sql(day))?;
        for endpoint in &query.endpoints {
            let endpoint = key(endpoint.number());
            if !any.exists((endpoint, whole.first_key(), whole.end_key()))? {
                continue;
            }
            for (at, sample) in samples.iter_mut().enumerate() {
                let midnight = |day: i64| Timestamp::from_secs(day.saturating_mul(86_400));
                let begin = query.begin(at).max(midnight(day));
                let end = query.begin(at + 1).min(midnight(day + 1));
                if begin >= end {
                    continue;
                }
                let ids = between(begin, end);
                let bound = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
                let counted: Option<Counted> = counting.query_row(
                    (endpoint, ids.first_key(), ids.end_key(), bound(query.counted)),
                    |row| {
                        let attempts: i64 = row.get(0)?;
                        let succeeded: f64 = row.get(1)?;
                        Ok(row.get::<_, Option<i64>>(2)?.map(|last| Counted {
                            attempts: number(attempts),
                            failed: number(attempts - succeeded as i64),
                            reached: AttemptId::from_number(number(last)).created_at(),
                        }))
                    },
                )?;
                let Some(counted) = counted else { continue };
                sample.add(counted, query.counted, begin, end);
                let mut rows = timing.query((endpoint, ids.first_key(), ids.end_key(), bound(query.timed)))?;
                while let Some(row) = rows.next()? {
                    let first_try =
                        row.get::<_, u16>(3)? == 1 && row.get::<_, i64>(4)? == trigger_code(Trigger::Scheduled);
                    let message = number(row.get(2)?);
                    let began = Timestamp::from_micros(row.get(0)?);
                    sample.timings.push(Timing {
                        answer: Duration::from_micros(row.get::<_, i64>(1)?.unsigned_abs()),
                        lag: match first_try {
                            true => Some(lag(connection, &days, message, began)?),
                            false => None,
                        },
                    });
                }
            }
        }
    }
    Ok(samples)
}

/// How late an attempt began: counted from when its message was accepted, or was to be delivered.
fn lag(connection: &Connection, days: &Days, message: u64, began: Timestamp) -> Result<Duration, Fault> {
    let lag = began.since(MessageId::from_number(message).created_at());
    let day = day_of(message);
    if lag < LAG_LOOKED_AT || !days.has(Kind::Message, day) {
        return Ok(lag);
    }
    let sql = format!("SELECT deliver_at FROM message_{day} WHERE id = ?1");
    let asked: Option<Option<i64>> = connection
        .prepare_cached(&sql)?
        .query_row([key(message)], |row| row.get(0))
        .optional()?;
    let asked = asked.flatten().map(Timestamp::from_micros);
    Ok(asked.map_or(lag, |at| lag.min(began.since(at))))
}

/// Which attempts failed: of each endpoint the newest, newest first.
pub(super) fn failures(connection: &Connection, query: &FailureQuery) -> Result<Vec<FailedAttempt>, Fault> {
    let days = Days::read(connection)?;
    let span = between(query.since, query.until);
    let days = span.days(&days, Kind::Attempt, false);
    let mut statements = Vec::with_capacity(days.len());
    for day in days {
        statements.push(connection.prepare_cached(&failures_sql(day))?);
    }
    let mut failures = Vec::new();
    for endpoint in &query.endpoints {
        let mut left = query.per_endpoint;
        for statement in &mut statements {
            if left == 0 {
                break;
            }
            let limit = i64::try_from(left).unwrap_or(i64::MAX);
            let mut rows = statement.query((key(endpoint.number()), span.first_key(), span.end_key(), limit))?;
            while let Some(row) = rows.next()? {
                left -= 1;
                failures.push(failed(*endpoint, row)?);
            }
        }
    }
    Ok(failures)
}

fn failed(endpoint: EndpointId, row: &rusqlite::Row<'_>) -> rusqlite::Result<FailedAttempt> {
    Ok(FailedAttempt {
        endpoint,
        message: MessageId::from_number(number(row.get(0)?)),
        attempt: AttemptId::from_number(number(row.get(1)?)),
        reason: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        status_code: row.get(3)?,
        last: row.get(4)?,
    })
}
