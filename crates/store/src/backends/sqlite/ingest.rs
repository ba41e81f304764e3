//! Accepting messages: part of a commit that serves many publishers.
//!
//! Lean on purpose: a message costs one row, its payload another, and nothing per endpoint unless a delivery has to wait or
//! stands in line.

use std::sync::Arc;

use bellwire_core::{
    delivery::{Progress, Work},
    id::{Id, MessageId},
    message::{IdempotencyKey, Message, NewMessage, Route},
    order::Line,
    time::Timestamp,
};
use rusqlite::{OptionalExtension as _, params};

use super::{
    line::{self, Spot},
    partition::{Kind, day_of},
    row::{PENDING, key, list, number, pack_endpoints, trigger_code},
    settle::{FRESH, IN_LINE},
    tx::Tx,
};
use crate::{contract::Appended, error::AppendError};

const INSERT_MESSAGE: &str = "INSERT INTO message_{d} (id, app, event_type, event_id, channels, tags, payload_expires_at, \
     deliver_at, traceparent, content_type, created_at, endpoints, ordering_key, inbound) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
const INSERT_PAYLOAD: &str = "INSERT INTO payload_{d} (id, body) VALUES (?1, ?2)";
const FIND_KEY: &str = "SELECT body_hash, msg, expires_at FROM idempotent_{d} WHERE key = ?1";
const INSERT_KEY: &str =
    "INSERT OR REPLACE INTO idempotent_{d} (key, body_hash, msg, expires_at) VALUES (?1, ?2, ?3, ?4)";
const INSERT_DELIVERY: &str = "INSERT INTO delivery_{d} (msg, endpoint, state, run, tries, trigger, next_at, okey, seq, era) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const INSERT_DUE: &str = "INSERT INTO due (endpoint, next_at, msg, run, tries, trigger, okey, seq, era) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// Accepts one message, or says why not.
///
/// # Errors
/// Those of SQLite: the whole transaction fails then.
pub(super) fn append(tx: &mut Tx<'_>, message: NewMessage) -> rusqlite::Result<Result<Appended, AppendError>> {
    if let Some(idempotency) = &message.idempotency
        && let Some(answer) = repetition(tx, idempotency)?
    {
        return Ok(answer);
    }
    if let Some(event_id) = &message.event_id
        && let Some(existing) = by_event_id(tx.connection, key(message.app.number()), event_id)?
    {
        return Ok(Err(taken(event_id, existing)));
    }
    let id = tx.ids.next_number(tx.now);
    let (message, routes) = insert(tx, id, message)?;
    deliver(tx, Arc::new(message), &routes)?;
    Ok(Ok(Appended {
        id: MessageId::from_number(id),
        repeated: false,
    }))
}

/// The message of an application with this event id.
pub(super) fn by_event_id(
    connection: &rusqlite::Connection,
    app: i64,
    event_id: &str,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT msg FROM event_id WHERE app = ?1 AND event_id = ?2")?
        .query_row((app, event_id), |row| row.get(0))
        .optional()
}

/// That an event id was used before, by this message.
pub(super) fn taken(event_id: &str, existing: i64) -> AppendError {
    AppendError::EventIdTaken {
        event_id: event_id.to_owned(),
        existing: MessageId::from_number(number(existing)),
        overtaken: false,
    }
}

/// What an idempotency key that was used before is answered.
fn repetition(
    tx: &mut Tx<'_>,
    idempotency: &IdempotencyKey,
) -> rusqlite::Result<Option<Result<Appended, AppendError>>> {
    let days: Vec<i64> = tx.tables.days().from(Kind::Idempotent, tx.now.day()).collect();
    for day in days {
        let sql = tx.tables.sql(FIND_KEY, day);
        let found = tx
            .connection
            .prepare_cached(sql)?
            .query_row([&idempotency.key[..]], |row| {
                let same_body = row.get_ref(0)?.as_blob().is_ok_and(|body| body == idempotency.body);
                Ok((same_body, row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?))
            });
        match found.optional()? {
            Some((same_body, id, expires_at)) if expires_at > tx.now.micros() => {
                return Ok(Some(match id {
                    Some(id) if same_body => Ok(Appended {
                        id: MessageId::from_number(number(id)),
                        repeated: true,
                    }),
                    _ => Err(AppendError::IdempotencyMismatch),
                }));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn insert(tx: &mut Tx<'_>, id: u64, new: NewMessage) -> rusqlite::Result<(Message, Vec<Route>)> {
    let message_id = MessageId::from_number(id);
    // The id's millisecond counts: ranges of time are answered as ranges of ids.
    let created_at = if tx.now.millis() == message_id.created_at().millis() {
        tx.now
    } else {
        message_id.created_at()
    };
    let mut routes = new.routes;
    routes.sort_unstable_by_key(|route| route.endpoint);
    routes.dedup_by_key(|route| route.endpoint);
    let endpoints = pack_endpoints(routes.iter().map(|route| route.endpoint.number()));

    let day = day_of(id);
    tx.ensure(Kind::Message, day)?;
    let sql = tx.tables.sql(INSERT_MESSAGE, day);
    tx.connection.prepare_cached(sql)?.execute(params![
        key(id),
        key(new.app.number()),
        new.event_type,
        new.event_id,
        list(&new.channels),
        list(&new.tags),
        new.payload_expires_at.micros(),
        new.deliver_at.map(Timestamp::micros),
        new.traceparent,
        new.content_type,
        created_at.micros(),
        endpoints,
        new.ordering_key,
        new.inbound
            .as_deref()
            .and_then(|inbound| serde_json::to_string(inbound).ok()),
    ])?;
    tx.tables.count(Kind::Message, day, 1);

    let expiry_day = new.payload_expires_at.day();
    tx.ensure(Kind::Payload, expiry_day)?;
    let sql = tx.tables.sql(INSERT_PAYLOAD, expiry_day);
    tx.connection
        .prepare_cached(sql)?
        .execute((key(id), &new.payload[..]))?;
    tx.tables.count(Kind::Payload, expiry_day, 1);

    if let Some(event_id) = &new.event_id {
        tx.connection
            .prepare_cached("INSERT INTO event_id (app, event_id, msg) VALUES (?1, ?2, ?3)")?
            .execute((key(new.app.number()), event_id, key(id)))?;
    }
    if let Some(idempotency) = &new.idempotency {
        let expires_at = tx.now.plus(tx.idempotency_ttl);
        let day = expires_at.day();
        tx.ensure(Kind::Idempotent, day)?;
        let sql = tx.tables.sql(INSERT_KEY, day);
        tx.connection.prepare_cached(sql)?.execute((
            &idempotency.key[..],
            &idempotency.body[..],
            key(id),
            expires_at.micros(),
        ))?;
    }
    let message = Message {
        id: message_id,
        app: new.app,
        event_type: new.event_type,
        event_id: new.event_id,
        channels: new.channels,
        tags: new.tags,
        ordering_key: new.ordering_key,
        payload: Some(new.payload),
        payload_expires_at: new.payload_expires_at,
        deliver_at: new.deliver_at,
        traceparent: new.traceparent,
        content_type: new.content_type,
        inbound: new.inbound,
        created_at,
    };
    Ok((message, routes))
}

/// Hands the message's deliveries over, or lets them wait in the store.
fn deliver(tx: &mut Tx<'_>, message: Arc<Message>, routes: &[Route]) -> rusqlite::Result<()> {
    let delayed = message.deliver_at.filter(|at| *at > tx.now);
    let due_at = delayed.unwrap_or(tx.now);
    let must_wait = !tx.attached || delayed.is_some();
    for route in routes {
        let waits = must_wait || route.stored;
        let work = Work {
            message: Arc::clone(&message),
            endpoint: route.endpoint,
            lease: FRESH,
            progress: Progress::default(),
            due_at,
            place: None,
        };
        if let Some(line) = &route.line {
            deliver_in_line(tx, work, line, waits)?;
        } else if waits {
            put_pending(tx, &Pending::of(&work, None))?;
        } else {
            tx.effects.work.push(work);
        }
    }
    Ok(())
}

/// A delivery that joins a line has a row from the beginning. As its head it is handed over all the same, with its place in
/// the queue behind it: a crash leaves nothing to look for.
fn deliver_in_line(tx: &mut Tx<'_>, mut work: Work, line: &Line, waits: bool) -> rusqlite::Result<()> {
    let (message, endpoint) = (work.message.id.number(), work.endpoint.number());
    let joined = line::join(tx, message, endpoint, line)?;
    let pending = Pending::of(&work, Some(&joined.spot));
    if !joined.is_head {
        put_row(tx, &pending, None)?;
        tx.effects.wait(endpoint, 1);
    } else if waits {
        put_pending(tx, &pending)?;
    } else {
        put_row(tx, &pending, Some(work.due_at))?;
        insert_due(tx, &pending)?;
        tx.leases.hold((endpoint, message));
        tx.effects.handed.push((endpoint, message));
        work.lease = IN_LINE;
        work.place = Some(Arc::new(joined.place()));
        tx.effects.work.push(work);
    }
    Ok(())
}

/// A delivery that is to be attempted at a time.
pub(super) struct Pending<'a> {
    pub message: u64,
    pub endpoint: u64,
    pub progress: Progress,
    pub due_at: Timestamp,
    /// Its line and number, where order is kept.
    pub spot: Option<&'a Spot>,
}

impl<'a> Pending<'a> {
    fn of(work: &Work, spot: Option<&'a Spot>) -> Self {
        Self {
            message: work.message.id.number(),
            endpoint: work.endpoint.number(),
            progress: work.progress,
            due_at: work.due_at,
            spot,
        }
    }
}

/// A delivery that waits: its row, and its place in the queue.
pub(super) fn put_pending(tx: &mut Tx<'_>, pending: &Pending<'_>) -> rusqlite::Result<()> {
    put_row(tx, pending, Some(pending.due_at))?;
    put_due(tx, pending)
}

/// A delivery's row. Without a time it waits for its turn.
fn put_row(tx: &mut Tx<'_>, pending: &Pending<'_>, next_at: Option<Timestamp>) -> rusqlite::Result<()> {
    let Pending { message, progress, .. } = *pending;
    let sql = tx.tables.sql(INSERT_DELIVERY, day_of(message));
    tx.connection.prepare_cached(sql)?.execute((
        key(message),
        key(pending.endpoint),
        PENDING,
        progress.run,
        progress.tries,
        trigger_code(progress.trigger),
        next_at.map(Timestamp::micros),
        pending.spot.map(|spot| &*spot.key),
        pending.spot.map(|spot| spot.sequence),
        pending.spot.and_then(|spot| spot.era),
    ))?;
    tx.tables.count(Kind::Message, day_of(message), 1);
    Ok(())
}

/// A place in the queue, and word of it.
pub(super) fn put_due(tx: &mut Tx<'_>, pending: &Pending<'_>) -> rusqlite::Result<()> {
    insert_due(tx, pending)?;
    tx.effects.head(pending.endpoint, pending.due_at);
    Ok(())
}

fn insert_due(tx: &mut Tx<'_>, pending: &Pending<'_>) -> rusqlite::Result<()> {
    tx.connection.prepare_cached(INSERT_DUE)?.execute((
        key(pending.endpoint),
        pending.due_at.micros(),
        key(pending.message),
        pending.progress.run,
        pending.progress.tries,
        trigger_code(pending.progress.trigger),
        pending.spot.map(|spot| &*spot.key),
        pending.spot.map(|spot| spot.sequence),
        pending.spot.and_then(|spot| spot.era),
    ))?;
    tx.effects.wait(pending.endpoint, 1);
    Ok(())
}

/// Accepts operational events along with what they tell about. One that cannot be accepted is left out: it must not hold up
/// the outcome it tells about.
pub(super) fn append_notices(tx: &mut Tx<'_>, notices: Vec<NewMessage>) -> rusqlite::Result<()> {
    for notice in notices {
        if let Err(error) = append(tx, notice)? {
            tracing::warn!(%error, "an operational event was left out");
        }
    }
    Ok(())
}

/// Whether the message is there.
pub(super) fn exists(tx: &mut Tx<'_>, message: u64) -> rusqlite::Result<bool> {
    let day = day_of(message);
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(false);
    }
    let sql = tx.tables.sql("SELECT 1 FROM message_{d} WHERE id = ?1", day);
    tx.connection.prepare_cached(sql)?.exists([key(message)])
}
