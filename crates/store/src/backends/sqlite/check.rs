//! The proof that what is stored adds up.

use std::collections::HashMap;

use bellwire_core::id::{EndpointId, Id};
use rusqlite::Connection;

use super::{
    check_lines::{is_known, numbered, prove_lines},
    check_streams::prove_streams,
    delivery::{Standing, count},
    fault::Fault,
    partition::{Kind, day_of},
    proof::{Numbers, Odd, name},
    row::{self, PENDING, endpoints_in, key, number},
    scan::{DeliveryState, Stride, stride},
};
use crate::query::CheckReport;

/// So many problems are told; more would say no more.
const PROBLEMS_MAX: usize = 100;

/// Looks at every message, every delivery and every place in the queue, in one snapshot.
pub(super) fn check(connection: &Connection) -> Result<CheckReport, Fault> {
    let standing = Standing::read(connection)?;
    let mut proof = Proof {
        connection,
        standing,
        report: CheckReport::default(),
        numbers: Numbers::default(),
    };
    proof.file()?;
    let days: Vec<i64> = proof.standing.days.of(Kind::Message).collect();
    for day in days {
        let mut from = 0;
        loop {
            let seen = stride(connection, &proof.standing.days, day, from)?;
            let Some((last, _)) = seen.messages.last() else { break };
            from = last + 1;
            proof.messages(&seen)?;
        }
        proof.rows_without_message(day)?;
    }
    let gaps = proof.numbers.gaps();
    proof.odd_numbers(&gaps)?;
    proof.queue()?;
    prove_lines(&mut proof)?;
    proof.backlogs()?;
    prove_streams(&mut proof)?;
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

    fn file(&mut self) -> Result<(), Fault> {
        let mut statement = self.connection.prepare("PRAGMA quick_check(10)")?;
        let lines: Vec<String> = statement
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for line in lines.into_iter().filter(|line| line != "ok") {
            self.problem(format!("the file is damaged: {line}"));
        }
        Ok(())
    }

    fn messages(&mut self, seen: &Stride) -> Result<(), Fault> {
        self.report.messages += seen.messages.len() as u64;
        for (message, endpoints) in &seen.messages {
            for endpoint in endpoints_in(endpoints).filter(|endpoint| !seen.rows.contains_key(&(*message, *endpoint))) {
                self.report.deliveries += 1;
                self.without_row(*message, endpoint, seen.attempted.contains(&(*message, endpoint)));
            }
        }
        for ((message, endpoint), row) in &seen.rows {
            if seen.messages.binary_search_by_key(message, |(id, _)| *id).is_ok() {
                self.report.deliveries += 1;
                count(&mut self.report.counts, row::state(row.state));
                self.with_row(*message, *endpoint, row)?;
            }
        }
        let odd = self.numbers.follow(numbered(&seen.rows));
        self.odd_numbers(&odd)
    }

    /// Tells of numbers that do not follow each other.
    fn odd_numbers(&mut self, odd: &[Odd]) -> Result<(), Fault> {
        for odd in odd {
            if !odd.unless_deleted || is_known(self.connection, odd.endpoint)? {
                self.problem(odd.told());
            }
        }
        Ok(())
    }

    fn without_row(&mut self, message: u64, endpoint: u64, attempted: bool) {
        let made = attempted || self.standing.is_below_mark(message);
        let state = if made { row::SUCCEEDED } else { PENDING };
        count(&mut self.report.counts, row::state(state));
        if made && !attempted && !self.standing.attempts_may_be_gone(message) {
            self.problem(format!(
                "{} was never attempted and does not wait",
                name(message, endpoint)
            ));
        }
    }

    fn with_row(&mut self, message: u64, endpoint: u64, row: &DeliveryState) -> Result<(), Fault> {
        let in_line = row.spot.as_ref().is_some_and(|spot| spot.era.is_some());
        match (row.state == PENDING, row.next_at) {
            (true, Some(due_at)) => {
                let sql = "SELECT 1 FROM due WHERE endpoint = ?1 AND next_at = ?2 AND msg = ?3 AND run = ?4 \
                     AND okey IS ?5 AND seq IS ?6 AND era IS ?7";
                let spot = row.spot.as_ref();
                let place = (
                    key(endpoint),
                    due_at,
                    key(message),
                    row.run,
                    spot.map(|spot| &*spot.key),
                    spot.map(|spot| spot.sequence),
                    spot.and_then(|spot| spot.era),
                );
                if !self.connection.prepare_cached(sql)?.exists(place)? {
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
        Ok(())
    }

    fn rows_without_message(&mut self, day: i64) -> Result<(), Fault> {
        let sql = format!(
            "SELECT msg, endpoint FROM delivery_{day} WHERE msg NOT IN (SELECT id FROM message_{day}) LIMIT {PROBLEMS_MAX}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let orphans: Vec<(i64, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (message, endpoint) in orphans {
            self.problem(format!(
                "{} has a row and no message",
                name(number(message), number(endpoint))
            ));
        }
        Ok(())
    }

    fn queue(&mut self) -> Result<(), Fault> {
        let connection = self.connection;
        let mut statement = connection.prepare("SELECT endpoint, next_at, msg, run FROM due")?;
        let mut rows = statement.query([])?;
        while let Some(place) = rows.next()? {
            let message = number(place.get(2)?);
            let day = day_of(message);
            // Places of messages that are gone are cleared away when they come up.
            if !self.standing.days.has(Kind::Message, day) {
                continue;
            }
            let sql = format!(
                "SELECT 1 FROM delivery_{day} WHERE msg = ?1 AND endpoint = ?2 AND state = 0 AND next_at = ?3 AND run = ?4"
            );
            let (endpoint, due_at, run): (i64, i64, i64) = (place.get(0)?, place.get(1)?, place.get(3)?);
            if !connection
                .prepare_cached(&sql)?
                .exists((key(message), endpoint, due_at, run))?
            {
                self.problem(format!(
                    "{} waits in the queue and is not pending",
                    name(message, number(endpoint))
                ));
            }
        }
        Ok(())
    }

    /// What is said to wait for each endpoint, and what does.
    fn backlogs(&mut self) -> Result<(), Fault> {
        let pairs = |sql: &str| -> rusqlite::Result<HashMap<i64, i64>> {
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        let mut counted = pairs("SELECT endpoint, count(*) FROM due GROUP BY endpoint")?;
        for (endpoint, in_line) in pairs("SELECT endpoint, count(*) FROM line WHERE state = 0 GROUP BY endpoint")? {
            *counted.entry(endpoint).or_default() += in_line;
        }
        let kept = pairs("SELECT endpoint, waiting FROM backlog")?;
        let endpoints: std::collections::BTreeSet<i64> = counted.keys().chain(kept.keys()).copied().collect();
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
}
