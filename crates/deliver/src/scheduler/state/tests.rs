//! The scheduler's decisions against any sequence of events.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    decide::Health,
    delivery::{Lease, Progress, Work},
    id::{AppId, EndpointId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use bellwire_store::{Claimed, LaneHead, directory::LaneGauge};
use bytes::Bytes;
use proptest::prelude::*;

use super::{Bounds, Effects, LaneSettings, State, Turn};

const START: Timestamp = Timestamp::from_secs(1_766_000_000);

fn bounds() -> Bounds {
    Bounds {
        in_flight: 6,
        in_flight_per_endpoint: 3,
        window: 8,
        in_memory: 24,
        payload_bytes: 1 << 20,
        patience: Duration::from_secs(5),
    }
}

fn work(message: u64, endpoint: u64, due_at: Timestamp) -> Work {
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

fn endpoint(number: u64) -> EndpointId {
    EndpointId::from_number(number)
}

/// The state with everything around it that a real scheduler would be: workers, a store, gauges.
struct World {
    state: State,
    now: Timestamp,
    gauges: BTreeMap<u64, Arc<LaneGauge>>,
    held: BTreeMap<u64, bool>,
    /// Workers that run, by endpoint: how many deliveries each has made.
    workers: Vec<(u64, u32)>,
    /// Deliveries in the store, by endpoint.
    stored: BTreeMap<u64, Vec<u64>>,
    claims: Vec<(u64, usize)>,
    put_in: u64,
    attempted: Vec<(u64, u64)>,
    cancelled: u64,
}

impl World {
    fn new() -> Self {
        let gauge = |n| (n, Arc::new(LaneGauge::new(Health::default())));
        Self {
            state: State::new(bounds()),
            now: START,
            gauges: (1..=4).map(gauge).collect(),
            held: BTreeMap::new(),
            workers: Vec::new(),
            stored: BTreeMap::new(),
            claims: Vec::new(),
            put_in: 0,
            attempted: Vec::new(),
            cancelled: 0,
        }
    }

    fn settings(&self, number: u64) -> Option<LaneSettings> {
        let gauge = Arc::clone(self.gauges.get(&number)?);
        // Endpoint 4 has a rate limit.
        let per_second = (number == 4).then_some(3);
        Some(LaneSettings {
            gauge,
            in_flight: None,
            per_second,
            held: self.held.get(&number).copied().unwrap_or(false),
        })
    }

    fn carry_out(&mut self, effects: Effects) {
        self.workers.extend(effects.start.iter().map(|id| (id.number(), 0)));
        self.claims
            .extend(effects.claim.iter().map(|(id, limit)| (id.number(), *limit)));
        self.cancelled += effects.cancel.len() as u64;
        for work in effects.park {
            let number = work.endpoint.number();
            self.stored.entry(number).or_default().push(work.message.id.number());
            self.tell_stored(number);
        }
    }

    fn tell_stored(&mut self, number: u64) {
        let mut effects = Effects::default();
        let settings = self.settings(number);
        let head = LaneHead {
            endpoint: endpoint(number),
            due_at: self.now,
        };
        self.state.stored(head, self.now, || settings, &mut effects);
        self.carry_out(effects);
    }

    fn publish(&mut self, number: u64) {
        self.put_in += 1;
        if self.gauges.get(&number).is_some_and(|gauge| gauge.is_backlogged()) {
            self.stored.entry(number).or_default().push(self.put_in);
            return self.tell_stored(number);
        }
        let mut effects = Effects::default();
        let settings = self.settings(number);
        let work = work(self.put_in, number, self.now);
        self.state
            .fresh(vec![work], self.now, |_| settings.clone(), &mut effects);
        self.carry_out(effects);
    }

    fn step_worker(&mut self, at: usize) {
        if self.workers.is_empty() {
            return;
        }
        let at = at % self.workers.len();
        let (number, done) = self.workers[at];
        let mut effects = Effects::default();
        match self.state.next(endpoint(number), done, self.now, &mut effects) {
            Turn::Attempt(work) => {
                assert_eq!(work.endpoint.number(), number);
                assert!(
                    !self.held.get(&number).copied().unwrap_or(false),
                    "began at a held endpoint"
                );
                self.attempted.push((number, work.message.id.number()));
                self.workers[at].1 += 1;
            }
            Turn::Over => drop(self.workers.swap_remove(at)),
        }
        self.carry_out(effects);
    }

    fn answer_claim(&mut self) {
        let Some((number, limit)) = self.claims.pop() else {
            return;
        };
        let waiting = self.stored.entry(number).or_default();
        let n = limit.min(waiting.len());
        let taken: Vec<_> = waiting.drain(..n).map(|message| work(message, number, START)).collect();
        let next_due = (!waiting.is_empty()).then_some(START);
        let mut effects = Effects::default();
        self.state.claimed(
            endpoint(number),
            Claimed { work: taken, next_due },
            self.now,
            &mut effects,
        );
        self.carry_out(effects);
    }

    fn hold(&mut self, number: u64, held: bool) {
        self.held.insert(number, held);
        let settings = self.settings(number);
        let mut effects = Effects::default();
        self.state.changed(endpoint(number), settings, self.now, &mut effects);
        self.carry_out(effects);
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        let mut effects = Effects::default();
        self.state.tick(self.now, &mut effects);
        self.carry_out(effects);
        let mut effects = Effects::default();
        self.state.sweep(self.now, &mut effects);
        self.carry_out(effects);
    }

    fn check(&self) {
        let Bounds {
            in_flight,
            in_flight_per_endpoint,
            ..
        } = bounds();
        assert!(self.workers.len() <= in_flight, "{} workers", self.workers.len());
        assert_eq!(self.state.in_flight(), self.workers.len());
        for number in self.gauges.keys() {
            let at_it = self.workers.iter().filter(|(lane, _)| lane == number).count();
            assert!(at_it <= in_flight_per_endpoint, "{at_it} workers at endpoint {number}");
        }
        let stored: usize = self.stored.values().map(Vec::len).sum();
        let seen = self.attempted.len() as u64 + self.cancelled + stored as u64 + self.state.in_memory() as u64;
        assert_eq!(seen, self.put_in, "a delivery was lost or doubled");
    }
}

#[derive(Debug, Clone)]
enum Event {
    Publish(u64),
    Step(usize),
    Claim,
    Hold(u64),
    Release(u64),
    Rest(u64),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1u64..=4).prop_map(Event::Publish),
        6 => (0usize..8).prop_map(Event::Step),
        3 => Just(Event::Claim),
        1 => (1u64..=4).prop_map(Event::Hold),
        1 => (1u64..=4).prop_map(Event::Release),
        1 => (1u64..=4).prop_map(Event::Rest),
        1 => (0u64..7_000).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn bounds_hold_nothing_is_lost_and_everything_is_attempted_in_the_end(events in prop::collection::vec(event(), 0..300)) {
        let mut world = World::new();
        for event in events {
            match event {
                Event::Publish(number) => world.publish(number),
                Event::Step(at) => world.step_worker(at),
                Event::Claim => world.answer_claim(),
                Event::Hold(number) => world.hold(number, true),
                Event::Release(number) => world.hold(number, false),
                Event::Rest(number) => {
                    let mut effects = Effects::default();
                    world.state.rest(endpoint(number), world.now.plus(Duration::from_secs(3)), &mut effects);
                    world.carry_out(effects);
                }
                Event::Pass(millis) => world.pass(Duration::from_millis(millis)),
            }
            world.check();
        }
        for number in 1..=4 {
            world.hold(number, false);
        }
        for round in 0..8_000 {
            world.answer_claim();
            world.step_worker(round);
            if round % 20 == 0 {
                world.pass(Duration::from_secs(1));
            }
            world.check();
        }
        prop_assert_eq!(world.attempted.len() as u64 + world.cancelled, world.put_in);
        let mut once = world.attempted.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), world.attempted.len(), "attempted twice without a retry");
    }
}

#[test]
fn a_hanging_endpoint_keeps_its_slots_and_the_others_keep_theirs() {
    let mut world = World::new();
    for _ in 0..20 {
        world.publish(1);
    }
    // Endpoint 1 hangs: its workers took one delivery each and never ask again.
    for at in 0..world.workers.len() {
        world.step_worker(at);
    }
    let hanging = world.workers.len();
    assert_eq!(hanging, bounds().in_flight_per_endpoint);
    for number in 2..=4 {
        world.publish(number);
    }
    assert_eq!(world.workers.len(), hanging + 3);
}

#[test]
fn a_busy_lane_gives_up_its_slot_after_its_turn_when_another_waits() {
    let mut world = World::new();
    for number in [1, 1, 1, 2, 2, 2] {
        world.publish(number);
    }
    // The last slot is kept for a lane that has none; with it in use, somebody has to make room.
    assert_eq!(world.workers.len(), bounds().in_flight - 1);
    world.publish(4);
    world.publish(3);
    let mut steps = 0;
    while !world.attempted.iter().any(|(number, _)| *number == 3) {
        world.publish(1);
        world.publish(2);
        world.answer_claim();
        world.step_worker(steps);
        steps += 1;
        assert!(steps < 400, "endpoint 3 starves");
    }
}

#[test]
fn what_was_handed_over_and_not_begun_in_time_goes_back_to_the_store() {
    let mut world = World::new();
    for _ in 0..7 {
        world.publish(1);
    }
    for at in 0..3 {
        world.step_worker(at);
    }
    assert_eq!(world.state.in_memory(), 4);
    world.pass(bounds().patience + Duration::from_secs(1));
    assert_eq!(world.state.in_memory(), 0);
    assert_eq!(world.stored[&1].len(), 4);
    assert!(world.gauges[&1].is_backlogged());
}

#[test]
fn a_rate_limit_spaces_the_attempts_evenly() {
    let mut world = World::new();
    for _ in 0..6 {
        world.publish(4);
    }
    let mut begun_at = Vec::new();
    while begun_at.len() < 6 {
        world.step_worker(0);
        if world.attempted.len() > begun_at.len() {
            begun_at.push(world.now);
        }
        world.pass(Duration::from_millis(5));
        world.answer_claim();
    }
    for pair in begun_at.windows(2) {
        let gap = pair[1].since(pair[0]);
        assert!(
            gap >= Duration::from_millis(320) && gap <= Duration::from_millis(350),
            "{gap:?}"
        );
    }
}

#[test]
fn a_rest_and_a_planned_look_end_when_the_clock_is_set_back() {
    let mut world = World::new();
    let mut effects = Effects::default();
    world
        .state
        .rest(endpoint(1), world.now.plus(Duration::from_secs(60)), &mut effects);
    world.publish(1);
    let mut effects = Effects::default();
    world
        .state
        .rest(endpoint(1), world.now.plus(Duration::from_secs(60)), &mut effects);
    let failed_at = world.now;
    world.now = world.now.minus(Duration::from_secs(86_400));
    let mut effects = Effects::default();
    world.state.clock_went_back(world.now, &mut effects);
    world.tell_stored(2);
    let mut effects_of_two = Effects::default();
    world.state.claim_failed(endpoint(2), failed_at, &mut effects_of_two);
    let mut again = Effects::default();
    world.state.clock_went_back(world.now, &mut again);
    assert_eq!(
        again.claim.iter().map(|(endpoint, _)| *endpoint).collect::<Vec<_>>(),
        [endpoint(2)]
    );
    world.carry_out(effects);
    while !world.workers.is_empty() {
        world.step_worker(0);
    }
    assert_eq!(
        world.state.in_memory(),
        0,
        "what waited for the rest to end was attempted"
    );
}

#[test]
fn what_waits_longest_is_told_and_a_paused_endpoint_does_not_count() {
    let mut world = World::new();
    assert_eq!(world.state.oldest_due(), None);
    let earlier = START.minus(Duration::from_secs(60));
    let tell = |world: &mut World, number: u64, due_at: Timestamp| {
        let settings = world.settings(number);
        let head = LaneHead {
            endpoint: endpoint(number),
            due_at,
        };
        world.state.stored(head, START, || settings, &mut Effects::default());
    };
    world.held.insert(1, true);
    tell(&mut world, 1, earlier.minus(Duration::from_secs(3_600)));
    assert_eq!(world.state.oldest_due(), None, "it waits because somebody wants it to");
    tell(&mut world, 2, earlier);
    assert_eq!(world.state.oldest_due(), Some(earlier), "in the store");
    let settings = world.settings(3);
    let oldest = earlier.minus(Duration::from_secs(1));
    let work = vec![work(1, 3, oldest), work(2, 3, START)];
    world
        .state
        .fresh(work, START, |_| settings.clone(), &mut Effects::default());
    assert_eq!(world.state.oldest_due(), Some(oldest), "in memory");
}

#[test]
fn an_endpoint_that_may_run_again_is_looked_after_although_its_lane_was_forgotten() {
    let mut world = World::new();
    let mut effects = Effects::default();
    let settings = world.settings(1);
    world.state.changed(endpoint(1), settings, world.now, &mut effects);
    assert_eq!(
        effects.claim.iter().map(|(endpoint, _)| *endpoint).collect::<Vec<_>>(),
        [endpoint(1)]
    );
    let mut effects = Effects::default();
    world.state.changed(endpoint(2), None, world.now, &mut effects);
    assert!(effects.claim.is_empty() && world.state.endpoints() == [endpoint(1)]);
}

#[test]
fn a_lane_that_holds_nothing_finds_a_slot_however_greedy_the_others_are() {
    let greedy = Bounds {
        in_flight: 64,
        in_flight_per_endpoint: 1_000,
        window: 1_000,
        in_memory: 100_000,
        ..bounds()
    };
    let mut world = World::new();
    world.state = State::new(greedy);
    for number in 1..=3 {
        for _ in 0..200 {
            world.publish(number);
        }
    }
    // All of them hang: nobody asks for more. Together they leave about as much as each of them holds.
    assert!(world.workers.len() < 64, "{}", world.workers.len());
    world.publish(4);
    assert!(world.workers.iter().any(|(number, _)| *number == 4));
}
