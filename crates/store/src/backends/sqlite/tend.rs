//! What people do about lines: open them, skip a head, discard what is in line. Also how an endpoint's lines are emptied when
//! it is disabled or deleted.
//!
//! All of it works a bounded piece at a time from a [`Cursor`], so that publishers do not wait for an endpoint with a
//! million deliveries in line.

use std::sync::Arc;

use bellwire_core::{delivery::Trigger, id::first_number_at, time::Timestamp};
use rusqlite::{OptionalExtension as _, Row, Rows};

use super::{
    fault::Fault,
    hand::{cancel_row, hold, start_anew},
    line::{self, BLOCKED, HEAD, NEXT_ERA, Spot, WAITING},
    partition::{Kind, day_of},
    row::{key, number},
    settle::delete_due,
    tx::Tx,
};

/// Deliveries changed in one transaction.
pub(super) const PER_COMMIT: usize = 2_000;

/// Those in line at an endpoint, behind a place.
pub(super) const IN_LINE: &str = "SELECT era, okey, seq, msg, state FROM line \
     WHERE endpoint = ?1 AND (era, okey, seq) > (?2, ?3, ?4) ORDER BY era, okey, seq";
/// Those of one line, in one era.
pub(super) const OF_LINE: &str = "SELECT era, okey, seq, msg, state FROM line WHERE endpoint = ?1 AND era = ?2 AND okey = ?3 AND seq > ?4 ORDER BY seq";
/// The blocked heads behind a key.
pub(super) const BLOCKED_BEHIND: &str = "SELECT era, okey, seq, msg, state FROM line \
     WHERE endpoint = ?1 AND state = 2 AND okey >= ?2 ORDER BY okey";
/// The blocked heads with messages below a number.
pub(super) const BLOCKED_BEFORE: &str =
    "SELECT era, okey, seq, msg, state, endpoint FROM line WHERE state = 2 AND msg < ?1 LIMIT ?2";
const DUE_AT: &str = "SELECT next_at FROM delivery_{d} WHERE msg = ?1 AND endpoint = ?2";
const LEFT: &str = "UPDATE delivery_{d} SET era = NULL WHERE msg = ?1 AND endpoint = ?2";

/// Up to where the lines of an endpoint were walked.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    era: i64,
    key: Arc<str>,
    sequence: i64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            era: i64::MIN,
            key: Arc::from(""),
            sequence: 0,
        }
    }
}

/// One in line.
#[derive(Debug)]
struct Member {
    spot: Spot,
    message: u64,
    state: i64,
}

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        spot: Spot {
            era: Some(row.get(0)?),
            key: row.get(1)?,
            sequence: row.get(2)?,
        },
        message: number(row.get(3)?),
        state: row.get(4)?,
    })
}

/// Cancels up to so many that wait for their turn. Answers how many.
pub(super) fn cancel_waiting(tx: &mut Tx<'_>, endpoint: u64, limit: usize) -> Result<usize, Fault> {
    let walk = Walk {
        endpoint,
        of_line: None,
        limit,
    };
    let found = walk.on(tx, &mut Cursor::default(), |member| member.state == WAITING)?;
    for member in &found {
        discard_one(tx, endpoint, member)?;
    }
    Ok(found.len())
}

/// Takes some blocked heads out of their lines; they stay failed. Answers whether there are more.
pub(super) fn release_blocked(tx: &mut Tx<'_>, endpoint: u64) -> Result<bool, Fault> {
    let found = blocked(tx, endpoint, "", PER_COMMIT)?;
    for member in &found {
        release(tx, endpoint, member)?;
    }
    Ok(found.len() == PER_COMMIT)
}

/// Takes some blocked heads with messages of this day or an earlier one out of their lines. Answers whether there may be more.
pub(super) fn release_older(tx: &mut Tx<'_>, day: i64) -> Result<bool, Fault> {
    let end = first_number_at(Timestamp::from_secs((day + 1).saturating_mul(86_400)));
    let found: Vec<(u64, Member)> = tx
        .connection
        .prepare_cached(BLOCKED_BEFORE)?
        .query_map((key(end), PER_COMMIT as i64), |row| {
            Ok((number(row.get(5)?), member(row)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (endpoint, member) in &found {
        release(tx, *endpoint, member)?;
    }
    Ok(found.len() == PER_COMMIT)
}

/// A blocked head leaves its line as it is.
fn release(tx: &mut Tx<'_>, endpoint: u64, member: &Member) -> Result<(), Fault> {
    let day = day_of(member.message);
    if tx.tables.days().has(Kind::Message, day) {
        let sql = tx.tables.sql(LEFT, day);
        tx.connection
            .prepare_cached(sql)?
            .execute((key(member.message), key(endpoint)))?;
    }
    Ok(line::leave(tx, endpoint, &member.spot, false)?)
}

/// How far something that is done in pieces has come.
#[derive(Debug, Clone)]
pub(super) struct Piece<T> {
    /// How many deliveries were changed.
    pub changed: u64,
    /// From where to go on; `None` when all is done.
    pub next: Option<T>,
}

/// What becomes of blocked heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// They start anew at this time.
    Open(Timestamp),
    /// They leave their lines.
    Skip,
}

/// Opens or skips some blocked lines: the one with this key, or those from a key on.
pub(super) fn tend_blocked(
    tx: &mut Tx<'_>,
    endpoint: u64,
    wanted: Option<&str>,
    from: &str,
    what: Blocked,
) -> Result<Piece<String>, Fault> {
    let (from, limit) = wanted.map_or((from, PER_COMMIT), |wanted| (wanted, 1));
    let mut found = blocked(tx, endpoint, from, limit + 1)?;
    let next = found.get(limit).map(|member| member.spot.key.to_string());
    found.truncate(limit);
    let is_wanted = |member: &Member| wanted.is_none_or(|wanted| *member.spot.key == *wanted);
    let mut changed = 0;
    for member in found.iter().filter(|member| is_wanted(member)) {
        let started = match what {
            Blocked::Skip => false,
            Blocked::Open(at) => start_anew(tx, member.message, endpoint, at, Trigger::Manual)?,
        };
        if !started {
            release(tx, endpoint, member)?;
        }
        changed += 1;
    }
    Ok(Piece {
        changed,
        next: next.filter(|_| wanted.is_none()),
    })
}

/// How far the discarding of lines has come.
#[derive(Debug, Clone)]
pub(super) struct Discarding {
    cursor: Cursor,
    /// First those that wait, then the heads: nobody gets a turn for nothing.
    heads: bool,
    /// What was accepted later stays.
    last: Option<u64>,
}

impl Discarding {
    pub fn begin() -> Self {
        Self {
            cursor: Cursor::default(),
            heads: false,
            last: None,
        }
    }
}

/// Discards some of what is in line and not out: of the line with this key, or of all lines of the endpoint.
pub(super) fn discard(
    tx: &mut Tx<'_>,
    endpoint: u64,
    wanted: Option<&str>,
    mut state: Discarding,
) -> Result<Piece<Discarding>, Fault> {
    let last = *state.last.get_or_insert_with(|| tx.ids.last());
    let heads = state.heads;
    let walk = Walk {
        endpoint,
        of_line: wanted,
        limit: PER_COMMIT,
    };
    let found = walk.on(tx, &mut state.cursor, |member| {
        (member.state != WAITING) == heads && member.message <= last
    })?;
    let is_over = found.len() < PER_COMMIT;
    let mut changed = 0;
    for member in &found {
        changed += u64::from(discard_one(tx, endpoint, member)?);
    }
    let next = match (is_over, heads) {
        (true, true) => None,
        (true, false) => Some(Discarding {
            cursor: Cursor::default(),
            heads: true,
            ..state
        }),
        (false, _) => Some(state),
    };
    Ok(Piece { changed, next })
}

/// False when it is out.
fn discard_one(tx: &mut Tx<'_>, endpoint: u64, member: &Member) -> Result<bool, Fault> {
    match member.state {
        BLOCKED => {
            release(tx, endpoint, member)?;
            return Ok(true);
        }
        HEAD => {
            if !hold(tx, endpoint, member.message) {
                return Ok(false);
            }
            if let Some(due_at) = due_at(tx, member.message, endpoint)? {
                delete_due(tx, member.message, endpoint, due_at)?;
            }
        }
        _ => {}
    }
    cancel_row(tx, member.message, endpoint)?;
    line::leave(tx, endpoint, &member.spot, false)?;
    Ok(true)
}

fn due_at(tx: &mut Tx<'_>, message: u64, endpoint: u64) -> Result<Option<i64>, Fault> {
    let day = day_of(message);
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(None);
    }
    let sql = tx.tables.sql(DUE_AT, day);
    let found = tx
        .connection
        .prepare_cached(sql)?
        .query_row((key(message), key(endpoint)), |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Blocked heads, by their key, from one on.
fn blocked(tx: &mut Tx<'_>, endpoint: u64, from: &str, limit: usize) -> Result<Vec<Member>, Fault> {
    let mut statement = tx.connection.prepare_cached(BLOCKED_BEHIND)?;
    let rows = statement.query_map((key(endpoint), from), member)?;
    Ok(rows.take(limit).collect::<rusqlite::Result<_>>()?)
}

/// Who is looked at.
struct Walk<'a> {
    endpoint: u64,
    /// Those of one line, or all.
    of_line: Option<&'a str>,
    /// So many are found at most.
    limit: usize,
}

impl Walk<'_> {
    /// Those behind the cursor that are wanted; moves the cursor.
    fn on(
        &self,
        tx: &mut Tx<'_>,
        cursor: &mut Cursor,
        is_wanted: impl Fn(&Member) -> bool,
    ) -> Result<Vec<Member>, Fault> {
        let mut found = Vec::new();
        let Some(okey) = self.of_line else {
            let mut statement = tx.connection.prepare_cached(IN_LINE)?;
            let rows = statement.query((key(self.endpoint), cursor.era, &*cursor.key, cursor.sequence))?;
            self.take(rows, cursor, &is_wanted, &mut found)?;
            return Ok(found);
        };
        let mut statement = tx.connection.prepare_cached(OF_LINE)?;
        loop {
            let rows = statement.query((key(self.endpoint), cursor.era, okey, cursor.sequence))?;
            self.take(rows, cursor, &is_wanted, &mut found)?;
            if found.len() == self.limit {
                return Ok(found);
            }
            // Numbers go on over eras, so the cursor's stays as it is.
            let next: Option<i64> = tx
                .connection
                .prepare_cached(NEXT_ERA)?
                .query_row((key(self.endpoint), cursor.era), |row| row.get(0))?;
            match next {
                None => return Ok(found),
                Some(next) => cursor.era = next,
            }
        }
    }

    fn take(
        &self,
        mut rows: Rows<'_>,
        cursor: &mut Cursor,
        is_wanted: &impl Fn(&Member) -> bool,
        found: &mut Vec<Member>,
    ) -> Result<(), Fault> {
        while found.len() < self.limit
            && let Some(row) = rows.next()?
        {
            let member = member(row)?;
            *cursor = Cursor {
                era: member.spot.era.unwrap_or(cursor.era),
                key: Arc::clone(&member.spot.key),
                sequence: member.spot.sequence,
            };
            if is_wanted(&member) {
                found.push(member);
            }
        }
        Ok(())
    }
}
