//! Looking at many attempts at once: samples of how they went, and which failed. One statement a day, for all endpoints.

use std::{collections::HashMap, time::Duration};

use bellwire_core::{
    delivery::Trigger,
    id::{AttemptId, EndpointId, Id, MessageId, first_number_at},
    time::Timestamp,
};

use super::{
    argument::args,
    columns::{key, number, trigger_code},
    connection::Connection,
    days::{Days, Kind, day_of},
    fault::Fault,
    paging::Span,
    partition,
};
use crate::survey::{Counted, FailedAttempt, FailureQuery, Sample, SampleQuery, Timing};

/// A lag that is longer may be one that the message asked for.
const LAG_LOOKED_AT: Duration = Duration::from_secs(1);

/// The statement that counts attempts by endpoint and part of a day, each up to a bound.
pub(super) fn counting_sql(day: i64) -> String {
    format!(
        "SELECT part.place, counted.n, counted.ok, counted.last FROM unnest($1) AS wanted (endpoint) \
         CROSS JOIN unnest($2, $3, $4) AS part (place, first, past) \
         CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE seen.ok) AS ok, max(seen.id) AS last FROM \
         (SELECT a.ok, a.id FROM attempt_{day} AS a WHERE a.endpoint = wanted.endpoint AND a.id >= part.first \
         AND a.id < part.past ORDER BY a.id LIMIT $5) AS seen) AS counted WHERE counted.n > 0"
    )
}

/// The statement that tells how long the first of them took.
pub(super) fn timing_sql(day: i64) -> String {
    format!(
        "SELECT part.place, timed.started_at, timed.duration_us, timed.msg, timed.number, timed.trigger \
         FROM unnest($1) AS wanted (endpoint) CROSS JOIN unnest($2, $3, $4) AS part (place, first, past) \
         CROSS JOIN LATERAL (SELECT a.started_at, a.duration_us, a.msg, a.number, a.trigger FROM attempt_{day} AS a \
         WHERE a.endpoint = wanted.endpoint AND a.id >= part.first AND a.id < part.past ORDER BY a.id LIMIT $5) AS timed"
    )
}

/// The statement that tells which endpoints have attempts at all in a part of a day.
fn any_sql(day: i64) -> String {
    format!(
        "SELECT wanted.endpoint FROM unnest($1) AS wanted (endpoint) WHERE EXISTS (SELECT 1 FROM attempt_{day} AS a \
         WHERE a.endpoint = wanted.endpoint AND a.id >= $2 AND a.id < $3)"
    )
}

/// The statement that walks endpoints' failed attempts of a day, by an index that holds nothing else.
pub(super) fn failures_sql(day: i64) -> String {
    format!(
        "SELECT wanted.endpoint, failed.msg, failed.id, failed.failure, failed.status, failed.last \
         FROM unnest($1) AS wanted (endpoint) CROSS JOIN LATERAL (SELECT a.msg, a.id, a.failure, a.status, a.last \
         FROM attempt_{day} AS a WHERE a.endpoint = wanted.endpoint AND NOT a.ok AND a.id >= $2 AND a.id < $3 \
         ORDER BY a.id DESC LIMIT $4) AS failed"
    )
}

/// The ids that were given from one time to another.
fn between(since: Timestamp, until: Timestamp) -> Span {
    Span {
        first: first_number_at(since),
        end: first_number_at(until),
    }
}

/// The parts of a day that belong to spans: place, begin and end of each.
fn parts(query: &SampleQuery, day: i64) -> Vec<(usize, Timestamp, Timestamp)> {
    let midnight = |day: i64| Timestamp::from_secs(day.saturating_mul(86_400));
    let part = |place| {
        let begin = query.begin(place).max(midnight(day));
        let end = query.begin(place + 1).min(midnight(day + 1));
        (place, begin, end)
    };
    let parts = (0..query.n).map(part);
    parts.filter(|(_, begin, end)| begin < end).collect()
}

/// How attempts went in equal spans of time.
pub(super) async fn sample(connection: &Connection, query: &SampleQuery) -> Result<Vec<Sample>, Fault> {
    let days = partition::read(connection).await?;
    let mut samples = vec![Sample::default(); query.n];
    let whole = between(query.begin(0), query.begin(query.n));
    let wanted: Vec<i64> = query.endpoints.iter().map(|endpoint| key(endpoint.number())).collect();
    for day in whole.days(&days, Kind::Attempt, true) {
        let args = args![wanted, whole.first_key(), whole.end_key()];
        let there = connection.rows(&any_sql(day), args).await?;
        let endpoints: Vec<i64> = there.iter().map(|row| row.get(0)).collect();
        if endpoints.is_empty() {
            continue;
        }
        let parts = parts(query, day);
        let places: Vec<i64> = (0..parts.len() as i64).collect();
        let ids = parts.iter().map(|(_, begin, end)| between(*begin, *end));
        let (firsts, pasts): (Vec<i64>, Vec<i64>) = ids.map(|span| (span.first_key(), span.end_key())).unzip();
        let bound = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let args = args![endpoints, places, firsts, pasts, bound(query.counted)];
        for row in connection.rows(&counting_sql(day), args).await? {
            let (place, begin, end) = parts[row.get::<_, i64>(0) as usize];
            let (attempts, succeeded) = (number(row.get(1)), number(row.get(2)));
            let counted = Counted {
                attempts,
                failed: attempts - succeeded,
                reached: AttemptId::from_number(number(row.get(3))).created_at(),
            };
            samples[place].add(counted, query.counted, begin, end);
        }
        let args = args![endpoints, places, firsts, pasts, bound(query.timed)];
        let timed = connection.rows(&timing_sql(day), args).await?;
        let mut late = Vec::new();
        for row in timed {
            let place = parts[row.get::<_, i64>(0) as usize].0;
            let began = Timestamp::from_micros(row.get(1));
            let is_first =
                row.get::<_, i16>(4) == 1 && i64::from(row.get::<_, i16>(5)) == trigger_code(Trigger::Scheduled);
            let message = number(row.get(3));
            let lag = is_first.then(|| began.since(MessageId::from_number(message).created_at()));
            if lag.is_some_and(|lag| lag >= LAG_LOOKED_AT) {
                late.push((place, samples[place].timings.len(), message, began));
            }
            let answer = Duration::from_micros(row.get::<_, i64>(2).unsigned_abs());
            samples[place].timings.push(Timing { answer, lag });
        }
        let asked = asked_for(connection, &days, late.iter().map(|(_, _, message, _)| *message)).await?;
        for (place, at, message, began) in late {
            if let (Some(at_earliest), Some(lag)) = (asked.get(&message), &mut samples[place].timings[at].lag) {
                *lag = (*lag).min(began.since(*at_earliest));
            }
        }
    }
    Ok(samples)
}

/// When messages were to be delivered at the earliest, those that said so.
async fn asked_for(
    connection: &Connection,
    days: &Days,
    messages: impl Iterator<Item = u64>,
) -> Result<HashMap<u64, Timestamp>, Fault> {
    let mut wanted: HashMap<i64, Vec<i64>> = HashMap::new();
    for message in messages.filter(|message| days.has(Kind::Message, day_of(*message))) {
        wanted.entry(day_of(message)).or_default().push(key(message));
    }
    let mut asked = HashMap::new();
    for (day, ids) in wanted {
        let sql = format!("SELECT id, deliver_at FROM message_{day} WHERE id = ANY ($1) AND deliver_at IS NOT NULL");
        for row in connection.rows(&sql, args![ids]).await? {
            asked.insert(number(row.get(0)), Timestamp::from_micros(row.get(1)));
        }
    }
    Ok(asked)
}

/// Which attempts failed: of each endpoint the newest, newest first.
pub(super) async fn failures(connection: &Connection, query: &FailureQuery) -> Result<Vec<FailedAttempt>, Fault> {
    let days = partition::read(connection).await?;
    let span = between(query.since, query.until);
    let mut wanted: Vec<i64> = query.endpoints.iter().map(|endpoint| key(endpoint.number())).collect();
    let mut found: HashMap<i64, Vec<FailedAttempt>> = HashMap::new();
    for day in span.days(&days, Kind::Attempt, false) {
        if wanted.is_empty() {
            break;
        }
        let limit = i64::try_from(query.per_endpoint).unwrap_or(i64::MAX);
        let args = args![wanted, span.first_key(), span.end_key(), limit];
        for row in connection.rows(&failures_sql(day), args).await? {
            let endpoint: i64 = row.get(0);
            let of_endpoint = found.entry(endpoint).or_default();
            if of_endpoint.len() < query.per_endpoint {
                of_endpoint.push(FailedAttempt {
                    endpoint: EndpointId::from_number(number(endpoint)),
                    message: MessageId::from_number(number(row.get(1))),
                    attempt: AttemptId::from_number(number(row.get(2))),
                    reason: row.get::<_, Option<String>>(3).unwrap_or_default(),
                    status_code: row.get::<_, i16>(4) as u16,
                    last: row.get(5),
                });
            }
        }
        wanted.retain(|endpoint| found.get(endpoint).is_none_or(|found| found.len() < query.per_endpoint));
    }
    let in_order = query.endpoints.iter();
    Ok(in_order
        .flat_map(|endpoint| found.remove(&key(endpoint.number())).unwrap_or_default())
        .collect())
}
