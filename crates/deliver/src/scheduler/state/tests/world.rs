//! The state with everything around it that a real scheduler would have: workers, a store, receivers, gauges.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bellwire_core::{
    alert::{self, Alert},
    batch::{BatchFormat, BatchSettings},
    breaker,
    decide::Health,
    delivery::{Lease, Progress, Work},
    id::{AppId, EndpointId, Id, MessageId},
    limit::Signal,
    message::Message,
    time::{Timestamp, span::Span},
};
use bellwire_store::{
    Claimed, LaneHead,
    directory::{LaneGauge, LaneStatus},
};
use bytes::Bytes;

use crate::scheduler::{
    Rules,
    lane::{Report, Ticket},
    state::{Bounds, Effects, LaneSettings, State, Turn},
};

pub const START: Timestamp = Timestamp::from_secs(1_766_000_000);
/// The wait before a retry.
pub const RETRY: Duration = Duration::from_secs(5);

pub fn bounds() -> Bounds {
    Bounds {
        in_flight: 6,
        in_flight_per_endpoint: 3,
        commands_per_endpoint: 2,
        window: 8,
        in_memory: 24,
        payload_bytes: 1 << 20,
        patience: Duration::from_secs(5),
    }
}

pub fn rules() -> Rules {
    Rules {
        breaker: breaker::Settings {
            failures: 4,
            ..breaker::Settings::default()
        },
        in_flight_min: 1,
        alerts: alert::Settings::default(),
    }
}

pub fn work(message: u64, endpoint: u64, due_at: Timestamp) -> Work {
    let message = Message {
        id: MessageId::from_number(message),
        app: AppId::from_number(1),
        event_type: "a".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Some(Bytes::from_static(b"{}")),
        payload_expires_at: Timestamp::MAX,
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        created_at: due_at,
    };
    Work {
        message: Arc::new(message),
        endpoint: EndpointId::from_number(endpoint),
        lease: Lease(0),
        progress: Progress::default(),
        due_at,
        place: None,
    }
}

pub fn endpoint(number: u64) -> EndpointId {
    EndpointId::from_number(number)
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Succeeds,
    Fails,
    Overloaded,
    /// It is overloaded, and asks for a rest of so many seconds.
    AsksForRest(u64),
    /// Nothing was sent, and it goes back to the store.
    Withheld,
}

#[derive(Debug)]
pub struct Worker {
    pub endpoint: u64,
    done: u32,
    has: Option<(Vec<Work>, Ticket)>,
    ends_at: Timestamp,
}

/// See the module.
pub struct World {
    pub state: State,
    pub now: Timestamp,
    pub settings: BTreeMap<u64, LaneSettings>,
    pub app_rates: BTreeMap<u64, u16>,
    pub workers: Vec<Worker>,
    /// Deliveries in the store, by endpoint: when they are due, and of which message.
    pub stored: BTreeMap<u64, BTreeSet<(Timestamp, u64)>>,
    pub claims: Vec<(u64, usize)>,
    pub put_in: u64,
    /// How receivers answer while time passes; those that are not named succeed.
    pub receivers: BTreeMap<u64, How>,
    /// How long their answers take.
    pub latency: Duration,
    /// Every request that was begun: when, where, and how many deliveries were in it.
    pub begun: Vec<(Timestamp, u64, usize)>,
    pub probes: usize,
    /// Claims that were answered, and how much each brought.
    pub claimed: Vec<usize>,
    /// Deliveries that were handed over and went back to the store without an attempt.
    pub parked: usize,
    pub delivered: BTreeSet<u64>,
    pub cancelled: u64,
    pub alerts: Vec<(u64, Alert, bool)>,
    pub starts: usize,
    jumped: bool,
    swept_at: Timestamp,
}

impl World {
    /// Six endpoints of two applications: 3 takes batches of 3, 4 has a rate of 3/s, and 5 and 6 are of an application with a
    /// rate of 5/s.
    pub fn new() -> Self {
        let mut world = Self::empty(bounds(), rules());
        for number in 1..=4 {
            world.add(number, 1);
        }
        world.app_rates.insert(2, 5);
        world.add(5, 2);
        world.add(6, 2);
        world.settings.get_mut(&4).unwrap().per_second = Some(3);
        world.settings.get_mut(&3).unwrap().batch = Some(BatchSettings {
            messages_max: 3,
            wait: Span(Duration::from_secs(2)),
            format: BatchFormat::Json,
        });
        world
    }

    pub fn empty(bounds: Bounds, rules: Rules) -> Self {
        Self {
            state: State::new(bounds, rules, START.minus(Duration::from_secs(86_400))),
            now: START,
            settings: BTreeMap::new(),
            app_rates: BTreeMap::new(),
            workers: Vec::new(),
            stored: BTreeMap::new(),
            claims: Vec::new(),
            put_in: 0,
            receivers: BTreeMap::new(),
            latency: Duration::from_millis(10),
            begun: Vec::new(),
            probes: 0,
            claimed: Vec::new(),
            parked: 0,
            delivered: BTreeSet::new(),
            cancelled: 0,
            alerts: Vec::new(),
            starts: 0,
            jumped: false,
            swept_at: START,
        }
    }

    /// One more endpoint, of this application.
    pub fn add(&mut self, number: u64, app: u64) {
        let settings = LaneSettings {
            gauge: Arc::new(LaneGauge::new(Health::default())),
            app: AppId::from_number(app),
            app_per_second: self.app_rates.get(&app).copied(),
            in_flight: None,
            per_second: None,
            batch: None,
            held: false,
            made_at: Timestamp::MIN,
        };
        self.settings.insert(number, settings);
    }

    pub fn status(&mut self, number: u64) -> LaneStatus {
        self.state.publish(endpoint(number), self.now);
        self.settings[&number].gauge.status()
    }

    pub fn waiting(&self, number: u64) -> usize {
        self.stored.get(&number).map_or(0, BTreeSet::len)
    }

    fn with<T>(&mut self, change: impl FnOnce(&mut State, Timestamp, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = change(&mut self.state, self.now, &mut effects);
        self.carry_out(effects);
        result
    }

    fn carry_out(&mut self, effects: Effects) {
        self.starts += effects.start.len();
        self.workers.extend(effects.start.iter().map(|id| Worker {
            endpoint: id.number(),
            done: 0,
            has: None,
            ends_at: self.now,
        }));
        self.claims
            .extend(effects.claim.iter().map(|(id, limit)| (id.number(), *limit)));
        self.cancelled += effects.cancel.len() as u64;
        self.alerts.extend(
            effects
                .alerts
                .iter()
                .map(|(id, alert, raised)| (id.number(), *alert, *raised)),
        );
        self.parked += effects.park.len();
        for work in effects.park {
            self.put_back(&work, work.due_at);
        }
    }

    fn put_back(&mut self, work: &Work, due_at: Timestamp) {
        let number = work.endpoint.number();
        let is_new = self
            .stored
            .entry(number)
            .or_default()
            .insert((due_at, work.message.id.number()));
        assert!(is_new, "in the store already");
        self.tell_stored(number, due_at);
    }

    pub fn tell_stored(&mut self, number: u64, due_at: Timestamp) {
        let settings = self.settings.get(&number).cloned();
        let head = LaneHead {
            endpoint: endpoint(number),
            due_at,
        };
        self.with(|state, now, effects| state.stored(head, now, || settings, effects));
    }

    pub fn publish(&mut self, number: u64) {
        self.put_in += 1;
        if self.settings[&number].gauge.is_backlogged() {
            self.stored.entry(number).or_default().insert((self.now, self.put_in));
            return self.tell_stored(number, self.now);
        }
        let settings = self.settings.get(&number).cloned();
        let work = work(self.put_in, number, self.now);
        self.with(|state, now, effects| state.fresh(vec![work], now, |_| settings.clone(), effects));
    }

    /// These are handed over, all at one endpoint.
    pub fn hand_over(&mut self, works: Vec<Work>) {
        self.put_in += works.len() as u64;
        let settings = works
            .first()
            .and_then(|work| self.settings.get(&work.endpoint.number()).cloned());
        self.with(|state, now, effects| state.fresh(works, now, |_| settings.clone(), effects));
    }

    /// Time passes until the next timer goes off, and the lanes are looked at before anybody else does anything.
    pub fn look_at_next_timer(&mut self) {
        let at = self.state.next_timer().unwrap();
        self.pass(at.since(self.now));
    }

    /// So many wait in the store, due now.
    pub fn fill_store(&mut self, number: u64, n: u64) {
        for _ in 0..n {
            self.put_in += 1;
            self.stored.entry(number).or_default().insert((self.now, self.put_in));
        }
        self.settings[&number].gauge.set_backlogged(true);
        self.tell_stored(number, self.now);
    }

    /// The attempt of a worker, if it has one, ends, and it asks for the next.
    pub fn step_worker(&mut self, at: usize, how: How) {
        if self.workers.is_empty() {
            return;
        }
        let at = at % self.workers.len();
        let report = self.end(at, how);
        let (number, done) = (self.workers[at].endpoint, self.workers[at].done);
        let turn = self.with(|state, now, effects| state.next(endpoint(number), done, report, now, effects));
        let (works, ticket) = match turn {
            Turn::Attempt(work, ticket) => (vec![work], ticket),
            Turn::Batch(works, ticket) => (works, ticket),
            Turn::Over => return drop(self.workers.swap_remove(at)),
        };
        let settings = &self.settings[&number];
        assert!(!settings.held, "began at a held endpoint");
        assert!(works.len() <= settings.batch.map_or(1, |batch| usize::from(batch.messages_max)));
        for work in &works {
            assert_eq!(work.endpoint.number(), number);
            assert!(work.due_at <= self.now || self.jumped, "begun before it was due");
            assert!(!self.delivered.contains(&work.message.id.number()), "delivered twice");
        }
        self.begun.push((self.now, number, works.len()));
        self.probes += usize::from(ticket.probe);
        let worker = &mut self.workers[at];
        worker.done += 1;
        worker.has = Some((works, ticket));
        worker.ends_at = self.now.plus(self.latency);
    }

    fn end(&mut self, at: usize, how: How) -> Option<Report> {
        let (works, ticket) = self.workers[at].has.take()?;
        let n = works.len() as u32;
        for work in &works {
            match how {
                How::Succeeds => assert!(self.delivered.insert(work.message.id.number())),
                How::Withheld => self.put_back(work, work.due_at),
                _ => self.put_back(work, self.now.plus(RETRY)),
            }
        }
        let back = if how == How::Succeeds { 0 } else { n };
        let rest = match how {
            How::AsksForRest(seconds) => Some(self.now.plus(Duration::from_secs(seconds))),
            _ => None,
        };
        Some(Report {
            ticket,
            given: n,
            attempted: if how == How::Withheld { 0 } else { n },
            back,
            signal: match how {
                How::Succeeds => Some(Signal::Succeeded(self.latency)),
                How::Fails => Some(Signal::Failed),
                How::Overloaded | How::AsksForRest(_) => Some(Signal::Overloaded),
                How::Withheld => None,
            },
            rest_until: rest,
        })
    }

    pub fn answer_claim(&mut self) {
        let Some((number, limit)) = self.claims.pop() else {
            return;
        };
        let waiting = self.stored.entry(number).or_default();
        let due: Vec<_> = waiting
            .iter()
            .take_while(|(due, _)| *due <= self.now)
            .take(limit)
            .copied()
            .collect();
        self.claimed.push(due.len());
        for row in &due {
            waiting.remove(row);
        }
        let next_due = waiting.first().map(|(due, _)| *due);
        let work = due.iter().map(|(due, message)| work(*message, number, *due)).collect();
        let claimed = Claimed { work, next_due };
        self.with(|state, now, effects| state.claimed(endpoint(number), claimed, now, effects));
    }

    pub fn hold(&mut self, number: u64, held: bool) {
        let settings = self.settings.get_mut(&number).unwrap();
        settings.held = held;
        let settings = settings.clone();
        self.with(|state, now, effects| state.changed(endpoint(number), Some(settings), now, effects));
    }

    /// Time passes at once, and nobody did anything meanwhile.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        self.with(|state, now, effects| state.tick(now, effects));
        self.sweep();
    }

    pub fn sweep(&mut self) {
        self.swept_at = self.now;
        for number in self.settings.keys() {
            let waiting = self.stored.get(number).map_or(0, BTreeSet::len) as u64;
            self.settings[number].gauge.set_waiting(waiting);
        }
        let rates = self.app_rates.clone();
        while self.with(|state, now, effects| state.sweep(now, |app| rates.get(&app.number()).copied(), effects)) {}
    }

    pub fn jump_back(&mut self, span: Duration) {
        self.now = self.now.minus(span);
        self.jumped = true;
        self.swept_at = self.now;
        self.with(|state, now, effects| state.clock_went_back(now, effects));
    }

    /// Time passes, and everybody does what they do: receivers answer, claims are answered, timers go off, `each` happens at
    /// every step.
    pub fn run_with(&mut self, span: Duration, each: impl FnMut(&mut Self)) {
        for worker in &mut self.workers {
            worker.ends_at = worker.ends_at.min(self.now.plus(self.latency));
        }
        self.pass_with(span, each);
    }

    /// Time passes, and what is under way takes as long as it would have taken when it was begun.
    pub fn run_on(&mut self, span: Duration) {
        self.pass_with(span, |_| {});
    }

    fn pass_with(&mut self, span: Duration, mut each: impl FnMut(&mut Self)) {
        let end = self.now.plus(span);
        loop {
            each(self);
            // Everything that is due now.
            while let Some(at) = self.due_worker() {
                let how = self
                    .receivers
                    .get(&self.workers[at].endpoint)
                    .copied()
                    .unwrap_or(How::Succeeds);
                self.step_worker(at, how);
            }
            if !self.claims.is_empty() {
                self.answer_claim();
                continue;
            }
            let next = self
                .workers
                .iter()
                .map(|worker| worker.ends_at)
                .chain(self.state.next_timer());
            let next = next
                .chain([self.swept_at.plus(Duration::from_secs(1)), end])
                .min()
                .unwrap();
            if self.now >= end {
                return;
            }
            self.now = next.max(self.now.plus(Duration::from_micros(1)));
            self.with(|state, now, effects| state.tick(now, effects));
            if self.now.since(self.swept_at) >= Duration::from_secs(1) {
                self.sweep();
            }
            self.check();
        }
    }

    pub fn run_for(&mut self, span: Duration) {
        self.run_with(span, |_| {});
    }

    fn due_worker(&self) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.has.is_none() || worker.ends_at <= self.now)
    }

    /// Deliveries of this endpoint that were begun since then.
    pub fn begun_since(&self, number: u64, since: Timestamp) -> usize {
        let begun = self
            .begun
            .iter()
            .filter(|(at, lane, _)| *lane == number && *at >= since);
        begun.map(|(_, _, n)| n).sum()
    }

    pub fn workers_of(&self, number: u64) -> usize {
        self.workers.iter().filter(|worker| worker.endpoint == number).count()
    }

    pub fn check(&self) {
        let in_flight = self.state.bounds.in_flight;
        assert!(self.workers.len() <= in_flight, "{} workers", self.workers.len());
        assert_eq!(self.state.in_flight(), self.workers.len());
        for (number, settings) in &self.settings {
            let most = settings.in_flight.unwrap_or(self.state.bounds.in_flight_per_endpoint);
            let at_it = self.workers_of(*number);
            assert!(at_it <= most, "{at_it} workers at endpoint {number}");
            let of_it = self.workers.iter().filter(|worker| worker.endpoint == *number);
            let probes = of_it
                .filter(|worker| matches!(worker.has, Some((_, ticket)) if ticket.probe))
                .count();
            assert!(probes <= 1 || self.jumped, "{probes} probes at endpoint {number}");
        }
        let stored: usize = self.stored.values().map(BTreeSet::len).sum();
        let out: usize = self
            .workers
            .iter()
            .flat_map(|worker| &worker.has)
            .map(|(works, _)| works.len())
            .sum();
        let seen = self.delivered.len() + stored + out + self.state.in_memory();
        assert_eq!(
            seen as u64 + self.cancelled,
            self.put_in,
            "a delivery was lost or doubled"
        );
    }
}
