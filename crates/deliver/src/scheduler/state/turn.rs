//! A worker's turn: it says how its last attempt ended, and is given its next delivery, or told that it is over.

use bellwire_core::{breaker::Turned, delivery::Work, id::EndpointId, rate, time::Timestamp};

use super::{Effects, Figures, State, fairness::App};
use crate::scheduler::lane::{Lane, Report, Ticket};

/// After so many deliveries a worker lets another lane have its slot, if one waits.
const TURN: u32 = 16;

/// What a worker is told when it asks for its next delivery.
#[derive(Debug)]
pub enum Turn {
    /// Attempt this, and bring the ticket back.
    Attempt(Work, Ticket),
    /// Attempt these in one request, at least one, and bring the ticket back.
    Batch(Vec<Work>, Ticket),
    /// Nothing to do, or another lane's turn: the slot is given up.
    Over,
}

impl State {
    /// A worker of this lane asks for its next delivery, after `done` others; `report` is how the last one ended.
    pub fn next(
        &mut self,
        endpoint: EndpointId,
        done: u32,
        report: Option<Report>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Turn {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return Turn::Over;
        };
        let place = lane.app;
        let slots = lane.slots();
        if let Some(report) = &report
            && lane.ended(report, &self.rules, now) == Some(Turned::Opened)
        {
            self.figures.breakers_opened += 1;
        }
        let widens = lane.slots() > slots;
        let starved = self.apps.starved;
        let app = self.apps.at(place);
        if done == 0 {
            lane.starting = lane.starting.saturating_sub(1);
            app.started();
        }
        let its_turn = !self.stopped
            && lane.active <= lane.slots()
            && !(starved && done >= TURN)
            && lane.has_something(now)
            && lane.may_run(now);
        let handed_out = if its_turn {
            hand_out(lane, app, &mut self.figures, now)
        } else {
            None
        };
        if let Some(turn) = handed_out {
            match &turn {
                Turn::Attempt(work, _) => self.memory.leave([work]),
                Turn::Batch(works, _) => self.memory.leave(works),
                Turn::Over => {}
            }
            let one_by_one = lane.is_paced() || app.is_paced() || lane.batch.is_some();
            if one_by_one || lane.wants_claim(now, self.bounds.window).is_some() {
                self.review(endpoint, now, effects);
            }
            // Whoever could not be started before this one was may be now.
            if widens || one_by_one {
                self.make_ready(endpoint, now);
                self.apps.look_again(place);
                self.plan_app(place, now, effects);
                self.pump(now, effects);
            }
            return turn;
        }
        lane.active -= 1;
        app.gave_up();
        self.in_flight -= 1;
        self.make_ready(endpoint, now);
        self.apps.look_again(place);
        self.review(endpoint, now, effects);
        self.plan_app(place, now, effects);
        self.pump(now, effects);
        Turn::Over
    }
}

/// Gives a worker its next delivery, or those that go together; `None` when the rate of the lane or of its application lets
/// nothing through yet. A batch is no larger than what a second's rate allows, so that a rate stays even.
fn hand_out(lane: &mut Lane, app: &mut App, figures: &mut Figures, now: Timestamp) -> Option<Turn> {
    let of_lane = lane.rate_limit(now);
    let interval = of_lane.map(rate::interval);
    lane.paced_until = interval.and_then(|interval| lane.pace.opens_at(interval, now));
    if lane.paced_until.is_some() || app.opens_at(now).is_some() {
        // The worker ends, and what is held back is counted then.
        return None;
    }
    let of_app = app.pace.per_second.map(f64::from);
    let slowest = of_lane.into_iter().chain(of_app).reduce(f64::min);
    let n_max = slowest.map_or(usize::MAX, |rate| (rate as usize).max(1));
    let (first, others) = lane.take(n_max, now)?;
    lane.held_back = false;
    let n = u32::try_from(1 + others.len()).unwrap_or(u32::MAX);
    if let Some(interval) = interval {
        // Asked before. When the next will be let through may be told at once.
        let _ = lane.pace.take_many(interval, n, now);
        lane.paced_until = lane.pace.opens_at(interval, now);
    }
    app.take(n, now);
    lane.touched_at = now;
    let ticket = Ticket {
        probe: lane.load.breaker.begin(),
        round: lane.load.limit.round(),
    };
    figures.probes += u64::from(ticket.probe);
    if lane.batch.is_none() {
        return Some(Turn::Attempt(first, ticket));
    }
    figures.batches += 1;
    figures.batched += u64::from(n);
    let mut works = others;
    works.insert(0, first);
    Some(Turn::Batch(works, ticket))
}
