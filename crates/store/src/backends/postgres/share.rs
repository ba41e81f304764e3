//! What a node takes and gives up, so that all shards are served and each node has as many as the others. Pure.
//!
//! Every node decides for itself, from what it sees; who sees the same comes to the same ends. Nobody takes what another one has:
//! whoever has too many gives some up, and whoever has too few takes what is free.

use super::shard::LEADING;

/// What a node does now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Move {
    /// Free shards that it takes.
    pub take: Vec<i16>,
    /// Shards of its own that it gives up.
    pub give: Vec<i16>,
}

/// What node `me` does when `nodes` (which make deliveries) share the shards, whose owners are these by their number. Shards of
/// nodes that are not among them are left alone: they are free when those are known to be gone.
///
/// `is_busy` are shards of which something is out: they are given up last.
pub(super) fn decide(me: i16, nodes: &[i16], owners: &[Option<i16>], is_busy: impl Fn(i16) -> bool) -> Move {
    let mine: Vec<i16> = of(owners, Some(me)).collect();
    let wanted = wanted(me, nodes, owners);
    if mine.len() > wanted {
        let mut given = mine.clone();
        // Those that are quiet first, and the leading one last: who does what one does for all changes seldom.
        given.sort_by_key(|shard| (*shard == LEADING && wanted > 0, is_busy(*shard), -shard));
        given.truncate(mine.len() - wanted);
        return Move {
            give: given,
            ..Move::default()
        };
    }
    let free: Vec<i16> = of(owners, None).collect();
    let missing = (wanted - mine.len()).min(free.len());
    // Each begins elsewhere, so that several at once do not want the same.
    let place = nodes.iter().position(|node| *node == me).unwrap_or(0);
    let begin = place * free.len() / nodes.len().max(1);
    Move {
        take: free.iter().cycle().skip(begin).take(missing).copied().collect(),
        ..Move::default()
    }
}

fn of(owners: &[Option<i16>], owner: Option<i16>) -> impl Iterator<Item = i16> {
    let theirs = owners.iter().enumerate().filter(move |(_, of)| **of == owner);
    theirs.map(|(shard, _)| shard as i16)
}

/// How many a node is to have: as many as the others, or one more where that does not come out even. Those that have the most
/// have the one more, so that nothing is moved for its sake.
fn wanted(me: i16, nodes: &[i16], owners: &[Option<i16>]) -> usize {
    if !nodes.contains(&me) {
        return 0;
    }
    let (each, rest) = (owners.len() / nodes.len(), owners.len() % nodes.len());
    let mut ranks: Vec<(usize, i16)> = nodes.iter().map(|node| (of(owners, Some(*node)).count(), *node)).collect();
    ranks.sort_by_key(|(has, node)| (std::cmp::Reverse(*has), *node));
    let rank = ranks.iter().position(|(_, node)| *node == me).unwrap_or(rest);
    each + usize::from(rank < rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::shard::SHARDS, *};

    fn counts(nodes: &[i16], owners: &[Option<i16>]) -> Vec<usize> {
        nodes.iter().map(|node| of(owners, Some(*node)).count()).collect()
    }

    /// One after the other does what it decides, until nobody does anything. Answers how many shards were taken.
    fn settle(nodes: &[i16], owners: &mut [Option<i16>]) -> usize {
        let mut taken = 0;
        for _ in 0..10 {
            let mut is_over = true;
            for me in nodes {
                let Move { take, give } = decide(*me, nodes, owners, |shard| shard % 3 == 0);
                is_over &= take.is_empty() && give.is_empty();
                taken += take.len();
                for shard in take {
                    assert_eq!(owners[shard as usize].replace(*me), None, "only what is free is taken");
                }
                for shard in give {
                    assert_eq!(owners[shard as usize].take(), Some(*me), "only what is its own is given up");
                }
            }
            if is_over {
                return taken;
            }
        }
        panic!("it comes to an end");
    }

    fn is_even(counts: &[usize]) -> bool {
        let (least, most) = (counts.iter().min(), counts.iter().max());
        counts.iter().sum::<usize>() == SHARDS && most.zip(least).is_some_and(|(most, least)| most - least <= 1)
    }

    #[test]
    fn one_node_has_all_and_gives_half_to_a_second_one() {
        let mut owners = vec![None; SHARDS];
        settle(&[0], &mut owners);
        assert_eq!(counts(&[0], &owners), [SHARDS]);
        let moved = settle(&[0, 1], &mut owners);
        assert_eq!((counts(&[0, 1], &owners), moved), (vec![512, 512], 512));
        assert_eq!(owners[LEADING as usize], Some(0), "the leading one stays where it is");
    }

    #[test]
    fn who_makes_no_deliveries_gives_up_what_it_has() {
        let mut owners = vec![Some(0); SHARDS];
        let Move { take, give } = decide(0, &[1, 2], &owners, |_| false);
        assert_eq!((take.len(), give.len()), (0, SHARDS));
        owners.fill(None);
        assert_eq!(decide(0, &[], &owners, |_| false), Move::default());
    }

    proptest! {
        #[test]
        fn shards_are_spread_evenly_and_stay_so(has in proptest::collection::vec(proptest::option::of(0..12_i16), SHARDS),
            nodes in proptest::collection::btree_set(0..12_i16, 1..8)) {
            let nodes: Vec<i16> = nodes.into_iter().collect();
            // What belonged to those that are gone is free.
            let mut owners: Vec<Option<i16>> =
                has.into_iter().map(|owner| owner.filter(|node| nodes.contains(node))).collect();
            let before = owners.clone();
            let too_few: usize = counts(&nodes, &owners).iter().map(|has| (SHARDS / nodes.len() + 1).saturating_sub(*has)).sum();
            let moved = settle(&nodes, &mut owners);
            prop_assert!(is_even(&counts(&nodes, &owners)), "{:?}", counts(&nodes, &owners));
            prop_assert!(moved <= too_few, "{moved} were taken where {too_few} were missing");
            let kept = before.iter().zip(&owners).filter(|(before, now)| before.is_some() && before == now).count();
            let could_stay: usize = counts(&nodes, &before).iter().map(|has| (*has).min(SHARDS / nodes.len())).sum();
            prop_assert!(kept >= could_stay, "{kept} stayed of {could_stay} that could");
            prop_assert_eq!(settle(&nodes, &mut owners), 0, "nothing moves without a reason");
        }
    }
}
