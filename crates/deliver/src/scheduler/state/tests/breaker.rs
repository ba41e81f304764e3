//! An endpoint that is down costs nothing but probes, and comes back slowly.

use std::time::Duration;

use bellwire_store::directory::{BreakerState, LaneState, WaitsFor};

use super::world::{How, START, World, bounds, endpoint, rules};
use crate::scheduler::state::Bounds;

/// One endpoint, on a scheduler with room.
fn world() -> World {
    let bounds = Bounds {
        in_flight: 64,
        in_flight_per_endpoint: 16,
        commands_per_endpoint: 2,
        window: 256,
        in_memory: 10_000,
        ..bounds()
    };
    let mut world = World::empty(bounds, rules());
    world.add(1, 1);
    world.add(2, 1);
    world
}

#[test]
fn a_dead_endpoint_costs_nothing_but_a_probe_a_minute() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 5_000);
    world.run_for(Duration::from_secs(200));
    let status = world.status(1);
    assert_eq!((status.state, status.breaker), (LaneState::Parked, BreakerState::Open));
    assert!(
        matches!(status.waits_for, WaitsFor::ProbeAt(_)),
        "{:?}",
        status.waits_for
    );
    let (begun, claimed) = (world.begun.len(), world.claimed.len());
    world.run_for(Duration::from_secs(3_600));
    let probes = world.begun.len() - begun;
    assert!((59..=61).contains(&probes), "{probes} in an hour");
    assert!(
        world.claimed.len() - claimed <= 2 * probes,
        "{} claims",
        world.claimed.len() - claimed
    );
    assert!(world.state.in_memory() <= 1 && world.state.in_flight() == 0);
    assert!(world.waiting(1) >= 4_999);
    assert_eq!(world.state.figures().breakers_open, 1);
    assert_eq!(world.state.figures().probes as usize, world.probes);
}

#[test]
fn what_was_in_memory_goes_back_to_the_store_and_what_is_published_goes_there_at_once() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    for _ in 0..100 {
        world.publish(1);
    }
    world.run_for(Duration::from_secs(7));
    assert!(world.settings[&1].gauge.is_backlogged());
    assert!(world.state.in_memory() <= 1);
    let (starts, memory) = (world.starts, world.state.in_memory());
    for _ in 0..100 {
        world.publish(1);
    }
    assert_eq!((world.starts, world.state.in_memory()), (starts, memory));
    // Routed before it was known that the lane is backlogged: parked as well, but for one that may be the probe.
    world.settings[&1].gauge.set_backlogged(false);
    world.publish(1);
    world.settings[&1].gauge.set_backlogged(false);
    world.publish(1);
    assert!(world.state.in_memory() <= 1);
    world.check();
}

#[test]
fn a_probe_is_made_of_what_is_due_and_none_is_made_up() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    for _ in 0..4 {
        world.publish(1);
    }
    world.run_for(Duration::from_millis(100));
    assert_eq!((world.begun.len(), world.status(1).state), (4, LaneState::Parked));
    // All four wait for their retry, in five seconds: nothing is due before.
    world.run_for(Duration::from_millis(4_800));
    assert_eq!((world.begun.len(), world.claimed.len()), (4, 0));
    world.run_for(Duration::from_secs(1));
    assert_eq!((world.begun.len(), world.probes), (5, 1));
}

#[test]
fn a_success_closes_it_and_everything_is_delivered() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    for _ in 0..50 {
        world.publish(1);
    }
    world.run_for(Duration::from_secs(30));
    world.receivers.clear();
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.delivered.len(), 50);
    let status = world.status(1);
    assert_eq!(
        (status.state, status.breaker),
        (LaneState::Recovering, BreakerState::Recovering)
    );
    assert!(
        !world.settings[&1].gauge.is_backlogged(),
        "what comes now is handed over again"
    );
    world.publish(1);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.delivered.len(), 51);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.status(1).breaker, BreakerState::Closed);
}

#[test]
fn the_first_minute_after_an_outage_sees_at_most_twice_the_learned_rate() {
    for (per_second, latency) in [(20u64, 10u64), (20, 400), (3, 10)] {
        let mut world = world();
        world.latency = Duration::from_millis(latency);
        let gap = Duration::from_millis(1_000 / per_second);
        let mut next = world.now;
        world.run_with(Duration::from_secs(60), |world| {
            while next <= world.now {
                world.publish(1);
                next = next.plus(gap);
            }
        });
        world.receivers.insert(1, How::Fails);
        world.fill_store(1, 20_000);
        world.run_for(Duration::from_secs(600));
        let learned = f64::from(world.status(1).rate_learned.unwrap());
        assert!(
            (learned / per_second as f64 - 1.0).abs() < 0.1,
            "{learned}/s at {per_second}/s"
        );
        // It is back; the first minute begins with the first answer.
        world.receivers.clear();
        let delivered = world.delivered.len();
        world.run_with(Duration::from_secs(61), |_| {});
        let back_at = loop {
            if world.delivered.len() > delivered {
                break world.begun[world.begun.len() - (world.delivered.len() - delivered)].0;
            }
            world.run_for(Duration::from_secs(1));
        };
        let end = back_at.plus(world.latency + Duration::from_secs(60));
        world.run_for(end.since(world.now));
        let seen = world.begun_since(1, back_at) as f64;
        assert!(
            seen <= 2.0 * 60.0 * per_second as f64,
            "{seen} in the first minute, after {per_second}/s"
        );
        assert!(
            seen >= 60.0 * per_second as f64,
            "{seen} in the first minute, after {per_second}/s"
        );
    }
}

#[test]
fn an_endpoint_whose_rate_is_not_known_begins_with_one_attempt_at_once() {
    let mut world = world();
    world.latency = Duration::from_secs(1);
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 2_000);
    world.run_for(Duration::from_secs(20));
    world.receivers.clear();
    let mut at_once = Vec::new();
    world.run_with(Duration::from_secs(60), |world| {
        if world.delivered.len() < 10 {
            at_once.push((world.delivered.len(), world.workers_of(1)));
        }
    });
    assert!(
        at_once.iter().all(|(delivered, workers)| *workers <= delivered + 1),
        "{at_once:?}"
    );
    assert!(world.delivered.len() > 100);
}

#[test]
fn who_changes_something_sees_at_once_whether_it_helped() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 100);
    world.run_for(Duration::from_secs(300));
    let begun = world.begun.len();
    world.hold(1, false);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.begun.len(), begun + 1);
    world.receivers.clear();
    world.hold(1, false);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.delivered.len(), 100);
}

#[test]
fn a_probe_that_was_not_sent_gives_its_slot_back_and_is_made_again() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 100);
    world.run_for(Duration::from_secs(20));
    world.receivers.insert(1, How::Withheld);
    let begun = world.begun.len();
    world.run_for(Duration::from_secs(300));
    assert!(world.begun.len() > begun && world.state.in_flight() == 0);
    world.receivers.clear();
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.delivered.len(), 100);
}

#[test]
fn others_go_on_beside_a_dead_endpoint() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 1_000);
    world.fill_store(2, 1_000);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.delivered.len(), 1_000);
}

#[test]
fn an_endpoint_that_was_disabled_begins_anew_when_it_is_enabled() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 10);
    world.run_for(Duration::from_secs(20));
    let mut effects = crate::scheduler::state::Effects::default();
    world.state.changed(endpoint(1), None, world.now, &mut effects);
    assert_eq!(world.status(1).state, LaneState::Disabled);
    world.receivers.clear();
    world.hold(1, false);
    assert_eq!(world.status(1).breaker, BreakerState::Closed);
    assert!(world.now > START);
}

#[test]
fn a_slow_start_says_for_how_long_it_waits_also_when_it_is_looked_at_as_its_pace_opens() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    for _ in 0..200 {
        world.publish(1);
    }
    world.run_for(Duration::from_secs(30));
    world.receivers.clear();
    while world.status(1).breaker != BreakerState::Recovering {
        world.run_for(Duration::from_millis(100));
    }
    let before = world.state.figures().throttled;
    for _ in 0..5 {
        world.run_for(Duration::from_millis(50));
        world.look_at_next_timer();
        let status = world.settings[&1].gauge.status();
        assert_eq!(status.state, LaneState::Recovering);
        assert!(
            matches!(status.waits_for, WaitsFor::SlowStartUntil(_)),
            "{:?}",
            status.waits_for
        );
    }
    assert!(world.state.figures().throttled >= before + 4);
}
