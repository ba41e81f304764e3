//! What people do about lines: open them, skip a head, discard what is in line. Also how an endpoint's lines are emptied when
//! it is disabled or deleted.
//!
//! All of it works a bounded piece at a time from a [`Cursor`], so that publishers do not wait for an endpoint with a
//! million deliveries in line.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    delivery::Trigger,
    id::{EndpointId, Id, MessageId, first_number_at, node_of},
    time::Timestamp,
};
use tokio_postgres::Row;

use super::{
    argument::{args, owned, plain},
    columns::{key, number},
    days::{Kind, day_of},
    due::{Place, delete_due},
    fault::Fault,
    hand::{cancel_rows, change_rows, hold, start_anew},
    line::{self, BLOCKED, HEAD, Leaving, Spot, WAITING},
    tx::Tx,
};
use crate::query::Requeue;

/// Deliveries changed in one transaction.
pub(super) const PER_COMMIT: usize = 2_000;

/// Those in line at an endpoint, behind a place.
pub(super) const IN_LINE: &str = "SELECT era, okey, seq, msg, state FROM line \
     WHERE endpoint = $1 AND (era, okey, seq) > ($2, $3, $4) ORDER BY era, okey, seq LIMIT $5";
/// Those of one line, in one era.
pub(super) const OF_LINE: &str = "SELECT era, okey, seq, msg, state FROM line \
     WHERE endpoint = $1 AND era = $2 AND okey = $3 AND seq > $4 ORDER BY seq LIMIT $5";
/// The era in line behind another one.
pub(super) const NEXT_ERA: &str = "SELECT min(era) FROM line WHERE endpoint = $1 AND era > $2";
/// The blocked heads from a key on.
pub(super) const BLOCKED_BEHIND: &str = "SELECT era, okey, seq, msg, state FROM line \
     WHERE endpoint = $1 AND state = 2 AND okey >= $2 ORDER BY okey LIMIT $3";
/// The blocked heads with messages below a number.
pub(super) const BLOCKED_BEFORE: &str =
    "SELECT era, okey, seq, msg, state, endpoint FROM line WHERE state = 2 AND msg < $1 LIMIT $2";

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
    state: i16,
}

fn member(row: &Row) -> Member {
    Member {
        spot: Spot {
            era: Some(row.get(0)),
            key: plain(row.get(1)).into(),
            sequence: row.get(2),
        },
        message: number(row.get(3)),
        state: row.get(4),
    }
}

/// Cancels up to so many that wait for their turn. Answers how many.
pub(super) async fn cancel_waiting(tx: &mut Tx, endpoint: u64, limit: usize) -> Result<usize, Fault> {
    line::lock(tx, [endpoint]);
    let walk = Walk {
        endpoint,
        of_line: None,
        limit,
    };
    let found = walk
        .on(tx, &mut Cursor::default(), |member| member.state == WAITING)
        .await?;
    let count = found.len();
    discard_all(tx, endpoint, found).await?;
    Ok(count)
}

/// Takes some blocked heads out of their lines; they stay failed. Answers whether there are more.
pub(super) async fn release_blocked(tx: &mut Tx, endpoint: u64) -> Result<bool, Fault> {
    let found = blocked(tx, endpoint, "", PER_COMMIT).await?;
    let is_full = found.len() == PER_COMMIT;
    release(tx, found.into_iter().map(|member| (endpoint, member))).await?;
    Ok(is_full)
}

/// Takes some blocked heads with messages of this day or an earlier one out of their lines. Answers whether there may be more.
pub(super) async fn release_older(tx: &mut Tx, day: i64) -> Result<bool, Fault> {
    let end = first_number_at(Timestamp::from_secs((day + 1).saturating_mul(86_400)));
    let first = tx.rows(BLOCKED_BEFORE, args![key(end), PER_COMMIT as i64]).await?;
    line::lock(tx, first.iter().map(|row| number(row.get(5))));
    // Who had one of them locked may have opened it.
    let mut rows = tx.rows(BLOCKED_BEFORE, args![key(end), PER_COMMIT as i64]).await?;
    rows.retain(|row| tx.locked.contains(&number(row.get(5))));
    let is_full = rows.len() == PER_COMMIT;
    release(tx, rows.iter().map(|row| (number(row.get(5)), member(row)))).await?;
    Ok(is_full)
}

/// Blocked heads leave their lines as they are.
async fn release(tx: &mut Tx, members: impl Iterator<Item = (u64, Member)>) -> Result<(), Fault> {
    let mut messages: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut leaving = Vec::new();
    for (endpoint, member) in members {
        messages.entry(endpoint).or_default().push(member.message);
        leaving.push(Leaving {
            endpoint,
            spot: member.spot,
            succeeded: false,
        });
    }
    for (endpoint, messages) in messages {
        change_rows(tx, endpoint, messages.into_iter(), "era = NULL");
    }
    line::leave(tx, leaving).await
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
pub(super) async fn tend_blocked(
    tx: &mut Tx,
    endpoint: u64,
    wanted: Option<&str>,
    from: &str,
    what: Blocked,
) -> Result<Piece<String>, Fault> {
    line::lock(tx, [endpoint]);
    let (from, limit) = wanted.map_or((from, PER_COMMIT), |wanted| (wanted, 1));
    let mut found = blocked(tx, endpoint, from, limit + 1).await?;
    let next = found.get(limit).map(|member| member.spot.key.to_string());
    found.truncate(limit);
    found.retain(|member| wanted.is_none_or(|wanted| *member.spot.key == *wanted));
    let changed = found.len() as u64;
    if let Blocked::Open(due_at) = what {
        let wish = |member: &Member| Requeue {
            message: MessageId::from_number(member.message),
            endpoint: EndpointId::from_number(endpoint),
            due_at,
            trigger: Trigger::Manual,
        };
        let wishes: Vec<Requeue> = found.iter().map(wish).collect();
        let started = start_anew(tx, &wishes).await?;
        found.retain(|member| !started.contains(&(member.message, endpoint)));
    }
    release(tx, found.into_iter().map(|member| (endpoint, member))).await?;
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
    begun: Option<Begun>,
}

/// When discarding began, by the ids of messages.
#[derive(Debug, Clone, Copy)]
struct Begun {
    node: u16,
    /// The last that this node had given.
    last: u64,
    /// What others give later is not less.
    end: u64,
}

impl Begun {
    fn now(tx: &Tx) -> Self {
        Self {
            node: tx.node.unsigned_abs(),
            last: tx.ids.last(),
            end: first_number_at(tx.now.plus(Duration::from_millis(1))),
        }
    }

    fn is_after(&self, message: u64) -> bool {
        match node_of(message) == self.node {
            true => message <= self.last,
            false => message < self.end,
        }
    }
}

impl Discarding {
    pub fn begin() -> Self {
        Self {
            cursor: Cursor::default(),
            heads: false,
            begun: None,
        }
    }
}

/// Discards some of what is in line and not out: of the line with this key, or of all lines of the endpoint.
pub(super) async fn discard(
    tx: &mut Tx,
    endpoint: u64,
    wanted: Option<&str>,
    mut state: Discarding,
) -> Result<Piece<Discarding>, Fault> {
    line::lock(tx, [endpoint]);
    let begun = *state.begun.get_or_insert_with(|| Begun::now(tx));
    let heads = state.heads;
    let walk = Walk {
        endpoint,
        of_line: wanted,
        limit: PER_COMMIT,
    };
    let found = walk
        .on(tx, &mut state.cursor, |member| {
            (member.state != WAITING) == heads && begun.is_after(member.message)
        })
        .await?;
    let is_over = found.len() < PER_COMMIT;
    let changed = discard_all(tx, endpoint, found).await?;
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

/// Those that are out stay. Answers how many do not.
async fn discard_all(tx: &mut Tx, endpoint: u64, members: Vec<Member>) -> Result<u64, Fault> {
    let (mut released, mut cancelled, mut heads) = (Vec::new(), Vec::new(), Vec::new());
    for member in members {
        match member.state {
            BLOCKED => released.push((endpoint, member)),
            HEAD if !hold(tx, endpoint, member.message) => {}
            state => {
                if state == HEAD {
                    heads.push(member.message);
                }
                cancelled.push(member);
            }
        }
    }
    let changed = (released.len() + cancelled.len()) as u64;
    let places = places(tx, endpoint, heads).await?;
    delete_due(tx, &places).await?;
    cancel_rows(tx, endpoint, cancelled.iter().map(|member| member.message));
    let leaving = cancelled.into_iter().map(|member| Leaving {
        endpoint,
        spot: member.spot,
        succeeded: false,
    });
    line::leave(tx, leaving.collect()).await?;
    release(tx, released.into_iter()).await?;
    Ok(changed)
}

/// Where heads are in the queue.
async fn places(tx: &mut Tx, endpoint: u64, messages: Vec<u64>) -> Result<Vec<Place>, Fault> {
    let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for message in messages {
        let day = day_of(message);
        if tx.has(Kind::Message, day).await? {
            days.entry(day).or_default().push(key(message));
        }
    }
    let mut places = Vec::new();
    for (day, messages) in days {
        let sql = format!(
            "SELECT msg, next_at FROM delivery_{day} WHERE msg = ANY ($1) AND endpoint = $2 AND next_at IS NOT NULL"
        );
        for row in tx.rows(&sql, args![messages, key(endpoint)]).await? {
            places.push(Place {
                message: number(row.get(0)),
                endpoint,
                due_at: row.get(1),
            });
        }
    }
    Ok(places)
}

/// Blocked heads, by their key, from one on.
async fn blocked(tx: &mut Tx, endpoint: u64, from: &str, limit: usize) -> Result<Vec<Member>, Fault> {
    let args = args![key(endpoint), owned(from), limit as i64];
    Ok(tx.rows(BLOCKED_BEHIND, args).await?.iter().map(member).collect())
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
    async fn on(
        &self,
        tx: &mut Tx,
        cursor: &mut Cursor,
        is_wanted: impl Fn(&Member) -> bool,
    ) -> Result<Vec<Member>, Fault> {
        let mut found = Vec::new();
        let endpoint = key(self.endpoint);
        let step = self.limit.clamp(16, PER_COMMIT) as i64;
        loop {
            let rows = match self.of_line {
                None => {
                    let args = args![endpoint, cursor.era, owned(&cursor.key), cursor.sequence, step];
                    tx.rows(IN_LINE, args).await?
                }
                Some(okey) => {
                    let args = args![endpoint, cursor.era, owned(okey), cursor.sequence, step];
                    tx.rows(OF_LINE, args).await?
                }
            };
            for row in &rows {
                if found.len() == self.limit {
                    return Ok(found);
                }
                let member = member(row);
                *cursor = Cursor {
                    era: member.spot.era.unwrap_or(cursor.era),
                    key: Arc::clone(&member.spot.key),
                    sequence: member.spot.sequence,
                };
                if is_wanted(&member) {
                    found.push(member);
                }
            }
            if found.len() == self.limit {
                return Ok(found);
            }
            if rows.len() as i64 == step {
                continue;
            }
            if self.of_line.is_none() {
                return Ok(found);
            }
            // Numbers go on over eras, so the cursor's stays as it is.
            let next = tx.row(NEXT_ERA, args![endpoint, cursor.era]).await?;
            match next.and_then(|row| row.get::<_, Option<i64>>(0)) {
                None => return Ok(found),
                Some(next) => cursor.era = next,
            }
        }
    }
}
