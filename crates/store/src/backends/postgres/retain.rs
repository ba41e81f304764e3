//! Forgetting: days that are over, and applications that are gone.
//!
//! A day's tables are dropped as a whole, which takes a moment however large they are and leaves nothing to vacuum.

use std::collections::BTreeMap;

use bellwire_core::{
    id::{AppId, Id},
    time::Timestamp,
};

use super::{
    argument::{args, kept},
    books,
    columns::{PENDING, key, number},
    connection::Connection,
    days::{Kind, day_of},
    due::{Place, delete_due},
    fault::Fault,
    held,
    line::{self, Leaving, Spot},
    partition, tend,
    tx::Tx,
};
use crate::query::Cutoffs;

/// Event ids forgotten in one transaction.
const EVENT_IDS_PER_STEP: i64 = 4_000;

/// A day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub kind: Kind,
    pub day: i64,
}

/// The days that are over, those first that may go first.
pub(super) async fn victims(connection: &Connection, cutoffs: Cutoffs, now: Timestamp) -> Result<Vec<Victim>, Fault> {
    let days = partition::read(connection).await?;
    let mut victims = Vec::new();
    for (kind, cutoff) in [
        (Kind::Idempotent, now),
        (Kind::Payload, cutoffs.payloads),
        (Kind::Attempt, cutoffs.attempts),
        (Kind::Message, cutoffs.messages),
    ] {
        let over = days.of(kind).take_while(|day| *day < cutoff.day());
        victims.extend(over.map(|day| Victim { kind, day }));
    }
    Ok(victims)
}

/// How far forgetting a day has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is gone.
    Gone,
    /// Once more, with this.
    GoOn(u64),
}

/// Takes one step towards forgetting a day. Answers whether it is gone.
pub(super) async fn step(tx: &mut Tx, victim: Victim, after: u64) -> Result<Step, Fault> {
    let Victim { kind, day } = victim;
    if !tx.days.has(kind, day) {
        return Ok(Step::Gone);
    }
    match kind {
        Kind::Attempt => books::set_attempts_kept_from(tx, day + 1),
        Kind::Message => {
            // A blocked head whose message goes must not hold up its line for ever. Whoever waits behind it, and whoever is
            // due, is passed over when it comes up.
            if tend::release_older(tx, day).await? {
                return Ok(Step::GoOn(after));
            }
            if let Some(last) = forget_event_ids(tx, day, after).await? {
                return Ok(Step::GoOn(last));
            }
        }
        Kind::Payload | Kind::Idempotent => {}
    }
    tx.forget(kind, day).await?;
    Ok(Step::Gone)
}

/// Forgets the event ids of some messages of a day; answers from where to go on, if there are more.
async fn forget_event_ids(tx: &mut Tx, day: i64, after: u64) -> Result<Option<u64>, Fault> {
    let sql = format!(
        "WITH old AS MATERIALIZED (SELECT id, app, event_id FROM message_{day} WHERE id > $1 AND event_id IS NOT NULL \
           ORDER BY id LIMIT {EVENT_IDS_PER_STEP}), \
         forgotten AS (DELETE FROM event_id USING old WHERE event_id.app = old.app AND event_id.event_id = old.event_id \
           AND event_id.msg = old.id) \
         SELECT max(id) FROM old"
    );
    let row = tx.row(&sql, args![key(after)]).await?;
    Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).map(number))
}

/// Removes some messages of an application, with all about them. Answers how many.
pub(super) async fn erase_app(tx: &mut Tx, app: AppId, limit: usize) -> Result<u64, Fault> {
    let days: Vec<i64> = tx.days.of(Kind::Message).collect();
    // Held ones first: what is released meanwhile is a message then, and found below.
    let mut erased = held::erase(tx, app, limit).await?;
    for day in days {
        let left = limit.saturating_sub(erased);
        if left == 0 {
            break;
        }
        let sql = format!("SELECT id, payload_expires_at FROM message_{day} WHERE app = $1 ORDER BY id LIMIT $2");
        let found = tx.rows(&sql, args![key(app.number()), left as i64]).await?;
        if found.is_empty() {
            continue;
        }
        erased += found.len();
        let messages: Vec<i64> = found.iter().map(|row| row.get(0)).collect();
        let mut payloads: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for row in &found {
            let day = Timestamp::from_micros(row.get(1)).day();
            payloads.entry(day).or_default().push(row.get(0));
        }
        erase_messages(tx, day, messages, payloads).await?;
    }
    Ok(erased as u64)
}

/// Messages of one day, and where their payloads are.
async fn erase_messages(
    tx: &mut Tx,
    day: i64,
    messages: Vec<i64>,
    payloads: BTreeMap<i64, Vec<i64>>,
) -> Result<(), Fault> {
    let sql = format!(
        "DELETE FROM delivery_{day} WHERE msg = ANY ($1) RETURNING msg, endpoint, state, next_at, okey, seq, era"
    );
    let (mut places, mut leaving) = (Vec::new(), Vec::new());
    for row in tx.rows(&sql, args![messages]).await? {
        let (message, endpoint) = (number(row.get(0)), number(row.get(1)));
        let is_pending = i64::from(row.get::<_, i16>(2)) == PENDING;
        if let Some(due_at) = row.get::<_, Option<i64>>(3).filter(|_| is_pending) {
            places.push(Place {
                message,
                endpoint,
                due_at,
            });
        }
        leaving.extend(Spot::read(&row, 4).map(|spot| Leaving {
            endpoint,
            spot,
            succeeded: false,
        }));
    }
    delete_due(tx, &places).await?;
    line::leave(tx, leaving).await?;
    let first = messages.iter().min().copied().map_or(0, number);
    let attempt_days: Vec<i64> = tx.days.of_attempts(first).collect();
    for attempt_day in attempt_days {
        let sql = format!("DELETE FROM attempt_{attempt_day} WHERE msg = ANY ($1)");
        tx.queue(sql, kept![messages.clone()]);
    }
    for (payload_day, ids) in payloads {
        if tx.days.has(Kind::Payload, payload_day) {
            let sql = format!("DELETE FROM payload_{payload_day} WHERE id = ANY ($1)");
            tx.queue(sql, kept![ids]);
        }
    }
    debug_assert!(messages.iter().all(|id| day_of(number(*id)) == day));
    let sql = format!(
        "WITH gone AS (DELETE FROM message_{day} WHERE id = ANY ($1) RETURNING app, event_id, id) \
         DELETE FROM event_id USING gone WHERE event_id.app = gone.app AND event_id.event_id = gone.event_id \
         AND event_id.msg = gone.id"
    );
    tx.queue(sql, kept![messages]);
    Ok(())
}
