//! The account of an ordered run: what was promised, what arrived in which line, and what that adds up to.
//!
//! Pure: publishers, the receiver and the loop tell it what happened and when. [`Line`] says what order is,
//! [`Runs`] which repeats a kill explains; what the server says at the end ([`close`]) must be what arrived.

mod close;

use std::collections::HashMap;

pub(crate) use self::close::{Closed, Said, SaidLine};
use super::line::{End, Finding, Line, Try};
use super::plan::{ENDPOINTS, Endpoint, LineKey, Script};
use crate::names::Names;
use crate::runs::Runs;
use crate::violation::{Kind, Violations};

/// A message as its publisher knows it.
#[derive(Clone, Copy, Debug)]
struct Message {
    publisher: u32,
    key: Option<u32>,
    kind: u8,
    acknowledged: bool,
}

/// One message at one endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// When it was last accepted.
    at_us: u64,
    /// Its number in its line; 0 when it has none.
    number: u32,
    /// The server's run at the last acceptance.
    run: u32,
    accepted: bool,
    /// Tries so far.
    tries: u16,
    /// Of these, ended and not accepted.
    failed: u16,
}

impl Cell {
    /// Whether nothing more is expected of it, as far as the receiver can know.
    fn is_done(&self, endpoint: &Endpoint) -> bool {
        self.accepted || (endpoint.gives_up() && usize::from(self.failed) >= endpoint.tries())
    }
}

/// The place of a delivery in its line, as the headers tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: String,
    pub(crate) number: u32,
    pub(crate) previous: Option<u32>,
}

/// A request at the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) seq: u64,
    pub(crate) endpoint: usize,
    /// The header `webhook-id`.
    pub(crate) id: &'a str,
    pub(crate) place: Option<Place>,
    /// The server's run that the connection belongs to.
    pub(crate) run: u32,
    pub(crate) at_us: u64,
}

/// A try that is to be ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    seq: u64,
    endpoint: usize,
    run: u32,
    line: Option<(LineKey, usize)>,
    /// Tries of this delivery before this one.
    pub(crate) tries: u16,
    /// It was accepted before.
    pub(crate) accepted: bool,
}

/// Totals, for progress and summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Totals {
    /// Messages begun to be published.
    pub(crate) published: u64,
    /// Of these, acknowledged.
    pub(crate) acknowledged: u64,
    /// Deliveries that the acknowledged messages make.
    pub(crate) due: u64,
    /// Of these, accepted or given up, as far as the receiver knows.
    pub(crate) done: u64,
    /// Deliveries in lines that the acknowledged messages make.
    pub(crate) ordered_due: u64,
    /// Deliveries in lines that are accepted or given up, as far as the receiver knows.
    pub(crate) ordered_done: u64,
    /// Deliveries accepted in lines.
    pub(crate) ordered: u64,
    /// Deliveries accepted that are in no line.
    pub(crate) unordered: u64,
    /// Requests that reached the receiver.
    pub(crate) tries: u64,
    /// Tries that the receiver failed.
    pub(crate) refused: u64,
    /// Tries in which the server hung up first.
    pub(crate) cut: u64,
    /// Deliveries that the server gave up.
    pub(crate) given_up: u64,
    /// Arrivals of deliveries that had been accepted before.
    pub(crate) repeated: u64,
}

/// The account.
pub(crate) struct Ledger {
    script: Script,
    messages: Vec<Message>,
    cells: Vec<Cell>,
    names: Names,
    lines: HashMap<(usize, LineKey), Line>,
    runs: Runs,
    totals: Totals,
    violations: Violations,
}

impl Ledger {
    /// An empty one. `settling_us`: how long an outcome may take from the receiver's answer until it is durable.
    pub(crate) fn new(script: Script, settling_us: u64) -> Self {
        let open = ENDPOINTS.iter().map(|endpoint| u64::from(endpoint.in_flight_max)).sum();
        Self {
            script,
            messages: Vec::new(),
            cells: Vec::new(),
            names: Names::default(),
            lines: HashMap::new(),
            runs: Runs::new(settling_us, open),
            totals: Totals::default(),
            violations: Violations::default(),
        }
    }

    /// The number of a new message of a publisher, and its key.
    pub(crate) fn open(&mut self, publisher: u32) -> (u64, Option<u32>) {
        let seq = self.messages.len() as u64;
        let key = self.script.key(seq, publisher);
        self.messages.push(Message {
            publisher,
            key,
            kind: self.script.kind(seq),
            acknowledged: false,
        });
        self.cells.resize(self.cells.len() + ENDPOINTS.len(), Cell::default());
        self.totals.published += 1;
        (seq, key)
    }

    /// The server promised to deliver `seq` and calls it `id`.
    pub(crate) fn acknowledged(&mut self, seq: u64, id: &str) {
        self.name(seq, id);
        let Some(message) = self.messages.get_mut(index(seq)) else {
            return;
        };
        if std::mem::replace(&mut message.acknowledged, true) {
            return;
        }
        let message = *message;
        self.totals.acknowledged += 1;
        for (at, endpoint) in ENDPOINTS.iter().enumerate() {
            let Some(cell) = self
                .cells
                .get(cell_at(seq, at))
                .filter(|_| endpoint.wants(message.kind))
            else {
                continue;
            };
            self.totals.due += 1;
            self.totals.done += u64::from(cell.is_done(endpoint));
            self.totals.ordered_due += u64::from(endpoint.line(message.key).is_some());
        }
    }

    /// A request reached the receiver. `None`: it is none of ours.
    pub(crate) fn begin(&mut self, arrival: &Arrival<'_>) -> Option<Ticket> {
        let Arrival {
            seq,
            endpoint: at,
            run,
            at_us,
            ..
        } = *arrival;
        let (Some(endpoint), Some(message)) = (ENDPOINTS.get(at), self.messages.get(index(seq)).copied()) else {
            let what = format!("message {seq} at endpoint {at} was never published");
            self.violations.add(Kind::Unknown, what);
            return None;
        };
        self.totals.tries += 1;
        if let Some(faults) = self.runs.faults() {
            faults.arrived(at, at_us);
        }
        self.name(seq, arrival.id);
        if !endpoint.wants(message.kind) {
            let what = format!("message {seq} arrived at {}, whose filter excludes it", endpoint.name);
            self.violations.add(Kind::Misrouted, what);
        }
        let line = self.enter_line(arrival, endpoint, endpoint.line(message.key));
        let cell = self.cells.get_mut(cell_at(seq, at))?;
        let before = *cell;
        cell.tries = cell.tries.saturating_add(1);
        let number = arrival.place.as_ref().map_or(0, |place| place.number);
        if before.tries == 0 {
            cell.number = number;
        } else if before.number != number {
            let what = format!(
                "message {seq} at {} is both {} and {number}",
                endpoint.name, before.number
            );
            self.violations.add(Kind::Place, what);
        }
        if before.accepted {
            self.totals.repeated += 1;
            if let Err(why) = self.runs.repeated(before.run, before.at_us, run) {
                let gap_ms = at_us.saturating_sub(before.at_us) / 1_000;
                let what = format!("message {seq} at {} again after {gap_ms} ms: {why}", endpoint.name);
                let told = self.told(Kind::Stray, at, line, what);
                self.violations.add(Kind::Stray, told);
            }
        }
        Some(Ticket {
            seq,
            endpoint: at,
            run,
            line,
            tries: before.tries,
            accepted: before.accepted,
        })
    }

    /// The line of an arrival, and its place there. What the headers say must be what the endpoint is set up for.
    fn enter_line(
        &mut self,
        arrival: &Arrival<'_>,
        endpoint: &Endpoint,
        line: Option<LineKey>,
    ) -> Option<(LineKey, usize)> {
        let seq = arrival.seq;
        let (key, place) = match (line, &arrival.place) {
            (None, None) => return None,
            (None, Some(place)) => {
                let what = format!(
                    "message {seq} at {} is in no line, and arrived as {place:?}",
                    endpoint.name
                );
                self.violations.add(Kind::Place, what);
                return None;
            }
            (Some(_), None) => {
                let what = format!("message {seq} at {} arrived without a number", endpoint.name);
                self.violations.add(Kind::Place, what);
                return None;
            }
            (Some(key), Some(place)) => (key, place),
        };
        if place.key != key.text() {
            let what = format!(
                "message {seq} at {} has the key {:?}, and arrived as {place:?}",
                endpoint.name,
                key.text()
            );
            self.violations.add(Kind::Place, what);
        }
        let new = Try {
            at_us: arrival.at_us,
            seq: u32::try_from(seq).unwrap_or(u32::MAX),
            number: place.number,
            previous: place.previous,
            run: arrival.run,
            end: End::Open,
        };
        let entered = self.lines.entry((arrival.endpoint, key)).or_default();
        let (at, found) = entered.begin(new, !endpoint.gives_up());
        for finding in found {
            self.find(arrival.endpoint, (key, at), finding);
        }
        Some((key, at))
    }

    /// A request was answered, or its connection ended.
    pub(crate) fn end(&mut self, ticket: Ticket, end: End, at_us: u64) {
        let Ticket { seq, endpoint: at, .. } = ticket;
        let (Some(endpoint), Some(cell), Some(message)) = (
            ENDPOINTS.get(at),
            self.cells.get_mut(cell_at(seq, at)),
            self.messages.get(index(seq)),
        ) else {
            return;
        };
        let before = *cell;
        match end {
            End::Accepted => {
                cell.accepted = true;
                (cell.at_us, cell.run) = (at_us, ticket.run);
                self.runs.accepted(at_us);
                let first = u64::from(!before.accepted);
                match ticket.line {
                    Some(_) => self.totals.ordered += first,
                    None => self.totals.unordered += first,
                }
            }
            End::Refused => self.totals.refused += 1,
            End::Cut => self.totals.cut += 1,
            End::Open => {}
        }
        cell.failed = cell.failed.saturating_add(u16::from(end != End::Accepted));
        let done = !before.is_done(endpoint) && cell.is_done(endpoint);
        self.totals.done += u64::from(done && message.acknowledged);
        self.totals.ordered_done += u64::from(done && ticket.line.is_some());
        let Some((key, place)) = ticket.line else { return };
        let line = self.lines.get_mut(&(at, key));
        if let Some(finding) = line.and_then(|line| line.end(place, end, at_us)) {
            self.find(at, (key, place), finding);
        }
    }

    /// Enters what a line found, with what arrived around it.
    fn find(&mut self, endpoint: usize, line: (LineKey, usize), (kind, what): Finding) {
        let told = self.told(kind, endpoint, Some(line), what);
        self.violations.add(kind, told);
    }

    /// A finding with the history of its line.
    fn told(&self, kind: Kind, endpoint: usize, line: Option<(LineKey, usize)>, what: String) -> String {
        let Some((key, place)) = line.filter(|_| self.violations.is_told(kind)) else {
            return what;
        };
        let name = ENDPOINTS.get(endpoint).map_or("?", |endpoint| endpoint.name);
        let history = self.lines.get(&(endpoint, key)).map(|line| line.history(place));
        format!("{name}, key {:?}: {what}{}", key.text(), history.unwrap_or_default())
    }

    /// Remembers that a message has this id.
    fn name(&mut self, seq: u64, id: &str) {
        if let Err(what) = self.names.name(seq, id) {
            self.violations.add(Kind::SecondMessage, what);
        }
    }

    /// The server's runs, to be told of starts and ends.
    pub(crate) fn runs(&mut self) -> &mut Runs {
        &mut self.runs
    }

    /// A violation that others saw.
    pub(crate) fn violation(&mut self, kind: Kind, what: impl Into<String>) {
        self.violations.add(kind, what);
    }

    /// Totals so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Deliveries promised of which more is expected.
    pub(crate) fn outstanding(&self) -> u64 {
        self.totals.due - self.totals.done
    }

    /// Violations so far.
    pub(crate) fn violations(&self) -> &Violations {
        &self.violations
    }
}

fn cell_at(seq: u64, endpoint: usize) -> usize {
    index(seq) * ENDPOINTS.len() + endpoint
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).unwrap_or(usize::MAX / 4_096)
}

#[cfg(test)]
mod tests;
