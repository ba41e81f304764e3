//! Batches: full ones leave at once, others when their first has waited, and nothing else changes.

use std::{sync::Arc, time::Duration};

use bellwire_core::delivery::Work;
use bellwire_store::directory::WaitsFor;

use super::world::{How, START, World, work};

fn sizes(world: &World) -> Vec<usize> {
    world.begun.iter().map(|(_, _, n)| *n).collect()
}

#[test]
fn a_full_batch_leaves_at_once_and_the_rest_when_its_first_has_waited() {
    let mut world = World::new();
    for _ in 0..4 {
        world.publish(3);
    }
    world.run_for(Duration::from_millis(500));
    assert_eq!(sizes(&world), [3]);
    assert!(matches!(world.status(3).waits_for, WaitsFor::CompanyUntil(_)));
    assert_eq!(world.state.in_flight(), 0, "waiting takes no slot");
    world.publish(3);
    world.run_for(Duration::from_secs(2));
    assert_eq!(sizes(&world), [3, 2]);
    assert_eq!(world.begun[1].0, START.plus(Duration::from_secs(2)));
    assert_eq!((world.state.figures().batches, world.state.figures().batched), (2, 5));
}

#[test]
fn several_full_batches_go_side_by_side() {
    let mut world = World::new();
    for _ in 0..8 {
        world.publish(3);
    }
    assert_eq!(world.workers_of(3), 2);
    world.run_for(Duration::from_secs(3));
    assert_eq!(sizes(&world), [3, 3, 2]);
}

#[test]
fn what_waits_in_the_store_fills_a_batch() {
    let mut world = World::new();
    world.fill_store(3, 9);
    world.run_for(Duration::from_millis(100));
    assert_eq!(sizes(&world), [3, 3, 3]);
}

#[test]
fn a_rate_counts_messages_and_a_batch_is_no_larger_than_a_seconds_worth() {
    let mut world = World::new();
    world.settings.get_mut(&3).unwrap().per_second = Some(2);
    world.fill_store(3, 9);
    world.run_for(Duration::from_millis(3_900));
    assert!(sizes(&world).iter().all(|n| *n <= 2), "{:?}", sizes(&world));
    assert_eq!(world.begun_since(3, START), 8);
}

#[test]
fn a_probe_goes_alone() {
    let mut world = World::new();
    world.receivers.insert(3, How::Fails);
    world.fill_store(3, 30);
    world.run_for(Duration::from_secs(60));
    assert!(world.probes > 0);
    let probes = &sizes(&world)[world.begun.len() - world.probes..];
    assert!(probes.iter().all(|n| *n == 1), "{probes:?}");
    world.receivers.clear();
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.delivered.len(), 30);
}

#[test]
fn a_clock_that_was_set_back_lets_a_waiting_batch_go() {
    let mut world = World::new();
    world.publish(3);
    assert!(world.workers.is_empty());
    world.jump_back(Duration::from_secs(86_400));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn waiting_for_longer_than_patience_keeps_its_time() {
    let mut world = World::new();
    let batch = &mut world.settings.get_mut(&3).unwrap().batch;
    batch.as_mut().unwrap().wait.0 = Duration::from_secs(20);
    world.publish(3);
    world.run_for(Duration::from_secs(30));
    let waited = world.begun[0].0.since(START);
    assert!(
        waited >= Duration::from_secs(20) && waited < Duration::from_secs(21),
        "{waited:?}"
    );
}

#[test]
fn a_message_that_was_started_anew_meanwhile_is_not_in_the_same_batch_twice() {
    let mut world = World::new();
    let first = work(1, 3, START);
    let mut again = first.clone();
    again.progress.run = 1;
    world.hand_over(vec![first, again, work(2, 3, START)]);
    world.step_worker(0, How::Succeeds);
    assert_eq!(sizes(&world), [2], "the message that is in it, and the other one");
    assert_eq!(world.state.in_memory(), 1);
    assert_eq!(
        world.workers_of(3),
        2,
        "what was started anew goes next, and waits for nothing"
    );
    world.step_worker(1, How::Succeeds);
    assert_eq!(sizes(&world), [2, 1]);
}

#[test]
fn what_was_attempted_before_waits_for_no_company_and_takes_along_what_is_due() {
    let change: [fn(&mut Work); 2] = [|work| work.progress.tries = 1, |work| work.progress.run = 1];
    for change in change {
        let mut world = World::new();
        world.publish(3);
        assert_eq!(world.workers_of(3), 0, "a first attempt waits");
        let mut again = work(9, 3, START);
        change(&mut again);
        world.hand_over(vec![again]);
        assert_eq!(world.workers_of(3), 1);
        world.run_for(Duration::from_millis(1));
        assert_eq!(sizes(&world), [2]);
    }
}

#[test]
fn the_wait_for_company_counts_from_when_a_message_was_accepted_whenever_its_turn_came() {
    let mut world = World::new();
    let accepted = |id, ago, deliver_at| {
        let mut work = work(id, 3, START);
        let message = Arc::make_mut(&mut work.message);
        message.created_at = START.minus(Duration::from_millis(ago));
        message.deliver_at = deliver_at;
        work
    };
    world.hand_over(vec![accepted(1, 2_000, None)]);
    world.run_for(Duration::from_millis(100));
    assert_eq!(sizes(&world), [1], "accepted longer than its wait ago");
    // The second one's wait is over first, and the first goes along.
    world.hand_over(vec![accepted(2, 5_000, Some(START))]);
    world.hand_over(vec![accepted(3, 1_000, None)]);
    world.run_for(Duration::from_millis(1_500));
    assert_eq!(sizes(&world), [1, 2]);
    assert_eq!(world.begun[1].0, START.plus(Duration::from_secs(1)));
    let from = world.now;
    world.hand_over(vec![accepted(4, 5_000, Some(from))]);
    world.run_for(Duration::from_secs(3));
    assert_eq!(
        world.begun[2].0,
        from.plus(Duration::from_secs(2)),
        "when it was to be delivered"
    );
}
