//! Deliveries started anew or called off by hand.

use std::collections::HashMap;

use bellwire_core::{
    delivery::{Progress, Trigger},
    id::Id,
    time::Timestamp,
};

use super::{
    argument::{args, kept},
    columns::{CANCELLED, PENDING, key, number, trigger_code},
    days::{Kind, day_of},
    due::{Pending, Place, delete_due, put_due},
    fault::Fault,
    line::{self, Leaving, Spot},
    message::exists,
    shard::place,
    tend::{self, Piece},
    tx::Tx,
};
use crate::query::Requeue;

/// What waits in an endpoint's queue behind a place.
pub(super) const CANCELLABLE: &str = "SELECT next_at, msg, okey, seq, era FROM due \
     WHERE shard = $1 AND endpoint = $2 AND (next_at, msg) > ($3, $4) ORDER BY next_at, msg LIMIT $5";

/// Starts deliveries anew, each in a new run. Returns how many.
pub(super) async fn requeue(tx: &mut Tx, batch: &[Requeue]) -> Result<u64, Fault> {
    let mut started = 0;
    for wish in batch {
        let (message, endpoint) = (wish.message.number(), wish.endpoint.number());
        if start_anew(tx, message, endpoint, wish.due_at, wish.trigger).await? {
            started += 1;
        }
    }
    Ok(started)
}

/// What a delivery's row says.
struct Found {
    state: i64,
    run: u32,
    place: Option<i64>,
    spot: Option<Spot>,
}

/// Starts a delivery anew. False when its message is gone.
pub(super) async fn start_anew(
    tx: &mut Tx,
    message: u64,
    endpoint: u64,
    due_at: Timestamp,
    trigger: Trigger,
) -> Result<bool, Fault> {
    let days = tx.days.clone();
    if !exists(tx.flushed().await?, &days, message).await? {
        return Ok(false);
    }
    let day = day_of(message);
    let sql = format!(
        "SELECT state, run, next_at, okey, seq, era FROM delivery_{day} WHERE msg = $1 AND endpoint = $2 FOR UPDATE"
    );
    let found = tx.row(&sql, args![key(message), key(endpoint)]).await?;
    let found = found.map(|row| Found {
        state: i64::from(row.get::<_, i16>(0)),
        run: row.get::<_, i32>(1) as u32,
        place: row.get(2),
        spot: Spot::read(&row, 3),
    });
    // Without a row there was a run 0 that needed none, or that is out in memory and must not decide any more.
    let run = found.as_ref().map_or(1, |found| found.run + 1);
    let was_pending = found.as_ref().is_some_and(|found| found.state == PENDING);
    let place = found.as_ref().and_then(|found| found.place);
    let spot = found.and_then(|found| found.spot);
    let in_line = spot.as_ref().filter(|spot| spot.era.is_some());
    let waits_for_its_turn = in_line.is_some() && was_pending && place.is_none();
    if let Some(due_at) = place.filter(|_| was_pending) {
        let place = Place {
            message,
            endpoint,
            due_at,
        };
        delete_due(tx, &[place]).await?;
    }
    let sql = format!(
        "INSERT INTO delivery_{day} (msg, endpoint, state, run, tries, trigger, next_at) VALUES ($1, $2, 0, $3, 0, $4, $5) \
         ON CONFLICT (msg, endpoint) DO UPDATE \
         SET state = 0, run = excluded.run, tries = 0, trigger = excluded.trigger, next_at = excluded.next_at"
    );
    let next_at = (!waits_for_its_turn).then_some(due_at.micros());
    let values = kept![
        key(message),
        key(endpoint),
        run as i32,
        trigger_code(trigger) as i16,
        next_at
    ];
    tx.queue(sql, values);
    if waits_for_its_turn {
        return Ok(true);
    }
    if let Some(spot) = in_line {
        line::unblock(tx, [(endpoint, spot)]);
    }
    let progress = Progress { run, tries: 0, trigger };
    let pending = Pending {
        message,
        endpoint,
        progress,
        due_at,
        spot,
    };
    put_due(tx, &[pending]);
    Ok(true)
}

/// Cancels what waits for an endpoint and is not out: those that wait in line first, so that nobody gets a turn for nothing.
/// Blocked heads leave their lines. Returns how many were cancelled, and whether blocked heads are left.
pub(super) async fn cancel(tx: &mut Tx, endpoint: u64, limit: usize) -> Result<Piece<()>, Fault> {
    let mut cancelled = tend::cancel_waiting(tx, endpoint, limit).await?;
    let mut next = None;
    if cancelled < limit {
        if tend::release_blocked(tx, endpoint).await? {
            next = Some(());
        }
        cancelled += cancel_due(tx, endpoint, limit - cancelled).await?;
    }
    Ok(Piece {
        changed: cancelled as u64,
        next,
    })
}

/// Cancels what has a place in the queue and is not out.
async fn cancel_due(tx: &mut Tx, endpoint: u64, limit: usize) -> Result<usize, Fault> {
    let (shard, key) = place(endpoint);
    let (mut after_time, mut after_message) = (i64::MIN, i64::MIN);
    let mut found: Vec<(Place, Option<Spot>)> = Vec::new();
    let step = limit.clamp(16, 1_000) as i64;
    while found.len() < limit {
        let args = args![shard, key, after_time, after_message, step];
        let rows = tx.rows(CANCELLABLE, args).await?;
        let is_last = (rows.len() as i64) < step;
        for row in rows {
            (after_time, after_message) = (row.get(0), row.get(1));
            let message = number(after_message);
            if found.len() < limit && hold(tx, endpoint, message) {
                let place = Place {
                    message,
                    endpoint,
                    due_at: after_time,
                };
                found.push((place, Spot::read(&row, 2)));
            }
        }
        if is_last {
            break;
        }
    }
    let places: Vec<Place> = found.iter().map(|(place, _)| *place).collect();
    delete_due(tx, &places).await?;
    cancel_rows(tx, endpoint, places.iter().map(|place| place.message));
    let count = found.len();
    let leaving = found.into_iter().filter_map(|(_, spot)| {
        Some(Leaving {
            endpoint,
            spot: spot?,
            succeeded: false,
        })
    });
    line::leave(tx, leaving.collect()).await?;
    Ok(count)
}

/// Holds a delivery until the commit, so that nobody claims it meanwhile from an older snapshot. False when it is out.
pub(super) fn hold(tx: &mut Tx, endpoint: u64, message: u64) -> bool {
    let is_free = tx.leases.hold((endpoint, message));
    if is_free {
        tx.effects.held.push((endpoint, message));
    }
    is_free
}

/// Says in deliveries' rows that they are cancelled, and in no line any more.
pub(super) fn cancel_rows(tx: &mut Tx, endpoint: u64, messages: impl Iterator<Item = u64>) {
    let set = format!("state = {CANCELLED}, next_at = NULL, era = NULL");
    change_rows(tx, endpoint, messages, &set);
}

/// Changes deliveries' rows, where there are such.
pub(super) fn change_rows(tx: &mut Tx, endpoint: u64, messages: impl Iterator<Item = u64>, set: &str) {
    let mut days: HashMap<i64, Vec<i64>> = HashMap::new();
    for message in messages {
        let day = day_of(message);
        if tx.days.has(Kind::Message, day) {
            days.entry(day).or_default().push(key(message));
        }
    }
    for (day, messages) in days {
        let sql = format!("UPDATE delivery_{day} SET {set} WHERE msg = ANY ($1) AND endpoint = $2");
        tx.queue(sql, kept![messages, key(endpoint)]);
    }
}

/// Takes places out of the queue whose message is gone. The next of their lines have their turn: answers when the earliest
/// of those is due.
pub(super) async fn forget_gone(
    tx: &mut Tx,
    endpoint: u64,
    places: &[(Timestamp, u64)],
) -> Result<Option<Timestamp>, Fault> {
    let (shard, endpoint_key) = place(endpoint);
    let (mut gone, mut leaving) = (Vec::new(), Vec::new());
    let days = tx.days.clone();
    for (due_at, message) in places {
        if exists(tx.flushed().await?, &days, *message).await? {
            continue;
        }
        let sql = "SELECT okey, seq, era FROM due WHERE shard = $1 AND endpoint = $2 AND next_at = $3 AND msg = $4";
        let args = args![shard, endpoint_key, due_at.micros(), key(*message)];
        let spot = tx.row(sql, args).await?.and_then(|row| Spot::read(&row, 0));
        gone.push(Place {
            message: *message,
            endpoint,
            due_at: due_at.micros(),
        });
        leaving.extend(spot.map(|spot| Leaving {
            endpoint,
            spot,
            succeeded: false,
        }));
    }
    delete_due(tx, &gone).await?;
    line::leave(tx, leaving).await?;
    Ok(tx.effects.heads.get(&endpoint).copied())
}
