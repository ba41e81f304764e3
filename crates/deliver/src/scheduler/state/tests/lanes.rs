//! What a lane does by itself: turns, patience, rests, pauses, clocks.

use std::time::Duration;

use bellwire_store::LaneHead;

use super::world::{How, START, World, bounds, endpoint, rules, work};
use crate::scheduler::state::Effects;

#[test]
fn a_hanging_endpoint_keeps_its_slots_and_the_others_keep_theirs() {
    let mut world = World::new();
    for _ in 0..20 {
        world.publish(1);
    }
    // Endpoint 1 hangs: its workers took one delivery each and never ask again.
    for at in 0..world.workers.len() {
        world.step_worker(at, How::Succeeds);
    }
    assert_eq!(world.workers.len(), bounds().in_flight_per_endpoint);
    for number in [2, 4] {
        world.publish(number);
        assert_eq!(world.workers_of(number), 1);
    }
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
    world.publish(5);
    let mut steps = 0;
    while !world.begun.iter().any(|(_, number, _)| *number == 5) {
        world.publish(1);
        world.publish(2);
        world.answer_claim();
        world.step_worker(steps, How::Succeeds);
        steps += 1;
        assert!(steps < 400, "endpoint 5 starves");
    }
}

#[test]
fn what_was_handed_over_and_not_begun_in_time_goes_back_to_the_store() {
    let mut world = World::new();
    for _ in 0..7 {
        world.publish(1);
    }
    for at in 0..3 {
        world.step_worker(at, How::Succeeds);
    }
    assert_eq!(world.state.in_memory(), 4);
    world.pass(bounds().patience + Duration::from_secs(1));
    assert_eq!(world.state.in_memory(), 0);
    assert_eq!(world.waiting(1), 4);
    assert!(world.settings[&1].gauge.is_backlogged());
    assert!(
        world.stored[&1].iter().all(|(due, _)| *due == START),
        "it is due when it was"
    );
}

#[test]
fn a_rate_limit_spaces_the_attempts_evenly() {
    let mut world = World::new();
    for _ in 0..6 {
        world.publish(4);
    }
    world.run_for(Duration::from_secs(3));
    let begun: Vec<_> = world.begun.iter().map(|(at, ..)| *at).collect();
    assert_eq!(begun.len(), 6);
    for pair in begun.windows(2) {
        let gap = pair[1].since(pair[0]);
        assert!(
            gap >= Duration::from_millis(320) && gap <= Duration::from_millis(350),
            "{gap:?}"
        );
    }
    assert!(
        world.starts <= 12,
        "{} workers were started for 6 deliveries",
        world.starts
    );
}

#[test]
fn a_rest_is_kept_and_what_comes_meanwhile_goes_on_when_it_ends() {
    let mut world = World::new();
    world.publish(1);
    world.step_worker(0, How::Succeeds);
    world.step_worker(0, How::AsksForRest(3));
    let asked_at = world.now;
    assert!(world.workers.is_empty());
    world.pass(Duration::from_millis(500));
    world.publish(1);
    assert!(world.workers.is_empty(), "it rests");
    world.run_for(Duration::from_secs(4));
    let (at, ..) = world.begun[1];
    assert!(at.since(asked_at) >= Duration::from_secs(3) && at.since(asked_at) < Duration::from_millis(3_100));
}

#[test]
fn a_rest_and_a_planned_look_end_when_the_clock_is_set_back() {
    let mut world = World::new();
    world.publish(1);
    world.step_worker(0, How::Succeeds);
    world.step_worker(0, How::AsksForRest(60));
    world.publish(1);
    assert!(world.workers.is_empty());
    world.jump_back(Duration::from_secs(86_400));
    assert_eq!(world.workers_of(1), 1, "what waited for the rest to end is attempted");

    let mut effects = Effects::default();
    let planned = world.now.plus(Duration::from_secs(86_400));
    world.tell_stored(2, world.now);
    world.state.claim_failed(endpoint(2), planned, &mut effects);
    let mut again = Effects::default();
    world.state.clock_went_back(world.now, &mut again);
    assert!(again.claim.iter().any(|(lane, _)| *lane == endpoint(2)));
}

#[test]
fn what_waits_longest_is_told_and_a_paused_endpoint_does_not_count() {
    let mut world = World::new();
    assert_eq!(world.state.oldest_due(), None);
    let earlier = START.minus(Duration::from_secs(60));
    let hour = Duration::from_secs(3_600);
    world.settings.get_mut(&1).unwrap().held = true;
    world.tell_stored(1, earlier.minus(hour));
    assert_eq!(world.state.oldest_due(), None, "it waits because somebody wants it to");
    world.tell_stored(2, earlier);
    assert_eq!(world.state.oldest_due(), Some(earlier), "in the store");
    let settings = world.settings.get(&4).cloned();
    let oldest = earlier.minus(Duration::from_secs(1));
    let works = vec![work(1, 4, oldest), work(2, 4, START)];
    world
        .state
        .fresh(works, START, |_| settings.clone(), &mut Effects::default());
    assert_eq!(world.state.oldest_due(), Some(oldest), "in memory");
}

#[test]
fn an_endpoint_that_may_run_again_is_looked_after_although_its_lane_was_forgotten() {
    let mut world = World::new();
    world.hold(1, false);
    assert_eq!(world.claims.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1]);
    let mut effects = Effects::default();
    world.state.changed(endpoint(2), None, world.now, &mut effects);
    assert!(effects.claim.is_empty() && world.state.endpoints() == [endpoint(1)]);
}

#[test]
fn a_lane_is_remembered_for_a_while_and_forgotten_then() {
    let mut world = World::new();
    world.publish(1);
    world.run_for(Duration::from_secs(230));
    assert_eq!(world.state.endpoints(), [endpoint(1)]);
    assert_eq!(world.status(1).succeeded_lately, 1);
    world.run_for(Duration::from_secs(75));
    assert!(world.state.endpoints().is_empty());
    assert_eq!(
        world.settings[&1].gauge.status(),
        bellwire_store::directory::LaneStatus::default()
    );
    // A disabled one is not remembered at all.
    world.publish(2);
    world.run_for(Duration::from_secs(1));
    world
        .state
        .changed(endpoint(2), None, world.now, &mut Effects::default());
    world.sweep();
    assert!(world.state.endpoints().is_empty());
}

#[test]
fn a_lane_takes_little_memory() {
    // With its place in the map, its published status, and a queue that is as small as it gets.
    let lane = size_of::<crate::scheduler::lane::Lane>();
    let status = size_of::<bellwire_store::directory::LaneStatus>();
    let queue = 16 * size_of::<crate::scheduler::lane::Queued>();
    assert!(lane + status + queue + 64 <= 2_048, "{lane} + {status} + {queue} bytes");
}

#[test]
fn nothing_is_begun_or_claimed_once_it_is_told_to_stop() {
    let mut world = World::empty(bounds(), rules());
    world.add(1, 1);
    world.publish(1);
    world.publish(1);
    world.state.stop();
    while !world.workers.is_empty() {
        world.step_worker(0, How::Succeeds);
    }
    let mut effects = Effects::default();
    let head = LaneHead {
        endpoint: endpoint(1),
        due_at: START,
    };
    world.state.stored(head, START, || None, &mut effects);
    assert!(effects.claim.is_empty() && world.begun.is_empty() && world.state.in_flight() == 0);
}
