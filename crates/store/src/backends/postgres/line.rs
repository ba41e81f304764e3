//! Lines: which deliveries wait for each other, and whose turn it is.
//!
//! Always true, and proven by [`super::check_lines`]: of the endpoint's earliest era in line, each line's first is its head (with
//! a place in the queue) or a blocked head, and everybody else waits. So whoever takes the head out of a line gives the next one
//! its turn in the same transaction, and whoever takes the last one of an era begins the next era.
//!
//! Everything here is done to many lines at once, in as many statements as for one. Whoever changes an endpoint's lines locks
//! its lane first, and looks only then: nodes accept messages for each other's endpoints.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bellwire_core::{
    delivery::Progress,
    order::{self, Place},
    time::Timestamp,
};
use tokio_postgres::Row;

use super::{
    argument::{args, kept, owned, plain},
    columns::{key, number},
    connection::Connection,
    days::{Kind, day_of},
    due::{Pending, put_due},
    fault::Fault,
    row::progress,
    tx::{Tx, sorted},
};

/// It waits for its turn.
pub(super) const WAITING: i16 = 0;
/// It is the head, and has a place in the queue.
pub(super) const HEAD: i16 = 1;
/// It is the head, was given up, and the line waits for a person.
pub(super) const BLOCKED: i16 = 2;

const KNOW_LANES: &str = "INSERT INTO lane (endpoint) SELECT * FROM unnest($1) ON CONFLICT DO NOTHING";
const LOCK_LANES: &str = "SELECT 1 FROM lane WHERE endpoint = ANY ($1) ORDER BY endpoint FOR UPDATE";
/// The first and the last era in line at endpoints.
pub(super) const ERAS: &str = "SELECT t.endpoint, (SELECT min(era) FROM line WHERE line.endpoint = t.endpoint), \
     (SELECT max(era) FROM line WHERE line.endpoint = t.endpoint) FROM unnest($1) AS t (endpoint)";
const NEXT_NUMBERS: &str = "INSERT INTO sequence (endpoint, okey, last, succeeded, length, gone) \
     SELECT t.endpoint, t.okey, t.n, 0, t.n, false FROM unnest($1, $2, $3) AS t (endpoint, okey, n) \
     ON CONFLICT (endpoint, okey) DO UPDATE SET last = sequence.last + excluded.last, length = sequence.length + excluded.length \
     RETURNING endpoint, okey, last, succeeded, length";
const JOIN: &str =
    "INSERT INTO line (endpoint, era, okey, seq, msg, state) SELECT * FROM unnest($1, $2, $3, $4, $5, $6)";
const LEAVE: &str = "DELETE FROM line USING unnest($1, $2, $3, $4) AS t (endpoint, era, okey, seq) \
     WHERE line.endpoint = t.endpoint AND line.era = t.era AND line.okey = t.okey AND line.seq = t.seq \
     RETURNING line.endpoint, line.era, line.okey, line.seq, line.state";
const SHORTEN: &str = "UPDATE sequence SET length = sequence.length - t.n, succeeded = greatest(sequence.succeeded, t.reached) \
     FROM unnest($1, $2, $3, $4) AS t (endpoint, okey, n, reached) \
     WHERE sequence.endpoint = t.endpoint AND sequence.okey = t.okey";
const FORGET: &str = "DELETE FROM sequence USING unnest($1, $2) AS t (endpoint, okey) \
     WHERE sequence.endpoint = t.endpoint AND sequence.okey = t.okey AND sequence.gone AND sequence.length = 0";
const MARK: &str = "UPDATE line SET state = $5 FROM unnest($1, $2, $3, $4) AS t (endpoint, era, okey, seq) \
     WHERE line.endpoint = t.endpoint AND line.era = t.era AND line.okey = t.okey AND line.seq = t.seq";
/// The first of each of some lines.
pub(super) const FIRSTS: &str = "SELECT t.n, f.seq, f.msg FROM unnest($1, $2, $3, $4) AS t (n, endpoint, era, okey) \
     CROSS JOIN LATERAL (SELECT seq, msg FROM line WHERE line.endpoint = t.endpoint AND line.era = t.era \
     AND line.okey = t.okey ORDER BY seq LIMIT 1) AS f";
/// The keys of the lines of an era.
pub(super) const KEYS: &str = "SELECT DISTINCT okey FROM line WHERE endpoint = $1 AND era = $2 ORDER BY okey";

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
    pub fn read(row: &Row, first: usize) -> Option<Self> {
        let key: Option<String> = row.get(first);
        Some(Self {
            key: plain(key?).into(),
            sequence: row.get(first + 1),
            era: row.get(first + 2),
        })
    }
}

/// What receivers are told of deliveries with these endpoints and spots.
pub(super) async fn places(connection: &Connection, of: &[(u64, &Spot)]) -> Result<Vec<Place>, Fault> {
    let mut reached: HashMap<(u64, String), i64> = HashMap::new();
    let in_line: BTreeSet<(i64, String)> = of
        .iter()
        .filter(|(_, spot)| spot.era.is_some())
        .map(|(endpoint, spot)| (key(*endpoint), owned(&spot.key)))
        .collect();
    if !in_line.is_empty() {
        let (endpoints, keys): (Vec<i64>, Vec<String>) = in_line.into_iter().unzip();
        let sql = "SELECT s.endpoint, s.okey, s.succeeded FROM sequence AS s JOIN unnest($1, $2) AS t (endpoint, okey) \
             ON s.endpoint = t.endpoint AND s.okey = t.okey";
        for row in connection.rows(sql, args![endpoints, keys]).await? {
            reached.insert((number(row.get(0)), plain(row.get(1))), row.get(2));
        }
    }
    let place = |(endpoint, spot): &(u64, &Spot)| Place {
        key: Arc::clone(&spot.key),
        sequence: number(spot.sequence),
        previous: match spot.era {
            None => None,
            Some(_) => reached.get(&(*endpoint, spot.key.to_string())).copied().map(number),
        },
    };
    Ok(of.iter().map(place).collect())
}

/// A delivery that joins a line.
pub(super) struct Joining<'a> {
    pub message: u64,
    pub endpoint: u64,
    pub line: &'a order::Line,
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

/// How a line's numbers stand while deliveries join it.
struct Numbers {
    last: i64,
    succeeded: i64,
    length: i64,
}

/// Puts deliveries at the ends of their lines, in this order, and gives them the lines' next numbers.
pub(super) async fn join(tx: &mut Tx, joining: &[Joining<'_>]) -> Result<Vec<Joined>, Fault> {
    if joining.is_empty() {
        return Ok(Vec::new());
    }
    lock(tx, joining.iter().map(|one| one.endpoint));
    let mut numbers = next_numbers(tx, joining).await?;
    let mut eras = eras(tx, joining.iter().map(|one| one.endpoint)).await?;
    let mut all = Vec::with_capacity(joining.len());
    let (mut endpoints, mut in_eras, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sequences, mut messages, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for one in joining {
        let Some(numbers) = numbers.get_mut(&(one.endpoint, &*one.line.key)) else {
            continue;
        };
        let (first, last) = eras.entry(one.endpoint).or_default();
        // What was routed by older settings does not overtake: it joins those that came after the change.
        let era = last.map_or(i64::from(one.line.era), |last| last.max(i64::from(one.line.era)));
        // Who else is of this line is ahead of it: in this era, or in an earlier one.
        let is_head = numbers.length == 0 && first.is_none_or(|first| first == era);
        *first = Some(first.map_or(era, |first| first.min(era)));
        *last = Some(era);
        numbers.last += 1;
        numbers.length += 1;
        endpoints.push(key(one.endpoint));
        in_eras.push(era);
        keys.push(owned(&one.line.key));
        sequences.push(numbers.last);
        messages.push(key(one.message));
        states.push(if is_head { HEAD } else { WAITING });
        all.push(Joined {
            spot: Spot {
                key: Arc::clone(&one.line.key),
                sequence: numbers.last,
                era: Some(era),
            },
            is_head,
            succeeded: numbers.succeeded,
        });
    }
    tx.queue(JOIN, kept![endpoints, in_eras, keys, sequences, messages, states]);
    Ok(all)
}

/// Takes as many numbers of each line as are needed. Answers how each stood before.
async fn next_numbers<'a>(tx: &mut Tx, joining: &[Joining<'a>]) -> Result<HashMap<(u64, &'a str), Numbers>, Fault> {
    let mut wanted: BTreeMap<(u64, &'a str), i64> = BTreeMap::new();
    for one in joining {
        *wanted.entry((one.endpoint, &one.line.key)).or_default() += 1;
    }
    let endpoints: Vec<i64> = wanted.keys().map(|(endpoint, _)| key(*endpoint)).collect();
    let keys: Vec<String> = wanted.keys().map(|(_, okey)| owned(okey)).collect();
    let counts: Vec<i64> = wanted.values().copied().collect();
    let mut found: HashMap<(u64, String), Numbers> = HashMap::new();
    for row in tx.rows(NEXT_NUMBERS, args![endpoints, keys, counts]).await? {
        let numbers = Numbers {
            last: row.get(2),
            succeeded: row.get(3),
            length: row.get(4),
        };
        found.insert((number(row.get(0)), plain(row.get(1))), numbers);
    }
    let before = |((endpoint, okey), n): ((u64, &'a str), i64)| {
        let mut numbers = found.remove(&(endpoint, okey.to_owned()))?;
        numbers.last -= n;
        numbers.length -= n;
        Some(((endpoint, okey), numbers))
    };
    Ok(wanted.into_iter().filter_map(before).collect())
}

/// Whoever changes these endpoints' lines next waits for this transaction. Who locks several does it at once, or two nodes might
/// wait for each other.
pub(super) fn lock(tx: &mut Tx, endpoints: impl IntoIterator<Item = u64>) {
    let endpoints = endpoints.into_iter().filter(|endpoint| !tx.locked.contains(endpoint));
    let endpoints: Vec<i64> = sorted(endpoints.map(key));
    if !endpoints.is_empty() {
        tx.locked.extend(endpoints.iter().copied().map(number));
        tx.queue(KNOW_LANES, kept![endpoints.clone()]);
        tx.queue(LOCK_LANES, kept![endpoints]);
    }
}

/// As [`lock`], for those of the endpoints that ever had a line.
pub(super) fn lock_where_there_are(tx: &mut Tx, endpoints: impl IntoIterator<Item = u64>) {
    let endpoints = endpoints.into_iter().filter(|endpoint| !tx.locked.contains(endpoint));
    let endpoints: Vec<i64> = sorted(endpoints.map(key));
    if !endpoints.is_empty() {
        tx.queue(LOCK_LANES, kept![endpoints]);
    }
}

/// The first and the last era in line at each endpoint.
async fn eras(
    tx: &mut Tx,
    endpoints: impl IntoIterator<Item = u64>,
) -> Result<HashMap<u64, (Option<i64>, Option<i64>)>, Fault> {
    let endpoints = sorted(endpoints.into_iter().map(key));
    let rows = tx.rows(ERAS, args![endpoints]).await?;
    let eras = |row: &Row| (number(row.get(0)), (row.get(1), row.get(2)));
    Ok(rows.iter().map(eras).collect())
}

/// These heads were given up and stay: their lines wait for a person.
pub(super) fn block<'s>(tx: &mut Tx, heads: impl IntoIterator<Item = (u64, &'s Spot)>) {
    mark(tx, heads, BLOCKED);
}

/// Blocked heads have their turn again.
pub(super) fn unblock<'s>(tx: &mut Tx, heads: impl IntoIterator<Item = (u64, &'s Spot)>) {
    mark(tx, heads, HEAD);
}

fn mark<'s>(tx: &mut Tx, spots: impl IntoIterator<Item = (u64, &'s Spot)>, state: i16) {
    let (mut endpoints, mut eras, mut keys, mut sequences) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (endpoint, spot) in spots {
        let Some(era) = spot.era else { continue };
        endpoints.push(key(endpoint));
        eras.push(era);
        keys.push(owned(&spot.key));
        sequences.push(spot.sequence);
    }
    if !endpoints.is_empty() {
        tx.queue(MARK, kept![endpoints, eras, keys, sequences, state]);
    }
}

/// A delivery that leaves its line.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    pub endpoint: u64,
    pub spot: Spot,
    pub succeeded: bool,
}

/// A line in an era.
type InEra = (u64, i64, Arc<str>);

/// Takes deliveries out of their lines, those that are in line; where a head leaves, the next one has its turn. Their places in
/// the queue are the caller's to take away, and so are the eras in their rows.
pub(super) async fn leave(tx: &mut Tx, leaving: Vec<Leaving>) -> Result<(), Fault> {
    let leaving: Vec<Leaving> = leaving.into_iter().filter(|one| one.spot.era.is_some()).collect();
    if leaving.is_empty() {
        return Ok(());
    }
    lock(tx, leaving.iter().map(|one| one.endpoint));
    let mut open = take_out(tx, &leaving).await?;
    while !open.is_empty() {
        let empty = give_turns(tx, open).await?;
        open = next_eras(tx, empty).await?;
    }
    Ok(())
}

/// Answers the lines that have no head any more.
async fn take_out(tx: &mut Tx, leaving: &[Leaving]) -> Result<BTreeSet<InEra>, Fault> {
    let mut ordered: Vec<(i64, i64, String, i64)> = leaving
        .iter()
        .filter_map(|one| {
            Some((
                key(one.endpoint),
                one.spot.era?,
                owned(&one.spot.key),
                one.spot.sequence,
            ))
        })
        .collect();
    ordered.sort_unstable();
    ordered.dedup();
    let reached: HashMap<(u64, &str, i64), bool> = leaving
        .iter()
        .map(|one| ((one.endpoint, &*one.spot.key, one.spot.sequence), one.succeeded))
        .collect();
    let (mut endpoints, mut eras, mut keys, mut sequences) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (endpoint, era, okey, sequence) in ordered {
        endpoints.push(endpoint);
        eras.push(era);
        keys.push(okey);
        sequences.push(sequence);
    }
    let mut headless = BTreeSet::new();
    let mut shorter: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for row in tx.rows(LEAVE, args![endpoints, eras, keys, sequences]).await? {
        let (endpoint, era, kept_key): (i64, i64, String) = (row.get(0), row.get(1), row.get(2));
        let (sequence, state): (i64, i16) = (row.get(3), row.get(4));
        let okey = plain(kept_key.clone());
        let succeeded = reached.get(&(number(endpoint), &okey, sequence)).copied();
        let (n, furthest) = shorter.entry((endpoint, kept_key)).or_default();
        *n += 1;
        if succeeded == Some(true) {
            *furthest = (*furthest).max(sequence);
        }
        if state == WAITING {
            tx.effects.wait(number(endpoint), -1);
        } else {
            headless.insert((number(endpoint), era, okey.into()));
        }
    }
    let (mut endpoints, mut keys) = (Vec::new(), Vec::new());
    let (mut counts, mut furthest) = (Vec::new(), Vec::new());
    for ((endpoint, okey), (n, reached)) in shorter {
        endpoints.push(endpoint);
        keys.push(okey);
        counts.push(n);
        furthest.push(reached);
    }
    if !endpoints.is_empty() {
        tx.queue(SHORTEN, kept![endpoints.clone(), keys.clone(), counts, furthest]);
        tx.queue(FORGET, kept![endpoints, keys]);
    }
    Ok(headless)
}

/// Makes the first of each line its head. Those whose message is gone leave their line. Answers which lines are empty.
async fn give_turns(tx: &mut Tx, mut lines: BTreeSet<InEra>) -> Result<BTreeSet<InEra>, Fault> {
    let mut empty = BTreeSet::new();
    while !lines.is_empty() {
        let firsts = firsts(tx, &lines).await?;
        for (line, first) in lines.iter().zip(&firsts) {
            if first.is_none() {
                empty.insert(line.clone());
            }
        }
        let firsts: Vec<(InEra, i64, u64)> = lines
            .into_iter()
            .zip(firsts)
            .filter_map(|(line, first)| first.map(|(sequence, message)| (line, sequence, message)))
            .collect();
        let times = times(
            tx,
            firsts.iter().map(|((endpoint, ..), _, message)| (*message, *endpoint)),
        )
        .await?;
        let (mut heads, mut gone) = (Vec::new(), Vec::new());
        lines = BTreeSet::new();
        for (line, sequence, message) in firsts {
            let (endpoint, era, okey) = line.clone();
            let spot = Spot {
                key: okey,
                sequence,
                era: Some(era),
            };
            match times.get(&(message, endpoint)) {
                Some((deliver_at, progress)) => heads.push(Pending {
                    message,
                    endpoint,
                    progress: *progress,
                    due_at: deliver_at.map_or(tx.now, |at| at.max(tx.now)),
                    spot: Some(spot),
                }),
                None => {
                    gone.push(Leaving {
                        endpoint,
                        spot,
                        succeeded: false,
                    });
                    lines.insert(line);
                }
            }
        }
        make_heads(tx, &heads);
        if !gone.is_empty() {
            take_out(tx, &gone).await?;
        }
    }
    Ok(empty)
}

/// Number and message of the first of each line.
async fn firsts(tx: &mut Tx, lines: &BTreeSet<InEra>) -> Result<Vec<Option<(i64, u64)>>, Fault> {
    let places: Vec<i64> = (0..lines.len() as i64).collect();
    let endpoints: Vec<i64> = lines.iter().map(|(endpoint, ..)| key(*endpoint)).collect();
    let eras: Vec<i64> = lines.iter().map(|(_, era, _)| *era).collect();
    let keys: Vec<String> = lines.iter().map(|(.., okey)| owned(okey)).collect();
    let mut found = vec![None; lines.len()];
    for row in tx.rows(FIRSTS, args![places, endpoints, eras, keys]).await? {
        let place: i64 = row.get(0);
        if let Some(first) = found.get_mut(place as usize) {
            *first = Some((row.get(1), number(row.get(2))));
        }
    }
    Ok(found)
}

type Times = HashMap<(u64, u64), (Option<Timestamp>, Progress)>;

/// Before when deliveries are not to be made, and how far they have come. Those whose message is gone are not among them.
async fn times(tx: &mut Tx, deliveries: impl Iterator<Item = (u64, u64)>) -> Result<Times, Fault> {
    let mut days: BTreeMap<i64, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for (message, endpoint) in deliveries {
        let day = day_of(message);
        if tx.has(Kind::Message, day).await? {
            let (messages, endpoints) = days.entry(day).or_default();
            messages.push(key(message));
            endpoints.push(key(endpoint));
        }
    }
    let mut times = HashMap::new();
    for (day, (messages, endpoints)) in days {
        let sql = format!(
            "SELECT d.msg, d.endpoint, m.deliver_at, d.run, d.tries, d.trigger \
             FROM unnest($1, $2) AS t (msg, endpoint) JOIN message_{day} AS m ON m.id = t.msg \
             JOIN delivery_{day} AS d ON d.msg = t.msg AND d.endpoint = t.endpoint WHERE d.state = 0"
        );
        for row in tx.rows(&sql, args![messages, endpoints]).await? {
            let deliver_at: Option<i64> = row.get(2);
            let delivery = (number(row.get(0)), number(row.get(1)));
            times.insert(delivery, (deliver_at.map(Timestamp::from_micros), progress(&row, 3)));
        }
    }
    Ok(times)
}

/// They have their turn. From here on they wait in the queue.
fn make_heads(tx: &mut Tx, heads: &[Pending]) {
    if heads.is_empty() {
        return;
    }
    mark(
        tx,
        heads
            .iter()
            .filter_map(|head| head.spot.as_ref().map(|spot| (head.endpoint, spot))),
        HEAD,
    );
    type Columns = (Vec<i64>, Vec<i64>, Vec<i64>);
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for head in heads {
        let (messages, endpoints, due) = days.entry(day_of(head.message)).or_default();
        messages.push(key(head.message));
        endpoints.push(key(head.endpoint));
        due.push(head.due_at.micros());
        tx.effects.wait(head.endpoint, -1);
    }
    for (day, (messages, endpoints, due)) in days {
        let sql = format!(
            "UPDATE delivery_{day} AS d SET next_at = t.due FROM unnest($1, $2, $3) AS t (msg, endpoint, due) \
             WHERE d.msg = t.msg AND d.endpoint = t.endpoint"
        );
        tx.queue(sql, kept![messages, endpoints, due]);
    }
    put_due(tx, heads);
}

/// Lines have run empty. Where an era is over with them, the next one begins: answers its lines, all of which have their turn.
async fn next_eras(tx: &mut Tx, empty: BTreeSet<InEra>) -> Result<BTreeSet<InEra>, Fault> {
    let mut over: BTreeMap<u64, i64> = BTreeMap::new();
    for (endpoint, era, _) in empty {
        let latest = over.entry(endpoint).or_insert(era);
        *latest = era.max(*latest);
    }
    let mut lines = BTreeSet::new();
    if over.is_empty() {
        return Ok(lines);
    }
    for (endpoint, (first, _)) in eras(tx, over.keys().copied()).await? {
        let Some(next) = first.filter(|first| over.get(&endpoint).is_some_and(|over| first > over)) else {
            continue;
        };
        for row in tx.rows(KEYS, args![key(endpoint), next]).await? {
            lines.insert((endpoint, next, plain(row.get(0)).into()));
        }
    }
    Ok(lines)
}
