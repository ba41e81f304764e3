//! How deliveries stand.
//!
//! A delivery has a row unless it was made at its first try, or is out in memory for it. Which of the two follows from the
//! bookkeeping's mark and, for the newest messages, from their attempts: all in one snapshot, so that no answer is torn.

use std::{collections::BTreeMap, collections::HashSet, ops::ControlFlow};

use bellwire_core::{
    delivery::{DeliveryState, Progress},
    id::{AppId, EndpointId, Id, MessageId, first_number_at},
    message::Message,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    attempt,
    books::{self, Books},
    fault::Fault,
    message::{accepted, each_of_app, fits, payload, stored},
    paging::{Span, Walk},
    partition::{Days, Kind, day_of},
    row::{self, Stored, endpoints_in, key, number},
};
use crate::query::{
    DeliveryCounts, DeliveryRow, EndpointMessage, MessageFilter, Order, Page, ReplayCandidate, Rows, Start,
};

const DELIVERY_COLUMNS: &str = "msg, endpoint, state, run, tries, trigger, next_at, seq";

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        message: MessageId::from_number(number(row.get(0)?)),
        endpoint: EndpointId::from_number(number(row.get(1)?)),
        state: row::state(row.get(2)?),
        progress: row::progress(row, 3)?,
        next_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        sequence: row.get::<_, Option<i64>>(7)?.map(number),
    })
}

/// One snapshot's knowledge of how deliveries stand.
pub(super) struct Standing<'c> {
    pub connection: &'c Connection,
    pub days: Days,
    mark: u64,
    attempts_kept_from: i64,
}

impl<'c> Standing<'c> {
    /// Of the snapshot that the connection has.
    pub fn read(connection: &'c Connection) -> Result<Self, Fault> {
        Ok(Self {
            connection,
            days: Days::read(connection)?,
            mark: Books::read(connection)?.mark,
            attempts_kept_from: books::attempts_kept_from(connection)?,
        })
    }

    /// The rows of a message's deliveries.
    pub fn rows_of(&self, message: u64) -> Result<Vec<DeliveryRow>, Fault> {
        let day = day_of(message);
        if !self.days.has(Kind::Message, day) {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM delivery_{day} WHERE msg = ?1 ORDER BY endpoint");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([key(message)], delivery_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn row(&self, message: u64, endpoint: u64) -> Result<Option<DeliveryRow>, Fault> {
        let day = day_of(message);
        if !self.days.has(Kind::Message, day) {
            return Ok(None);
        }
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM delivery_{day} WHERE msg = ?1 AND endpoint = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement
            .query_row((key(message), key(endpoint)), delivery_row)
            .optional()?)
    }

    /// How a delivery of a message that was routed to the endpoint stands when it has no row.
    pub fn without_row(&self, message: &Message, endpoint: u64) -> Result<DeliveryRow, Fault> {
        let made = self.is_made(message.id.number(), endpoint)?;
        Ok(DeliveryRow {
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
        })
    }

    fn is_made(&self, message: u64, endpoint: u64) -> Result<bool, Fault> {
        Ok(message < self.mark || self.has_attempt(message, endpoint)?)
    }

    /// Whether there is an attempt. Without a row there is at most one, soon after the message.
    pub fn has_attempt(&self, message: u64, endpoint: u64) -> Result<bool, Fault> {
        for day in self.days.of_attempts(message) {
            let sql = format!("SELECT 1 FROM attempt_{day} WHERE msg = ?1 AND endpoint = ?2");
            if self
                .connection
                .prepare_cached(&sql)?
                .exists((key(message), key(endpoint)))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a message's attempts may have been dropped already.
    pub fn attempts_may_be_gone(&self, message: u64) -> bool {
        day_of(message) < self.attempts_kept_from
    }

    /// Whether a delivery without a row counts as made by the bookkeeping alone.
    pub fn is_below_mark(&self, message: u64) -> bool {
        message < self.mark
    }

    /// The delivery of a message to an endpoint, if there is one.
    pub fn of(&self, stored: &Stored, endpoint: u64) -> Result<Option<DeliveryRow>, Fault> {
        if let Some(row) = self.row(stored.message.id.number(), endpoint)? {
            return Ok(Some(row));
        }
        if stored.goes_to(endpoint) {
            Ok(Some(self.without_row(&stored.message, endpoint)?))
        } else {
            Ok(None)
        }
    }

    /// All deliveries of a message, by endpoint.
    fn all_of(&self, stored: &Stored) -> Result<BTreeMap<u64, DeliveryRow>, Fault> {
        let mut all = BTreeMap::new();
        for row in self.rows_of(stored.message.id.number())? {
            all.insert(row.endpoint.number(), row);
        }
        for endpoint in endpoints_in(&stored.endpoints) {
            if let std::collections::btree_map::Entry::Vacant(vacant) = all.entry(endpoint) {
                vacant.insert(self.without_row(&stored.message, endpoint)?);
            }
        }
        Ok(all)
    }
}

/// The deliveries of a message.
pub(super) fn deliveries(
    connection: &Connection,
    app: AppId,
    message: MessageId,
    page: Page,
) -> Result<Rows<DeliveryRow>, Fault> {
    let standing = Standing::read(connection)?;
    let found = stored(connection, &standing.days, message.number())?.filter(|found| found.message.app == app);
    let Some(found) = found else { return Ok(Rows::EMPTY) };
    let all = standing.all_of(&found)?;
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

/// Messages that were sent or are to be sent to an endpoint.
pub(super) fn endpoint_messages(
    connection: &Connection,
    query: &EndpointQuery,
    now: Timestamp,
) -> Result<Rows<EndpointMessage>, Fault> {
    let standing = Standing::read(connection)?;
    let mut walk = Walk::new(query.page);
    let span = walk.span().and(accepted(&query.filter));
    let endpoint = query.endpoint.number();
    let ascending = walk.ascending();
    let mut visit = |found: Stored| -> Result<ControlFlow<()>, Fault> {
        if !fits(&query.filter, &found.message) {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(delivery) = standing.of(&found, endpoint)? else {
            return Ok(ControlFlow::Continue(()));
        };
        if query.state.is_some_and(|state| state != delivery.state) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut message = found.message;
        if query.with_payload && walk.has_room() {
            message.payload = payload(connection, &standing.days, &message, now)?;
        }
        Ok(walk.push(EndpointMessage { message, delivery }))
    };
    match query.state {
        // Only deliveries with a row can stand so, and an index knows them.
        Some(state @ (DeliveryState::Failed | DeliveryState::Cancelled)) => {
            let code = if state == DeliveryState::Failed {
                row::FAILED
            } else {
                row::CANCELLED
            };
            'days: for day in span.days(&standing.days, Kind::Message, ascending) {
                let mut statement = connection.prepare_cached(&rows_of_endpoint_sql(day, ascending))?;
                let mut rows = statement.query((key(endpoint), code, span.first_key(), span.end_key()))?;
                while let Some(row) = rows.next()? {
                    let Some(found) = stored(connection, &standing.days, number(row.get(0)?))? else {
                        continue;
                    };
                    if found.message.app == query.app && visit(found)?.is_break() {
                        break 'days;
                    }
                }
            }
        }
        _ => each_of_app(connection, &standing.days, query.app, span, ascending, visit)?,
    }
    Ok(walk.into_rows())
}

/// Walks the deliveries of a day that failed or were cancelled, in the order of their messages.
pub(super) fn rows_of_endpoint_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT msg FROM delivery_{day} WHERE endpoint = ?1 AND state = ?2 AND state >= 2 AND msg >= ?3 AND msg < ?4 \
         ORDER BY msg {direction}"
    )
}

/// Messages of the application and how each stands at the endpoint.
pub(super) fn replay_candidates(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
    filter: &MessageFilter,
    after: u64,
    limit: usize,
) -> Result<Rows<ReplayCandidate>, Fault> {
    let standing = Standing::read(connection)?;
    let endpoint = endpoint.number();
    let mut walk = Walk::new(Page {
        limit,
        start: Start::After(after),
        order: Order::Ascending,
    });
    let span = walk.span().and(accepted(filter));
    each_of_app(connection, &standing.days, app, span, true, |found| {
        if !fits(filter, &found.message) {
            return Ok(ControlFlow::Continue(()));
        }
        let row = standing.row(found.message.id.number(), endpoint)?;
        let last = attempt::last_status(
            connection,
            &standing.days,
            found.message.id.number(),
            endpoint,
            row.is_some(),
        )?;
        let delivery = match row {
            Some(row) => Some(row),
            None if found.goes_to(endpoint) => Some(standing.without_row(&found.message, endpoint)?),
            None => None,
        };
        Ok(walk.push(ReplayCandidate {
            message: found.message,
            delivery,
            last_status_code: last.as_ref().map(|(status, _)| *status),
            last_failure: last.and_then(|(_, failure)| failure),
        }))
    })?;
    Ok(walk.into_rows())
}

/// Walks an endpoint's successful attempts of a day at messages of a span: by an index that holds all it needs.
pub(super) fn successes_sql(day: i64) -> String {
    format!("SELECT msg FROM attempt_{day} WHERE endpoint = ?1 AND ok = 1 AND msg >= ?2 AND msg < ?3")
}

/// How the deliveries of messages accepted in a span of time stand at an endpoint.
///
/// Those with a row are counted from their rows; those without one from their attempts, by an index; only what is out in
/// memory, and days whose attempts are gone, are looked up message by message.
pub(super) fn counts(
    connection: &Connection,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<DeliveryCounts, Fault> {
    let standing = Standing::read(connection)?;
    let filter = MessageFilter {
        after: Some(since),
        before: Some(until),
        ..MessageFilter::default()
    };
    // Attempts may be kept longer than their messages: what is forgotten is not counted.
    let kept_from = standing
        .days
        .of(Kind::Message)
        .next()
        .map_or(u64::MAX >> 1, first_number_at_day);
    let span = Span {
        first: first_number_at(since).max(kept_from),
        end: first_number_at(until),
    };
    let number_of_endpoint = endpoint.number();
    let mut counts = DeliveryCounts::default();
    let mut rowed: HashSet<i64> = HashSet::new();
    for day in span.days(&standing.days, Kind::Message, true) {
        let sql = format!("SELECT msg, state FROM delivery_{day} WHERE endpoint = ?1 AND msg >= ?2 AND msg < ?3");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((key(number_of_endpoint), span.first_key(), span.end_key()))?;
        while let Some(row) = rows.next()? {
            rowed.insert(row.get(0)?);
            count(&mut counts, row::state(row.get(1)?));
        }
    }
    let kept = Span {
        first: span.first.max(first_number_at_day(standing.attempts_kept_from)),
        end: span.end,
    };
    for day in standing.days.of_attempts(kept.first) {
        let mut statement = connection.prepare_cached(&successes_sql(day))?;
        let mut rows = statement.query((key(number_of_endpoint), kept.first_key(), kept.end_key()))?;
        while let Some(row) = rows.next()? {
            if !rowed.contains(&row.get(0)?) {
                counts.succeeded += 1;
            }
        }
    }
    let app: Option<i64> = connection
        .prepare_cached("SELECT app FROM endpoint WHERE id = ?1")?
        .query_row([key(number_of_endpoint)], |row| row.get(0))
        .optional()?;
    let Some(app) = app.map(|app| AppId::from_number(number(app))) else {
        return Ok(counts);
    };
    let without_attempts = [
        Span {
            first: span.first,
            end: kept.first.min(span.end),
        },
        Span {
            first: kept.first.max(standing.mark),
            end: span.end,
        },
    ];
    for part in without_attempts {
        each_of_app(connection, &standing.days, app, part, true, |found| {
            let message = found.message.id.number();
            let counted = rowed.contains(&key(message)) || !found.goes_to(number_of_endpoint);
            if counted || !fits(&filter, &found.message) {
                return Ok(ControlFlow::Continue(()));
            }
            let has_attempt = standing.has_attempt(message, number_of_endpoint)?;
            if !has_attempt {
                let made = standing.is_below_mark(message);
                count(
                    &mut counts,
                    if made {
                        DeliveryState::Succeeded
                    } else {
                        DeliveryState::Pending
                    },
                );
            } else if part.end <= kept.first {
                counts.succeeded += 1;
            }
            Ok(ControlFlow::Continue(()))
        })?;
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
