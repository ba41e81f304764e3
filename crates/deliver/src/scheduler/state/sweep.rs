//! What is done once a second: what waits too long goes back to the store, people are told what they should hear, the outside
//! is shown how each lane stands, and lanes that have nothing to do are forgotten.

use bellwire_core::{
    id::{AppId, EndpointId},
    time::Timestamp,
};
use bellwire_store::directory::LaneState;

use super::{Effects, State};

/// So many lanes are swept in one go, so that nobody waits for the state for long.
const CHUNK: usize = 512;

/// What the scheduler shows in numbers. The counts of lanes are of the last sweep, a second or two ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Lanes by their state, in the order of [`LaneState::NAMES`].
    pub lanes: [usize; LaneState::NAMES.len()],
    /// Breakers that are open.
    pub breakers_open: usize,
    /// How often a breaker opened, since the start.
    pub breakers_opened: u64,
    /// Probes of endpoints whose breaker is open, since the start.
    pub probes: u64,
    /// Attempts that a rate limit (or a slow start) held back, each once however long, since the start.
    pub throttled: u64,
    /// Batches that were sent, since the start.
    pub batches: u64,
    /// Deliveries in them.
    pub batched: u64,
}

impl State {
    /// Sweeps some lanes, or begins anew; true when it is to be called again at once, because there are more.
    /// `app_rates` looks up what an application's settings say of its rate.
    pub fn sweep(&mut self, now: Timestamp, app_rates: impl Fn(AppId) -> Option<u16>, effects: &mut Effects) -> bool {
        if self.sweeping.is_empty() {
            self.sweeping = self.endpoints();
            self.apps.set_rates(app_rates);
        }
        for _ in 0..CHUNK {
            let Some(endpoint) = self.sweeping.pop() else { break };
            self.sweep_lane(endpoint, now, effects);
        }
        let more = !self.sweeping.is_empty();
        if !more {
            self.figures.lanes = std::mem::take(&mut self.counting.lanes);
            self.figures.breakers_open = std::mem::take(&mut self.counting.breakers_open);
            self.pump(now, effects);
        }
        more
    }

    /// What is counted.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    fn sweep_lane(&mut self, endpoint: EndpointId, now: Timestamp, effects: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let old = lane.give_back(self.bounds.patience, now);
        if !old.is_empty() {
            lane.load.came_from_store(-i64::try_from(old.len()).unwrap_or(0));
            self.memory.leave(&old);
            effects.park.extend(old);
        }
        if lane.queue.is_empty() {
            lane.queue.shrink_to(16);
        }
        lane.load.look(lane.gauge.waiting(), now);
        if !lane.gone {
            let told = lane.load.alerts(lane.oldest_due(), &self.rules, now);
            effects
                .alerts
                .extend(told.map(|(alert, raised)| (endpoint, alert, raised)));
        }
        if lane.is_forgettable(now) {
            self.forget(endpoint);
            return;
        }
        let (state, _) = lane.condition(self.apps.pace(lane.app), now);
        self.counting.breakers_open += usize::from(lane.load.breaker.is_open());
        if let Some(place) = LaneState::NAMES.iter().position(|(_, named)| *named == state) {
            self.counting.lanes[place] += 1;
        }
        self.publish(endpoint, now);
        self.make_ready(endpoint, now);
        self.review(endpoint, now, effects);
    }

    /// Shows the outside how a lane stands.
    pub(super) fn publish(&mut self, endpoint: EndpointId, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            let status = lane.status(self.apps.pace(lane.app), now);
            lane.gauge.tell(Some(status));
        }
    }

    fn forget(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.lanes.remove(&endpoint) {
            lane.gauge.tell(None);
            lane.gauge.set_in_flight(0);
            self.apps.leave(lane.app);
        }
    }
}
