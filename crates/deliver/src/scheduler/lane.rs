//! A lane: what one endpoint has waiting in memory, how much of it runs, and what it waits for.

mod company;
mod load;
mod status;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bellwire_core::{batch::BatchSettings, breaker::Turned, delivery::Work, limit, rate::Pace, time::Timestamp};
use bellwire_store::directory::LaneGauge;

pub(super) use self::load::Load;
pub use self::load::{Report, Ticket};
use super::{
    Rules,
    state::{AppPace, Bounds, LaneSettings},
};

/// What a lane that does nothing is kept for: its rates, its breaker's count.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// While an endpoint comes back, a lane keeps so many deliveries per attempt that it may make at once.
const WINDOW_PER_SLOT: usize = 16;
/// A lane hangs when nothing of what it has under way has ended for so long, and more waits.
const HANGS_AFTER: Duration = Duration::from_secs(1);
/// A lane fetches what it will begin within so many seconds, by what it did lately …
const FETCHED_SECONDS: f32 = 5.0;
/// … and at least so much for each attempt that it may make at once: one that did nothing lately shows soon what it can do.
const FETCHED_PER_SLOT: usize = 4;
/// At most so many are fetched in one go. Reading takes time that others need: many small pieces let them in between.
const CLAIM_MAX: usize = 128;

/// A delivery in memory, and whether it was handed over (rather than claimed).
#[derive(Debug)]
pub(super) struct Queued {
    pub work: Work,
    pub fresh: bool,
}

/// Where a lane stands that is ready to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is not ready.
    Nowhere,
    /// Among those that hold no slot.
    First,
    /// Among those that hold one already.
    More,
}

/// The state of one endpoint's lane. Owned by [`super::state::State`].
#[derive(Debug)]
pub(super) struct Lane {
    /// Where its application stands among the applications.
    pub app: usize,
    /// Due deliveries in memory, in the order they came.
    pub queue: VecDeque<Queued>,
    /// Workers at it, those included that are about to start.
    pub active: usize,
    /// Workers that were started and have not asked for anything yet.
    pub starting: usize,
    /// Deliveries that its workers have.
    pub out: u32,
    /// Between what its limit on workers moves.
    pub limits: limit::Bounds,
    /// What is known of the load that the endpoint takes.
    pub load: Load,
    /// The endpoint asked for a rest until then.
    pub resting_until: Option<Timestamp>,
    /// Deliveries per second at most.
    pub per_second: Option<u16>,
    /// Keeps them even.
    pub pace: Pace,
    /// The next attempt is let through then.
    pub paced_until: Option<Timestamp>,
    /// Until when its pace held something back that would have been begun otherwise.
    pub throttled_until: Option<Timestamp>,
    /// A rate holds back what comes next, and that is counted.
    pub held_back: bool,
    /// Several deliveries go in one request.
    pub batch: Option<BatchSettings>,
    /// A batch that is not full leaves then. Not kept where a whole one is in memory: that leaves at once.
    pub company_ends: Option<Timestamp>,
    /// The next batch leaves without waiting for company: the clock by which it waited was set back.
    pub hurries: bool,
    /// When the earliest known delivery in the store is due.
    pub stored_due: Option<Timestamp>,
    /// Whether that is so is not known: it is only to be looked at.
    pub looking: bool,
    /// A claim is under way.
    pub claiming: bool,
    /// A head that was told while a claim was under way, which may not have seen it.
    pub told_meanwhile: Option<Timestamp>,
    /// The earliest time at which a look at this lane is planned.
    pub planned: Option<Timestamp>,
    /// Nothing may be begun: the endpoint is paused, disabled or gone.
    pub held: bool,
    /// The endpoint is disabled or gone.
    pub gone: bool,
    /// Where it stands for a slot.
    pub stands: Stands,
    /// Counts how often it stood somewhere: an older entry no longer counts.
    pub stood: u32,
    /// When it last did something.
    pub touched_at: Timestamp,
    /// What the outside sees.
    pub gauge: Arc<LaneGauge>,
}

impl Lane {
    /// Of an endpoint that got nothing since `quiet_since`, as far as is known.
    pub fn new(
        app: usize,
        settings: &LaneSettings,
        limits: limit::Bounds,
        quiet_since: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            app,
            queue: VecDeque::new(),
            active: 0,
            starting: 0,
            out: 0,
            limits,
            load: Load::new(limits, quiet_since.max(settings.made_at), now),
            resting_until: None,
            per_second: settings.per_second,
            pace: Pace::default(),
            paced_until: None,
            throttled_until: None,
            held_back: false,
            batch: settings.batch,
            company_ends: None,
            hurries: false,
            stored_due: None,
            looking: false,
            claiming: false,
            told_meanwhile: None,
            planned: None,
            held: settings.held,
            gone: false,
            stands: Stands::Nowhere,
            stood: 0,
            touched_at: now,
            gauge: Arc::clone(&settings.gauge),
        }
    }

    /// How many workers it may have now. What was under way when a breaker opened may take its time; a probe does not wait for it.
    pub fn slots(&self) -> usize {
        if self.load.breaker.is_open() {
            usize::from(self.limits.max).max(1)
        } else {
            self.load.limit.get(self.limits)
        }
    }

    /// Whether a further worker would find something to do at once.
    pub fn wants_worker(&mut self, now: Timestamp) -> bool {
        // Where only so many are let through, one worker after the other is started: none in vain.
        let one_by_one = self.is_paced() || self.load.breaker.is_open();
        self.active < self.slots()
            && !(one_by_one && self.starting > 0)
            && self.has_more_than(self.starting, now)
            && self.may_run(now)
    }

    /// Whether there is something for one more worker when `workers` have had theirs.
    fn has_more_than(&self, workers: usize, now: Timestamp) -> bool {
        let Some(batch) = self.batches() else {
            return self.queue.len() > workers;
        };
        let full = usize::from(batch.messages_max.max(1));
        let rest = self.queue.len().saturating_sub(workers.saturating_mul(full));
        rest >= full || (rest > 0 && workers == 0 && self.company_until(now).is_none())
    }

    /// How it batches; a probe goes alone.
    fn batches(&self) -> Option<BatchSettings> {
        self.batch.filter(|_| !self.load.breaker.is_open())
    }

    /// Whether its rate is limited, by settings or by a slow start.
    pub fn is_paced(&self) -> bool {
        self.per_second.is_some() || self.load.slow_start.is_some()
    }

    /// Deliveries per second at most, by settings and slow start.
    pub fn rate_limit(&mut self, now: Timestamp) -> Option<f64> {
        let ceiling = self.load.ceiling(now);
        let set = self.per_second.map(f64::from);
        match (set, ceiling) {
            (Some(set), Some(ceiling)) => Some(set.min(ceiling)),
            (one, other) => one.or(other),
        }
    }

    /// Whether anything may be begun.
    pub fn may_run(&mut self, now: Timestamp) -> bool {
        !self.held && self.waits_until(now).is_none() && self.load.breaker.allows(now)
    }

    /// Until when its rest or its pace lets nothing begin.
    fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.resting_until.max(self.paced_until).filter(|until| *until > now)
    }

    /// Whether something waits that is due, in memory or in the store.
    pub fn has_due(&self, now: Timestamp) -> bool {
        !self.queue.is_empty() || (!self.looking && self.stored_due.is_some_and(|due| due <= now))
    }

    /// Notes whether nothing but a rate, its own or its application's, holds it up. Answers whether one more attempt is held back
    /// by it: each is counted once.
    pub fn note_pace(&mut self, app: AppPace, now: Timestamp) -> bool {
        let until = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let own = until(self.paced_until).filter(|_| self.is_paced());
        let would_run = (own.is_some() || until(app.paced_until).is_some())
            && !self.held
            && !self.load.breaker.is_open()
            && until(self.resting_until).is_none()
            && self.active < self.slots()
            && self.has_due(now)
            && self.company_until(now).is_none();
        if !would_run {
            return false;
        }
        self.throttled_until = own.or(self.throttled_until);
        !std::mem::replace(&mut self.held_back, true)
    }

    /// Whether its queue is such that a worker that asks now gets something, if it may.
    pub fn has_something(&self, now: Timestamp) -> bool {
        self.has_more_than(0, now)
    }

    /// A worker gives back what it was given. Answers what that did to the breaker.
    pub fn ended(&mut self, report: &Report, rules: &Rules, now: Timestamp) -> Option<Turned> {
        self.touched_at = now;
        self.out = self.out.saturating_sub(report.given);
        self.gauge.set_in_flight(self.out);
        let turned = self.load.ended(report, self.limits, rules, now);
        if report.rest_until > self.resting_until {
            self.resting_until = report.rest_until;
        }
        match turned {
            Some(Turned::Opened) => self.gauge.set_backlogged(true),
            // Otherwise the claim that follows says when the store is empty.
            Some(Turned::Closed) if !self.claiming && self.stored_due.is_none_or(|due| due > now) => {
                self.gauge.set_backlogged(false);
            }
            _ => {}
        }
        turned
    }

    /// Whether its receiver takes deliveries and does not answer, so that what comes now will not be begun soon. One that its rate,
    /// a rest or an open breaker holds up does not hang.
    pub fn hangs(&self, now: Timestamp) -> bool {
        self.out > 0
            && (self.active >= self.slots() || !self.queue.is_empty())
            && now.since(self.touched_at) >= HANGS_AFTER
            && !self.load.breaker.is_open()
            && !self.is_paced()
            && self.waits_until(now).is_none()
    }

    /// How many deliveries from the store it should have in memory at most: no more than it gets done before they would be
    /// better off in the store.
    fn window(&self, window: usize, now: Timestamp) -> usize {
        if self.load.breaker.is_open() {
            return 1;
        }
        let slots = self.slots();
        let fetched = if self.load.slow_start.is_some() {
            slots.saturating_mul(WINDOW_PER_SLOT)
        } else if self.hangs(now) {
            slots
        } else {
            let soon = (self.load.rate * FETCHED_SECONDS) as usize;
            slots.saturating_mul(FETCHED_PER_SLOT).max(soon)
        };
        let batch = self.batch.map_or(1, |batch| usize::from(batch.messages_max));
        window.min(fetched.max(batch))
    }

    /// Whether one more that is handed over has its place in memory.
    pub fn has_room(&self, window: usize, now: Timestamp) -> bool {
        let room = if self.load.breaker.is_open() {
            1
        } else if self.hangs(now) {
            window.min(self.slots())
        } else {
            window
        };
        !self.held && self.queue.len() < room
    }

    /// Whether more should be fetched from the store, and how much: something is due there, and what is in memory runs low.
    pub fn wants_claim(&mut self, now: Timestamp, window: usize) -> Option<usize> {
        if self.claiming || self.stored_due.is_none_or(|due| due > now) {
            return None;
        }
        let window = self.window(window, now);
        let batch = self.batch.map_or(0, |batch| usize::from(batch.messages_max));
        let low = window.div_ceil(4).max(batch.min(window));
        (self.queue.len() < low && self.may_run(now)).then(|| (window - self.queue.len()).min(CLAIM_MAX.max(batch)))
    }

    /// When something changes by itself: a rest ends, a probe may begin, a batch leaves, or something in the store falls due.
    pub fn wakes_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        // While a probe is under way, its end changes something.
        if self.held || (self.load.breaker.is_open() && self.load.breaker.probe_at().is_none()) {
            return None;
        }
        let opens = self
            .waits_until(now)
            .max(self.load.breaker.probe_at())
            .filter(|at| *at > now);
        let due = self
            .stored_due
            .filter(|_| !self.claiming)
            .map(|due| due.max(opens.unwrap_or(due)));
        let company = self.company_until(now).map(|at| at.max(opens.unwrap_or(at)));
        let queued = company.or(opens).filter(|_| !self.queue.is_empty());
        due.into_iter().chain(queued).filter(|at| *at > now).min()
    }

    /// Since when the delivery that waits longest is due, or when the next one is; `None` when nothing is known to wait, or when it
    /// waits because somebody wants it to.
    pub fn oldest_due(&self) -> Option<Timestamp> {
        let queued = self.queue.front().map(|queued| queued.work.due_at);
        let stored = self.stored_due.filter(|_| !self.looking);
        queued.into_iter().chain(stored).min().filter(|_| !self.held)
    }

    /// Nothing to do, nothing to remember: it can be forgotten until it is needed again.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        let idle = self.queue.is_empty()
            && self.active == 0
            && self.stored_due.is_none()
            && !self.claiming
            && self.stands == Stands::Nowhere
            && self.waits_until(now).is_none();
        idle && (self.gone || (!self.load.is_worth_keeping() && now.since(self.touched_at) >= REMEMBERED))
    }

    /// Takes out what goes back to the store: what was handed over and not begun in time, or will not be because the lane hangs, and
    /// nearly all of it when the breaker has been open for that long.
    pub fn give_back(&mut self, patience: Duration, now: Timestamp) -> Vec<Work> {
        let waits_long = |queued: &Queued| queued.fresh && now.since(queued.work.due_at) >= patience;
        // One may stay for the probe.
        let parked = self.load.breaker.is_open() && self.queue.len() > 1 && now.since(self.load.opened_at) >= patience;
        // What can be begun at once when it goes on stays.
        let kept = if self.hangs(now) { self.slots() } else { usize::MAX };
        if !parked && self.queue.len() <= kept && !self.queue.front().is_some_and(waits_long) {
            return Vec::new();
        }
        let mut stays = VecDeque::new();
        let mut goes = Vec::new();
        for queued in self.queue.drain(..) {
            let is_too_much = queued.fresh && stays.len() >= kept;
            if waits_long(&queued) || is_too_much || (parked && !stays.is_empty()) {
                goes.push(queued.work);
            } else {
                stays.push_back(queued);
            }
        }
        self.queue = stays;
        if !goes.is_empty() {
            self.gauge.set_backlogged(true);
        }
        self.company_changed(now);
        goes
    }

    /// Between what the limit of an endpoint with these settings moves.
    pub fn limits_of(settings: &LaneSettings, bounds: &Bounds, rules: &Rules) -> limit::Bounds {
        let max = settings.in_flight.unwrap_or(bounds.in_flight_per_endpoint);
        limit::Bounds {
            min: rules.in_flight_min.max(1),
            max: u16::try_from(max).unwrap_or(u16::MAX).max(1),
        }
    }

    /// The endpoint is disabled or gone: what was known of it does not count when it is enabled again.
    pub fn forget_load(&mut self, now: Timestamp) {
        self.load = Load::new(self.limits, now, now);
        self.resting_until = None;
    }

    /// The clock was set back: nothing that was planned by the old time holds it up.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        self.planned = None;
        self.resting_until = None;
        self.paced_until = None;
        self.throttled_until = None;
        self.hurries = true;
        self.stored_due = self.stored_due.map(|_| now);
        self.touched_at = self.touched_at.min(now);
        self.load.opened_at = self.load.opened_at.min(now);
        self.load.breaker.allows(now);
    }
}
