//! The lines of one endpoint, pure: who is in line, with which number, and who has the turn.
//!
//! The reference for what stores keep: the store in memory uses it, and the conformance suite holds the others to the same
//! promises. It knows no time, no leases and no attempts. The caller says who joined, who left and who was blocked, and is
//! told who has the turn now; what the caller is not told has no turn.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use super::{Line, Place};

/// The lines of one endpoint. `N` names a delivery there; each name joins once.
#[derive(Debug, Clone)]
pub struct Lines<N> {
    numbers: BTreeMap<Arc<str>, Numbers>,
    /// In the order of their turns: by era, and inside an era each key for itself.
    members: BTreeMap<Spot, Member<N>>,
    spots: BTreeMap<N, Spot>,
}

/// Which numbers a key has given.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    last: u64,
    succeeded: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    era: u32,
    key: Arc<str>,
    sequence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Member<N> {
    name: N,
    blocked: bool,
}

/// How a delivery left its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Delivered: the next one says that this was the last that succeeded.
    Succeeded,
    /// Given up or cancelled, or its message is gone.
    GivenUp,
}

/// What a person's wish changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tended<N> {
    /// These left their lines.
    pub left: Vec<N>,
    /// These have the turn now.
    pub turns: Vec<N>,
}

/// How one key stands, over all eras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<N> {
    /// The last number given.
    pub last: u64,
    /// The last number that succeeded in its turn; 0 when none did.
    pub succeeded: u64,
    /// How many are in line, the first included.
    pub waiting: u64,
    /// Who is first, with its number.
    pub first: Option<(N, u64)>,
}

impl<N> Default for Lines<N> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            members: BTreeMap::new(),
            spots: BTreeMap::new(),
        }
    }
}

impl<N: Copy + Ord> Lines<N> {
    /// Takes the next number of a key and the end of its line; answers the number and whether it has the turn at once.
    ///
    /// The era is at least that of everybody in line, so that nobody is overtaken by who comes later.
    pub fn join(&mut self, line: &Line, name: N) -> (u64, bool) {
        if let Some(spot) = self.spots.get(&name) {
            return (spot.sequence, self.has_turn(name));
        }
        let numbers = self.numbers.entry(Arc::clone(&line.key)).or_default();
        numbers.last += 1;
        let latest = self.members.last_key_value().map_or(0, |(spot, _)| spot.era);
        let spot = Spot {
            era: line.era.max(latest),
            key: Arc::clone(&line.key),
            sequence: numbers.last,
        };
        let sequence = spot.sequence;
        self.members.insert(spot.clone(), Member { name, blocked: false });
        self.spots.insert(name, spot);
        (sequence, self.has_turn(name))
    }

    /// Takes somebody out of line, wherever it stands; answers who has the turn now because of that.
    pub fn leave(&mut self, name: N, left: Left) -> Vec<N> {
        let Some(spot) = self.spots.remove(&name) else {
            return Vec::new();
        };
        let was_head = self.is_head(&spot);
        self.members.remove(&spot);
        if left == Left::Succeeded
            && let Some(numbers) = self.numbers.get_mut(&spot.key)
        {
            numbers.succeeded = numbers.succeeded.max(spot.sequence);
        }
        if !was_head {
            return Vec::new();
        }
        match self.members.range(line_of(&spot)).next() {
            Some((_, next)) => vec![next.name],
            None if self.era() == Some(spot.era) => Vec::new(),
            // The last of an era has left.
            None => self.heads().map(|(_, member)| member.name).collect(),
        }
    }

    /// Keeps the head in line without a turn, until it is unblocked or leaves; false when it has no turn anyhow.
    pub fn block(&mut self, name: N) -> bool {
        self.has_turn(name) && self.mark(name, true)
    }

    /// Gives a blocked head its turn back; false when it is not blocked.
    pub fn unblock(&mut self, name: N) -> bool {
        self.is_blocked(name) && self.mark(name, false)
    }

    /// Blocked heads leave, those of one key or all; who comes behind them has the turn.
    pub fn skip(&mut self, key: Option<&str>) -> Tended<N> {
        let left = self.blocked(key);
        let turns = left.iter().flat_map(|name| self.leave(*name, Left::GivenUp)).collect();
        Tended { left, turns }
    }

    /// Everybody leaves who is not out, blocked heads included: of one key or of all.
    pub fn discard(&mut self, key: Option<&str>, is_out: impl Fn(N) -> bool) -> Tended<N> {
        let mut left = self.in_line(key);
        left.retain(|name| !is_out(*name));
        // From behind, so that nobody has the turn who is to leave as well.
        left.reverse();
        let turns = left.iter().flat_map(|name| self.leave(*name, Left::GivenUp)).collect();
        Tended { left, turns }
    }

    /// The endpoint is gone, and its numbers with it. Who is in line still leaves in order.
    pub fn forget_numbers(&mut self) {
        self.numbers.clear();
    }

    /// Nobody is in line, and no number is known.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.members.is_empty()
    }

    // -- looking ---------------------------------------------------------------------------------------------------

    /// Whether it is in line.
    pub fn contains(&self, name: N) -> bool {
        self.spots.contains_key(&name)
    }

    /// Whether it may be attempted: the first of its line, of the earliest era in line, and not blocked.
    pub fn has_turn(&self, name: N) -> bool {
        self.spots
            .get(&name)
            .is_some_and(|spot| self.is_head(spot) && !self.members.get(spot).is_some_and(|member| member.blocked))
    }

    /// Whether it is a head that was given up and waits for a person.
    pub fn is_blocked(&self, name: N) -> bool {
        self.spots
            .get(&name)
            .and_then(|spot| self.members.get(spot))
            .is_some_and(|member| member.blocked)
    }

    /// What the receiver is told when it is attempted in its turn; `None` when it is not in line.
    pub fn place(&self, name: N) -> Option<Place> {
        let spot = self.spots.get(&name)?;
        Some(Place {
            key: Arc::clone(&spot.key),
            sequence: spot.sequence,
            previous: Some(self.numbers.get(&spot.key).map_or(0, |numbers| numbers.succeeded)),
        })
    }

    /// Its era, while it is in line.
    pub fn era_of(&self, name: N) -> Option<u32> {
        self.spots.get(&name).map(|spot| spot.era)
    }

    /// Everybody who has the turn.
    pub fn turns(&self) -> impl Iterator<Item = N> {
        self.heads()
            .filter(|(_, member)| !member.blocked)
            .map(|(_, member)| member.name)
    }

    /// Blocked heads, of one key or of all.
    pub fn blocked(&self, key: Option<&str>) -> Vec<N> {
        let wanted = |spot: &Spot| key.is_none_or(|key| *spot.key == *key);
        let blocked = self.heads().filter(|(spot, member)| wanted(spot) && member.blocked);
        blocked.map(|(_, member)| member.name).collect()
    }

    /// Everybody in line, in the order of their turns: of one key or of all.
    pub fn in_line(&self, key: Option<&str>) -> Vec<N> {
        let wanted = |spot: &Spot| key.is_none_or(|key| *spot.key == *key);
        let members = self.members.iter().filter(|(spot, _)| wanted(spot));
        members.map(|(_, member)| member.name).collect()
    }

    /// All keys that ever gave a number, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.numbers.keys()
    }

    /// How a key stands; `None` when it never gave a number.
    pub fn standing(&self, key: &str) -> Option<Standing<N>> {
        let Numbers { last, succeeded } = *self.numbers.get(key)?;
        let mut members = self.members.iter().filter(|(spot, _)| *spot.key == *key);
        let first = members.next().map(|(spot, member)| (member.name, spot.sequence));
        Some(Standing {
            last,
            succeeded,
            waiting: u64::from(first.is_some()) + members.count() as u64,
            first,
        })
    }

    // -- inside ----------------------------------------------------------------------------------------------------

    /// The earliest era in line.
    fn era(&self) -> Option<u32> {
        self.members.first_key_value().map(|(spot, _)| spot.era)
    }

    fn is_head(&self, spot: &Spot) -> bool {
        let first = self.members.range(line_of(spot)).next();
        self.era() == Some(spot.era) && first.is_some_and(|(first, _)| first == spot)
    }

    /// The first of each line of the earliest era.
    fn heads(&self) -> impl Iterator<Item = (&Spot, &Member<N>)> {
        let era = self.era();
        let first = self.members.iter().next();
        std::iter::successors(first, |(spot, _)| {
            let (_, end) = line_of(spot).into_inner();
            self.members.range(end..).next()
        })
        .take_while(move |(spot, _)| Some(spot.era) == era)
    }

    fn mark(&mut self, name: N, blocked: bool) -> bool {
        let member = self.spots.get(&name).and_then(|spot| self.members.get_mut(spot));
        let Some(member) = member else { return false };
        member.blocked = blocked;
        true
    }
}

/// All spots of one key in one era.
fn line_of(spot: &Spot) -> RangeInclusive<Spot> {
    let at = |sequence| Spot {
        sequence,
        ..spot.clone()
    };
    at(0)..=at(u64::MAX)
}

#[cfg(test)]
mod tests;
