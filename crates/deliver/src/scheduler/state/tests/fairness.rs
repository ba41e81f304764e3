//! Who gets slots, and how fast applications may go.

use std::time::Duration;

use bellwire_store::directory::{LaneState, WaitsFor};

use super::world::{How, World, bounds, rules};
use crate::scheduler::state::Bounds;

fn wide() -> Bounds {
    Bounds {
        in_flight: 64,
        in_flight_per_endpoint: 1_000,
        commands_per_endpoint: 2,
        window: 1_000,
        in_memory: 100_000,
        ..bounds()
    }
}

#[test]
fn a_lane_that_holds_nothing_finds_a_slot_however_greedy_the_others_are() {
    let mut world = World::empty(wide(), rules());
    for number in 1..=4 {
        world.add(number, 1);
    }
    for number in 1..=3 {
        for _ in 0..200 {
            world.publish(number);
        }
    }
    // All of them hang: nobody asks for more. Together they leave about as much as each of them holds.
    assert!(world.workers.len() < 64, "{}", world.workers.len());
    world.publish(4);
    assert_eq!(world.workers_of(4), 1);
}

#[test]
fn an_application_whose_hundred_endpoints_hang_leaves_slots_to_others_and_to_its_own() {
    let mut world = World::empty(wide(), rules());
    for number in 1..=100 {
        world.add(number, 1);
    }
    world.add(200, 1);
    world.add(201, 2);
    for number in 1..=6 {
        for _ in 0..100 {
            world.publish(number);
        }
    }
    for at in 0..world.workers.len() {
        world.step_worker(at, How::Succeeds);
    }
    assert_eq!(
        world.workers.len(),
        48 + 4,
        "three times as many as are free, and one each for those that had none"
    );
    world.publish(200);
    assert_eq!(world.workers_of(200), 1, "one of its own that holds none");
    for number in 7..=100 {
        world.publish(number);
    }
    assert_eq!(world.workers.len(), 60, "fifteen times as many as are free");
    world.publish(201);
    assert_eq!(world.workers_of(201), 1, "one of another application");
}

#[test]
fn an_application_with_a_hundred_busy_endpoints_does_not_starve_one_with_one() {
    let roomy = Bounds {
        in_memory: 1_000_000,
        ..wide()
    };
    let mut world = World::empty(roomy, rules());
    for number in 1..=100 {
        world.add(number, 1);
    }
    world.add(200, 2);
    for number in 1..=100 {
        world.fill_store(number, 1_000);
    }
    world.run_for(Duration::from_millis(500));
    // It is sent ten a second, beside a hundred thousand deliveries that wait.
    let (mut next, mut published) = (world.now, Vec::new());
    world.run_with(Duration::from_secs(3), |world| {
        if next <= world.now {
            world.publish(200);
            published.push(world.now);
            next = next.plus(Duration::from_millis(100));
        }
    });
    let begun: Vec<_> = world.begun.iter().filter(|(_, number, _)| *number == 200).collect();
    assert!(begun.len() + 1 >= published.len() && published.len() >= 29);
    for (at, (begun_at, ..)) in published.iter().zip(&begun) {
        assert!(
            begun_at.since(*at) <= Duration::from_millis(20),
            "{:?}",
            begun_at.since(*at)
        );
    }
    // And its own hundred are served alike.
    let served: Vec<_> = (1..=100)
        .map(|number| world.begun_since(number, published[0]))
        .collect();
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(*least > 100 && *most <= least + 48, "{least} to {most}");
}

#[test]
fn two_busy_applications_get_about_the_same() {
    let mut world = World::empty(wide(), rules());
    for number in 1..=20 {
        world.add(number, 1);
    }
    world.add(100, 2);
    world.settings.get_mut(&100).unwrap().in_flight = Some(64);
    for number in 1..=20 {
        world.fill_store(number, 2_000);
    }
    world.fill_store(100, 4_000);
    let since = world.now;
    world.run_for(Duration::from_secs(1));
    let one: usize = (1..=20).map(|number| world.begun_since(number, since)).sum();
    let other = world.begun_since(100, since);
    assert!(other * 3 >= one && other > 0, "{one} and {other}");
}

#[test]
fn an_applications_rate_holds_for_all_its_endpoints_together_and_costs_one_timer() {
    let mut world = World::empty(wide(), rules());
    world.app_rates.insert(1, 50);
    for number in 1..=1_000 {
        world.add(number, 1);
    }
    world.add(2_000, 2);
    for number in 1..=1_000 {
        world.fill_store(number, 2);
    }
    let since = world.now;
    world.run_for(Duration::from_secs(1));
    let (starts, begun) = (world.starts, world.begun.len());
    assert!((49..=52).contains(&begun), "{begun} in a second at 50/s");
    assert!(starts <= 2 * begun + 2, "{starts} workers for {begun} deliveries");
    let waits_for = world.status(1_000).waits_for;
    assert!(
        matches!(waits_for, WaitsFor::AppRateUntil(_)) || world.begun_since(1_000, since) > 0,
        "{waits_for:?}"
    );
    // Somebody else is not slowed down.
    world.fill_store(2_000, 500);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.begun_since(2_000, since), 500);
    world.run_for(Duration::from_secs(39));
    assert!(world.delivered.len() >= 2_500 - 10, "{}", world.delivered.len());
    let busiest = (1..=1_000).map(|number| world.begun_since(number, since)).max();
    assert_eq!(busiest, Some(2));
}

#[test]
fn a_change_of_an_applications_rate_is_in_force_within_a_second() {
    let mut world = World::empty(wide(), rules());
    world.app_rates.insert(1, 1);
    world.add(1, 1);
    world.fill_store(1, 500);
    world.run_for(Duration::from_secs(2));
    assert!(world.begun.len() <= 3);
    assert_eq!(world.status(1).state, LaneState::Throttled);
    world.app_rates.clear();
    world.run_for(Duration::from_secs(4));
    assert_eq!(world.delivered.len(), 500);
}
