//! How deliveries stand.
//!
//! A delivery has a row unless it was made at its first try, or is out in memory for it. Which of the two follows from the
//! bookkeeping's mark of the node that accepted the message and, for the newest messages, from their attempts: all in one
//! snapshot, so that no answer is torn.

use std::collections::{BTreeMap, HashMap, HashSet};

use bellwire_core::{
    delivery::{DeliveryState, Progress},
    id::{AppId, EndpointId, Id, MessageId, first_number_at},
    message::Message,
    time::Timestamp,
};
use tokio_postgres::Row;

use super::{
    argument::args,
    attempt,
    books::{self, Marks},
    columns::{self, Stored, endpoints_in, key, number},
    connection::Connection,
    days::{Days, Kind, day_of},
    fault::Fault,
    fit::{accepted, fits},
    message::{Steps, stored, stored_all, with_payloads},
    paging::{Span, Walk},
    partition,
    row::progress,
};
use crate::query::{
    DeliveryCounts, DeliveryRow, EndpointMessage, MessageFilter, Order, Page, ReplayCandidate, Rows, Start,
};

const DELIVERY_COLUMNS: &str = "msg, endpoint, state, run, tries, trigger, next_at, seq";
/// Messages whose rows are looked up at once.
const STEP: usize = 1_024;

fn delivery_row(row: &Row) -> DeliveryRow {
    DeliveryRow {
        message: MessageId::from_number(number(row.get(0))),
        endpoint: EndpointId::from_number(number(row.get(1))),
        state: columns::state(i64::from(row.get::<_, i16>(2))),
        progress: progress(row, 3),
        next_at: row.get::<_, Option<i64>>(6).map(Timestamp::from_micros),
        sequence: row.get::<_, Option<i64>>(7).map(number),
    }
}

/// One snapshot's knowledge of how deliveries stand.
pub(super) struct Standing<'c> {
    pub connection: &'c Connection,
    pub days: Days,
    marks: Marks,
    attempts_kept_from: i64,
}

impl<'c> Standing<'c> {
    /// Of the snapshot that the connection has.
    pub async fn read(connection: &'c Connection) -> Result<Self, Fault> {
        Ok(Self {
            connection,
            days: partition::read(connection).await?,
            marks: Marks::read(connection).await?,
            attempts_kept_from: books::attempts_kept_from(connection).await?,
        })
    }

    /// The rows of a message's deliveries.
    async fn rows_of(&self, message: u64) -> Result<Vec<DeliveryRow>, Fault> {
        let day = day_of(message);
        if !self.days.has(Kind::Message, day) {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM delivery_{day} WHERE msg = $1 ORDER BY endpoint");
        let rows = self.connection.rows(&sql, args![key(message)]).await?;
        Ok(rows.iter().map(delivery_row).collect())
    }

    /// The rows of some messages' deliveries to an endpoint.
    async fn rows_at(
        &self,
        messages: impl IntoIterator<Item = u64>,
        endpoint: u64,
    ) -> Result<HashMap<u64, DeliveryRow>, Fault> {
        let mut found = HashMap::new();
        for (day, ids) in by_day(messages) {
            if !self.days.has(Kind::Message, day) {
                continue;
            }
            let sql = format!("SELECT {DELIVERY_COLUMNS} FROM delivery_{day} WHERE msg = ANY ($1) AND endpoint = $2");
            for row in self.connection.rows(&sql, args![ids, key(endpoint)]).await? {
                found.insert(number(row.get(0)), delivery_row(&row));
            }
        }
        Ok(found)
    }

    /// Which of these deliveries were attempted. Without a row there is at most one attempt, soon after the message.
    pub async fn attempted(&self, deliveries: &[(u64, u64)]) -> Result<HashSet<(u64, u64)>, Fault> {
        let mut attempted = HashSet::new();
        let Some(first) = deliveries.iter().map(|(message, _)| *message).min() else {
            return Ok(attempted);
        };
        let messages: Vec<i64> = deliveries.iter().map(|(message, _)| key(*message)).collect();
        let endpoints: Vec<i64> = deliveries.iter().map(|(_, endpoint)| key(*endpoint)).collect();
        for day in self.days.of_attempts(first) {
            let sql = format!(
                "SELECT DISTINCT a.msg, a.endpoint FROM attempt_{day} AS a JOIN unnest($1, $2) AS t (msg, endpoint) \
                 ON a.msg = t.msg AND a.endpoint = t.endpoint"
            );
            for row in self.connection.rows(&sql, args![messages, endpoints]).await? {
                attempted.insert((number(row.get(0)), number(row.get(1))));
            }
        }
        Ok(attempted)
    }

    /// Whether a message's attempts may have been dropped already.
    pub fn attempts_may_be_gone(&self, message: u64) -> bool {
        day_of(message) < self.attempts_kept_from
    }

    /// Whether a delivery without a row counts as made by the bookkeeping alone.
    pub fn is_below_mark(&self, message: u64) -> bool {
        self.marks.is_below(message)
    }

    /// The deliveries of messages to an endpoint, of those that have one there.
    async fn at(&self, messages: &[&Stored], endpoint: u64) -> Result<HashMap<u64, DeliveryRow>, Fault> {
        let id = |found: &Stored| found.message.id.number();
        let mut all = self.rows_at(messages.iter().map(|found| id(found)), endpoint).await?;
        let without: Vec<&Stored> = messages
            .iter()
            .copied()
            .filter(|found| !all.contains_key(&id(found)) && found.goes_to(endpoint))
            .collect();
        let open: Vec<(u64, u64)> = without
            .iter()
            .map(|found| (id(found), endpoint))
            .filter(|(message, _)| !self.is_below_mark(*message))
            .collect();
        let attempted = self.attempted(&open).await?;
        for found in without {
            let made = self.is_below_mark(id(found)) || attempted.contains(&(id(found), endpoint));
            all.insert(id(found), without_row(&found.message, endpoint, made));
        }
        Ok(all)
    }

    /// All deliveries of a message, by endpoint.
    async fn all_of(&self, stored: &Stored) -> Result<BTreeMap<u64, DeliveryRow>, Fault> {
        let message = stored.message.id.number();
        let mut all = BTreeMap::new();
        for row in self.rows_of(message).await? {
            all.insert(row.endpoint.number(), row);
        }
        let without: Vec<(u64, u64)> = endpoints_in(&stored.endpoints)
            .filter(|endpoint| !all.contains_key(endpoint))
            .map(|endpoint| (message, endpoint))
            .collect();
        let attempted = self.attempted(&without).await?;
        for (_, endpoint) in without {
            let made = self.is_below_mark(message) || attempted.contains(&(message, endpoint));
            all.insert(endpoint, without_row(&stored.message, endpoint, made));
        }
        Ok(all)
    }
}

fn by_day(messages: impl IntoIterator<Item = u64>) -> BTreeMap<i64, Vec<i64>> {
    let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for message in messages {
        days.entry(day_of(message)).or_default().push(key(message));
    }
    days
}

/// How a delivery of a message that was routed to the endpoint stands when it has no row.
fn without_row(message: &Message, endpoint: u64, made: bool) -> DeliveryRow {
    DeliveryRow {
        message: message.id,
        endpoint: EndpointId::from_number(endpoint),
        state: if made {
            DeliveryState::Succeeded
        } else {
            DeliveryState::Pending
        },
        progress: Progress {
            tries: u16::from(made),
            ..Progress::default()
        },
        next_at: (!made).then_some(message.created_at),
        sequence: None,
    }
}

/// The deliveries of a message.
pub(super) async fn deliveries(
    connection: &Connection,
    app: AppId,
    message: MessageId,
    page: Page,
) -> Result<Rows<DeliveryRow>, Fault> {
    let standing = Standing::read(connection).await?;
    let found = stored(connection, &standing.days, message.number()).await?;
    let Some(found) = found.filter(|found| found.message.app == app) else {
        return Ok(Rows::EMPTY);
    };
    let all = standing.all_of(&found).await?;
    let mut walk = Walk::new(page);
    let Span { first, end } = walk.span();
    let in_span = all.range(first..end).map(|(_, row)| *row);
    let ordered: Vec<_> = if walk.ascending() {
        in_span.collect()
    } else {
        in_span.rev().collect()
    };
    for row in ordered {
        if walk.push(row).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}

/// What is asked of an endpoint's messages.
pub(super) struct EndpointQuery {
    pub app: AppId,
    pub endpoint: EndpointId,
    pub filter: MessageFilter,
    pub state: Option<DeliveryState>,
    pub page: Page,
    pub with_payload: bool,
}

impl EndpointQuery {
    /// Takes those of some messages that are asked for. Tells whether to go on.
    async fn take(
        &self,
        standing: &Standing<'_>,
        walk: &mut Walk<EndpointMessage>,
        found: Vec<Stored>,
    ) -> Result<bool, Fault> {
        let fit: Vec<&Stored> = found
            .iter()
            .filter(|found| found.message.app == self.app && fits(&self.filter, &found.message))
            .collect();
        let mut deliveries = standing.at(&fit, self.endpoint.number()).await?;
        for Stored { message, .. } in found {
            let Some(delivery) = deliveries.remove(&message.id.number()) else {
                continue;
            };
            let is_wanted = self.state.is_none_or(|state| state == delivery.state);
            if is_wanted && walk.push(EndpointMessage { message, delivery }).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Messages that were sent or are to be sent to an endpoint.
pub(super) async fn endpoint_messages(
    connection: &Connection,
    query: &EndpointQuery,
    now: Timestamp,
) -> Result<Rows<EndpointMessage>, Fault> {
    let standing = Standing::read(connection).await?;
    let mut walk = Walk::new(query.page);
    let span = walk.span().and(accepted(&query.filter));
    match query.state {
        // Only deliveries with a row can stand so, and an index knows them.
        Some(DeliveryState::Failed) => over(&standing, query, span, columns::FAILED, &mut walk).await?,
        Some(DeliveryState::Cancelled) => over(&standing, query, span, columns::CANCELLED, &mut walk).await?,
        _ => {
            let mut steps = Steps::of_app(&standing.days, query.app, span, walk.ascending());
            while let Some(found) = steps.next(connection).await? {
                if !query.take(&standing, &mut walk, found).await? {
                    break;
                }
            }
        }
    }
    let mut rows = walk.into_rows();
    if query.with_payload {
        let messages = rows.items.iter_mut().map(|row| &mut row.message);
        with_payloads(connection, &standing.days, messages, now).await?;
    }
    Ok(rows)
}

/// Walks the deliveries of a day that failed or were cancelled, in the order of their messages.
pub(super) fn rows_of_endpoint_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT msg FROM delivery_{day} WHERE endpoint = $1 AND state = $2 AND state >= 2 AND msg >= $3 AND msg < $4 \
         ORDER BY msg {direction} LIMIT {STEP}"
    )
}

/// Those that are over in a state.
async fn over(
    standing: &Standing<'_>,
    query: &EndpointQuery,
    span: Span,
    state: i64,
    walk: &mut Walk<EndpointMessage>,
) -> Result<(), Fault> {
    let ascending = walk.ascending();
    for day in span.days(&standing.days, Kind::Message, ascending) {
        let mut left = span;
        loop {
            let endpoint = key(query.endpoint.number());
            let args = args![endpoint, state as i16, left.first_key(), left.end_key()];
            let rows = standing
                .connection
                .rows(&rows_of_endpoint_sql(day, ascending), args)
                .await?;
            let ids: Vec<u64> = rows.iter().map(|row| number(row.get(0))).collect();
            let mut messages = stored_all(standing.connection, &standing.days, ids.iter().copied()).await?;
            let found = ids.iter().filter_map(|id| messages.remove(id)).collect();
            if !query.take(standing, walk, found).await? {
                return Ok(());
            }
            let Some(last) = ids.last().filter(|_| ids.len() == STEP) else {
                break;
            };
            if ascending {
                left.first = last + 1;
            } else {
                left.end = *last;
            }
        }
    }
    Ok(())
}

/// Messages of the application and how each stands at the endpoint.
pub(super) async fn replay_candidates(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
    filter: &MessageFilter,
    after: u64,
    limit: usize,
) -> Result<Rows<ReplayCandidate>, Fault> {
    let standing = Standing::read(connection).await?;
    let endpoint = endpoint.number();
    let mut walk = Walk::new(Page {
        limit,
        start: Start::After(after),
        order: Order::Ascending,
    });
    let span = walk.span().and(accepted(filter));
    let mut steps = Steps::of_app(&standing.days, app, span, true);
    'walk: while let Some(found) = steps.next(connection).await? {
        let fit: Vec<&Stored> = found.iter().filter(|found| fits(filter, &found.message)).collect();
        let mut deliveries = standing.at(&fit, endpoint).await?;
        let ids = fit.iter().map(|found| found.message.id.number());
        let mut lasts = attempt::last_statuses(connection, &standing.days, ids, endpoint).await?;
        for Stored { message, .. } in found.into_iter().filter(|found| fits(filter, &found.message)) {
            let id = message.id.number();
            let last = lasts.remove(&id);
            let candidate = ReplayCandidate {
                delivery: deliveries.remove(&id),
                last_status_code: last.as_ref().map(|(status, _)| *status),
                last_failure: last.and_then(|(_, failure)| failure),
                message,
            };
            if walk.push(candidate).is_break() {
                break 'walk;
            }
        }
    }
    Ok(walk.into_rows())
}

/// Walks an endpoint's successful attempts of a day at messages of a span: by an index that holds all it needs.
pub(super) fn successes_sql(day: i64) -> String {
    format!("SELECT msg FROM attempt_{day} WHERE endpoint = $1 AND ok AND msg >= $2 AND msg < $3")
}

/// How the deliveries of messages accepted in a span of time stand at an endpoint.
///
/// Those with a row are counted from their rows; those without one from their attempts, by an index; only what is out in
/// memory, and days whose attempts are gone, are looked up message by message.
pub(super) async fn counts(
    connection: &Connection,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<DeliveryCounts, Fault> {
    let standing = Standing::read(connection).await?;
    let filter = MessageFilter {
        after: Some(since),
        before: Some(until),
        ..MessageFilter::default()
    };
    // Attempts may be kept longer than their messages: what is forgotten is not counted.
    let kept_from = standing.days.of(Kind::Message).next();
    let span = Span {
        first: first_number_at(since).max(kept_from.map_or(u64::MAX >> 1, first_number_at_day)),
        end: first_number_at(until),
    };
    let number_of_endpoint = endpoint.number();
    let mut counts = DeliveryCounts::default();
    let mut rowed: HashSet<i64> = HashSet::new();
    for day in span.days(&standing.days, Kind::Message, true) {
        let sql = format!("SELECT msg, state FROM delivery_{day} WHERE endpoint = $1 AND msg >= $2 AND msg < $3");
        let args = args![key(number_of_endpoint), span.first_key(), span.end_key()];
        for row in connection.rows(&sql, args).await? {
            rowed.insert(row.get(0));
            count(&mut counts, columns::state(i64::from(row.get::<_, i16>(1))));
        }
    }
    let kept = Span {
        first: span.first.max(first_number_at_day(standing.attempts_kept_from)),
        end: span.end,
    };
    for day in standing.days.of_attempts(kept.first) {
        let args = args![key(number_of_endpoint), kept.first_key(), kept.end_key()];
        for row in connection.rows(&successes_sql(day), args).await? {
            if !rowed.contains(&row.get(0)) {
                counts.succeeded += 1;
            }
        }
    }
    let sql = "SELECT app FROM endpoint WHERE id = $1";
    let app = connection.row(sql, args![key(number_of_endpoint)]).await?;
    let Some(app) = app.map(|row| AppId::from_number(number(row.get(0)))) else {
        return Ok(counts);
    };
    let without_attempts = [
        Span {
            first: span.first,
            end: kept.first.min(span.end),
        },
        Span {
            first: kept.first.max(standing.marks.least()),
            end: span.end,
        },
    ];
    for part in without_attempts {
        let mut steps = Steps::of_app(&standing.days, app, part, true);
        while let Some(found) = steps.next(connection).await? {
            let open: Vec<(u64, u64)> = found
                .iter()
                .filter(|found| !rowed.contains(&key(found.message.id.number())) && found.goes_to(number_of_endpoint))
                .filter(|found| fits(&filter, &found.message))
                .map(|found| (found.message.id.number(), number_of_endpoint))
                .collect();
            let attempted = standing.attempted(&open).await?;
            for delivery in open {
                if !attempted.contains(&delivery) {
                    let made = standing.is_below_mark(delivery.0);
                    let state = if made {
                        DeliveryState::Succeeded
                    } else {
                        DeliveryState::Pending
                    };
                    count(&mut counts, state);
                } else if part.end <= kept.first {
                    counts.succeeded += 1;
                }
            }
        }
    }
    Ok(counts)
}

fn first_number_at_day(day: i64) -> u64 {
    first_number_at(Timestamp::from_secs(day.saturating_mul(86_400)))
}

/// One more in this state.
pub(super) fn count(counts: &mut DeliveryCounts, state: DeliveryState) {
    match state {
        DeliveryState::Succeeded => counts.succeeded += 1,
        DeliveryState::Pending | DeliveryState::Sending => counts.pending += 1,
        DeliveryState::Failed => counts.failed += 1,
        DeliveryState::Cancelled => counts.cancelled += 1,
    }
}
