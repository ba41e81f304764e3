//! Lines: which deliveries wait for each other, and whose turn it is.
//!
//! Always true, and proven by [`super::check`]: of the endpoint's earliest era in line, each line's first is its head (with a
//! place in the queue) or a blocked head, and everybody else waits. So whoever takes the head out of a line gives the next one
//! its turn in the same transaction, and whoever takes the last one of an era begins the next era.
//!
//! Called by the writer's operations only. The rows of the deliveries themselves are the callers' own, but for the one whose
//! turn comes.

use std::sync::Arc;

use bellwire_core::{
    delivery::Progress,
    order::{Line, Place},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    ingest::{Pending, put_due},
    partition::{Kind, day_of},
    row::{key, number, progress},
    tx::Tx,
};

/// It waits for its turn.
pub(super) const WAITING: i64 = 0;
/// It is the head, and has a place in the queue.
pub(super) const HEAD: i64 = 1;
/// It is the head, was given up, and the line waits for a person.
pub(super) const BLOCKED: i64 = 2;

/// The first and the last era in line at an endpoint.
pub(super) const ERAS: &str =
    "SELECT (SELECT min(era) FROM line WHERE endpoint = ?1), (SELECT max(era) FROM line WHERE endpoint = ?1)";
/// The era in line behind another one.
pub(super) const NEXT_ERA: &str = "SELECT min(era) FROM line WHERE endpoint = ?1 AND era > ?2";
/// The first of a line.
pub(super) const FIRST: &str =
    "SELECT seq, msg, state FROM line WHERE endpoint = ?1 AND era = ?2 AND okey = ?3 ORDER BY seq LIMIT 1";
/// The next line of an era, behind a key.
pub(super) const NEXT_KEY: &str = "SELECT min(okey) FROM line WHERE endpoint = ?1 AND era = ?2 AND okey > ?3";
const FIRST_KEY: &str = "SELECT min(okey) FROM line WHERE endpoint = ?1 AND era = ?2";
const NEXT_NUMBER: &str = "INSERT INTO sequence (endpoint, okey, last, succeeded, length, gone) VALUES (?1, ?2, 1, 0, 1, 0) \
     ON CONFLICT DO UPDATE SET last = last + 1, length = length + 1 RETURNING last, succeeded, length";
const JOIN: &str = "INSERT INTO line (endpoint, era, okey, seq, msg, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LEAVE: &str = "DELETE FROM line WHERE endpoint = ?1 AND era = ?2 AND okey = ?3 AND seq = ?4 RETURNING state";
const SHORTEN: &str = "UPDATE sequence SET length = length - 1, succeeded = max(succeeded, ?3) \
     WHERE endpoint = ?1 AND okey = ?2 RETURNING gone = 1 AND length = 0";
const MARK: &str = "UPDATE line SET state = ?5 WHERE endpoint = ?1 AND era = ?2 AND okey = ?3 AND seq = ?4";
/// Before when a delivery is not to be made, and how far it has come.
pub(super) const WHEN: &str = "SELECT message.deliver_at, delivery.run, delivery.tries, delivery.trigger \
     FROM message_{d} AS message CROSS JOIN delivery_{d} AS delivery ON delivery.msg = message.id \
     WHERE message.id = ?1 AND delivery.endpoint = ?2 AND delivery.state = 0";
const SET_DUE: &str = "UPDATE delivery_{d} SET next_at = ?3 WHERE msg = ?1 AND endpoint = ?2";

/// The line and number that a delivery's row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// The ordering key; empty when all deliveries of the endpoint form one line.
    pub key: Arc<str>,
    /// Its number.
    pub sequence: i64,
    /// The era in which it is in line; `None` once it has left.
    pub era: Option<i64>,
}

impl Spot {
    /// Reads key, number and era from three columns.
    pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let Some(key) = row.get(first)? else { return Ok(None) };
        Ok(Some(Self {
            key,
            sequence: row.get(first + 1)?,
            era: row.get(first + 2)?,
        }))
    }

    /// What the receiver is told of it.
    pub fn place(&self, connection: &Connection, endpoint: u64) -> rusqlite::Result<Place> {
        let previous: Option<i64> = match self.era {
            None => None,
            Some(_) => connection
                .prepare_cached("SELECT succeeded FROM sequence WHERE endpoint = ?1 AND okey = ?2")?
                .query_row((key(endpoint), &*self.key), |row| row.get(0))
                .optional()?,
        };
        Ok(Place {
            key: Arc::clone(&self.key),
            sequence: number(self.sequence),
            previous: previous.map(number),
        })
    }
}

/// What became of a delivery that joined a line.
#[derive(Debug)]
pub(super) struct Joined {
    pub spot: Spot,
    /// Nobody is ahead of it.
    pub is_head: bool,
    succeeded: i64,
}

impl Joined {
    /// What the receiver is told of it, if it is the head.
    pub fn place(&self) -> Place {
        Place {
            key: Arc::clone(&self.spot.key),
            sequence: number(self.spot.sequence),
            previous: Some(number(self.succeeded)),
        }
    }
}

/// Puts a delivery at the end of its line and gives it the line's next number.
pub(super) fn join(tx: &mut Tx<'_>, message: u64, endpoint: u64, line: &Line) -> rusqlite::Result<Joined> {
    let (first, last) = eras(tx.connection, endpoint)?;
    // What was routed by older settings does not overtake: it joins those that came after the change.
    let era = last.map_or(i64::from(line.era), |last| last.max(i64::from(line.era)));
    let (sequence, succeeded, length): (i64, i64, i64) = tx
        .connection
        .prepare_cached(NEXT_NUMBER)?
        .query_row((key(endpoint), &*line.key), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    // Who else is of this line is ahead of it: in this era, or in an earlier one.
    let is_head = length == 1 && first.is_none_or(|first| first == era);
    let state = if is_head { HEAD } else { WAITING };
    tx.connection
        .prepare_cached(JOIN)?
        .execute((key(endpoint), era, &*line.key, sequence, key(message), state))?;
    let spot = Spot {
        key: Arc::clone(&line.key),
        sequence,
        era: Some(era),
    };
    Ok(Joined {
        spot,
        is_head,
        succeeded,
    })
}

/// The first and the last era in line at an endpoint.
pub(super) fn eras(connection: &Connection, endpoint: u64) -> rusqlite::Result<(Option<i64>, Option<i64>)> {
    connection
        .prepare_cached(ERAS)?
        .query_row([key(endpoint)], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The head was given up and stays: the line waits for a person.
pub(super) fn block(tx: &mut Tx<'_>, endpoint: u64, spot: &Spot) -> rusqlite::Result<()> {
    mark(tx, endpoint, spot, BLOCKED)
}

/// A blocked head has its turn again.
pub(super) fn unblock(tx: &mut Tx<'_>, endpoint: u64, spot: &Spot) -> rusqlite::Result<()> {
    mark(tx, endpoint, spot, HEAD)
}

fn mark(tx: &mut Tx<'_>, endpoint: u64, spot: &Spot, state: i64) -> rusqlite::Result<()> {
    let Some(era) = spot.era else { return Ok(()) };
    let place = (key(endpoint), era, &*spot.key, spot.sequence, state);
    tx.connection.prepare_cached(MARK)?.execute(place)?;
    Ok(())
}

/// Takes a delivery out of its line, if it is in line; when it was the head, the next one has its turn. Its place in the
/// queue is the caller's to take away, and so is the era in its row.
pub(super) fn leave(tx: &mut Tx<'_>, endpoint: u64, spot: &Spot, succeeded: bool) -> rusqlite::Result<()> {
    match take_out(tx, endpoint, spot, succeeded)? {
        None => Ok(()),
        Some(WAITING) => {
            tx.effects.wait(endpoint, -1);
            Ok(())
        }
        Some(_) => give_on(tx, endpoint, spot),
    }
}

/// Answers what it was, if it was in line.
fn take_out(tx: &mut Tx<'_>, endpoint: u64, spot: &Spot, succeeded: bool) -> rusqlite::Result<Option<i64>> {
    let Some(era) = spot.era else { return Ok(None) };
    let okey = &*spot.key;
    let left: Option<i64> = tx
        .connection
        .prepare_cached(LEAVE)?
        .query_row((key(endpoint), era, okey, spot.sequence), |row| row.get(0))
        .optional()?;
    if left.is_none() {
        return Ok(None);
    }
    let reached = if succeeded { spot.sequence } else { 0 };
    let is_over: Option<bool> = tx
        .connection
        .prepare_cached(SHORTEN)?
        .query_row((key(endpoint), okey, reached), |row| row.get(0))
        .optional()?;
    if is_over == Some(true) {
        tx.connection
            .prepare_cached("DELETE FROM sequence WHERE endpoint = ?1 AND okey = ?2")?
            .execute((key(endpoint), okey))?;
    }
    Ok(left)
}

/// A head has left: the next of its line has its turn. When its era is over, the next era begins: all its lines have.
fn give_on(tx: &mut Tx<'_>, endpoint: u64, left: &Spot) -> rusqlite::Result<()> {
    let Some(era) = left.era else { return Ok(()) };
    if give_turn(tx, endpoint, era, &left.key)? {
        return Ok(());
    }
    let mut over = era;
    while let (Some(next), _) = eras(tx.connection, endpoint)?
        && next > over
    {
        let mut line: Option<String> = tx
            .connection
            .prepare_cached(FIRST_KEY)?
            .query_row((key(endpoint), next), |row| row.get(0))?;
        while let Some(okey) = line {
            let okey: Arc<str> = okey.into();
            give_turn(tx, endpoint, next, &okey)?;
            line = tx
                .connection
                .prepare_cached(NEXT_KEY)?
                .query_row((key(endpoint), next, &*okey), |row| row.get(0))?;
        }
        over = next;
    }
    Ok(())
}

/// Makes the first of a line its head. Those whose message is gone leave the line. False when the line is empty then.
fn give_turn(tx: &mut Tx<'_>, endpoint: u64, era: i64, okey: &Arc<str>) -> rusqlite::Result<bool> {
    loop {
        let first: Option<(i64, u64)> = tx
            .connection
            .prepare_cached(FIRST)?
            .query_row((key(endpoint), era, &**okey), |row| {
                Ok((row.get(0)?, number(row.get(1)?)))
            })
            .optional()?;
        let Some((sequence, message)) = first else {
            return Ok(false);
        };
        // From here on it waits in the queue, or not at all.
        tx.effects.wait(endpoint, -1);
        let spot = Spot {
            key: Arc::clone(okey),
            sequence,
            era: Some(era),
        };
        let Some((deliver_at, progress)) = when(tx, message, endpoint)? else {
            take_out(tx, endpoint, &spot, false)?;
            continue;
        };
        mark(tx, endpoint, &spot, HEAD)?;
        let due_at = deliver_at.map_or(tx.now, |at| at.max(tx.now));
        let sql = tx.tables.sql(SET_DUE, day_of(message));
        tx.connection
            .prepare_cached(sql)?
            .execute((key(message), key(endpoint), due_at.micros()))?;
        let pending = Pending {
            message,
            endpoint,
            progress,
            due_at,
            spot: Some(&spot),
        };
        put_due(tx, &pending)?;
        return Ok(true);
    }
}

/// Before when a delivery is not to be made, and how far it has come; `None` when its message is gone.
fn when(tx: &mut Tx<'_>, message: u64, endpoint: u64) -> rusqlite::Result<Option<(Option<Timestamp>, Progress)>> {
    let day = day_of(message);
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(None);
    }
    let sql = tx.tables.sql(WHEN, day);
    tx.connection
        .prepare_cached(sql)?
        .query_row((key(message), key(endpoint)), |row| {
            let deliver_at: Option<i64> = row.get(0)?;
            Ok((deliver_at.map(Timestamp::from_micros), progress(row, 1)?))
        })
        .optional()
}
