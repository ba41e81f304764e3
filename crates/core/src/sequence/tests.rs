//! A stream with what is held beside it, as a store keeps them, against what everybody was promised.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A message: its number, and which it is of those with this number.
type Name = (u64, usize);

#[derive(Default)]
struct World {
    stream: Stream,
    now: u64,
    /// With the end of their waits.
    held: BTreeMap<Name, u64>,
    accepted: Vec<Name>,
    stale: Vec<Name>,
    came: usize,
}

impl World {
    fn arrive(&mut self, number: u64, start: Option<u64>, wait: u64) -> Judged {
        let name = (number, self.came);
        self.came += 1;
        let least_held = self.held.keys().next().map(|(number, _)| *number);
        let judged = self.stream.judge_number(number, start, least_held);
        match &judged {
            Judged::Accept => {
                assert_eq!(self.stream.accept_number(number).gap, None);
                self.accepted.push(name);
                self.go_on(None, usize::MAX);
            }
            Judged::Hold { .. } => drop(self.held.insert(name, self.now + wait)),
            Judged::Stale(_) => self.stale.push(name),
        }
        judged
    }

    /// Accepts up to `limit` held ones that have their turn.
    fn go_on(&mut self, over: Option<u64>, limit: usize) -> Vec<Option<Gap>> {
        let mut gaps = Vec::new();
        while gaps.len() < limit
            && let Some(first) = self.held.first_entry()
            && let Some(turn) = self.stream.turn(first.key().0, over)
        {
            self.accepted.push(first.remove_entry().0);
            gaps.push(turn.gap);
        }
        gaps
    }

    fn release(&mut self, limit: usize) -> Vec<Option<Gap>> {
        let over = self.held.iter().rev().find(|(_, until)| **until <= self.now);
        let over = over.map(|((number, _), _)| *number);
        self.go_on(over, limit)
    }

    fn accepted(&self) -> Vec<u64> {
        self.accepted.iter().map(|(number, _)| *number).collect()
    }

    /// What was promised to everybody who came.
    fn prove(&self) {
        let everybody: BTreeSet<_> = self
            .accepted
            .iter()
            .chain(&self.stale)
            .chain(self.held.keys())
            .collect();
        assert_eq!(everybody.len(), self.came, "nobody is lost, nobody is there twice");
        assert_eq!(self.accepted.len() + self.stale.len() + self.held.len(), self.came);
        assert!(self.accepted().is_sorted(), "{:?}", self.accepted());
        let accepted: BTreeSet<u64> = self.accepted().into_iter().collect();
        assert_eq!(accepted.last().copied(), self.stream.last);
        for (first, last) in &self.stream.gaps {
            assert!(first <= last && accepted.range(first..=last).next().is_none());
        }
        // Between two that were accepted everything is accepted or a gap.
        for pair in accepted.iter().zip(accepted.iter().skip(1)) {
            let gap = (pair.0 + 1, pair.1 - 1);
            assert!(gap.0 > gap.1 || self.stream.gaps.contains(&gap), "{gap:?}");
        }
    }
}

fn held(missing: impl Into<Option<u64>>) -> Judged {
    Judged::Hold {
        missing: missing.into(),
    }
}

#[test]
fn with_a_start_numbers_are_accepted_as_soon_as_they_follow() {
    let mut world = World::default();
    assert_eq!(world.arrive(2, Some(1), 5), held(1));
    assert_eq!(world.arrive(4, Some(1), 5), held(1));
    assert_eq!(world.arrive(1, Some(1), 5), Judged::Accept);
    assert_eq!(world.accepted(), [1, 2]);
    assert_eq!(world.arrive(3, Some(1), 5), Judged::Accept);
    assert_eq!(world.accepted(), [1, 2, 3, 4]);
    assert_eq!(
        world.arrive(0, Some(1), 5),
        Judged::Stale(Stale::Number {
            number: 0,
            last: 4,
            given_up: false
        })
    );
    world.prove();
}

#[test]
fn below_the_start_all_is_stale_from_the_beginning() {
    let mut world = World::default();
    let below = Stale::BelowStart { number: 9, start: 10 };
    assert_eq!(world.arrive(9, Some(10), 5), Judged::Stale(below));
    assert_eq!(world.arrive(10, Some(10), 5), Judged::Accept);
    // Another start no longer counts.
    assert_eq!(world.arrive(11, Some(50), 5), Judged::Accept);
    world.prove();
}

#[test]
fn without_a_start_the_least_that_comes_within_the_first_wait_is_the_first() {
    let mut world = World::default();
    assert_eq!(world.arrive(7, None, 5), held(None));
    assert_eq!(world.arrive(5, None, 5), held(None));
    world.now = 4;
    assert_eq!(world.arrive(6, None, 5), held(None));
    assert_eq!(world.release(9), []);
    world.now = 5;
    assert_eq!(world.release(9), [None, None, None]);
    assert_eq!(world.accepted(), [5, 6, 7]);
    let too_low = Stale::Number {
        number: 4,
        last: 7,
        given_up: false,
    };
    assert_eq!(world.arrive(4, None, 5), Judged::Stale(too_low));
    world.prove();
}

#[test]
fn what_is_missing_when_a_wait_ends_is_a_gap_and_stale_when_it_comes() {
    let mut world = World::default();
    world.arrive(1, Some(1), 5);
    world.arrive(4, Some(1), 5);
    world.now = 2;
    world.arrive(5, Some(1), 5);
    world.arrive(7, Some(1), 5);
    world.now = 5;
    assert_eq!(world.release(9), [Some((2, 3)), None], "7 still waits for 6");
    assert_eq!(world.accepted(), [1, 4, 5]);
    let given_up = Stale::Number {
        number: 3,
        last: 5,
        given_up: true,
    };
    assert_eq!(world.arrive(3, Some(1), 5), Judged::Stale(given_up));
    world.now = 7;
    assert_eq!(world.release(9), [Some((6, 6))]);
    assert_eq!(world.stream.gaps, [(2, 3), (6, 6)]);
    world.prove();
}

#[test]
fn who_waits_shorter_takes_those_before_it_along() {
    let mut world = World::default();
    world.arrive(1, Some(1), 5);
    world.arrive(5, Some(1), 1);
    world.arrive(3, Some(1), 9);
    world.now = 1;
    assert_eq!(world.release(9), [Some((2, 2)), Some((4, 4))]);
    assert_eq!(world.accepted(), [1, 3, 5]);
    world.prove();
}

#[test]
fn two_with_one_number_are_both_accepted_until_a_later_one_was() {
    let mut world = World::default();
    assert_eq!(world.arrive(1, Some(1), 5), Judged::Accept);
    assert_eq!(world.arrive(1, Some(1), 5), Judged::Accept);
    world.arrive(3, Some(1), 5);
    world.arrive(3, Some(1), 5);
    assert_eq!(world.arrive(2, Some(1), 5), Judged::Accept);
    assert_eq!(world.accepted, [(1, 0), (1, 1), (2, 4), (3, 2), (3, 3)]);
    assert!(matches!(world.arrive(2, Some(1), 5), Judged::Stale(_)));
    world.prove();
}

#[test]
fn who_comes_while_those_before_it_are_being_accepted_lets_them_go_first() {
    let mut world = World::default();
    for number in [2, 3, 2] {
        world.arrive(number, Some(1), 5);
    }
    // 1 is accepted, and the store makes a pause before those that follow.
    world.stream.accept_number(1);
    world.accepted.push((1, world.came));
    world.came += 1;
    assert_eq!(world.arrive(2, Some(1), 5), held(None));
    assert_eq!(world.go_on(None, 1), [None]);
    assert_eq!(world.arrive(3, Some(1), 5), held(None));
    assert_eq!(world.go_on(None, 9), [None; 4]);
    assert_eq!(world.accepted, [(1, 3), (2, 0), (2, 2), (2, 4), (3, 1), (3, 5)]);
    world.prove();
}

#[test]
fn the_largest_number_is_a_number() {
    let mut world = World::default();
    world.arrive(u64::MAX - 1, Some(u64::MAX - 1), 5);
    assert_eq!(world.arrive(u64::MAX, None, 5), Judged::Accept);
    assert_eq!(world.arrive(u64::MAX, None, 5), Judged::Accept);
    assert!(matches!(world.arrive(0, None, 5), Judged::Stale(_)));
    assert_eq!(world.accepted().len(), 3);
}

#[test]
fn the_newest_gaps_are_remembered() {
    let mut stream = Stream::default();
    for number in 0..500 {
        stream.accept_number(number * 2);
    }
    assert_eq!(stream.gaps.len(), GAPS_MAX);
    assert_eq!(stream.gaps.last(), Some(&(997, 997)));
}

#[test]
fn only_an_older_version_is_stale() {
    let mut stream = Stream::default();
    for version in [
        "2026-01-31T08:30:00Z",
        "2026-01-31T10:30:00+02:00",
        "2026-01-31T08:30:01Z",
    ] {
        assert_eq!(stream.judge_version(version), Ok(()), "{version}");
        stream.accept_version(version.to_owned());
    }
    let older = "2026-01-31T08:30:00.9Z";
    assert_eq!(
        stream.judge_version(older),
        Err(Stale::Version {
            version: older.to_owned(),
            newest: "2026-01-31T08:30:01Z".to_owned()
        })
    );
}

#[test]
fn a_source_that_goes_over_to_another_rule_begins_anew() {
    let mut stream = Stream::default();
    stream.accept_number(5);
    stream.accept_number(9);
    assert_eq!(stream.judge_version("1"), Ok(()));
    stream.accept_version("1".to_owned());
    assert_eq!((stream.last, &stream.gaps), (None, &Vec::new()));
    assert_eq!(stream.judge_number(3, None, None), held(None));
    stream.accept_number(3);
    assert_eq!(stream.judge_version("0"), Ok(()));
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    Arrive {
        number: u64,
        wait: u64,
    },
    /// Time passes, and waits end: so many are accepted at once.
    Release {
        after: u64,
        limit: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u64..30, 0u64..10).prop_map(|(number, wait)| Event::Arrive { number, wait }),
        1 => (0u64..6, 1usize..20).prop_map(|(after, limit)| Event::Release { after, limit }),
    ]
}

proptest! {
    #[test]
    fn nobody_is_lost_or_accepted_out_of_order(
        events in prop::collection::vec(event(), 0..80),
        start in prop::option::of(0u64..4),
    ) {
        let mut world = World::default();
        for event in events {
            match event {
                Event::Arrive { number, wait } => drop(world.arrive(number, start, wait)),
                Event::Release { after, limit } => {
                    world.now += after;
                    if world.release(limit).len() < limit {
                        prop_assert!(world.held.values().all(|until| *until > world.now), "no wait is overrun");
                        let least = world.held.keys().next();
                        prop_assert!(least.is_none_or(|(number, _)| !world.stream.follows(*number)));
                    }
                }
            }
            world.prove();
        }
        world.now += 100;
        while !world.release(7).is_empty() {}
        prop_assert!(world.held.is_empty());
        world.prove();
    }

    #[test]
    fn whatever_the_shuffle_nothing_is_stale_while_nobody_waits_too_long(
        numbers in Just((3u64..60).collect::<Vec<_>>()).prop_shuffle(),
        knows_start in any::<bool>(),
    ) {
        let mut world = World::default();
        for number in &numbers {
            world.arrive(*number, knows_start.then_some(3), 1_000);
        }
        world.now = 1_000;
        world.release(usize::MAX);
        prop_assert_eq!(world.accepted(), (3..60).collect::<Vec<_>>());
        prop_assert_eq!(&world.stream.gaps, &[]);
    }
}
