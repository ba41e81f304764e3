//! Accepting messages: many publishers' at once.
//!
//! Lean on purpose: a message costs one row, its payload another, and nothing per endpoint unless a delivery has to wait or
//! stands in line. Rows are sent as columns, so a thousand messages cost as many statements as one.

use std::{collections::BTreeMap, sync::Arc};

use bellwire_core::{
    delivery::{Progress, Work},
    id::{Id, MessageId},
    message::{IdempotencyKey, Message, NewMessage, Route},
    time::Timestamp,
};
use bytes::Bytes;

use super::{
    argument::{Raw, kept, owned},
    columns::{key, list, number, pack_endpoints},
    days::{Kind, day_of},
    due::{Pending, insert_due, put_due, put_rows},
    fate::Witness,
    fault::Fault,
    known::{Known, look_up},
    lease::{FRESH, IN_LINE},
    line::{self, Joined, Joining},
    tx::Tx,
};
use crate::{contract::Appended, error::AppendError};

/// What became of one message.
pub(super) type Answer = Result<Appended, AppendError>;

/// Accepts messages in their order, or says of each why not.
///
/// # Errors
/// Those of the database: none is accepted then.
pub(super) async fn append(tx: &mut Tx, messages: Vec<NewMessage>) -> Result<Vec<Answer>, Fault> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = look_up(tx, &messages).await?;
    let mut answers = Vec::with_capacity(messages.len());
    let mut accepted = Vec::with_capacity(messages.len());
    for new in messages {
        let answer = judge(tx, &mut known, &new);
        if let Ok(Appended { id, repeated: false }) = &answer {
            accepted.push(Accepted::new(id.number(), new));
        }
        answers.push(answer);
    }
    insert(tx, accepted).await?;
    Ok(answers)
}

/// Accepts one message, or says why not.
///
/// # Errors
/// Those of the database.
pub(super) async fn append_one(tx: &mut Tx, message: NewMessage) -> Result<Answer, Fault> {
    let answer = append(tx, vec![message]).await?.pop();
    Ok(answer.unwrap_or_else(|| Err(super::closed().into())))
}

/// Accepts operational events along with what they tell about. One that cannot be accepted is left out: it must not hold up
/// the outcome it tells about.
pub(super) async fn append_notices(tx: &mut Tx, notices: Vec<NewMessage>) -> Result<(), Fault> {
    for answer in append(tx, notices).await? {
        if let Err(error) = answer {
            tracing::warn!(%error, "an operational event was left out");
        }
    }
    Ok(())
}

/// That an event id was used before, by this message.
pub(super) fn taken(event_id: &str, existing: i64) -> AppendError {
    AppendError::EventIdTaken {
        event_id: event_id.to_owned(),
        existing: MessageId::from_number(number(existing)),
        overtaken: false,
    }
}

/// Whether it is new, and its id then.
fn judge(tx: &mut Tx, known: &mut Known, new: &NewMessage) -> Answer {
    if let Some(idempotency) = &new.idempotency
        && let Some(first) = known.first_use(&idempotency.key)
    {
        return match first.message {
            Some(id) if first.body == idempotency.body => Ok(Appended {
                id: MessageId::from_number(number(id)),
                repeated: true,
            }),
            _ => Err(AppendError::IdempotencyMismatch),
        };
    }
    if let Some(event_id) = &new.event_id
        && let Some(existing) = known.owner(new.app, event_id)
    {
        return Err(taken(event_id, existing));
    }
    let id = tx.ids.next_number(tx.now);
    known.note(new, key(id));
    Ok(Appended {
        id: MessageId::from_number(id),
        repeated: false,
    })
}

/// A message with its id, and where it goes.
struct Accepted {
    id: u64,
    new: NewMessage,
    routes: Vec<Route>,
}

impl Accepted {
    fn new(id: u64, mut new: NewMessage) -> Self {
        let mut routes = std::mem::take(&mut new.routes);
        routes.sort_unstable_by_key(|route| route.endpoint);
        routes.dedup_by_key(|route| route.endpoint);
        Self { id, new, routes }
    }

    /// The id's millisecond counts: ranges of time are answered as ranges of ids.
    fn created_at(&self, now: Timestamp) -> Timestamp {
        let by_id = MessageId::from_number(self.id).created_at();
        if now.millis() == by_id.millis() { now } else { by_id }
    }

    fn into_message(self, created_at: Timestamp) -> (Message, Vec<Route>) {
        let Self { id, new, routes } = self;
        let message = Message {
            id: MessageId::from_number(id),
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
        (message, routes)
    }
}

async fn insert(tx: &mut Tx, accepted: Vec<Accepted>) -> Result<(), Fault> {
    if accepted.is_empty() {
        return Ok(());
    }
    put_messages(tx, &accepted).await?;
    put_payloads(tx, &accepted).await?;
    put_event_ids(tx, &accepted);
    put_keys(tx, &accepted).await?;
    let now = tx.now;
    let messages: Vec<(Arc<Message>, Vec<Route>)> = accepted
        .into_iter()
        .map(|one| {
            let created_at = one.created_at(now);
            let (message, routes) = one.into_message(created_at);
            (Arc::new(message), routes)
        })
        .collect();
    deliver(tx, messages).await
}

async fn put_messages(tx: &mut Tx, accepted: &[Accepted]) -> Result<(), Fault> {
    #[derive(Default)]
    struct Columns {
        ids: Vec<i64>,
        apps: Vec<i64>,
        event_types: Vec<String>,
        event_ids: Vec<Option<String>>,
        channels: Vec<Option<String>>,
        tags: Vec<Option<String>>,
        payloads_expire_at: Vec<i64>,
        deliver_at: Vec<Option<i64>>,
        traceparents: Vec<Option<String>>,
        content_types: Vec<Option<String>>,
        created_at: Vec<i64>,
        endpoints: Vec<Vec<u8>>,
        ordering_keys: Vec<Option<String>>,
        inbounds: Vec<Option<String>>,
    }
    let maybe = |text: &Option<String>| text.as_deref().map(owned);
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    tx.witness = accepted.first().map(|one| Witness::Message(one.id));
    for one in accepted {
        let new = &one.new;
        let c = days.entry(day_of(one.id)).or_default();
        c.ids.push(key(one.id));
        c.apps.push(key(new.app.number()));
        c.event_types.push(owned(&new.event_type));
        c.event_ids.push(maybe(&new.event_id));
        c.channels.push(list(&new.channels));
        c.tags.push(list(&new.tags));
        c.payloads_expire_at.push(new.payload_expires_at.micros());
        c.deliver_at.push(new.deliver_at.map(Timestamp::micros));
        c.traceparents.push(maybe(&new.traceparent));
        c.content_types.push(maybe(&new.content_type));
        c.created_at.push(one.created_at(tx.now).micros());
        c.endpoints
            .push(pack_endpoints(one.routes.iter().map(|route| route.endpoint.number())));
        c.ordering_keys.push(maybe(&new.ordering_key));
        let inbound = new.inbound.as_deref();
        c.inbounds
            .push(inbound.and_then(|inbound| serde_json::to_string(inbound).ok()));
    }
    for (day, c) in days {
        tx.ensure(Kind::Message, day).await?;
        let sql = format!(
            "INSERT INTO message_{day} (id, app, event_type, event_id, channels, tags, payload_expires_at, deliver_at, \
             traceparent, content_type, created_at, endpoints, ordering_key, inbound) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        );
        let values = kept![
            c.ids,
            c.apps,
            c.event_types,
            c.event_ids,
            c.channels,
            c.tags,
            c.payloads_expire_at,
            c.deliver_at,
            c.traceparents,
            c.content_types,
            c.created_at,
            c.endpoints,
            c.ordering_keys,
            c.inbounds,
        ];
        tx.queue(sql, values);
    }
    Ok(())
}

async fn put_payloads(tx: &mut Tx, accepted: &[Accepted]) -> Result<(), Fault> {
    let mut days: BTreeMap<i64, (Vec<i64>, Vec<Raw>)> = BTreeMap::new();
    for one in accepted {
        let (ids, bodies) = days.entry(one.new.payload_expires_at.day()).or_default();
        ids.push(key(one.id));
        bodies.push(Raw(Bytes::clone(&one.new.payload)));
    }
    for (day, (ids, bodies)) in days {
        tx.ensure(Kind::Payload, day).await?;
        let sql = format!("INSERT INTO payload_{day} (id, body) SELECT * FROM unnest($1, $2)");
        tx.queue(sql, kept![ids, bodies]);
    }
    Ok(())
}

fn put_event_ids(tx: &mut Tx, accepted: &[Accepted]) {
    let with_event_id = |one: &Accepted| {
        let event_id = one.new.event_id.as_deref()?;
        Some((key(one.new.app.number()), owned(event_id), key(one.id)))
    };
    let mut rows: Vec<(i64, String, i64)> = accepted.iter().filter_map(with_event_id).collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_unstable();
    let (mut apps, mut event_ids, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (app, event_id, id) in rows {
        apps.push(app);
        event_ids.push(event_id);
        ids.push(id);
    }
    let sql = "INSERT INTO event_id (app, event_id, msg) SELECT * FROM unnest($1, $2, $3)";
    tx.queue(sql, kept![apps, event_ids, ids]);
}

async fn put_keys(tx: &mut Tx, accepted: &[Accepted]) -> Result<(), Fault> {
    let mut rows: Vec<(IdempotencyKey, i64)> = accepted
        .iter()
        .filter_map(|one| Some((one.new.idempotency?, key(one.id))))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable_by_key(|(idempotency, _)| idempotency.key);
    let expires_at = tx.now.plus(tx.idempotency_ttl);
    let day = expires_at.day();
    tx.ensure(Kind::Idempotent, day).await?;
    let keys: Vec<Vec<u8>> = rows.iter().map(|(used, _)| used.key.to_vec()).collect();
    let bodies: Vec<Vec<u8>> = rows.iter().map(|(used, _)| used.body.to_vec()).collect();
    let ids: Vec<i64> = rows.iter().map(|(_, id)| *id).collect();
    // One that has expired may lie there still; one that has not is a race that another node has won.
    let sql = format!(
        "INSERT INTO idempotent_{day} AS kept (key, body_hash, msg, expires_at) \
         SELECT t.key, t.body_hash, t.msg, $4 FROM unnest($1, $2, $3) AS t (key, body_hash, msg) \
         ON CONFLICT (key) DO UPDATE SET body_hash = excluded.body_hash, msg = excluded.msg, status = NULL, answer = NULL, \
         expires_at = CASE WHEN kept.expires_at > $5 THEN NULL ELSE excluded.expires_at END"
    );
    let now = tx.now.micros();
    tx.queue(sql, kept![keys, bodies, ids, expires_at.micros(), now]);
    Ok(())
}

/// Hands the messages' deliveries over, or lets them wait in the store.
async fn deliver(tx: &mut Tx, messages: Vec<(Arc<Message>, Vec<Route>)>) -> Result<(), Fault> {
    let lines: Vec<Joining<'_>> = messages
        .iter()
        .flat_map(|(message, routes)| {
            routes.iter().filter_map(|route| {
                Some(Joining {
                    message: message.id.number(),
                    endpoint: route.endpoint.number(),
                    line: route.line.as_ref()?,
                })
            })
        })
        .collect();
    let mut joined = line::join(tx, &lines).await?.into_iter();
    let mut rows = Rows::default();
    for (message, routes) in &messages {
        let delayed = message.deliver_at.filter(|at| *at > tx.now);
        let must_wait = !tx.attached || delayed.is_some();
        for route in routes {
            let work = Work {
                message: Arc::clone(message),
                endpoint: route.endpoint,
                lease: FRESH,
                progress: Progress::default(),
                due_at: delayed.unwrap_or(tx.now),
                place: None,
            };
            let waits = must_wait || route.stored || !tx.serves(route.endpoint);
            match route.line.as_ref().and_then(|_| joined.next()) {
                Some(joined) => rows.in_line(tx, work, joined, waits),
                None if waits => rows.waiting.push(pending(&work)),
                None => tx.effects.work.push(work),
            }
        }
    }
    rows.write(tx);
    Ok(())
}

fn pending(work: &Work) -> Pending {
    Pending {
        message: work.message.id.number(),
        endpoint: work.endpoint.number(),
        progress: work.progress,
        due_at: work.due_at,
        spot: None,
    }
}

/// Deliveries that have a row from the beginning.
#[derive(Default)]
struct Rows {
    /// They wait in the queue.
    waiting: Vec<Pending>,
    /// They wait for their turn.
    behind: Vec<Pending>,
    /// They are handed over, with their place in the queue behind them: a crash leaves nothing to look for.
    out: Vec<Pending>,
}

impl Rows {
    fn in_line(&mut self, tx: &mut Tx, mut work: Work, joined: Joined, waits: bool) {
        let mut pending = pending(&work);
        pending.spot = Some(joined.spot.clone());
        if !joined.is_head {
            tx.effects.wait(pending.endpoint, 1);
            self.behind.push(pending);
            return;
        }
        let name = (pending.endpoint, pending.message);
        // It cannot be held where its endpoint was given up a moment ago.
        if waits || !tx.leases.hold(name) {
            self.waiting.push(pending);
        } else {
            tx.effects.handed.push(name);
            work.lease = IN_LINE;
            work.place = Some(Arc::new(joined.place()));
            tx.effects.work.push(work);
            self.out.push(pending);
        }
    }

    fn write(self, tx: &mut Tx) {
        let timed = self.waiting.iter().chain(&self.out);
        let timed = timed.map(|pending| (pending, Some(pending.due_at)));
        put_rows(tx, timed.chain(self.behind.iter().map(|pending| (pending, None))));
        put_due(tx, &self.waiting);
        insert_due(tx, &self.out);
    }
}
