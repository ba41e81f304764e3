//! What the outside sees of a lane: its numbers, its state in one word, and what it waits for.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use bellwire_store::directory::{BreakerState, LaneState, LaneStatus, LimitStatus, WaitsFor};

use super::Lane;
use crate::scheduler::state::AppPace;

/// What a rate held back counts as held back for so long after the rate let it through: lanes are looked at when their pace opens,
/// and between two looks it may be closed all the time.
const JUST_NOW: Duration = Duration::from_secs(1);

impl Lane {
    /// How it stands. What is under way and what waits in the store is the gauge's to say.
    pub fn status(&mut self, app: AppPace, now: Timestamp) -> LaneStatus {
        let (state, waits_for) = self.condition(app, now);
        let of_lane = self.rate_limit(now);
        let of_app = app.per_second.map(f64::from);
        let rate_limit = of_lane.into_iter().chain(of_app).reduce(f64::min);
        let load = &self.load;
        let (succeeded_lately, failed_lately) = load.lately.counts();
        LaneStatus {
            state,
            waits_for,
            in_flight: self.out,
            in_memory: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            waiting: 0,
            oldest_due: self.oldest_due(),
            limit: Some(LimitStatus {
                now: u16::try_from(load.limit.get(self.limits)).unwrap_or(u16::MAX),
                min: self.limits.min.min(self.limits.max),
                max: self.limits.max,
            }),
            breaker: match (load.breaker.is_open(), load.slow_start) {
                (true, _) => BreakerState::Open,
                (false, Some(_)) => BreakerState::Recovering,
                (false, None) => BreakerState::Closed,
            },
            failures_in_a_row: load.breaker.failures(),
            next_probe: load.breaker.probe_at(),
            rate: load.rate,
            rate_learned: load.learned.per_second().map(|rate| rate as f32),
            rate_limit: rate_limit.map(|rate| rate as f32),
            succeeded_lately,
            failed_lately,
            latency: load.limit.latency(),
        }
    }

    /// Its state in one word, and what it waits for.
    pub fn condition(&self, app: AppPace, now: Timestamp) -> (LaneState, WaitsFor) {
        if self.held {
            return match self.gone {
                true => (LaneState::Disabled, WaitsFor::BeingEnabled),
                false => (LaneState::Paused, WaitsFor::BeingResumed),
            };
        }
        if self.load.breaker.is_open() {
            let probe = self.load.breaker.probe_at();
            // A probe is made of what is due: it may have to wait for that.
            let due = self.oldest_due();
            let waits_for = match (probe, due) {
                (None, _) => WaitsFor::ProbeAnswer,
                (Some(_), None) => WaitsFor::Messages,
                (Some(at), Some(due)) => WaitsFor::ProbeAt(at.max(due)),
            };
            return (LaneState::Parked, waits_for);
        }
        let has_work = self.has_due(now);
        let until = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let held_back = |at: Option<Timestamp>| at.filter(|at| at.plus(JUST_NOW) > now).map(|at| at.max(now));
        if let Some(at) = until(self.resting_until) {
            return (LaneState::Resting, WaitsFor::RestUntil(at));
        }
        let recovering = self.load.slow_start.is_some();
        let throttled_until = held_back(self.throttled_until).filter(|_| self.is_paced());
        if has_work && let Some(at) = until(self.paced_until).or(throttled_until) {
            return match recovering {
                true => (LaneState::Recovering, WaitsFor::SlowStartUntil(at)),
                false => (LaneState::Throttled, WaitsFor::RateUntil(at)),
            };
        }
        if has_work && let Some(at) = until(app.paced_until).or(held_back(app.throttled_until)) {
            return (LaneState::Throttled, WaitsFor::AppRateUntil(at));
        }
        let waits_for = if self.out > 0 {
            WaitsFor::Answers
        } else if let Some(at) = self.company_until(now) {
            WaitsFor::CompanyUntil(at)
        } else if has_work {
            WaitsFor::Slot
        } else {
            let stored = self.stored_due.filter(|_| !self.looking);
            stored.map_or(WaitsFor::Messages, WaitsFor::DueAt)
        };
        let state = match (recovering, has_work || self.active > 0) {
            (true, _) => LaneState::Recovering,
            (false, true) => LaneState::Running,
            (false, false) => LaneState::Idle,
        };
        (state, waits_for)
    }
}
