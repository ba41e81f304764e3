//! The queue, and the rows of deliveries that are in it or wait to be: many at a time.

use std::collections::{BTreeMap, HashMap};

use bellwire_core::{delivery::Progress, time::Timestamp};

use super::{
    argument::{args, kept, owned},
    columns::{PENDING, key, number, trigger_code},
    days::day_of,
    fault::Fault,
    line::Spot,
    shard::shard_of,
    tx::Tx,
};

const INSERT_DUE: &str = "INSERT INTO due (shard, endpoint, next_at, msg, run, tries, trigger, okey, seq, era) \
     SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const DELETE_DUE: &str = "DELETE FROM due USING unnest($1, $2, $3, $4) AS t (shard, endpoint, next_at, msg) \
     WHERE due.shard = t.shard AND due.endpoint = t.endpoint AND due.next_at = t.next_at AND due.msg = t.msg \
     RETURNING due.endpoint";

/// A delivery that is to be attempted at a time.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub message: u64,
    pub endpoint: u64,
    pub progress: Progress,
    pub due_at: Timestamp,
    /// Its line and number, where order is kept.
    pub spot: Option<Spot>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub message: u64,
    pub endpoint: u64,
    pub due_at: i64,
}

/// Columns of deliveries, one beside the other.
#[derive(Default)]
struct Columns {
    messages: Vec<i64>,
    endpoints: Vec<i64>,
    runs: Vec<i32>,
    tries: Vec<i16>,
    triggers: Vec<i16>,
    next_at: Vec<Option<i64>>,
    keys: Vec<Option<String>>,
    sequences: Vec<Option<i64>>,
    eras: Vec<Option<i64>>,
}

impl Columns {
    fn push(&mut self, pending: &Pending, next_at: Option<Timestamp>) {
        let Progress { run, tries, trigger } = pending.progress;
        self.messages.push(key(pending.message));
        self.endpoints.push(key(pending.endpoint));
        self.runs.push(run as i32);
        self.tries.push(tries as i16);
        self.triggers.push(trigger_code(trigger) as i16);
        self.next_at.push(next_at.map(Timestamp::micros));
        self.keys.push(pending.spot.as_ref().map(|spot| owned(&spot.key)));
        self.sequences.push(pending.spot.as_ref().map(|spot| spot.sequence));
        self.eras.push(pending.spot.as_ref().and_then(|spot| spot.era));
    }
}

/// Deliveries' rows. Those without a time wait for their turn.
pub(super) fn put_rows<'p>(tx: &mut Tx, rows: impl IntoIterator<Item = (&'p Pending, Option<Timestamp>)>) {
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for (pending, next_at) in rows {
        days.entry(day_of(pending.message)).or_default().push(pending, next_at);
    }
    for (day, c) in days {
        let sql = format!(
            "INSERT INTO delivery_{day} (msg, endpoint, state, run, tries, trigger, next_at, okey, seq, era) \
             SELECT t.msg, t.endpoint, {PENDING}, t.run, t.tries, t.trigger, t.next_at, t.okey, t.seq, t.era \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS t (msg, endpoint, run, tries, trigger, next_at, okey, seq, era)"
        );
        let values = kept![
            c.messages,
            c.endpoints,
            c.runs,
            c.tries,
            c.triggers,
            c.next_at,
            c.keys,
            c.sequences,
            c.eras
        ];
        tx.queue(sql, values);
    }
}

/// Places in the queue, and word of them.
pub(super) fn put_due(tx: &mut Tx, pending: &[Pending]) {
    for one in pending {
        tx.effects.head(one.endpoint, one.due_at);
    }
    insert_due(tx, pending);
}

/// Places in the queue, of which nobody is told.
pub(super) fn insert_due(tx: &mut Tx, pending: &[Pending]) {
    if pending.is_empty() {
        return;
    }
    let mut c = Columns::default();
    let mut shards = Vec::with_capacity(pending.len());
    for one in pending {
        shards.push(shard_of(one.endpoint));
        c.push(one, Some(one.due_at));
        tx.effects.wait(one.endpoint, 1);
    }
    let values = kept![
        shards,
        c.endpoints,
        c.next_at,
        c.messages,
        c.runs,
        c.tries,
        c.triggers,
        c.keys,
        c.sequences,
        c.eras
    ];
    tx.queue(INSERT_DUE, values);
}

/// Takes places out of the queue.
pub(super) async fn delete_due(tx: &mut Tx, places: &[Place]) -> Result<(), Fault> {
    if places.is_empty() {
        return Ok(());
    }
    let mut places = places.to_vec();
    places.sort_unstable_by_key(|place| (shard_of(place.endpoint), place.endpoint, place.due_at, place.message));
    let shards: Vec<i16> = places.iter().map(|place| shard_of(place.endpoint)).collect();
    let endpoints: Vec<i64> = places.iter().map(|place| key(place.endpoint)).collect();
    let due: Vec<i64> = places.iter().map(|place| place.due_at).collect();
    let messages: Vec<i64> = places.iter().map(|place| key(place.message)).collect();
    let removed = tx.rows(DELETE_DUE, args![shards, endpoints, due, messages]).await?;
    let mut fewer: HashMap<u64, i64> = HashMap::new();
    for row in removed {
        *fewer.entry(number(row.get(0))).or_default() += 1;
    }
    for (endpoint, count) in fewer {
        tx.effects.wait(endpoint, -count);
    }
    Ok(())
}
