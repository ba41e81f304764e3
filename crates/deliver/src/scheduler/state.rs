//! The scheduler's decisions, pure: who runs next, what is fetched, what is given back, and when to look again.
//!
//! Every event goes in as a method call with the time; what is to be done comes out as [`Effects`]. Slots are given to ready
//! lanes in turn, so that no endpoint waits for another one's queue.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    hash::{BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use bellwire_core::{delivery::Work, id::EndpointId, time::Timestamp};
use bellwire_store::{Claimed, LaneHead, directory::LaneGauge};

use super::lane::{Lane, Queued};

/// Bounds of the scheduler.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Attempts under way at once, over all endpoints.
    pub in_flight: usize,
    /// Attempts under way at once at one endpoint that does not say otherwise.
    pub in_flight_per_endpoint: usize,
    /// Deliveries that one lane keeps in memory.
    pub window: usize,
    /// Deliveries kept in memory over all lanes; beyond half of it, lanes keep less each.
    pub in_memory: usize,
    /// Payload bytes kept in memory over all lanes.
    pub payload_bytes: usize,
    /// A delivery that was handed over and is not begun within this time goes back to the store.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            in_flight: 1_024,
            in_flight_per_endpoint: 32,
            window: 1_024,
            in_memory: 65_536,
            payload_bytes: 96 << 20,
            patience: Duration::from_secs(5),
        }
    }
}

/// What a lane keeps when memory is short.
const WINDOW_WHEN_SHORT: usize = 64;
/// What a lane keeps when memory is used up: nobody is starved by others.
const WINDOW_WHEN_FULL: usize = 8;
/// So many lanes that hold their share are passed over in one look for one that does not.
const PASSED_OVER_MAX: usize = 64;
/// After so many deliveries a worker lets another lane have its slot, if one waits.
const TURN: u32 = 16;

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Effects {
    /// Begin a worker for each of these; its slot is taken already.
    pub start: Vec<EndpointId>,
    /// Claim up to so many from the store.
    pub claim: Vec<(EndpointId, usize)>,
    /// Give these back to the store.
    pub park: Vec<Work>,
    /// Cancel these: their endpoint is gone or disabled.
    pub cancel: Vec<Work>,
    /// Look again at this time, when it is earlier than what was planned.
    pub wake_at: Option<Timestamp>,
}

/// What a worker is told when it asks for its next delivery.
#[derive(Debug)]
pub enum Turn {
    /// Attempt this.
    Attempt(Work),
    /// Nothing to do, or another lane's turn: the slot is given up.
    Over,
}

/// What an endpoint's settings say to its lane.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// What the outside sees.
    pub gauge: Arc<LaneGauge>,
    /// How many attempts may run at once; `None` is the default.
    pub in_flight: Option<usize>,
    /// Attempts per second at most.
    pub per_second: Option<u16>,
    /// Nothing may be begun.
    pub held: bool,
}

type Lanes = HashMap<EndpointId, Lane, BuildHasherDefault<DefaultHasher>>;

/// All lanes and the slots they share.
#[derive(Debug)]
pub struct State {
    bounds: Bounds,
    lanes: Lanes,
    ready: VecDeque<EndpointId>,
    timers: BinaryHeap<Reverse<(Timestamp, EndpointId)>>,
    in_flight: usize,
    in_memory: usize,
    payload_bytes: usize,
    stopped: bool,
}

impl State {
    /// Nothing waits and nothing runs.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            in_flight: 0,
            in_memory: 0,
            payload_bytes: 0,
            stopped: false,
        }
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries in memory that are not begun.
    pub fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// When the delivery that waits longest was due, except at endpoints that are held. Goes through all lanes.
    pub fn oldest_due(&self) -> Option<Timestamp> {
        let due = |lane: &Lane| {
            let queued = lane.queue.front().map(|queued| queued.work.due_at);
            queued.into_iter().chain(lane.stored_due).min()
        };
        self.lanes.values().filter(|lane| !lane.held).filter_map(due).min()
    }

    /// When something in it falls due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// The endpoints that have a lane now.
    pub fn endpoints(&self) -> Vec<EndpointId> {
        self.lanes.keys().copied().collect()
    }

    /// Nothing new is begun or claimed from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn lane(&mut self, endpoint: EndpointId, settings: impl FnOnce() -> Option<LaneSettings>) -> Option<&mut Lane> {
        let per_endpoint = self.bounds.in_flight_per_endpoint;
        match self.lanes.entry(endpoint) {
            std::collections::hash_map::Entry::Occupied(lane) => Some(lane.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let LaneSettings {
                    gauge,
                    in_flight,
                    per_second,
                    held,
                } = settings()?;
                Some(vacant.insert(Lane::new(gauge, in_flight.unwrap_or(per_endpoint), per_second, held)))
            }
        }
    }

    fn window(&self) -> usize {
        let Bounds {
            window,
            in_memory,
            payload_bytes,
            ..
        } = self.bounds;
        if self.in_memory >= in_memory || self.payload_bytes >= payload_bytes {
            window.min(WINDOW_WHEN_FULL)
        } else if self.in_memory >= in_memory / 2 || self.payload_bytes >= payload_bytes / 2 {
            window.min(WINDOW_WHEN_SHORT)
        } else {
            window
        }
    }

    /// Deliveries were handed over. `settings` looks an endpoint up; without any, the delivery is cancelled.
    pub fn fresh(
        &mut self,
        work: Vec<Work>,
        now: Timestamp,
        settings: impl Fn(EndpointId) -> Option<LaneSettings>,
        effects: &mut Effects,
    ) {
        for work in work {
            let window = self.window();
            let endpoint = work.endpoint;
            let Some(lane) = self.lane(endpoint, || settings(endpoint)) else {
                effects.cancel.push(work);
                continue;
            };
            if lane.held || lane.queue.len() >= window {
                lane.gauge.set_backlogged(true);
                effects.park.push(work);
                continue;
            }
            let bytes = payload_bytes(&work);
            lane.queue.push_back(Queued { work, fresh: true });
            self.in_memory += 1;
            self.payload_bytes += bytes;
            self.make_ready(endpoint, now);
        }
        self.pump(now, effects);
    }

    /// Something waits in the store.
    pub fn stored(
        &mut self,
        head: LaneHead,
        now: Timestamp,
        settings: impl FnOnce() -> Option<LaneSettings>,
        effects: &mut Effects,
    ) {
        let Some(lane) = self.lane(head.endpoint, settings) else {
            return;
        };
        lane.stored_due = Some(lane.stored_due.map_or(head.due_at, |due| due.min(head.due_at)));
        if lane.claiming {
            lane.told_meanwhile = Some(lane.told_meanwhile.map_or(head.due_at, |due| due.min(head.due_at)));
        }
        self.review(head.endpoint, now, effects);
        self.pump(now, effects);
    }

    /// What a claim brought.
    pub fn claimed(&mut self, endpoint: EndpointId, claimed: Claimed, now: Timestamp, effects: &mut Effects) {
        let Claimed { work, next_due } = claimed;
        let window = self.window();
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            effects.park.extend(work);
            return;
        };
        lane.claiming = false;
        let told = lane.told_meanwhile.take();
        lane.stored_due = match (next_due, told) {
            (Some(next), Some(told)) => Some(next.min(told)),
            (one, other) => one.or(other),
        };
        if lane.stored_due.is_none_or(|due| due > now)
            && lane.queue.len() + work.len() < window.div_ceil(2)
            && !lane.held
        {
            lane.gauge.set_backlogged(false);
        }
        if lane.held || self.stopped {
            effects.park.extend(work);
        } else {
            self.in_memory += work.len();
            self.payload_bytes += work.iter().map(payload_bytes).sum::<usize>();
            lane.queue
                .extend(work.into_iter().map(|work| Queued { work, fresh: false }));
            self.make_ready(endpoint, now);
        }
        self.review(endpoint, now, effects);
        self.pump(now, effects);
    }

    /// A claim failed; it is tried again at `again_at`.
    pub fn claim_failed(&mut self, endpoint: EndpointId, again_at: Timestamp, effects: &mut Effects) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.claiming = false;
            lane.told_meanwhile = None;
            lane.stored_due = Some(again_at);
            self.plan(endpoint, again_at, effects);
        }
    }

    /// A worker of this lane asks for its next delivery, after `done` others.
    pub fn next(&mut self, endpoint: EndpointId, done: u32, now: Timestamp, effects: &mut Effects) -> Turn {
        let others_wait = self.in_flight >= self.bounds.in_flight && !self.ready.is_empty();
        let stopped = self.stopped;
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return Turn::Over;
        };
        if done == 0 {
            lane.starting = lane.starting.saturating_sub(1);
        }
        let its_turn = !stopped && lane.may_run(now) && lane.active <= lane.limit && !(others_wait && done >= TURN);
        if its_turn
            && !lane.queue.is_empty()
            && lane.keeps_pace(now)
            && let Some(Queued { work, .. }) = lane.queue.pop_front()
        {
            self.in_memory -= 1;
            self.payload_bytes = self.payload_bytes.saturating_sub(payload_bytes(&work));
            if lane.wants_claim(now, self.bounds.window) {
                self.review(endpoint, now, effects);
            }
            return Turn::Attempt(work);
        }
        lane.active -= 1;
        self.in_flight -= 1;
        self.make_ready(endpoint, now);
        self.review(endpoint, now, effects);
        self.pump(now, effects);
        Turn::Over
    }

    /// The endpoint asked for a rest.
    pub fn rest(&mut self, endpoint: EndpointId, until: Timestamp, effects: &mut Effects) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.resting_until = Some(lane.resting_until.map_or(until, |earlier| earlier.max(until)));
            self.plan(endpoint, until, effects);
        }
    }

    /// An endpoint's settings changed; `None` when it is gone or disabled, and what waits in memory is cancelled.
    pub fn changed(
        &mut self,
        endpoint: EndpointId,
        settings: Option<LaneSettings>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let per_endpoint = self.bounds.in_flight_per_endpoint;
        // A lane that was forgotten while nothing could be begun comes back when something can: deliveries may be left in
        // the store from before.
        let Some(lane) = self.lane(endpoint, || settings.clone().filter(|settings| !settings.held)) else {
            return;
        };
        let held = settings.as_ref().is_none_or(|settings| settings.held);
        lane.held = held;
        if let Some(settings) = &settings {
            lane.limit = settings.in_flight.unwrap_or(per_endpoint);
            lane.per_second = settings.per_second;
            lane.paced_until = None;
        }
        if held {
            let emptied: Vec<_> = lane.queue.drain(..).map(|queued| queued.work).collect();
            if settings.is_none() {
                lane.stored_due = None;
            }
            self.in_memory -= emptied.len();
            self.payload_bytes = self
                .payload_bytes
                .saturating_sub(emptied.iter().map(payload_bytes).sum());
            match settings {
                Some(_) => effects.park.extend(emptied),
                None => effects.cancel.extend(emptied),
            }
        } else {
            lane.gauge.set_backlogged(false);
            // Something may have come to wait in the store meanwhile: look once.
            lane.stored_due = Some(now);
        }
        self.make_ready(endpoint, now);
        self.review(endpoint, now, effects);
        self.pump(now, effects);
    }

    /// Time has passed: rests end, things fall due, and what was not begun in time goes back to the store.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some(Reverse((at, endpoint))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            if let Some(lane) = self.lanes.get_mut(&endpoint)
                && lane.planned == Some(at)
            {
                lane.planned = None;
            }
            self.make_ready(endpoint, now);
            self.review(endpoint, now, effects);
        }
        self.pump(now, effects);
    }

    /// The clock was set back. What was planned by the old time would come as much too late: rests are over, and the store
    /// is asked anew when something is due.
    pub fn clock_went_back(&mut self, now: Timestamp, effects: &mut Effects) {
        self.timers.clear();
        for endpoint in self.endpoints() {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.planned = None;
                lane.resting_until = None;
                lane.paced_until = None;
                lane.stored_due = lane.stored_due.map(|_| now);
            }
            self.make_ready(endpoint, now);
            self.review(endpoint, now, effects);
        }
        self.pump(now, effects);
    }

    /// Gives back what waits too long, and forgets lanes that have nothing to do.
    pub fn sweep(&mut self, now: Timestamp, effects: &mut Effects) {
        let Bounds { patience, .. } = self.bounds;
        let mut touched = Vec::new();
        for (endpoint, lane) in &mut self.lanes {
            let waits_long = |queued: &Queued| queued.fresh && now.since(queued.work.due_at) >= patience;
            if lane.queue.front().is_some_and(waits_long) {
                lane.gauge.set_backlogged(true);
                let (old, young): (VecDeque<_>, VecDeque<_>) = lane.queue.drain(..).partition(waits_long);
                lane.queue = young;
                let old: Vec<_> = old.into_iter().map(|queued| queued.work).collect();
                self.in_memory -= old.len();
                self.payload_bytes = self.payload_bytes.saturating_sub(old.iter().map(payload_bytes).sum());
                effects.park.extend(old);
                touched.push(*endpoint);
            }
        }
        self.lanes.retain(|_, lane| !lane.is_idle(now) || lane.ready);
        for endpoint in touched {
            self.review(endpoint, now, effects);
        }
    }

    fn make_ready(&mut self, endpoint: EndpointId, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && !lane.ready
            && lane.wants_worker(now)
        {
            lane.ready = true;
            self.ready.push_back(endpoint);
        }
    }

    /// Gives free slots to ready lanes, one each in turn.
    ///
    /// A lane may hold as many slots as are free at that moment, never more: the more one holds, the more it leaves, so a
    /// lane that has none always finds one, however many others hang.
    fn pump(&mut self, now: Timestamp, effects: &mut Effects) {
        let mut passed_over = 0;
        while self.in_flight < self.bounds.in_flight && !self.stopped {
            let free = self.bounds.in_flight - self.in_flight;
            let Some(endpoint) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&endpoint) else {
                continue;
            };
            if lane.active >= free && lane.wants_worker(now) {
                self.ready.push_back(endpoint);
                passed_over += 1;
                if passed_over >= self.ready.len().min(PASSED_OVER_MAX) {
                    break;
                }
                continue;
            }
            lane.ready = false;
            // One worker per waiting delivery, no more: a worker that finds nothing was woken for nothing.
            if lane.wants_worker(now) {
                lane.active += 1;
                lane.starting += 1;
                self.in_flight += 1;
                effects.start.push(endpoint);
            }
            if lane.wants_worker(now) {
                lane.ready = true;
                self.ready.push_back(endpoint);
            }
        }
    }

    /// Claims what is due and runs low, and plans when to look again.
    fn review(&mut self, endpoint: EndpointId, now: Timestamp, effects: &mut Effects) {
        let window = self.window();
        let stopped = self.stopped;
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if stopped {
            return;
        }
        if lane.wants_claim(now, window) {
            lane.claiming = true;
            effects.claim.push((endpoint, window - lane.queue.len()));
        } else if let Some(at) = lane.wakes_at(now).filter(|at| *at > now) {
            self.plan(endpoint, at, effects);
        }
    }

    fn plan(&mut self, endpoint: EndpointId, at: Timestamp, effects: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if lane.planned.is_some_and(|planned| planned <= at) {
            return;
        }
        lane.planned = Some(at);
        if self.timers.peek().is_none_or(|Reverse((first, _))| at < *first) {
            effects.wake_at = Some(at);
        }
        self.timers.push(Reverse((at, endpoint)));
    }
}

fn payload_bytes(work: &Work) -> usize {
    work.message.payload.as_ref().map_or(0, |payload| payload.len())
}

#[cfg(test)]
mod tests;
