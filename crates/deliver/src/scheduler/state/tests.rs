//! The scheduler's decisions against any sequence of events, in a world with workers, a store and receivers around it.

mod batches;
mod breaker;
mod fairness;
mod lanes;
mod load;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use self::world::{How, World};

#[derive(Debug, Clone)]
enum Event {
    Publish(u64),
    End(usize, How),
    Claim,
    Hold(u64),
    Release(u64),
    Pass(u64),
    JumpBack(u64),
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Succeeds),
        4 => Just(How::Fails),
        1 => Just(How::Overloaded),
        1 => (0u64..10).prop_map(How::AsksForRest),
        1 => Just(How::Withheld),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (1u64..=6).prop_map(Event::Publish),
        8 => (0usize..8, how()).prop_map(|(at, how)| Event::End(at, how)),
        3 => Just(Event::Claim),
        1 => (1u64..=6).prop_map(Event::Hold),
        1 => (1u64..=6).prop_map(Event::Release),
        1 => (0u64..7_000).prop_map(Event::Pass),
        1 => prop::sample::select(vec![1u64, 60, 86_400]).prop_map(Event::JumpBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Endpoint 3 takes batches, 4 has a rate of its own, 5 and 6 belong to an application with a rate.
    #[test]
    fn bounds_hold_nothing_is_lost_or_doubled_and_everything_is_delivered_in_the_end(events in prop::collection::vec(event(), 0..300)) {
        let mut world = World::new();
        for event in events {
            match event {
                Event::Publish(number) => world.publish(number),
                Event::End(at, how) => world.step_worker(at, how),
                Event::Claim => world.answer_claim(),
                Event::Hold(number) => world.hold(number, true),
                Event::Release(number) => world.hold(number, false),
                Event::Pass(millis) => world.pass(Duration::from_millis(millis)),
                Event::JumpBack(seconds) => world.jump_back(Duration::from_secs(seconds)),
            }
            world.check();
        }
        for number in 1..=6 {
            world.hold(number, false);
        }
        // All is well from now on. What is due by a clock that was set back has its time; so have a breaker that is open, a retry
        // and a rate.
        let due = world.stored.values().flatten().map(|(due, _)| *due).max();
        world.pass(due.map_or(Duration::ZERO, |due| due.since(world.now)));
        world.run_for(Duration::from_secs(600));
        prop_assert_eq!(world.delivered.len() as u64 + world.cancelled, world.put_in, "somebody starves");
        prop_assert!(world.state.in_flight() == 0 && world.state.in_memory() == 0);
    }
}
