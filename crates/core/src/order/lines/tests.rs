//! The lines against a list that knows no better: everybody in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One thing that happens to the lines.
#[derive(Debug, Clone)]
enum Event {
    Join {
        key: u8,
    },
    /// A change of the order: who joins from now on joins a later era.
    NewEra,
    /// A message that was routed just before a change of the order arrives after it.
    JoinLate {
        key: u8,
    },
    /// One of those who have the turn ends.
    End {
        which: usize,
        succeeded: bool,
    },
    /// One of those who have the turn is given up, and blocks.
    Block {
        which: usize,
    },
    /// One of the blocked is started anew.
    Unblock {
        which: usize,
    },
    Skip {
        key: Option<u8>,
    },
    /// Everybody leaves, but those whose name is a multiple of `out`.
    Discard {
        key: Option<u8>,
        out: u32,
    },
    /// Anybody leaves, wherever it stands: cancelled, or its message is gone.
    Cancel {
        which: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let key = 0u8..4;
    let some_key = prop::option::of(0u8..4);
    let which = 0usize..50;
    prop_oneof![
        8 => key.clone().prop_map(|key| Event::Join { key }),
        1 => Just(Event::NewEra),
        1 => key.prop_map(|key| Event::JoinLate { key }),
        6 => (which.clone(), any::<bool>()).prop_map(|(which, succeeded)| Event::End { which, succeeded }),
        2 => which.clone().prop_map(|which| Event::Block { which }),
        1 => which.clone().prop_map(|which| Event::Unblock { which }),
        1 => some_key.clone().prop_map(|key| Event::Skip { key }),
        1 => (some_key, 1u32..5).prop_map(|(key, out)| Event::Discard { key, out }),
        1 => which.prop_map(|which| Event::Cancel { which }),
    ]
}

/// What is known of one who joined.
#[derive(Debug, Clone)]
struct Known {
    key: Arc<str>,
    era: u32,
    sequence: u64,
}

/// The lines, and beside them what everybody was told.
#[derive(Default)]
struct World {
    lines: Lines<u32>,
    joined: BTreeMap<u32, Known>,
    /// In line, in the order in which they came.
    here: Vec<u32>,
    blocked: BTreeSet<u32>,
    /// Those who were told that they have the turn, and have not ended.
    told: BTreeSet<u32>,
    succeeded: BTreeMap<Arc<str>, u64>,
    last: BTreeMap<Arc<str>, u64>,
    era: u32,
}

fn key_of(key: u8) -> Arc<str> {
    format!("key {key}").into()
}

fn one_of(set: &BTreeSet<u32>, which: usize) -> Option<u32> {
    set.iter().nth(which % set.len().max(1)).copied()
}

impl World {
    fn join(&mut self, key: u8, era: u32) {
        let name = u32::try_from(self.joined.len()).unwrap() + 1;
        let key = key_of(key);
        let in_line = self.here.iter().map(|other| self.joined[other].era).max();
        let (sequence, turn) = self.lines.join(
            &Line {
                key: Arc::clone(&key),
                era,
            },
            name,
        );
        let last = self.last.entry(Arc::clone(&key)).or_default();
        *last += 1;
        assert_eq!(sequence, *last, "numbers have no gaps");
        let era = era.max(in_line.unwrap_or(0));
        self.joined.insert(name, Known { key, era, sequence });
        self.here.push(name);
        if turn {
            assert!(self.told.insert(name));
        }
    }

    fn gone(&mut self, name: u32) {
        self.here.retain(|other| *other != name);
        self.told.remove(&name);
        self.blocked.remove(&name);
    }

    fn have_the_turn(&mut self, turns: Vec<u32>) {
        for name in turns {
            assert!(self.told.insert(name), "{name} is told once that it has the turn");
        }
    }

    fn end(&mut self, name: u32, succeeded: bool) {
        let known = self.joined[&name].clone();
        let previous = self.succeeded.get(&known.key).copied().unwrap_or(0);
        let place = Place {
            key: Arc::clone(&known.key),
            sequence: known.sequence,
            previous: Some(previous),
        };
        assert_eq!(self.lines.place(name), Some(place));
        assert!(previous < known.sequence);
        let left = if succeeded { Left::Succeeded } else { Left::GivenUp };
        let turns = self.lines.leave(name, left);
        if succeeded {
            self.succeeded.insert(known.key, known.sequence);
        }
        self.gone(name);
        self.have_the_turn(turns);
    }

    fn tended(&mut self, tended: Tended<u32>) {
        tended.left.iter().for_each(|name| self.gone(*name));
        self.have_the_turn(tended.turns);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join { key } => self.join(key, self.era),
            Event::NewEra => self.era += 1,
            Event::JoinLate { key } => self.join(key, self.era.saturating_sub(1)),
            Event::End { which, succeeded } => {
                if let Some(name) = one_of(&self.told, which) {
                    self.end(name, succeeded);
                }
            }
            Event::Block { which } => {
                if let Some(name) = one_of(&self.told, which) {
                    assert!(self.lines.block(name));
                    self.told.remove(&name);
                    self.blocked.insert(name);
                }
            }
            Event::Unblock { which } => {
                if let Some(name) = one_of(&self.blocked, which) {
                    assert!(self.lines.unblock(name) && !self.lines.unblock(name));
                    self.blocked.remove(&name);
                    self.told.insert(name);
                }
            }
            Event::Skip { key } => {
                let key = key.map(key_of);
                let tended = self.lines.skip(key.as_deref());
                assert!(tended.left.iter().all(|name| self.blocked.contains(name)));
                self.tended(tended);
                assert!(!self.blocked.iter().any(|name| self.is_of(*name, key.as_deref())));
            }
            Event::Discard { key, out } => {
                let key = key.map(key_of);
                let tended = self.lines.discard(key.as_deref(), |name| name.is_multiple_of(out));
                self.tended(tended);
                let stays = |name: &u32| name.is_multiple_of(out) || !self.is_of(*name, key.as_deref());
                assert!(self.here.iter().all(stays));
            }
            Event::Cancel { which } => {
                if let Some(name) = self.here.get(which % self.here.len().max(1)).copied() {
                    let turns = self.lines.leave(name, Left::GivenUp);
                    self.gone(name);
                    self.have_the_turn(turns);
                }
            }
        }
    }

    fn is_of(&self, name: u32, key: Option<&str>) -> bool {
        key.is_none_or(|key| *self.joined[&name].key == *key)
    }

    /// What must hold whatever happened.
    fn check(&self) {
        let turns: BTreeSet<u32> = self.lines.turns().collect();
        assert_eq!(turns, self.told, "who has the turn was told so, and nobody else was");
        let blocked: BTreeSet<u32> = self.lines.blocked(None).into_iter().collect();
        assert_eq!(blocked, self.blocked);
        let mut heads = BTreeSet::new();
        for name in self.told.iter().chain(&self.blocked) {
            let known = &self.joined[name];
            assert!(heads.insert(Arc::clone(&known.key)), "one head for each line");
            for ahead in self.here.iter().map(|other| &self.joined[other]) {
                let same_line = ahead.key == known.key && ahead.sequence < known.sequence;
                assert!(!same_line, "{known:?} overtakes {ahead:?}");
                assert!(
                    ahead.era >= known.era,
                    "{known:?} overtakes {ahead:?} of an earlier era"
                );
            }
        }
        assert!(
            self.here.is_empty() || !heads.is_empty(),
            "somebody has the turn, or a person does: {:?}",
            self.here
        );
        for (key, last) in &self.last {
            let standing = self.lines.standing(key).unwrap();
            let here: Vec<_> = self.here.iter().filter(|name| self.is_of(**name, Some(key))).collect();
            assert_eq!(standing.last, *last);
            assert_eq!(standing.succeeded, self.succeeded.get(key).copied().unwrap_or(0));
            assert_eq!(standing.waiting, here.len() as u64);
            assert_eq!(
                standing.first,
                here.first().map(|name| (**name, self.joined[*name].sequence))
            );
        }
        for name in self.joined.keys() {
            let here = self.here.contains(name);
            assert_eq!(self.lines.contains(*name), here);
            assert_eq!(self.lines.is_blocked(*name), self.blocked.contains(name));
            assert_eq!(self.lines.era_of(*name), here.then(|| self.joined[name].era));
        }
    }
}

proptest! {
    #[test]
    fn nobody_overtakes_nobody_is_forgotten_and_numbers_have_no_gaps(events in prop::collection::vec(event(), 0..120)) {
        let mut world = World::default();
        for event in events {
            world.happen(event);
            world.check();
        }
        // From here on everybody who has the turn ends, and people tend what is blocked: all come to an end, in order.
        let mut ended: Vec<Known> = Vec::new();
        for step in 0.. {
            match (one_of(&world.told, step), one_of(&world.blocked, step)) {
                (Some(name), _) => {
                    ended.push(world.joined[&name].clone());
                    world.end(name, step % 3 != 0);
                }
                (None, Some(_)) if step % 2 == 0 => world.happen(Event::Skip { key: None }),
                (None, Some(_)) => world.happen(Event::Unblock { which: step }),
                (None, None) => break,
            }
            world.check();
        }
        prop_assert_eq!(&world.here, &Vec::<u32>::new());
        prop_assert!(ended.is_sorted_by_key(|known| known.era));
        for key in world.last.keys() {
            let numbers = ended.iter().filter(|known| known.key == *key).map(|known| known.sequence);
            prop_assert!(numbers.collect::<Vec<_>>().is_sorted());
        }
    }
}

fn line(key: &str, era: u32) -> Line {
    Line { key: key.into(), era }
}

#[test]
fn a_late_comer_of_an_older_era_joins_the_era_that_is_in_line() {
    let mut lines = Lines::default();
    assert_eq!(lines.join(&line("a", 2), 1), (1, true));
    assert_eq!(
        lines.join(&line("b", 1), 2),
        (1, true),
        "lines of one era go in parallel"
    );
    assert_eq!(lines.era_of(2), Some(2));
    assert_eq!(lines.join(&line("", 3), 3), (1, false));
    assert_eq!(lines.join(&line("a", 2), 4), (2, false));
    assert_eq!(lines.era_of(4), Some(3));
    assert!(lines.leave(1, Left::Succeeded).is_empty());
    assert_eq!(lines.leave(2, Left::GivenUp), [3, 4]);
    assert_eq!(
        lines.place(4).map(|place| (place.sequence, place.previous)),
        Some((2, Some(1)))
    );
}

#[test]
fn what_was_skipped_shows_in_the_next_ones_place() {
    let mut lines = Lines::default();
    for name in 1..=4 {
        lines.join(&line("a", 1), name);
    }
    assert_eq!(lines.leave(1, Left::Succeeded), [2]);
    assert!(lines.block(2) && !lines.block(3));
    assert!(!lines.has_turn(2) && lines.is_blocked(2));
    let skipped = Tended {
        left: vec![2],
        turns: vec![3],
    };
    assert_eq!(lines.skip(Some("a")), skipped);
    assert_eq!(lines.leave(3, Left::GivenUp), [4]);
    let place = lines.place(4).unwrap();
    assert_eq!((place.sequence, place.previous), (4, Some(1)));
}

#[test]
fn numbers_are_forgotten_with_the_endpoint_and_who_is_in_line_still_leaves_in_order() {
    let mut lines = Lines::default();
    for name in 1..=2 {
        lines.join(&line("a", 1), name);
    }
    lines.forget_numbers();
    assert_eq!((lines.standing("a"), lines.is_empty()), (None, false));
    assert_eq!(lines.leave(1, Left::Succeeded), [2]);
    assert!(lines.leave(2, Left::GivenUp).is_empty() && lines.is_empty());
}
