//! Leasing what waits in the store, and finding out for whom something waits.
//!
//! Of each line only the head has a place in the queue, so nothing here knows of order but the place that is told.
//!
//! Reads on a connection of its own, beside the writer; [`super::lease`] keeps a delivery from being given out twice.

use std::{collections::HashSet, sync::Arc};

use bellwire_core::{
    delivery::Work,
    id::{EndpointId, Id},
    time::Timestamp,
};
use rusqlite::Connection;

use super::{
    fault::Fault,
    lease::{Key, Leases, Take},
    line::Spot,
    message::{payload, stored},
    partition::Days,
    row::{key, number, progress},
    settle::{IN_LINE, ROWED},
};
use crate::contract::{ClaimRequest, Claimed, LaneHead};

pub(super) const WAITING: &str =
    "SELECT next_at, msg, run, tries, trigger, okey, seq, era FROM due WHERE endpoint = ?1 ORDER BY next_at, msg";

/// The places of an endpoint, the earliest first.
pub(super) const PLACES: &str = "SELECT next_at, msg FROM due WHERE endpoint = ?1 ORDER BY next_at, msg";

/// Every endpoint with something in the queue and the first time there, without reading the queue: from one endpoint to the
/// next by the key.
pub(super) const LANES: &str = "WITH RECURSIVE lane(endpoint) AS (
    SELECT min(endpoint) FROM due
    UNION ALL SELECT (SELECT min(endpoint) FROM due WHERE endpoint > lane.endpoint) FROM lane WHERE endpoint IS NOT NULL)
  SELECT endpoint, (SELECT min(next_at) FROM due WHERE due.endpoint = lane.endpoint) FROM lane WHERE endpoint IS NOT NULL";

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
        let claimed = &mut self.claimed;
        claimed.next_due = match due_at {
            None => claimed.next_due,
            Some(due_at) => Some(earlier(claimed.next_due, due_at)),
        };
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

/// Leases what is due. Begins its own snapshot on the connection.
pub(super) fn claim(
    connection: &Connection,
    leases: &Arc<Leases>,
    request: ClaimRequest,
    wall: Timestamp,
) -> Result<Granted, Fault> {
    let endpoint = request.endpoint.number();
    // Before the snapshot: what is given back from now on may look different in it.
    let announced = leases.claim();
    let snapshot = connection.unchecked_transaction()?;
    let days = Days::read(&snapshot)?;
    let mut granted = Granted {
        leases: Arc::clone(leases),
        keys: Vec::new(),
        claimed: Claimed::default(),
        gone: Vec::new(),
    };
    let mut statement = snapshot.prepare_cached(WAITING)?;
    let mut rows = statement.query([key(endpoint)])?;
    while let Some(row) = rows.next()? {
        let (due_at, message) = (Timestamp::from_micros(row.get(0)?), number(row.get(1)?));
        if granted.claimed.work.len() >= request.limit || due_at > request.now {
            if announced.is_held((endpoint, message)) {
                continue;
            }
            granted.claimed.next_due = Some(earlier(granted.claimed.next_due, due_at));
            break;
        }
        match announced.take((endpoint, message)) {
            Take::Held | Take::Foreign => continue,
            Take::Returned => {
                granted.claimed.next_due = Some(earlier(granted.claimed.next_due, due_at));
                continue;
            }
            Take::Taken => granted.keys.push((endpoint, message)),
        }
        let Some(stored) = stored(&snapshot, &days, message)? else {
            granted.gone.push((due_at, message));
            if let Some(key) = granted.keys.pop() {
                leases.give_back([key]);
            }
            continue;
        };
        let mut found = stored.message;
        found.payload = payload(&snapshot, &days, &found, wall)?;
        let spot = Spot::read(row, 5)?;
        let is_in_line = spot.as_ref().is_some_and(|spot| spot.era.is_some());
        let place = match spot {
            Some(spot) => Some(Arc::new(spot.place(&snapshot, endpoint)?)),
            None => None,
        };
        let work = Work {
            message: Arc::new(found),
            endpoint: request.endpoint,
            lease: if is_in_line { IN_LINE } else { ROWED },
            progress: progress(row, 2)?,
            due_at,
            place,
        };
        granted.claimed.work.push(work);
    }
    Ok(granted)
}

fn earlier(one: Option<Timestamp>, other: Timestamp) -> Timestamp {
    one.map_or(other, |one| one.min(other))
}

/// For whom something waits that is not out, and since or until when.
pub(super) fn lanes(connection: &Connection, leases: &Leases) -> Result<Vec<LaneHead>, Fault> {
    let out = leases.by_endpoint();
    let mut statement = connection.prepare_cached(LANES)?;
    let mut rows = statement.query([])?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        let endpoint = number(row.get(0)?);
        let due_at = match out.get(&endpoint) {
            None => Some(Timestamp::from_micros(row.get(1)?)),
            Some(out) => earliest(connection, endpoint, out)?,
        };
        heads.extend(due_at.map(|due_at| LaneHead {
            endpoint: EndpointId::from_number(endpoint),
            due_at,
        }));
    }
    Ok(heads)
}

/// When the earliest place of an endpoint is due that is not out.
pub(super) fn earliest(
    connection: &Connection,
    endpoint: u64,
    out: &HashSet<u64>,
) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(PLACES)?;
    let mut rows = statement.query([key(endpoint)])?;
    while let Some(row) = rows.next()? {
        if !out.contains(&number(row.get(1)?)) {
            return Ok(Some(Timestamp::from_micros(row.get(0)?)));
        }
    }
    Ok(None)
}
