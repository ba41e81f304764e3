//! The oracle: knows what was promised to whom, sees every attempt as it begins, and says when a promise is broken.
//!
//! It knows nothing of the scheduler. It outlives the processes that are simulated.

mod load;
mod order;
mod waits;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bellwire_core::{
    breaker,
    delivery::{DeliveryKey, DeliveryState},
    endpoint::Endpoint,
    id::{AppId, EndpointId, MessageId},
    message::Route,
    time::Timestamp,
};
use bellwire_store::query::Tending;
use bellwire_testkit::{FaultPlan, MemoryStore, SimClock};

use self::{
    load::{Load, SLOW_START},
    waits::ROUNDING,
};
use crate::trace::Trace;

/// One attempt, as the receiver saw it.
#[derive(Debug, Clone)]
struct Trial {
    run: u32,
    number: u16,
    life: u32,
    /// It was made in its turn in a line.
    in_turn: bool,
    /// When the scheduler began it: connecting comes before the first byte.
    started: Duration,
    /// When its outcome says that it was over, whether it succeeded, and the rest that it asked for.
    ended: Option<(Timestamp, bool, Option<Duration>)>,
    /// When it really was over.
    ended_passed: Duration,
    /// Its outcome was lost in a crash or an unclean stop: it may be made again.
    excused: bool,
}

/// What is known about an endpoint.
#[derive(Debug)]
struct Known {
    app: AppId,
    schedule: Vec<Duration>,
    limit: usize,
    /// It was answered that nothing is begun there any more.
    blocked: bool,
    /// It was disabled or deleted at some time, or its lines were to be discarded: its deliveries may be cancelled.
    ever_cancelling: bool,
    /// How often its blocked lines were to be unblocked: each is one more run for whoever was at their head.
    unblocked: u32,
    /// When its settings, its rest or its load last were such that something may begin late there.
    hindered: Duration,
    load: Load,
    /// Until when a slow start may make attempts late.
    slow_until: Duration,
    in_flight: usize,
    gone_answered: bool,
    failing_since: Option<Duration>,
    /// For how long it had only failed when an attempt last failed.
    failed_for: Duration,
}

#[derive(Default)]
struct Book {
    trials: BTreeMap<DeliveryKey, Vec<Trial>>,
    /// When the action was last asked for a delivery.
    asked: BTreeMap<DeliveryKey, Duration>,
    endpoints: BTreeMap<EndpointId, Known>,
    /// Acknowledged messages and where each was routed to.
    accepted: BTreeMap<MessageId, Vec<Route>>,
    /// Who has which number, by endpoint and ordering key.
    lines: BTreeMap<(EndpointId, Arc<str>), BTreeMap<u64, MessageId>>,
    /// How many resends of a delivery were asked for.
    resends: BTreeMap<DeliveryKey, u32>,
    expunged: BTreeSet<MessageId>,
    life: u32,
    in_flight: usize,
    in_flight_limit: usize,
    breaker: breaker::Settings,
    disable_after: Duration,
    /// When something last happened that may make anything late: a fault, a crash, a jump, or all slots taken.
    disturbed: Duration,
    /// Jumps back: when, and how late it had been before.
    jumps_back: Vec<(Duration, Timestamp)>,
    violation: Option<String>,
    pub attempts: u64,
}

/// See the module.
pub struct Oracle {
    clock: Arc<SimClock>,
    faults: Arc<FaultPlan>,
    /// What the process that lives now works on.
    store: Mutex<Arc<MemoryStore>>,
    book: Mutex<Book>,
    trace: Mutex<Trace>,
}

impl Oracle {
    pub fn new(clock: Arc<SimClock>, faults: Arc<FaultPlan>, store: Arc<MemoryStore>, prints: bool) -> Self {
        Self {
            clock,
            faults,
            store: Mutex::new(store),
            book: Mutex::default(),
            trace: Mutex::new(Trace::new(prints)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new process works on this from now on.
    pub fn reopened(&self, store: &Arc<MemoryStore>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(store);
    }

    pub fn note(&self, text: &str) {
        self.trace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .line(self.clock.passed(), text);
    }

    pub fn digest(&self) -> u64 {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).digest()
    }

    fn violated(&self, book: &mut Book, what: String) {
        self.note(&format!("VIOLATION {what}"));
        book.violation.get_or_insert(what);
    }

    /// The first broken promise, if any was broken.
    pub fn verdict(&self) -> Result<(), String> {
        self.book().violation.clone().map_or(Ok(()), Err)
    }

    // -- what is told ----------------------------------------------------------------------------------------------

    pub fn rules(&self, in_flight_limit: usize, breaker: breaker::Settings, disable_after: Duration) {
        let mut book = self.book();
        book.in_flight_limit = in_flight_limit;
        book.breaker = breaker;
        book.disable_after = disable_after;
    }

    pub fn endpoint(&self, endpoint: &Endpoint, schedule: Vec<Duration>, limit: usize) {
        let known = Known {
            app: endpoint.app,
            schedule,
            limit,
            blocked: false,
            ever_cancelling: false,
            unblocked: 0,
            hindered: self.clock.passed(),
            load: Load::default(),
            slow_until: Duration::ZERO,
            in_flight: 0,
            gone_answered: false,
            failing_since: None,
            failed_for: Duration::ZERO,
        };
        self.book().endpoints.insert(endpoint.id, known);
    }

    /// Something happened that may delay anything.
    pub fn disturb(&self) {
        self.book().disturbed = self.clock.passed();
    }

    pub fn jumped_back(&self, from: Timestamp) {
        let now = self.clock.passed();
        let mut book = self.book();
        book.jumps_back.push((now, from));
        for known in book.endpoints.values_mut().filter(|known| known.slow_until > now) {
            // A slow start goes by the clock, and begins anew.
            known.slow_until = now + SLOW_START;
        }
        drop(book);
        self.disturb();
    }

    /// A change of the endpoint's settings was asked for, or answered. From an answer on that says so, nothing is begun.
    pub fn settings(&self, id: EndpointId, blocked: bool, cancelling: bool) {
        let now = self.clock.passed();
        if let Some(known) = self.book().endpoints.get_mut(&id) {
            known.hindered = known.hindered.max(now);
            known.load.settings_changed();
            known.blocked = blocked;
            known.ever_cancelling |= cancelling;
        }
    }

    /// The endpoint is enabled anew: its failures are forgotten.
    pub fn forgiven(&self, id: EndpointId) {
        if let Some(known) = self.book().endpoints.get_mut(&id) {
            known.failing_since = None;
            known.failed_for = Duration::ZERO;
        }
    }

    pub fn knows(&self, id: EndpointId) -> bool {
        self.book().endpoints.contains_key(&id)
    }

    /// The scheduler disabled it by itself.
    pub fn disabled_by_itself(&self, id: EndpointId, gone: bool, disable_after: Duration, excused: bool) {
        let now = self.clock.passed();
        let mut book = self.book();
        let Some(known) = book.endpoints.get_mut(&id) else {
            return;
        };
        known.ever_cancelling = true;
        known.hindered = known.hindered.max(now);
        known.load.settings_changed();
        let (answered, failed_for) = (known.gone_answered, known.failed_for);
        if gone && !answered {
            self.violated(&mut book, format!("{id} is disabled as gone, and nobody said so"));
        }
        if !gone && !excused && failed_for + ROUNDING < disable_after {
            self.violated(
                &mut book,
                format!("{id} is disabled for failing, after {failed_for:?} of failures"),
            );
        }
    }

    /// A person does something about lines of this endpoint.
    pub fn tended(&self, id: EndpointId, tending: Tending) {
        if let Some(known) = self.book().endpoints.get_mut(&id) {
            match tending {
                Tending::Unblock(_) => known.unblocked += 1,
                Tending::Skip => {}
                Tending::Discard => known.ever_cancelling = true,
            }
        }
    }

    pub fn accepted(&self, id: MessageId, routes: Vec<Route>) {
        self.book().accepted.insert(id, routes);
    }

    pub fn messages(&self) -> Vec<MessageId> {
        self.book().accepted.keys().copied().collect()
    }

    pub fn resend_asked(&self, key: DeliveryKey) {
        *self.book().resends.entry(key).or_default() += 1;
    }

    pub fn expunged(&self, id: MessageId) {
        self.book().expunged.insert(id);
    }

    pub fn broken(&self, what: String) {
        let mut book = self.book();
        self.violated(&mut book, what);
    }

    pub fn attempts(&self) -> u64 {
        self.book().attempts
    }

    // -- what is checked -------------------------------------------------------------------------------------------

    /// A process is gone. `lossless` says that it stopped in peace and must have written all it knew.
    pub fn life_ended(&self, store: &MemoryStore, lossless: bool) {
        let rows: BTreeMap<_, _> = store
            .all_deliveries()
            .into_iter()
            .map(|row| {
                (
                    DeliveryKey {
                        message: row.message,
                        endpoint: row.endpoint,
                    },
                    row,
                )
            })
            .collect();
        let now = self.clock.passed();
        let mut book = self.book();
        let life = book.life;
        let mut lost = Vec::new();
        for (key, trials) in &mut book.trials {
            let Some(row) = rows.get(key) else { continue };
            for trial in trials.iter_mut().filter(|trial| trial.life == life) {
                let written = row.progress.run > trial.run || row.progress.tries >= trial.number;
                trial.excused |= !written;
                if !written {
                    lost.push(format!(
                        "attempt {} of {} at {}",
                        trial.number, key.message, key.endpoint
                    ));
                }
            }
        }
        if lossless && let Some(first) = lost.first() {
            self.violated(&mut book, format!("a graceful stop lost the outcome of {first}"));
        }
        for known in book.endpoints.values_mut() {
            known.in_flight = 0;
            known.load = Load::default();
            known.slow_until = Duration::ZERO;
        }
        book.in_flight = 0;
        book.life += 1;
        book.disturbed = now;
    }

    /// What is stored fits what was promised and what was seen.
    pub fn check(&self, store: &MemoryStore) {
        let report = store.check_now();
        let open: BTreeSet<_> = store
            .all_endpoints()
            .iter()
            .filter(|found| found.disabled.is_none())
            .map(|found| found.id)
            .collect();
        let mut book = self.book();
        for (id, known) in &mut book.endpoints {
            known.ever_cancelling |= !open.contains(id);
        }
        if let Some(problem) = report.problems.first() {
            self.violated(&mut book, problem.clone());
        }
        let counts = report.counts;
        let sum = counts.succeeded + counts.failed + counts.cancelled + counts.pending;
        if sum != report.deliveries {
            self.violated(&mut book, format!("{} deliveries, and {counts:?}", report.deliveries));
        }
        let rows: BTreeMap<_, _> = store
            .all_deliveries()
            .into_iter()
            .map(|row| {
                (
                    DeliveryKey {
                        message: row.message,
                        endpoint: row.endpoint,
                    },
                    row,
                )
            })
            .collect();
        let mut found = Vec::new();
        for (message, routes) in &book.accepted {
            for Route { endpoint, .. } in routes {
                if !rows.contains_key(&DeliveryKey {
                    message: *message,
                    endpoint: *endpoint,
                }) {
                    found.push(format!("{message} was accepted and has no delivery to {endpoint}"));
                }
            }
        }
        found.extend(self.check_lines(&mut book, store));
        for (key, row) in &rows {
            let trials = book.trials.get(key).map_or(&[][..], Vec::as_slice);
            let mut of_run = trials.iter().filter(|trial| trial.run == row.progress.run);
            let resends = book.runs_asked(*key);
            let name = format!("the delivery of {} to {}", key.message, key.endpoint);
            if row.progress.run > resends {
                found.push(format!(
                    "{name} is in run {}, and {resends} were asked for",
                    row.progress.run
                ));
            }
            match row.state {
                DeliveryState::Succeeded => {
                    if !of_run.any(|trial| matches!(trial.ended, Some((_, true, _)))) {
                        found.push(format!("{name} succeeded, and the receiver saw no success"));
                    }
                }
                DeliveryState::Failed => {
                    let seen = of_run.any(|trial| matches!(trial.ended, Some((_, false, _))));
                    if !seen && !book.expunged.contains(&key.message) {
                        found.push(format!("{name} failed, and no attempt did"));
                    }
                }
                DeliveryState::Cancelled => {
                    if !book
                        .endpoints
                        .get(&key.endpoint)
                        .is_some_and(|known| known.ever_cancelling)
                    {
                        found.push(format!("{name} is cancelled, and nobody asked for that"));
                    }
                }
                DeliveryState::Pending | DeliveryState::Sending => {}
            }
        }
        for problem in found {
            self.violated(&mut book, problem);
        }
    }
}
