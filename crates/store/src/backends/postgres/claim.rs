//! Leasing what waits in the store, and finding out for whom something waits.
//!
//! Of each line only the head has a place in the queue, so nothing here knows of order but the place that is told.
//!
//! Reads in a snapshot of its own, beside the writer; [`super::lease`] keeps a delivery from being given out twice. No row is
//! locked and nothing is written: an endpoint's queue is read by its own node only.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bellwire_core::{
    delivery::{Progress, Work},
    id::{EndpointId, Id},
    time::Timestamp,
};

use super::{
    argument::args,
    columns::number,
    connection::Connection,
    fault::Fault,
    lease::{IN_LINE, Key, Leases, ROWED, Take},
    line::{Spot, places},
    message::{payloads, stored_all},
    partition,
    pool::Pool,
    row::progress,
    shard::place,
};
use crate::{
    contract::{ClaimRequest, Claimed, LaneHead},
    error::StoreError,
};

/// The places of an endpoint behind one, the earliest first.
pub(super) const WAITING: &str = "SELECT next_at, msg, run, tries, trigger, okey, seq, era FROM due \
     WHERE shard = $1 AND endpoint = $2 AND (next_at, msg) > ($3, $4) ORDER BY next_at, msg LIMIT $5";

/// Every endpoint of some shards with something in the queue and the first time there, without reading the queue: from one
/// endpoint to the next by the key.
pub(super) const LANES: &str = "WITH RECURSIVE lane (shard, endpoint, next_at) AS (
    (SELECT f.shard, f.endpoint, f.next_at FROM unnest($1) AS s (number) CROSS JOIN LATERAL
      (SELECT due.shard, due.endpoint, due.next_at FROM due WHERE due.shard = s.number
       ORDER BY due.shard, due.endpoint, due.next_at LIMIT 1) AS f)
    UNION ALL SELECT n.shard, n.endpoint, n.next_at FROM lane CROSS JOIN LATERAL
      (SELECT due.shard, due.endpoint, due.next_at FROM due WHERE due.shard = lane.shard AND due.endpoint > lane.endpoint
       ORDER BY due.shard, due.endpoint, due.next_at LIMIT 1) AS n)
  SELECT endpoint, next_at FROM lane";

/// More than these are read at once, so that those that are out do not cost a round trip each.
const READ_AHEAD: usize = 64;

/// What a claim took. Gives it all back when it is dropped before it reached the caller.
pub(super) struct Granted {
    leases: Arc<Leases>,
    keys: Vec<Key>,
    claimed: Claimed,
    /// Places in the queue whose message is gone.
    pub gone: Vec<(Timestamp, u64)>,
}

impl Granted {
    /// Something else has come to wait meanwhile.
    pub fn remains(&mut self, due_at: Option<Timestamp>) {
        if let Some(due_at) = due_at {
            self.next(due_at);
        }
    }

    fn next(&mut self, due_at: Timestamp) {
        let claimed = &mut self.claimed;
        claimed.next_due = Some(claimed.next_due.map_or(due_at, |one| one.min(due_at)));
    }

    /// It reached the caller, who must settle it.
    pub fn accept(mut self) -> Claimed {
        self.keys.clear();
        std::mem::take(&mut self.claimed)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.leases.give_back(self.keys.drain(..));
        }
    }
}

/// A place in the queue that was taken.
struct Taken {
    due_at: Timestamp,
    message: u64,
    progress: Progress,
    spot: Option<Spot>,
}

/// Leases what is due. Takes a snapshot of its own.
///
/// # Errors
/// Those of the database; nothing is leased then.
pub(super) async fn claim(
    pool: &Arc<Pool>,
    leases: &Arc<Leases>,
    request: ClaimRequest,
    wall: Timestamp,
) -> Result<Granted, StoreError> {
    // Before the snapshot: what is given back from now on may look different in it.
    let announced = leases.claim();
    let mut granted = Granted {
        leases: Arc::clone(leases),
        keys: Vec::new(),
        claimed: Claimed::default(),
        gone: Vec::new(),
    };
    let snapshot = pool.snapshot().await?;
    let took = take(&snapshot, &announced, request, &mut granted).await;
    let filled = match took {
        Ok(taken) => fill(&snapshot, taken, request, wall, &mut granted).await,
        Err(fault) => Err(fault),
    };
    snapshot.end(filled).await?;
    Ok(granted)
}

/// Takes places in the queue, those that nobody has.
async fn take(
    connection: &Connection,
    announced: &super::lease::Claim<'_>,
    request: ClaimRequest,
    granted: &mut Granted,
) -> Result<Vec<Taken>, Fault> {
    let endpoint = request.endpoint.number();
    let (shard, key) = place(endpoint);
    let (mut after_time, mut after_message) = (i64::MIN, i64::MIN);
    let limit = (request.limit + 1).max(READ_AHEAD) as i64;
    let mut taken: Vec<Taken> = Vec::new();
    loop {
        let args = args![shard, key, after_time, after_message, limit];
        let rows = connection.rows(WAITING, args).await?;
        let is_last = (rows.len() as i64) < limit;
        for row in rows {
            (after_time, after_message) = (row.get(0), row.get(1));
            let (due_at, message) = (Timestamp::from_micros(after_time), number(after_message));
            if taken.len() >= request.limit || due_at > request.now {
                if announced.is_held((endpoint, message)) {
                    continue;
                }
                granted.next(due_at);
                return Ok(taken);
            }
            match announced.take((endpoint, message)) {
                Take::Held | Take::Foreign => continue,
                Take::Returned => {
                    granted.next(due_at);
                    continue;
                }
                Take::Taken => granted.keys.push((endpoint, message)),
            }
            taken.push(Taken {
                due_at,
                message,
                progress: progress(&row, 2),
                spot: Spot::read(&row, 5),
            });
        }
        if is_last {
            return Ok(taken);
        }
    }
}

/// Fetches the messages of what was taken.
async fn fill(
    connection: &Connection,
    taken: Vec<Taken>,
    request: ClaimRequest,
    wall: Timestamp,
    granted: &mut Granted,
) -> Result<(), Fault> {
    if taken.is_empty() {
        return Ok(());
    }
    let endpoint = request.endpoint.number();
    let days = partition::read(connection).await?;
    let mut messages = stored_all(connection, &days, taken.iter().map(|one| one.message)).await?;
    let mut bodies = payloads(connection, &days, messages.values().map(|found| &found.message), wall).await?;
    let spots: Vec<(u64, &Spot)> = taken
        .iter()
        .filter_map(|one| Some((endpoint, one.spot.as_ref()?)))
        .collect();
    let mut places = places(connection, &spots).await?.into_iter();
    for one in &taken {
        let place = one.spot.as_ref().and_then(|_| places.next());
        let Some(found) = messages.remove(&one.message) else {
            granted.gone.push((one.due_at, one.message));
            granted.keys.retain(|(_, message)| *message != one.message);
            granted.leases.give_back([(endpoint, one.message)]);
            continue;
        };
        let mut message = found.message;
        message.payload = bodies.remove(&one.message);
        let is_in_line = one.spot.as_ref().is_some_and(|spot| spot.era.is_some());
        granted.claimed.work.push(Work {
            message: Arc::new(message),
            endpoint: request.endpoint,
            lease: if is_in_line { IN_LINE } else { ROWED },
            progress: one.progress,
            due_at: one.due_at,
            place: place.map(Arc::new),
        });
    }
    Ok(())
}

/// For whom in these shards something waits that is not out, and since or until when.
pub(super) async fn lanes(connection: &Connection, leases: &Leases, shards: &[i16]) -> Result<Vec<LaneHead>, Fault> {
    let out: HashMap<u64, HashSet<u64>> = leases.by_endpoint();
    let mut heads = Vec::new();
    for row in connection.rows(LANES, args![shards.to_vec()]).await? {
        let endpoint = number(row.get(0));
        let due_at = match out.get(&endpoint) {
            None => Some(Timestamp::from_micros(row.get(1))),
            Some(out) => earliest(connection, endpoint, out).await?,
        };
        heads.extend(due_at.map(|due_at| LaneHead {
            endpoint: EndpointId::from_number(endpoint),
            due_at,
        }));
    }
    Ok(heads)
}

/// When the earliest place of an endpoint is due that is not out.
pub(super) async fn earliest(
    connection: &Connection,
    endpoint: u64,
    out: &HashSet<u64>,
) -> Result<Option<Timestamp>, Fault> {
    let (shard, key) = place(endpoint);
    let limit = out.len() as i64 + 1;
    let args = args![shard, key, i64::MIN, i64::MIN, limit];
    for row in connection.rows(WAITING, args).await? {
        if !out.contains(&number(row.get(1))) {
            return Ok(Some(Timestamp::from_micros(row.get(0))));
        }
    }
    Ok(None)
}
