//! A lane: what one endpoint has waiting in memory, how much of it runs, and what it waits for.

use std::{collections::VecDeque, sync::Arc};

use bellwire_core::{delivery::Work, rate::Pace, time::Timestamp};
use bellwire_store::directory::LaneGauge;

/// A delivery in memory, and whether it was handed over (rather than claimed).
#[derive(Debug)]
pub(super) struct Queued {
    pub work: Work,
    pub fresh: bool,
}

/// The state of one endpoint's lane. Owned by [`super::state::State`].
#[derive(Debug)]
pub(super) struct Lane {
    /// Due deliveries in memory, in the order they came.
    pub queue: VecDeque<Queued>,
    /// Workers at it, those included that are about to start.
    pub active: usize,
    /// Workers that were started and have not asked for anything yet.
    pub starting: usize,
    /// How many workers it may have.
    pub limit: usize,
    /// The endpoint asked for a rest until then.
    pub resting_until: Option<Timestamp>,
    /// Attempts per second at most.
    pub per_second: Option<u16>,
    /// Keeps them even.
    pub pace: Pace,
    /// The next attempt is let through then.
    pub paced_until: Option<Timestamp>,
    /// When the earliest known delivery in the store is due.
    pub stored_due: Option<Timestamp>,
    /// A claim is under way.
    pub claiming: bool,
    /// A head that was told while a claim was under way, which may not have seen it.
    pub told_meanwhile: Option<Timestamp>,
    /// The earliest time at which a look at this lane is planned.
    pub planned: Option<Timestamp>,
    /// Nothing may be begun: the endpoint is paused, disabled or gone.
    pub held: bool,
    /// Stands in the list of lanes that are ready to run.
    pub ready: bool,
    /// What the outside sees.
    pub gauge: Arc<LaneGauge>,
}

impl Lane {
    pub fn new(gauge: Arc<LaneGauge>, limit: usize, per_second: Option<u16>, held: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            active: 0,
            starting: 0,
            limit,
            resting_until: None,
            per_second,
            pace: Pace::default(),
            paced_until: None,
            stored_due: None,
            claiming: false,
            told_meanwhile: None,
            planned: None,
            held,
            ready: false,
            gauge,
        }
    }

    /// Whether a further worker would find something to do at once.
    pub fn wants_worker(&self, now: Timestamp) -> bool {
        self.queue.len() > self.starting && self.active < self.limit && self.may_run(now)
    }

    /// Whether anything may be begun.
    pub fn may_run(&self, now: Timestamp) -> bool {
        !self.held && self.waits_until(now).is_none()
    }

    /// Until when its rest or its pace lets nothing begin.
    fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.resting_until.max(self.paced_until).filter(|until| *until > now)
    }

    /// Takes the turn of one attempt; false when its pace does not let it through yet.
    pub fn keeps_pace(&mut self, now: Timestamp) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let taken = self.pace.take(per_second, now);
        self.paced_until = taken.err();
        taken.is_ok()
    }

    /// Whether more should be fetched from the store: something is due there, and what is in memory runs low.
    pub fn wants_claim(&self, now: Timestamp, window: usize) -> bool {
        !self.claiming
            && self.may_run(now)
            && self.queue.len() < window.div_ceil(4)
            && self.stored_due.is_some_and(|due| due <= now)
    }

    /// When something changes by itself: a rest ends, or something in the store falls due.
    pub fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.held {
            return None;
        }
        let rest = self.waits_until(now);
        let due = self
            .stored_due
            .filter(|_| !self.claiming)
            .map(|due| rest.map_or(due, |rest| due.max(rest)));
        match (rest.filter(|_| !self.queue.is_empty()), due) {
            (Some(rest), Some(due)) => Some(rest.min(due)),
            (one, other) => one.or(other),
        }
    }

    /// Nothing to do, nothing to remember: it can be forgotten until it is needed again.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.queue.is_empty()
            && self.active == 0
            && self.stored_due.is_none()
            && !self.claiming
            && self.waits_until(now).is_none()
    }
}
