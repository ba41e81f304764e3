//! The adaptive limit, what people are told, and what is shown.

use std::time::Duration;

use bellwire_core::alert::Alert;
use bellwire_store::directory::{LaneState, LimitStatus, WaitsFor};

use super::world::{How, START, World, bounds, rules};
use crate::scheduler::{Rules, state::Bounds};

fn world() -> World {
    let bounds = Bounds {
        in_flight: 64,
        in_flight_per_endpoint: 16,
        commands_per_endpoint: 2,
        window: 256,
        in_memory: 10_000,
        ..bounds()
    };
    let mut rules: Rules = rules();
    rules.breaker.failures = 0;
    let mut world = World::empty(bounds, rules);
    world.add(1, 1);
    world
}

#[test]
fn an_overloaded_endpoint_is_given_less_and_more_again_when_it_recovers() {
    let mut world = world();
    world.fill_store(1, 40);
    assert_eq!(world.status(1).limit.unwrap().now, 16);
    world.receivers.insert(1, How::Overloaded);
    world.run_for(Duration::from_millis(35));
    let limit = world.status(1).limit.unwrap();
    assert!(limit.now <= 4, "{limit:?}");
    world.receivers.clear();
    world.fill_store(1, 5_000);
    world.run_for(Duration::from_secs(60));
    let limit = LimitStatus {
        now: 16,
        min: 1,
        max: 16,
    };
    assert_eq!(world.status(1).limit, Some(limit));
    assert_eq!(world.delivered.len(), 5_040);
}

/// Endpoint 1 takes deliveries and never answers; a hundred a second come for it.
fn hanging_for(span: Duration) -> World {
    let mut world = world();
    world.latency = Duration::from_secs(15);
    world.receivers.insert(1, How::Overloaded);
    for _ in 0..span.as_millis() / 10 {
        world.publish(1);
        world.run_on(Duration::from_millis(10));
    }
    world
}

#[test]
fn what_comes_for_an_endpoint_that_hangs_waits_in_the_store_and_not_in_memory() {
    let mut world = hanging_for(Duration::from_secs(3));
    assert_eq!(world.workers_of(1), 16);
    assert!(world.settings[&1].gauge.is_backlogged());
    assert!(world.state.in_memory() <= 16, "{}", world.state.in_memory());
    assert!(world.waiting(1) >= 250, "{}", world.waiting(1));
    // It answers again: all of it is delivered, in time.
    world.receivers.clear();
    world.latency = Duration::from_millis(10);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.delivered.len() as u64, world.put_in);
    assert!(!world.settings[&1].gauge.is_backlogged());
}

#[test]
fn what_waits_for_an_endpoint_that_hangs_is_written_once_and_fetched_as_slots_come_free() {
    let world = hanging_for(Duration::from_secs(60));
    // What was handed over in the first second or two, and what could be begun at once when a slot came free.
    assert!(world.parked <= 250, "{} went back", world.parked);
    let (attempts, fetched) = (world.begun.len(), world.claimed.iter().sum::<usize>());
    assert!(attempts >= 30, "{attempts}");
    assert!(
        fetched <= attempts + 64 && world.claimed.len() <= 20,
        "{fetched} in {} claims for {attempts} attempts",
        world.claimed.len()
    );
}

#[test]
fn a_busy_endpoint_does_not_hang_however_slowly_it_answers() {
    let mut world = world();
    // Sixteen at once, one of them done every 125 ms.
    world.latency = Duration::from_secs(2);
    for _ in 0..160 {
        world.publish(1);
        world.run_on(Duration::from_millis(125));
    }
    assert!(!world.settings[&1].gauge.is_backlogged());
    assert_eq!(world.parked, 0);
}

#[test]
fn a_backlog_is_fetched_in_small_pieces_and_ever_more_as_it_goes_fast() {
    let mut world = world();
    world.fill_store(1, 5_000);
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.claimed.iter().max(), Some(&64), "four for each slot, at first");
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.delivered.len(), 5_000);
    assert_eq!(world.claimed.iter().max(), Some(&128));
}

#[test]
fn a_wider_limit_is_used_at_once() {
    let mut world = world();
    world.latency = Duration::from_secs(1);
    world.fill_store(1, 200);
    world.receivers.insert(1, How::Overloaded);
    world.run_for(Duration::from_secs(5));
    world.receivers.clear();
    world.run_for(Duration::from_secs(1));
    let before = world.workers_of(1);
    world.run_for(Duration::from_secs(8));
    assert!(world.workers_of(1) > before, "{before} still");
}

#[test]
fn the_limit_stays_within_what_the_settings_say() {
    let mut world = world();
    world.settings.get_mut(&1).unwrap().in_flight = Some(3);
    world.fill_store(1, 100);
    assert_eq!(world.workers_of(1), 0);
    world.answer_claim();
    assert_eq!(world.workers_of(1), 3);
}

#[test]
fn people_are_told_once_that_a_queue_is_old_and_once_that_it_no_longer_is() {
    let mut world = world();
    world.settings.get_mut(&1).unwrap().per_second = Some(1);
    world.fill_store(1, 1_500);
    world.run_for(Duration::from_secs(890));
    assert_eq!(world.alerts, []);
    world.run_for(Duration::from_secs(20));
    assert!(matches!(world.alerts[..], [(1, Alert::QueueDelayed { .. }, true)]));
    world.run_for(Duration::from_secs(700));
    assert!(matches!(
        world.alerts[..],
        [
            (1, Alert::QueueDelayed { .. }, true),
            (1, Alert::QueueDelayed { .. }, false)
        ]
    ));
    // What waits because somebody paused it is not late.
    world.fill_store(1, 10);
    world.hold(1, true);
    world.run_for(Duration::from_secs(2_000));
    assert_eq!(world.alerts.len(), 2);
}

#[test]
fn people_are_told_when_half_of_the_attempts_fail() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    world.fill_store(1, 25);
    world.run_for(Duration::from_secs(2));
    assert!(matches!(
        world.alerts[..],
        [(
            1,
            Alert::FailureRateHigh {
                attempts: 25,
                failed: 25
            },
            true
        )]
    ));
    world.receivers.clear();
    world.run_for(Duration::from_secs(400));
    assert_eq!(world.alerts.len(), 1, "silence clears nothing");
    world.publish(1);
    world.run_for(Duration::from_secs(2));
    assert!(matches!(world.alerts[1..], [(1, Alert::FailureRateHigh { .. }, false)]));
}

#[test]
fn people_are_told_of_a_spike_whichever_way_it_comes() {
    for through_store in [false, true] {
        let mut world = world();
        let mut next = world.now;
        world.run_with(Duration::from_secs(3 * 3_600), |world| {
            while next <= world.now {
                world.publish(1);
                next = next.plus(Duration::from_secs(2));
            }
        });
        assert_eq!(world.alerts, []);
        if through_store {
            world.fill_store(1, 700);
        } else {
            for _ in 0..700 {
                world.publish(1);
                world.run_for(Duration::from_millis(10));
            }
        }
        world.run_for(Duration::from_secs(2));
        let told = &world.alerts[..];
        assert!(
            matches!(told, [(1, Alert::TrafficSpike { messages: 600..=800, average }, true)] if (25.0..=30.0).contains(average)),
            "{told:?}"
        );
        world.run_for(Duration::from_secs(180));
        assert!(matches!(world.alerts[1..], [(1, Alert::TrafficSpike { .. }, false)]));
    }
}

#[test]
fn retries_are_no_spike() {
    let mut world = world();
    world.receivers.insert(1, How::Fails);
    for _ in 0..200 {
        world.publish(1);
    }
    // Each is attempted twelve times a minute.
    world.run_for(Duration::from_secs(300));
    let spikes = world
        .alerts
        .iter()
        .filter(|(_, alert, _)| matches!(alert, Alert::TrafficSpike { .. }));
    assert_eq!(spikes.count(), 0);
    assert!(world.begun.len() > 5_000);
}

#[test]
fn what_is_shown_is_what_is() {
    let mut world = world();
    assert_eq!(world.settings[&1].gauge.status().state, LaneState::Idle);
    for _ in 0..20 {
        world.publish(1);
    }
    for at in 0..16 {
        world.step_worker(at, How::Succeeds);
    }
    let status = world.status(1);
    assert_eq!(
        (status.state, status.waits_for),
        (LaneState::Running, WaitsFor::Answers)
    );
    assert_eq!(
        (status.in_flight, status.in_memory, status.oldest_due),
        (16, 4, Some(START))
    );
    world.run_for(Duration::from_secs(3));
    let status = world.status(1);
    assert_eq!(
        (status.state, status.in_flight, status.succeeded_lately),
        (LaneState::Idle, 0, 20)
    );
    assert!(status.rate > 0.0 && status.latency == Some(Duration::from_millis(10)));
    world.hold(1, true);
    assert_eq!(world.settings[&1].gauge.status().state, LaneState::Paused);
    let lanes = world.state.figures().lanes;
    assert_eq!(lanes.iter().sum::<usize>(), 1);
}

#[test]
fn a_lane_that_its_rate_holds_up_says_so_also_when_it_is_looked_at_as_its_pace_opens() {
    let mut world = World::new();
    for _ in 0..6 {
        world.publish(4);
    }
    world.run_for(Duration::from_millis(100));
    for _ in 0..3 {
        world.look_at_next_timer();
        let status = world.settings[&4].gauge.status();
        assert_eq!(status.state, LaneState::Throttled, "{:?}", status.waits_for);
        assert!(matches!(status.waits_for, WaitsFor::RateUntil(at) if at >= world.now));
        world.run_for(Duration::from_millis(50));
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.delivered.len(), 6);
    assert_eq!(world.state.figures().throttled, 5, "all but the first");
    assert_eq!(world.settings[&4].gauge.status().state, LaneState::Idle);
}

#[test]
fn what_comes_one_by_one_within_the_rate_is_not_held_back() {
    let mut world = World::new();
    for _ in 0..5 {
        world.publish(4);
        world.run_for(Duration::from_millis(500));
        assert_eq!(world.status(4).state, LaneState::Idle);
    }
    assert_eq!((world.delivered.len(), world.state.figures().throttled), (5, 0));
}

#[test]
fn a_lane_that_waits_for_a_slot_once_its_pace_is_open_says_that() {
    let mut world = World::new();
    world.publish(4);
    world.publish(4);
    world.run_for(Duration::from_millis(100));
    // Everybody else hangs, and holds every slot.
    world.state.bounds.in_flight = 0;
    world.look_at_next_timer();
    assert_eq!(world.settings[&4].gauge.status().state, LaneState::Throttled);
    world.pass(Duration::from_secs(2));
    let status = world.settings[&4].gauge.status();
    assert_eq!((status.state, status.waits_for), (LaneState::Running, WaitsFor::Slot));
}

#[test]
fn every_lane_of_an_application_that_its_rate_holds_up_says_so() {
    let mut world = World::new();
    for _ in 0..6 {
        world.publish(5);
        world.publish(6);
    }
    world.run_for(Duration::from_millis(50));
    for _ in 0..3 {
        world.look_at_next_timer();
        for number in [5, 6] {
            let status = world.settings[&number].gauge.status();
            assert_eq!(status.state, LaneState::Throttled, "{:?}", status.waits_for);
            assert!(matches!(status.waits_for, WaitsFor::AppRateUntil(_)));
        }
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.delivered.len(), 12);
    assert!(
        (10..=12).contains(&world.state.figures().throttled),
        "{:?}",
        world.state.figures()
    );
}

#[test]
fn an_endpoint_that_is_new_or_just_changed_is_idle_until_the_store_has_answered() {
    let mut world = world();
    world.hold(1, false);
    let status = world.settings[&1].gauge.status();
    assert_eq!(
        (status.state, status.waits_for, status.oldest_due),
        (LaneState::Idle, WaitsFor::Messages, None)
    );
    // A retry waits there, later.
    let at = START.plus(Duration::from_secs(60));
    world.put_in += 1;
    world.stored.entry(1).or_default().insert((at, 1));
    world.answer_claim();
    let status = world.settings[&1].gauge.status();
    assert_eq!((status.state, status.waits_for), (LaneState::Idle, WaitsFor::DueAt(at)));
    // What is known to be due is not forgotten.
    world.receivers.insert(1, How::AsksForRest(30));
    world.fill_store(1, 3);
    world.run_for(Duration::from_secs(1));
    world.hold(1, false);
    assert_eq!(world.settings[&1].gauge.status().state, LaneState::Resting);
}
