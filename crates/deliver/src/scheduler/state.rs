//! The scheduler's decisions, pure: who runs next, what is fetched, what is given back, and when to look again.
//!
//! Every event goes in as a method call with the time; what is to be done comes out as [`Effects`]. Slots are given to ready
//! lanes in turn, so that no endpoint waits for another one's queue ([`fairness`]).
//!
//! What may delay a delivery that is due, beyond the attempts before it in its lane:
//!
//! * its endpoint is paused (until it is resumed), asked for a rest (429, 502, 503, 504: at most a minute per answer), or its
//!   `throttleRate` or its application's lets nothing through yet;
//! * its lane has as many attempts under way as its adaptive limit allows now (down to `in_flight_min`), as many as slots are
//!   free, or its application has its share ([`fairness`]), or no slot is free;
//! * its endpoint's breaker is open: but for one probe at a time, which comes at most `probe_max` after the one before, nothing
//!   is attempted there, and nothing is claimed from the store. A resend by hand waits as well;
//! * its endpoint came back less than two minutes ago and has a slow start: one attempt at once and more with each success, at a
//!   rate that [`bellwire_core::rate::SlowStart`] bounds;
//! * its endpoint takes batches, and the batch waits for company, at most its `wait` from the time at which its first delivery
//!   was accepted; only first attempts wait.
//!
//! None of them uses a try of its schedule, and none lets it begin before it is due.

pub(super) mod fairness;
mod memory;
mod sweep;
mod timers;
mod turn;

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::Duration,
};

use bellwire_core::{
    alert::Alert,
    batch::BatchSettings,
    delivery::Work,
    id::{AppId, EndpointId},
    time::Timestamp,
};
use bellwire_store::{Claimed, LaneHead, directory::LaneGauge};

pub use self::{fairness::AppPace, sweep::Figures, turn::Turn};
use self::{
    fairness::Apps,
    memory::Memory,
    timers::{Timers, Whom},
};
use super::{
    Rules,
    lane::{Lane, Queued},
};

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

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Effects {
    /// Begin a worker for each of these; its slot is taken already.
    pub start: Vec<EndpointId>,
    /// Claim up to so many from the store.
    pub claim: Vec<(EndpointId, usize)>,
    /// Give these back to the store, due when they were.
    pub park: Vec<Work>,
    /// Cancel these: their endpoint is gone or disabled.
    pub cancel: Vec<Work>,
    /// Tell people about these endpoints: raised (`true`) or cleared.
    pub alerts: Vec<(EndpointId, Alert, bool)>,
    /// Look again at this time, when it is earlier than what was planned.
    pub wake_at: Option<Timestamp>,
}

/// What an endpoint's settings say to its lane.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// What the outside sees.
    pub gauge: Arc<LaneGauge>,
    /// The application it belongs to.
    pub app: AppId,
    /// Deliveries per second at most, over all endpoints of the application.
    pub app_per_second: Option<u16>,
    /// How many attempts may run at once; `None` is the default.
    pub in_flight: Option<usize>,
    /// Deliveries per second at most.
    pub per_second: Option<u16>,
    /// Several deliveries go in one request.
    pub batch: Option<BatchSettings>,
    /// Nothing may be begun.
    pub held: bool,
    /// When the endpoint was made.
    pub made_at: Timestamp,
}

type Lanes = HashMap<EndpointId, Box<Lane>, BuildHasherDefault<IdHasher>>;

/// All lanes and the slots they share.
#[derive(Debug)]
pub struct State {
    bounds: Bounds,
    rules: Rules,
    lanes: Lanes,
    apps: Apps,
    timers: Timers,
    memory: Memory,
    in_flight: usize,
    /// What was before is not known.
    begun_at: Timestamp,
    sweeping: Vec<EndpointId>,
    figures: Figures,
    counting: Figures,
    stopped: bool,
}

impl State {
    /// Nothing waits and nothing runs.
    pub fn new(bounds: Bounds, rules: Rules, now: Timestamp) -> Self {
        Self {
            bounds,
            rules,
            lanes: Lanes::default(),
            apps: Apps::default(),
            timers: Timers::default(),
            memory: Memory::default(),
            in_flight: 0,
            begun_at: now,
            sweeping: Vec::new(),
            figures: Figures::default(),
            counting: Figures::default(),
            stopped: false,
        }
    }

    /// Slots in use: attempts under way, or about to be.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries in memory that are not begun.
    pub fn in_memory(&self) -> usize {
        self.memory.deliveries()
    }

    /// When the delivery that waits longest was due, except at endpoints that are held. Goes through all lanes.
    pub fn oldest_due(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.oldest_due()).min()
    }

    /// When something in it falls due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The endpoints that have a lane now.
    pub fn endpoints(&self) -> Vec<EndpointId> {
        self.lanes.keys().copied().collect()
    }

    /// Nothing new is begun or claimed from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn lane(
        &mut self,
        endpoint: EndpointId,
        now: Timestamp,
        settings: impl FnOnce() -> Option<LaneSettings>,
    ) -> Option<&mut Lane> {
        match self.lanes.entry(endpoint) {
            std::collections::hash_map::Entry::Occupied(lane) => Some(lane.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let settings = settings()?;
                let app = self.apps.join(settings.app, settings.app_per_second);
                let limits = Lane::limits_of(&settings, &self.bounds, &self.rules);
                let lane = Lane::new(app, &settings, limits, self.begun_at, now);
                Some(vacant.insert(Box::new(lane)))
            }
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
            let window = self.memory.window(&self.bounds);
            let endpoint = work.endpoint;
            let Some(lane) = self.lane(endpoint, now, || settings(endpoint)) else {
                effects.cancel.push(work);
                continue;
            };
            lane.load.handed_over(1);
            if !lane.has_room(window, now) {
                lane.gauge.set_backlogged(true);
                lane.load.came_from_store(-1);
                effects.park.push(work);
                continue;
            }
            let (before, bytes) = ((lane.queue.is_empty(), lane.company_ends), memory::payload_bytes(&work));
            lane.enqueue(Queued { work, fresh: true }, now);
            let company_ends = lane.company_ends;
            self.memory.enter(bytes);
            self.make_ready(endpoint, now);
            if before != (false, company_ends) {
                // It may have to wait for a rest, a rate or company, of which nobody else would tell.
                self.review(endpoint, now, effects);
            }
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
        let Some(lane) = self.lane(head.endpoint, now, settings) else {
            return;
        };
        lane.looking &= head.due_at > now;
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
        let window = self.memory.window(&self.bounds);
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            effects.park.extend(work);
            return;
        };
        lane.claiming = false;
        let told = lane.told_meanwhile.take();
        let looked = std::mem::take(&mut lane.looking);
        lane.stored_due = match (next_due, told) {
            (Some(next), Some(told)) => Some(next.min(told)),
            (one, other) => one.or(other),
        };
        if lane.stored_due.is_none_or(|due| due > now)
            && lane.queue.len() + work.len() < window.div_ceil(2)
            && !lane.held
            && !lane.load.breaker.is_open()
            && !lane.hangs(now)
        {
            lane.gauge.set_backlogged(false);
        }
        if lane.held || self.stopped {
            effects.park.extend(work);
        } else {
            lane.load.came_from_store(i64::try_from(work.len()).unwrap_or(i64::MAX));
            for work in work {
                self.memory.enter(memory::payload_bytes(&work));
                lane.enqueue(Queued { work, fresh: false }, now);
            }
            self.make_ready(endpoint, now);
        }
        self.review(endpoint, now, effects);
        self.pump(now, effects);
        if looked {
            // Only now it is known how it stands.
            self.publish(endpoint, now);
        }
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

    /// An endpoint's settings changed; `None` when it is gone or disabled, and what waits in memory is cancelled.
    pub fn changed(
        &mut self,
        endpoint: EndpointId,
        settings: Option<LaneSettings>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let limits = settings
            .as_ref()
            .map(|settings| Lane::limits_of(settings, &self.bounds, &self.rules));
        // A lane that was forgotten while nothing could be begun comes back when something can: deliveries may be left in
        // the store from before.
        let Some(lane) = self.lane(endpoint, now, || settings.clone().filter(|settings| !settings.held)) else {
            return;
        };
        lane.held = settings.as_ref().is_none_or(|settings| settings.held);
        lane.gone = settings.is_none();
        if let (Some(settings), Some(limits)) = (&settings, limits) {
            lane.limits = limits;
            lane.per_second = settings.per_second;
            lane.batch = settings.batch;
            lane.paced_until = None;
            lane.throttled_until = None;
            lane.company_changed(now);
        }
        if lane.held {
            let emptied: Vec<_> = lane.queue.drain(..).map(|queued| queued.work).collect();
            lane.company_ends = None;
            lane.load.came_from_store(-i64::try_from(emptied.len()).unwrap_or(0));
            if lane.gone {
                (lane.stored_due, lane.looking) = (None, false);
                lane.forget_load(now);
            }
            self.memory.leave(&emptied);
            match settings {
                Some(_) => effects.park.extend(emptied),
                None => effects.cancel.extend(emptied),
            }
        } else {
            // Whoever changed something wants to see whether it helped.
            lane.load.breaker.probe_soon(now);
            lane.gauge.set_backlogged(lane.load.breaker.is_open());
            // Something may have come to wait in the store meanwhile: look once.
            lane.looking |= lane.stored_due.is_none_or(|due| due > now);
            lane.stored_due = Some(now);
        }
        self.publish(endpoint, now);
        self.make_ready(endpoint, now);
        self.review(endpoint, now, effects);
        self.pump(now, effects);
    }

    /// Another process serves this endpoint from now on: what is in memory and not begun goes back to the store, and nothing more is
    /// begun. What is known of its load is that one's to find out anew.
    pub fn left(&mut self, endpoint: EndpointId, now: Timestamp, effects: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        (lane.held, lane.gone) = (true, true);
        let emptied: Vec<_> = lane.queue.drain(..).map(|queued| queued.work).collect();
        lane.company_ends = None;
        (lane.stored_due, lane.told_meanwhile, lane.looking) = (None, None, false);
        lane.forget_load(now);
        lane.gauge.set_backlogged(false);
        lane.gauge.tell(None);
        self.memory.leave(&emptied);
        effects.park.extend(emptied);
        self.make_ready(endpoint, now);
        self.pump(now, effects);
    }

    /// Time has passed: rests end, things fall due, and applications that were held up by their rate go on.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some((at, whom)) = self.timers.due(now) {
            match whom {
                Whom::Lane(endpoint) => {
                    if let Some(lane) = self.lanes.get_mut(&endpoint)
                        && lane.planned == Some(at)
                    {
                        lane.planned = None;
                    }
                    self.make_ready(endpoint, now);
                    self.review(endpoint, now, effects);
                }
                Whom::App(place) => {
                    let app = self.apps.at(place);
                    if app.planned == Some(at) {
                        app.planned = None;
                    }
                    self.apps.look_again(place);
                }
            }
        }
        self.pump(now, effects);
    }

    /// The clock was set back. What was planned by the old time would come as much too late: rests are over, and the store
    /// is asked anew when something is due.
    pub fn clock_went_back(&mut self, now: Timestamp, effects: &mut Effects) {
        self.timers.clear();
        self.apps.clock_went_back();
        for endpoint in self.endpoints() {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.clock_went_back(now);
            }
            self.make_ready(endpoint, now);
            self.review(endpoint, now, effects);
        }
        self.pump(now, effects);
    }

    /// Claims what is due and runs low, and plans when to look again.
    fn review(&mut self, endpoint: EndpointId, now: Timestamp, effects: &mut Effects) {
        let window = self.memory.window(&self.bounds);
        let stopped = self.stopped;
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if stopped {
            return;
        }
        if lane.note_pace(self.apps.pace(lane.app), now) {
            self.figures.throttled += 1;
        }
        if let Some(n) = lane.wants_claim(now, window) {
            lane.claiming = true;
            effects.claim.push((endpoint, n));
        }
        if let Some(at) = lane.wakes_at(now) {
            self.plan(endpoint, at, effects);
        }
    }

    fn plan(&mut self, endpoint: EndpointId, at: Timestamp, effects: &mut Effects) {
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && self.timers.plan(Whom::Lane(endpoint), at, &mut lane.planned)
        {
            effects.wake_at = Some(at);
        }
    }

    /// Plans when an application goes on that its rate holds up.
    fn plan_app(&mut self, place: usize, now: Timestamp, effects: &mut Effects) {
        let app = self.apps.at(place);
        if let Some(at) = app.pace.paced_until.filter(|at| *at > now)
            && self.timers.plan(Whom::App(place), at, &mut app.planned)
        {
            effects.wake_at = Some(at);
        }
    }
}

/// Hashes ids, which nobody from outside chooses: fast rather than hard to guess, and the same in every process.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        // Fibonacci hashing: the product's upper half is well mixed, the table uses both ends.
        let mixed = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests;
