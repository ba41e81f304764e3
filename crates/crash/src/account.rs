//! The account: what was promised, what arrived, when the server was killed, and what that adds up to.
//!
//! Pure: publishers, the receiver and the loop tell it what happened and when; it decides what is a violation. Numbers of
//! messages are given here, without gaps. Times are microseconds on the run's clock.
//!
//! **What a repeat may be.** A delivery that a receiver accepted may arrive again only when the outcome of the first arrival
//! was not durable at a kill. So the server's run that the first one fell into must have ended by a kill, and the first one
//! must have been answered after that kill or shortly before it (`settling_us`: outcomes gather, then are committed; an
//! outage of the store extends it). Every other repeat is a stray. The repeats of one kill are bounded by what was in flight: the attempts that may be open at once
//! at all endpoints, plus what was answered within that window.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::plan::Endpoint;
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

#[derive(Clone, Debug)]
struct Message {
    promise: Promise,
    id: Option<Box<str>>,
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

/// The end of one of the server's runs by a kill.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// Just before the signal was sent.
    pub(crate) at_us: u64,
    /// What was answered before this was durable, or should have been.
    pub(crate) since_us: u64,
    /// What the loop aimed at (an index of `PHASES`).
    pub(crate) phase: usize,
    /// Attempts that may have been open at once, at all endpoints together.
    pub(crate) open: u64,
    /// Deliveries answered so shortly before that their outcomes need not have been durable.
    pub(crate) settling: u64,
    /// Deliveries accepted before it, or while it happened, that arrived again.
    pub(crate) repeated: u64,
    /// The longest time between such an acceptance and the kill.
    pub(crate) oldest_us: u64,
}

impl Kill {
    /// Deliveries that may have been in flight: the bound of `repeated`.
    pub(crate) fn bound(&self) -> u64 {
        self.open + self.settling
    }
}

/// How a run of the server ended.
#[derive(Clone, Debug)]
enum End {
    Running,
    Killed(Kill),
    Stopped,
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
    settling_us: u64,
    messages: Vec<Message>,
    cells: Vec<Cell>,
    /// Which message an id belongs to.
    ids: HashMap<Box<str>, u64>,
    runs: Vec<End>,
    /// When deliveries were accepted lately.
    recent: VecDeque<u64>,
    /// Since when no outcome can become durable.
    unwritable_since: Option<u64>,
    totals: Totals,
    violations: Violations,
}

impl Account {
    /// An empty one. `settling_us`: how long an outcome may take from the receiver's answer until it is durable.
    pub(crate) fn new(plan: Arc<[Endpoint]>, settling_us: u64) -> Self {
        Self {
            plan,
            settling_us,
            messages: Vec::new(),
            cells: Vec::new(),
            ids: HashMap::new(),
            runs: Vec::new(),
            recent: VecDeque::new(),
            unwritable_since: None,
            totals: Totals::default(),
            violations: Violations::default(),
        }
    }

    /// The number of a new message.
    pub(crate) fn open(&mut self) -> u64 {
        let seq = self.messages.len() as u64;
        self.messages.push(Message {
            promise: Promise::None,
            id: None,
        });
        self.cells.resize(self.cells.len() + self.plan.len(), Cell::default());
        self.totals.published += 1;
        seq
    }

    /// The server promised to deliver `seq` and calls it `id`.
    pub(crate) fn acknowledged(&mut self, seq: u64, id: &str) {
        self.name(seq, id);
        let Some(message) = self.messages.get_mut(index(seq)) else {
            return;
        };
        match std::mem::replace(&mut message.promise, Promise::Acknowledged) {
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
        let message = self.messages.get_mut(index(seq));
        if let Some(message) = message.filter(|message| message.promise == Promise::None) {
            message.promise = Promise::Refused;
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
            self.recent.push_back(at_us);
            let since = self.unsettled_since(at_us);
            while self.recent.front().is_some_and(|at| *at < since) {
                self.recent.pop_front();
            }
        }
        if !wants {
            let what = format!("message {seq} arrived at endpoint {endpoint}, whose filter excludes it");
            self.violations.add(Kind::Misrouted, what);
        }
        if before.accepted > 0 {
            self.repeated(before, arrival);
        } else if accepted && wants {
            let acknowledged =
                (self.messages.get(index(seq))).is_some_and(|message| message.promise == Promise::Acknowledged);
            self.totals.delivered += u64::from(acknowledged);
        }
        self.name(seq, arrival.id);
    }

    /// Judges an arrival of what had been accepted before.
    fn repeated(&mut self, before: Cell, arrival: Arrival<'_>) {
        self.totals.repeated += 1;
        let Arrival { seq, endpoint, .. } = arrival;
        let why = match self.runs.get_mut(before.run as usize) {
            _ if before.run == arrival.run => "within one run of the server".to_owned(),
            Some(End::Killed(kill)) => {
                let age_us = kill.at_us.saturating_sub(before.at_us);
                kill.repeated += 1;
                kill.oldest_us = kill.oldest_us.max(age_us);
                if before.at_us >= kill.since_us {
                    return;
                }
                format!("it had been answered {} ms before the kill", age_us / 1_000)
            }
            Some(End::Stopped) => "after the server had stopped in good order".to_owned(),
            _ => "by another run while its own still went on".to_owned(),
        };
        let gap_ms = arrival.at_us.saturating_sub(before.at_us) / 1_000;
        let what = format!(
            "message {seq} ({}) at endpoint {endpoint} again after {gap_ms} ms: {why}",
            arrival.id
        );
        self.violations.add(Kind::Stray, what);
    }

    /// Remembers that a message has this id, and notices when it has another one already or the id is another's.
    fn name(&mut self, seq: u64, id: &str) {
        let Some(message) = self.messages.get_mut(index(seq)) else {
            return;
        };
        match &message.id {
            Some(known) if **known == *id => return,
            Some(known) => {
                let what = format!("message {seq} is both {known} and {id}");
                return self.violations.add(Kind::SecondMessage, what);
            }
            None => message.id = Some(id.into()),
        }
        if let Some(other) = self.ids.insert(id.into(), seq) {
            self.violations.add(
                Kind::SecondMessage,
                format!("{id} is both message {other} and message {seq}"),
            );
        }
    }

    /// The server was started; answers the number of this run of it.
    pub(crate) fn started(&mut self) -> u32 {
        self.runs.push(End::Running);
        u32::try_from(self.runs.len() - 1).unwrap_or(u32::MAX)
    }

    /// The number of the latest run.
    pub(crate) fn run(&self) -> u32 {
        u32::try_from(self.runs.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The latest run is about to be killed.
    pub(crate) fn killed(&mut self, at_us: u64, phase: usize) {
        let since_us = self.unsettled_since(at_us);
        let open: u64 = self.plan.iter().map(|endpoint| u64::from(endpoint.in_flight_max)).sum();
        let settling = self.recent.iter().filter(|at| **at >= since_us).count() as u64;
        if let Some(end) = self.runs.last_mut() {
            *end = End::Killed(Kill {
                at_us,
                since_us,
                phase,
                open,
                settling,
                repeated: 0,
                oldest_us: 0,
            });
        }
    }

    /// The latest run ended because it was asked to.
    pub(crate) fn stopped(&mut self) {
        if let Some(end) = self.runs.last_mut() {
            *end = End::Stopped;
        }
    }

    /// From now on the store cannot be written: no outcome becomes durable.
    pub(crate) fn unwritable(&mut self, now_us: u64) {
        self.unwritable_since.get_or_insert(now_us);
    }

    /// The store can be written again.
    pub(crate) fn writable(&mut self) {
        self.unwritable_since = None;
    }

    /// At this time, outcomes of what was answered since then need not be durable yet.
    fn unsettled_since(&self, now_us: u64) -> u64 {
        self.unwritable_since
            .unwrap_or(now_us)
            .min(now_us)
            .saturating_sub(self.settling_us)
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
        self.runs.iter().filter_map(|end| match end {
            End::Killed(kill) => Some(kill),
            End::Running | End::Stopped => None,
        })
    }

    /// The id the server gave to an acknowledged message.
    pub(crate) fn id(&self, seq: u64) -> Option<&str> {
        let message = self.messages.get(index(seq))?;
        message
            .id
            .as_deref()
            .filter(|_| message.promise == Promise::Acknowledged)
    }

    /// Closes the account: what has not arrived by now is lost.
    pub(crate) fn close(&mut self) -> Closed {
        for (at, message) in self.messages.iter().enumerate() {
            let seq = at as u64;
            let cells = self.plan.iter().zip(row(&self.cells, self.plan.len(), seq)).enumerate();
            for (number, (endpoint, cell)) in cells.filter(|(_, (endpoint, _))| endpoint.wants(seq)) {
                match message.promise {
                    Promise::Acknowledged if cell.accepted == 0 => {
                        let id = message.id.as_deref().unwrap_or_default();
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
        let kills: Vec<Kill> = self.kills().cloned().collect();
        for (number, kill) in kills
            .iter()
            .enumerate()
            .filter(|(_, kill)| kill.repeated > kill.bound())
        {
            let what = format!(
                "kill {number}: {} repeated, {} can have been in flight",
                kill.repeated,
                kill.bound()
            );
            self.violations.add(Kind::OverBound, what);
        }
        Closed {
            totals: self.totals,
            kills,
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
