//! The account: what was promised, what arrived, when the server was killed, and what that adds up to.
//!
//! Pure: publishers, the receiver and the loop tell it what happened and when; it decides what is a violation. Numbers of
//! messages are given here, without gaps. Times are microseconds on the run's clock.
//! [`crate::runs`] says which repeats a kill explains.

use std::sync::Arc;

use crate::names::Names;
use crate::plan::Endpoint;
use crate::runs::{Kill, Runs};
use crate::violation::{Kind, Violations};

/// What the publisher knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// No answer (yet): it may arrive.
    None,
    /// Refused with 429 or 503: it may arrive, but should not.
    Refused,
    /// Acknowledged: it must arrive.
    Acknowledged,
}

/// One message at one endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// How often it was accepted.
    accepted: u16,
    /// The server's run at the last acceptance.
    run: u32,
    /// When that was answered.
    at_us: u64,
}

/// A request at the receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) seq: u64,
    pub(crate) endpoint: usize,
    /// The header `webhook-id`.
    pub(crate) id: &'a str,
    /// The server's run that the connection belongs to.
    pub(crate) run: u32,
    /// When it was answered.
    pub(crate) at_us: u64,
    /// Answered with 200.
    pub(crate) accepted: bool,
}

/// Totals, for progress and summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Totals {
    /// Messages begun to be published.
    pub(crate) published: u64,
    /// Of these, acknowledged.
    pub(crate) acknowledged: u64,
    /// Of these, refused with 429 or 503 for good.
    pub(crate) refused: u64,
    /// Deliveries that the acknowledged messages make.
    pub(crate) due: u64,
    /// Of these, accepted by their receiver.
    pub(crate) delivered: u64,
    /// Deliveries accepted whose message was never acknowledged.
    pub(crate) unpromised: u64,
    /// Deliveries accepted whose message was refused: no promise is broken, and yet the answer was not quite true.
    pub(crate) refused_yet_delivered: u64,
    /// Requests that reached the receiver.
    pub(crate) arrivals: u64,
    /// Tries that the receiver refused.
    pub(crate) refused_tries: u64,
    /// Arrivals of deliveries that had been accepted before.
    pub(crate) repeated: u64,
    /// Publications sent again with the same key, and acknowledged again.
    pub(crate) published_again: u64,
}

/// The account of a run.
pub(crate) struct Account {
    plan: Arc<[Endpoint]>,
    messages: Vec<Promise>,
    cells: Vec<Cell>,
    names: Names,
    runs: Runs,
    totals: Totals,
    violations: Violations,
}

impl Account {
    /// An empty one. `settling_us`: how long an outcome may take from the receiver's answer until it is durable.
    pub(crate) fn new(plan: Arc<[Endpoint]>, settling_us: u64) -> Self {
        let open = plan.iter().map(|endpoint| u64::from(endpoint.in_flight_max)).sum();
        Self {
            plan,
            messages: Vec::new(),
            cells: Vec::new(),
            names: Names::default(),
            runs: Runs::new(settling_us, open),
            totals: Totals::default(),
            violations: Violations::default(),
        }
    }

    /// The number of a new message.
    pub(crate) fn open(&mut self) -> u64 {
        let seq = self.messages.len() as u64;
        self.messages.push(Promise::None);
        self.cells.resize(self.cells.len() + self.plan.len(), Cell::default());
        self.totals.published += 1;
        seq
    }

    /// The server promised to deliver `seq` and calls it `id`.
    pub(crate) fn acknowledged(&mut self, seq: u64, id: &str) {
        self.name(seq, id);
        let Some(promise) = self.messages.get_mut(index(seq)) else {
            return;
        };
        match std::mem::replace(promise, Promise::Acknowledged) {
            Promise::Acknowledged => {
                self.totals.published_again += 1;
                return;
            }
            Promise::Refused => self.totals.refused -= 1,
            Promise::None => {}
        }
        self.totals.acknowledged += 1;
        for (endpoint, cell) in self.plan.iter().zip(row(&self.cells, self.plan.len(), seq)) {
            self.totals.due += u64::from(endpoint.wants(seq));
            self.totals.delivered += u64::from(endpoint.wants(seq) && cell.accepted > 0);
        }
    }

    /// The server refused `seq` with 429 or 503.
    pub(crate) fn refused(&mut self, seq: u64) {
        let promise = self.messages.get_mut(index(seq));
        if let Some(promise) = promise.filter(|promise| **promise == Promise::None) {
            *promise = Promise::Refused;
            self.totals.refused += 1;
        }
    }

    /// Something reached the receiver, unchanged and signed.
    pub(crate) fn arrived(&mut self, arrival: Arrival<'_>) {
        let Arrival {
            seq,
            endpoint,
            run,
            at_us,
            accepted,
            ..
        } = arrival;
        let place = index(seq) * self.plan.len() + endpoint;
        let (Some(wants), Some(cell)) = (
            self.plan.get(endpoint).map(|endpoint| endpoint.wants(seq)),
            self.cells.get_mut(place),
        ) else {
            let what = format!("message {seq} at endpoint {endpoint} was never published");
            return self.violations.add(Kind::Unknown, what);
        };
        self.totals.arrivals += 1;
        self.totals.refused_tries += u64::from(!accepted);
        let before = *cell;
        if accepted {
            *cell = Cell {
                accepted: before.accepted.saturating_add(1),
                run,
                at_us,
            };
            self.runs.accepted(at_us);
        }
        if !wants {
            let what = format!("message {seq} arrived at endpoint {endpoint}, whose filter excludes it");
            self.violations.add(Kind::Misrouted, what);
        }
        if before.accepted > 0 {
            self.repeated(before, arrival);
        } else if accepted && wants {
            let acknowledged = self.messages.get(index(seq)) == Some(&Promise::Acknowledged);
            self.totals.delivered += u64::from(acknowledged);
        }
        self.name(seq, arrival.id);
    }

    /// Judges an arrival of what had been accepted before.
    fn repeated(&mut self, before: Cell, arrival: Arrival<'_>) {
        self.totals.repeated += 1;
        let Arrival { seq, endpoint, .. } = arrival;
        let Err(why) = self.runs.repeated(before.run, before.at_us, arrival.run) else {
            return;
        };
        let gap_ms = arrival.at_us.saturating_sub(before.at_us) / 1_000;
        let what = format!(
            "message {seq} ({}) at endpoint {endpoint} again after {gap_ms} ms: {why}",
            arrival.id
        );
        self.violations.add(Kind::Stray, what);
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

    /// Deliveries promised that have not been accepted yet.
    pub(crate) fn outstanding(&self) -> u64 {
        self.totals.due - self.totals.delivered
    }

    /// Violations so far; what is lost is known only at the end.
    pub(crate) fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Every kill, in order.
    pub(crate) fn kills(&self) -> impl Iterator<Item = &Kill> {
        self.runs.kills()
    }

    /// The id the server gave to an acknowledged message.
    pub(crate) fn id(&self, seq: u64) -> Option<&str> {
        let acknowledged = self.messages.get(index(seq)) == Some(&Promise::Acknowledged);
        self.names.id(seq).filter(|_| acknowledged)
    }

    /// Closes the account: what has not arrived by now is lost.
    pub(crate) fn close(&mut self) -> Closed {
        for (at, promise) in self.messages.iter().enumerate() {
            let seq = at as u64;
            let cells = self.plan.iter().zip(row(&self.cells, self.plan.len(), seq)).enumerate();
            for (number, (endpoint, cell)) in cells.filter(|(_, (endpoint, _))| endpoint.wants(seq)) {
                match promise {
                    Promise::Acknowledged if cell.accepted == 0 => {
                        let id = self.names.id(seq).unwrap_or_default();
                        let what = format!(
                            "message {seq} ({id}) never reached endpoint {number} ({})",
                            endpoint.word()
                        );
                        self.violations.add(Kind::Lost, what);
                    }
                    Promise::None => self.totals.unpromised += u64::from(cell.accepted > 0),
                    Promise::Refused => self.totals.refused_yet_delivered += u64::from(cell.accepted > 0),
                    Promise::Acknowledged => {}
                }
            }
        }
        for what in self.runs.over_bound() {
            self.violations.add(Kind::OverBound, what);
        }
        Closed {
            totals: self.totals,
            kills: self.kills().cloned().collect(),
            violations: std::mem::take(&mut self.violations),
        }
    }
}

/// A closed account.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) totals: Totals,
    pub(crate) kills: Vec<Kill>,
    pub(crate) violations: Violations,
}

/// The cells of a message.
fn row(cells: &[Cell], endpoints: usize, seq: u64) -> &[Cell] {
    let from = index(seq) * endpoints;
    cells.get(from..from + endpoints).unwrap_or_default()
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).unwrap_or(usize::MAX / 4_096)
}

#[cfg(test)]
mod tests;
