//! Deliveries started anew or called off by hand.

use std::collections::{BTreeMap, HashMap, HashSet};

use bellwire_core::{delivery::Progress, id::Id, time::Timestamp};

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

/// A message and an endpoint.
type Name = (u64, u64);

fn name(wish: &Requeue) -> Name {
    (wish.message.number(), wish.endpoint.number())
}

/// Starts deliveries anew, each in a new run. Returns of which there is a message: those were started, or go on waiting for
/// their turn.
pub(super) async fn start_anew(tx: &mut Tx, wishes: &[Requeue]) -> Result<HashSet<Name>, Fault> {
    let there = existing(tx, wishes.iter().map(|wish| wish.message.number())).await?;
    let mut wishes: Vec<&Requeue> = wishes
        .iter()
        .filter(|wish| there.contains(&wish.message.number()))
        .collect();
    let names = wishes.iter().map(|wish| name(wish)).collect();
    line::lock_where_there_are(tx, wishes.iter().map(|wish| wish.endpoint.number()));
    // One that is asked for twice is started a second time when it was a first time.
    while !wishes.is_empty() {
        let mut seen = HashSet::new();
        let (now, later) = wishes.into_iter().partition(|wish| seen.insert(name(wish)));
        start_each(tx, now).await?;
        wishes = later;
    }
    Ok(names)
}

/// Which of these messages there are.
async fn existing(tx: &mut Tx, messages: impl Iterator<Item = u64>) -> Result<HashSet<u64>, Fault> {
    let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for message in messages {
        let day = day_of(message);
        if tx.has(Kind::Message, day).await? {
            days.entry(day).or_default().push(key(message));
        }
    }
    let mut there = HashSet::new();
    for (day, ids) in days {
        let sql = format!("SELECT id FROM message_{day} WHERE id = ANY ($1)");
        there.extend(tx.rows(&sql, args![ids]).await?.iter().map(|row| number(row.get(0))));
    }
    Ok(there)
}

/// What a delivery's row says.
struct Found {
    state: i64,
    run: u32,
    place: Option<i64>,
    spot: Option<Spot>,
}

/// Each delivery once.
async fn start_each(tx: &mut Tx, wishes: Vec<&Requeue>) -> Result<(), Fault> {
    let mut found = find_rows(tx, &wishes).await?;
    let (mut places, mut opened, mut pending) = (Vec::new(), Vec::new(), Vec::new());
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for wish in wishes {
        let (message, endpoint) = name(wish);
        let found = found.remove(&(message, endpoint));
        // Without a row there was a run 0 that needed none, or that is out in memory and must not decide any more.
        let run = found.as_ref().map_or(1, |found| found.run + 1);
        let was_pending = found.as_ref().is_some_and(|found| found.state == PENDING);
        let place = found.as_ref().and_then(|found| found.place);
        let spot = found.and_then(|found| found.spot);
        let is_in_line = spot.as_ref().is_some_and(|spot| spot.era.is_some());
        let waits_for_its_turn = is_in_line && was_pending && place.is_none();
        if let Some(due_at) = place.filter(|_| was_pending) {
            places.push(Place {
                message,
                endpoint,
                due_at,
            });
        }
        let c = days.entry(day_of(message)).or_default();
        c.messages.push(key(message));
        c.endpoints.push(key(endpoint));
        c.runs.push(run as i32);
        c.triggers.push(trigger_code(wish.trigger) as i16);
        c.next_at.push((!waits_for_its_turn).then_some(wish.due_at.micros()));
        if waits_for_its_turn {
            continue;
        }
        if let Some(spot) = spot.clone().filter(|_| is_in_line) {
            opened.push((endpoint, spot));
        }
        pending.push(Pending {
            message,
            endpoint,
            progress: Progress {
                run,
                tries: 0,
                trigger: wish.trigger,
            },
            due_at: wish.due_at,
            spot,
        });
    }
    delete_due(tx, &places).await?;
    for (day, c) in days {
        let sql = format!(
            "INSERT INTO delivery_{day} (msg, endpoint, state, run, tries, trigger, next_at) \
             SELECT t.msg, t.endpoint, {PENDING}, t.run, 0, t.trigger, t.next_at \
             FROM unnest($1, $2, $3, $4, $5) AS t (msg, endpoint, run, trigger, next_at) \
             ON CONFLICT (msg, endpoint) DO UPDATE SET state = excluded.state, run = excluded.run, tries = 0, \
             trigger = excluded.trigger, next_at = excluded.next_at"
        );
        tx.queue(sql, kept![c.messages, c.endpoints, c.runs, c.triggers, c.next_at]);
    }
    line::unblock(tx, opened.iter().map(|(endpoint, spot)| (*endpoint, spot)));
    put_due(tx, &pending);
    Ok(())
}

/// Columns of deliveries that are started anew.
#[derive(Default)]
struct Columns {
    messages: Vec<i64>,
    endpoints: Vec<i64>,
    runs: Vec<i32>,
    triggers: Vec<i16>,
    next_at: Vec<Option<i64>>,
}

/// The rows of deliveries, of those that have one. Whoever settles one of them waits.
async fn find_rows(tx: &mut Tx, wishes: &[&Requeue]) -> Result<HashMap<Name, Found>, Fault> {
    let mut days: BTreeMap<i64, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for wish in wishes {
        let (message, endpoint) = name(wish);
        let (messages, endpoints) = days.entry(day_of(message)).or_default();
        messages.push(key(message));
        endpoints.push(key(endpoint));
    }
    let mut found = HashMap::new();
    for (day, (messages, endpoints)) in days {
        let sql = format!(
            "SELECT d.msg, d.endpoint, d.state, d.run, d.next_at, d.okey, d.seq, d.era FROM delivery_{day} AS d \
             JOIN unnest($1, $2) AS t (msg, endpoint) ON d.msg = t.msg AND d.endpoint = t.endpoint FOR UPDATE OF d"
        );
        for row in tx.rows(&sql, args![messages, endpoints]).await? {
            let of = Found {
                state: i64::from(row.get::<_, i16>(2)),
                run: row.get::<_, i32>(3) as u32,
                place: row.get(4),
                spot: Spot::read(&row, 5),
            };
            found.insert((number(row.get(0)), number(row.get(1))), of);
        }
    }
    Ok(found)
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
