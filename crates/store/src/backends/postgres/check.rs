//! The proof that what is stored adds up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bellwire_core::id::{EndpointId, Id};

use super::{
    argument::args,
    check_lines::{is_known, numbered, prove_lines},
    check_streams::prove_streams,
    columns::{self, PENDING, endpoints_in, key, number},
    connection::Connection,
    days::{Kind, day_of},
    delivery::{Standing, count},
    fault::Fault,
    line::Spot,
    proof::{Numbers, Odd, name},
    scan::{DeliveryState, Stride, stride},
    shard::shard_of,
};
use crate::query::CheckReport;

/// So many problems are told; more would say no more.
const PROBLEMS_MAX: usize = 100;
/// Places in the queue that are looked at at once.
const STEP: i64 = 10_000;

/// Looks at every message, every delivery and every place in the queue, in one snapshot.
pub(super) async fn check(connection: &Connection) -> Result<CheckReport, Fault> {
    let mut proof = Proof {
        connection,
        standing: Standing::read(connection).await?,
        report: CheckReport::default(),
        numbers: Numbers::default(),
    };
    let days: Vec<i64> = proof.standing.days.of(Kind::Message).collect();
    for day in days {
        let mut from = 0;
        loop {
            let seen = stride(connection, &proof.standing.days, day, from).await?;
            let Some((last, _)) = seen.messages.last() else { break };
            from = last + 1;
            proof.messages(&seen).await?;
        }
        proof.rows_without_message(day).await?;
    }
    let gaps = proof.numbers.gaps();
    proof.odd_numbers(&gaps).await?;
    proof.queue().await?;
    prove_lines(&mut proof).await?;
    proof.backlogs().await?;
    prove_streams(&mut proof).await?;
    Ok(proof.report)
}

/// What was found so far.
pub(super) struct Proof<'c> {
    pub connection: &'c Connection,
    pub standing: Standing<'c>,
    report: CheckReport,
    pub numbers: Numbers,
}

impl Proof<'_> {
    /// Tells what contradicts itself.
    pub fn problem(&mut self, what: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(what);
        }
    }

    /// Counts a message that is held.
    pub fn held(&mut self) {
        self.report.held += 1;
    }

    async fn messages(&mut self, seen: &Stride) -> Result<(), Fault> {
        self.report.messages += seen.messages.len() as u64;
        for (message, endpoints) in &seen.messages {
            for endpoint in endpoints_in(endpoints).filter(|endpoint| !seen.rows.contains_key(&(*message, *endpoint))) {
                self.report.deliveries += 1;
                self.without_row(*message, endpoint, seen.attempted.contains(&(*message, endpoint)));
            }
        }
        let places = places_of(self.connection, &seen.rows).await?;
        for ((message, endpoint), row) in &seen.rows {
            if seen.messages.binary_search_by_key(message, |(id, _)| *id).is_ok() {
                self.report.deliveries += 1;
                count(&mut self.report.counts, columns::state(row.state));
                self.with_row(*message, *endpoint, row, places.get(&(*message, *endpoint)));
            }
        }
        let odd = self.numbers.follow(numbered(&seen.rows));
        self.odd_numbers(&odd).await
    }

    /// Tells of numbers that do not follow each other.
    async fn odd_numbers(&mut self, odd: &[Odd]) -> Result<(), Fault> {
        for odd in odd {
            if !odd.unless_deleted || is_known(self.connection, odd.endpoint).await? {
                self.problem(odd.told());
            }
        }
        Ok(())
    }

    fn without_row(&mut self, message: u64, endpoint: u64, attempted: bool) {
        let made = attempted || self.standing.is_below_mark(message);
        let state = if made { columns::SUCCEEDED } else { PENDING };
        count(&mut self.report.counts, columns::state(state));
        if made && !attempted && !self.standing.attempts_may_be_gone(message) {
            self.problem(format!(
                "{} was never attempted and does not wait",
                name(message, endpoint)
            ));
        }
    }

    fn with_row(&mut self, message: u64, endpoint: u64, row: &DeliveryState, place: Option<&Waits>) {
        let in_line = row.spot.as_ref().is_some_and(|spot| spot.era.is_some());
        match (row.state == PENDING, row.next_at) {
            (true, Some(due_at)) => {
                let is_there = place
                    .is_some_and(|place| place.next_at == due_at && place.run == row.run && place.spot == row.spot);
                if !is_there {
                    self.problem(format!(
                        "{} is pending and has no place in the queue",
                        name(message, endpoint)
                    ));
                }
            }
            // That it waits in line is proven with the lines.
            (true, None) if in_line => {}
            (true, None) => self.problem(format!("{} is pending and never due", name(message, endpoint))),
            (false, Some(_)) => self.problem(format!("{} is over and due again", name(message, endpoint))),
            (false, None) => {}
        }
    }

    async fn rows_without_message(&mut self, day: i64) -> Result<(), Fault> {
        let sql = format!(
            "SELECT msg, endpoint FROM delivery_{day} AS d WHERE NOT EXISTS (SELECT 1 FROM message_{day} AS m WHERE m.id = d.msg) \
             LIMIT {PROBLEMS_MAX}"
        );
        for row in self.connection.rows(&sql, &[]).await? {
            self.problem(format!(
                "{} has a row and no message",
                name(number(row.get(0)), number(row.get(1)))
            ));
        }
        Ok(())
    }

    async fn queue(&mut self) -> Result<(), Fault> {
        let sql = "SELECT shard, endpoint, next_at, msg, run FROM due \
             WHERE (shard, endpoint, next_at, msg) > ($1, $2, $3, $4) ORDER BY shard, endpoint, next_at, msg LIMIT $5";
        let mut after = (i16::MIN, i64::MIN, i64::MIN, i64::MIN);
        loop {
            let args = args![after.0, after.1, after.2, after.3, STEP];
            let rows = self.connection.rows(sql, args).await?;
            let is_last = (rows.len() as i64) < STEP;
            let mut places: BTreeMap<i64, Vec<(i64, i64, i64, i32)>> = BTreeMap::new();
            for row in &rows {
                after = (row.get(0), row.get(1), row.get(2), row.get(3));
                if after.0 != shard_of(number(after.1)) {
                    self.problem(format!(
                        "{} waits in another shard",
                        name(number(after.3), number(after.1))
                    ));
                }
                let day = day_of(number(after.3));
                // Places of messages that are gone are cleared away when they come up.
                if self.standing.days.has(Kind::Message, day) {
                    let place = (after.3, after.1, after.2, row.get(4));
                    places.entry(day).or_default().push(place);
                }
            }
            for (day, places) in places {
                self.places_of_day(day, places).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Message, endpoint, time and run of each.
    async fn places_of_day(&mut self, day: i64, places: Vec<(i64, i64, i64, i32)>) -> Result<(), Fault> {
        let messages: Vec<i64> = places.iter().map(|place| place.0).collect();
        let endpoints: Vec<i64> = places.iter().map(|place| place.1).collect();
        let due: Vec<i64> = places.iter().map(|place| place.2).collect();
        let runs: Vec<i32> = places.iter().map(|place| place.3).collect();
        let sql = format!(
            "SELECT t.msg, t.endpoint FROM unnest($1, $2, $3, $4) AS t (msg, endpoint, due, run) \
             LEFT JOIN delivery_{day} AS d ON d.msg = t.msg AND d.endpoint = t.endpoint \
             AND d.state = 0 AND d.next_at = t.due AND d.run = t.run WHERE d.msg IS NULL"
        );
        for row in self
            .connection
            .rows(&sql, args![messages, endpoints, due, runs])
            .await?
        {
            self.problem(format!(
                "{} waits in the queue and is not pending",
                name(number(row.get(0)), number(row.get(1)))
            ));
        }
        Ok(())
    }

    /// What is said to wait for each endpoint, and what does.
    async fn backlogs(&mut self) -> Result<(), Fault> {
        let mut counted = self
            .pairs("SELECT endpoint, count(*) FROM due GROUP BY endpoint")
            .await?;
        let in_line = "SELECT endpoint, count(*) FROM line WHERE state = 0 GROUP BY endpoint";
        for (endpoint, in_line) in self.pairs(in_line).await? {
            *counted.entry(endpoint).or_default() += in_line;
        }
        let kept = self
            .pairs("SELECT endpoint, sum(waiting)::bigint FROM backlog GROUP BY endpoint")
            .await?;
        let endpoints: BTreeSet<i64> = counted.keys().chain(kept.keys()).copied().collect();
        for endpoint in endpoints {
            let of = |numbers: &HashMap<i64, i64>| numbers.get(&endpoint).copied().unwrap_or(0);
            let (counted, kept) = (of(&counted), of(&kept));
            if counted != kept {
                let name = EndpointId::from_number(number(endpoint));
                self.problem(format!(
                    "{counted} deliveries wait for {name}, the bookkeeping says {kept}"
                ));
            }
        }
        Ok(())
    }

    async fn pairs(&self, sql: &str) -> Result<HashMap<i64, i64>, Fault> {
        let rows = self.connection.rows(sql, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// A place in the queue.
struct Waits {
    next_at: i64,
    run: i32,
    spot: Option<Spot>,
}

/// The places that rows name.
async fn places_of(
    connection: &Connection,
    rows: &HashMap<(u64, u64), DeliveryState>,
) -> Result<HashMap<(u64, u64), Waits>, Fault> {
    let (mut shards, mut endpoints, mut due, mut messages) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((message, endpoint), row) in rows {
        let Some(next_at) = row.next_at.filter(|_| row.state == PENDING) else {
            continue;
        };
        shards.push(shard_of(*endpoint));
        endpoints.push(key(*endpoint));
        due.push(next_at);
        messages.push(key(*message));
    }
    if shards.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT d.msg, d.endpoint, d.next_at, d.run, d.okey, d.seq, d.era FROM due AS d \
         JOIN unnest($1, $2, $3, $4) AS t (shard, endpoint, next_at, msg) \
         ON d.shard = t.shard AND d.endpoint = t.endpoint AND d.next_at = t.next_at AND d.msg = t.msg";
    let rows = connection.rows(sql, args![shards, endpoints, due, messages]).await?;
    let place = |row: &tokio_postgres::Row| {
        let waits = Waits {
            next_at: row.get(2),
            run: row.get(3),
            spot: Spot::read(row, 4),
        };
        ((number(row.get(0)), number(row.get(1))), waits)
    };
    Ok(rows.iter().map(place).collect())
}
