//! The end of an ordered run: what the server says of its deliveries and lines must be what arrived.

use std::collections::{HashMap, HashSet};

use super::{Ledger, Totals, cell_at, index};
use crate::order::line::{Line, Origin};
use crate::order::plan::{ENDPOINTS, Endpoint, LineKey};
use crate::runs::Kill;
use crate::violation::{Kind, Violations};

/// What the server says of an endpoint when all is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Deliveries given up: the message's id, and its number where the server tells.
    pub(crate) given_up: Vec<(String, Option<u32>)>,
    /// Deliveries that are neither succeeded nor given up.
    pub(crate) open: u64,
    /// Its lines; `None` when this server does not tell.
    pub(crate) lines: Option<Vec<SaidLine>>,
}

/// What the server says of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaidLine {
    pub(crate) key: String,
    pub(crate) last: u32,
    pub(crate) succeeded: u32,
    pub(crate) waiting: u64,
}

/// What the server says that it gave up at an endpoint.
#[derive(Debug, Default)]
struct GivenUp {
    /// The messages.
    seqs: HashSet<u64>,
    /// The numbers of those that never arrived.
    unseen: HashSet<(LineKey, u32)>,
}

/// A closed account.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) totals: Totals,
    /// Lines of which anything arrived.
    pub(crate) lines: usize,
    /// Ordering keys of which anything arrived.
    pub(crate) keys: usize,
    /// The highest number in any line.
    pub(crate) longest: u32,
    pub(crate) kills: Vec<Kill>,
    /// Ends in good order.
    pub(crate) stops: usize,
    pub(crate) violations: Violations,
}

impl Ledger {
    /// Closes the account: what the server says, by endpoint, must be what arrived.
    pub(crate) fn close(&mut self, said: &[Said]) -> Closed {
        let nothing = Said::default();
        for (at, endpoint) in ENDPOINTS.iter().enumerate() {
            let said = said.get(at).unwrap_or(&nothing);
            self.totals.given_up += said.given_up.len() as u64;
            if said.open > 0 {
                let what = format!(
                    "{}: {} deliveries are still pending or were cancelled",
                    endpoint.name, said.open
                );
                self.violations.add(Kind::State, what);
            }
            let given_up = self.given_up(at, endpoint, said);
            self.close_lines(at, &given_up);
            self.close_messages(at, endpoint, &given_up);
            if let Some(lines) = &said.lines {
                self.compare_lines(at, endpoint, lines);
            }
        }
        for what in self.runs.over_bound() {
            self.violations.add(Kind::OverBound, what);
        }
        let mut keys: Vec<LineKey> = self.lines.keys().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        Closed {
            totals: self.totals,
            lines: self.lines.len(),
            keys: keys.iter().filter(|key| **key != LineKey::All).count(),
            longest: self.lines.values().map(Line::begun).max().unwrap_or(0),
            kills: self.runs.kills().cloned().collect(),
            stops: self.runs.stops(),
            violations: std::mem::take(&mut self.violations),
        }
    }

    /// The messages that the server says it gave up at an endpoint, each with its number as it arrived or as it is told.
    fn given_up(&mut self, at: usize, endpoint: &Endpoint, said: &Said) -> GivenUp {
        let mut given_up = GivenUp::default();
        for (id, told) in &said.given_up {
            let Some(seq) = self.names.seq(id) else {
                let what = format!("{}: {id} was given up, and nobody published it", endpoint.name);
                self.violations.add(Kind::Unknown, what);
                continue;
            };
            let cell = self.cells.get(cell_at(seq, at)).copied().unwrap_or_default();
            if let Some(told) = told.filter(|told| cell.tries > 0 && *told != cell.number) {
                let what = format!(
                    "{}: message {seq} arrived as {}, and the server says {told}",
                    endpoint.name, cell.number
                );
                self.violations.add(Kind::State, what);
            }
            if cell.tries == 0 {
                let key = self
                    .messages
                    .get(index(seq))
                    .and_then(|message| endpoint.line(message.key));
                given_up.unseen.extend(key.zip(*told));
            }
            given_up.seqs.insert(seq);
        }
        given_up
    }

    fn close_lines(&mut self, at: usize, given_up: &GivenUp) {
        let mut found = Vec::new();
        for ((_, key), line) in self.lines.iter().filter(|((endpoint, _), _)| *endpoint == at) {
            let origin = |seq: u32| {
                let message = self.messages.get(index(seq.into()));
                Origin {
                    publisher: message.map_or(u32::MAX, |message| message.publisher),
                    acknowledged: message.is_some_and(|message| message.acknowledged),
                    given_up: given_up.seqs.contains(&seq.into()),
                }
            };
            let unseen = |number| given_up.unseen.contains(&(*key, number));
            for finding in line.close(origin, unseen) {
                let number = finding.1.split(' ').next().and_then(|number| number.parse().ok());
                found.push((*key, line.place_of(number.unwrap_or(0)), finding));
            }
        }
        found.sort_by_key(|(key, place, _)| (*key, *place));
        for (key, place, finding) in found {
            self.find(at, (key, place), finding);
        }
    }

    /// What was acknowledged was accepted, or is visibly given up where that is to be expected.
    fn close_messages(&mut self, at: usize, endpoint: &Endpoint, given_up: &GivenUp) {
        for (seq, message) in (0..).zip(&self.messages) {
            if !message.acknowledged || !endpoint.wants(message.kind) {
                continue;
            }
            let accepted = self.cells.get(cell_at(seq, at)).is_some_and(|cell| cell.accepted);
            let failed = given_up.seqs.contains(&seq);
            if accepted || (failed && endpoint.gives_up()) {
                continue;
            }
            let id = self.names.id(seq).unwrap_or_default();
            let how = if failed { "was given up at" } else { "never reached" };
            self.violations
                .add(Kind::Lost, format!("message {seq} ({id}) {how} {}", endpoint.name));
        }
    }

    /// The lines as the server tells them are the lines as they arrived.
    fn compare_lines(&mut self, at: usize, endpoint: &Endpoint, said: &[SaidLine]) {
        let arrived = self.lines.iter().filter(|((place, _), _)| *place == at);
        let mut arrived: HashMap<String, (u32, u32)> = arrived
            .map(|((_, key), line)| (key.text(), (line.begun(), line.accepted())))
            .collect();
        for line in said {
            let (begun, accepted) = arrived.remove(&line.key).unwrap_or_default();
            if (line.last, line.succeeded, line.waiting) != (begun, accepted, 0) {
                let what = format!(
                    "{}: {line:?}, and {begun} was the last to arrive, {accepted} the last accepted",
                    endpoint.name
                );
                self.violations.add(Kind::State, what);
            }
        }
        for (key, (begun, _)) in arrived {
            let what = format!(
                "{}: the server knows no line {key:?}, and {begun} of it arrived",
                endpoint.name
            );
            self.violations.add(Kind::State, what);
        }
    }
}
