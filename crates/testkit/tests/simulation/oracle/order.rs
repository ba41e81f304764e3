//! Invariant 6: the order of a line never inverts.
//!
//! What the store says of numbers and states is held against what was routed, what was asked for, and what receivers saw.

use std::{collections::BTreeMap, sync::Arc};

use bellwire_core::{
    delivery::{DeliveryKey, DeliveryState},
    id::EndpointId,
    message::Route,
    order::Place,
};
use bellwire_testkit::{Begun, MemoryStore, memory::Placed};

use super::{Book, Oracle};

impl Book {
    /// Whether a person ever asked for this delivery again.
    fn is_asked_again(&self, key: DeliveryKey) -> bool {
        self.runs_asked(key) > 0
    }

    /// How many runs of a delivery were asked for beside its first.
    pub(super) fn runs_asked(&self, key: DeliveryKey) -> u32 {
        let unblocked = self.endpoints.get(&key.endpoint).map_or(0, |known| known.unblocked);
        self.resends.get(&key).copied().unwrap_or(0) + unblocked
    }

    fn route(&self, key: DeliveryKey) -> Option<&Route> {
        let routes = self.accepted.get(&key.message)?;
        routes.iter().find(|route| route.endpoint == key.endpoint)
    }
}

impl Oracle {
    /// Whether this attempt may begin now, as far as its line goes.
    pub(super) fn judge_turn(&self, book: &Book, begun: &Begun) -> Vec<String> {
        let key = begun.key;
        let name = format!("attempt {} of {} at {}", begun.progress.run, key.message, key.endpoint);
        let store = self.store();
        if !store.all_endpoints().iter().any(|endpoint| endpoint.id == key.endpoint) {
            // Deleted, and that is not answered yet: its numbers are gone, and who still came is numbered anew.
            return Vec::new();
        }
        let placed = store.placed(Some(key.endpoint));
        let own = placed.iter().find(|other| other.delivery == key);
        let Some(place) = begun.place.as_deref() else {
            let says = "begins without the number that it has";
            return own.map(|_| format!("{name} {says}")).into_iter().collect();
        };
        let Some(own) = own.filter(|own| own.key == place.key && own.sequence == place.sequence) else {
            return vec![format!("{name} says {place:?}, and has another number")];
        };
        let Some(previous) = place.previous else {
            // Sent again outside of its turn.
            let legal = own.era.is_none() && begun.progress.run > 0 && book.is_asked_again(key);
            let says = "is not in its turn, and nobody asked for it";
            return (!legal).then(|| format!("{name} {says}")).into_iter().collect();
        };
        let mut found = Vec::new();
        let Some(era) = own.era else {
            return vec![format!("{name} says {place:?}, and has left its line")];
        };
        for other in &placed {
            let overtaken = other.era.is_some_and(|other| other < era)
                || other.key == own.key
                    && other.sequence < own.sequence
                    && (other.era.is_some()
                        || other.state == DeliveryState::Pending && !book.is_asked_again(other.delivery));
            if overtaken {
                found.push(format!("{name}, {own:?}, overtakes {other:?}"));
            }
        }
        let line = placed.iter().filter(|other| other.key == own.key);
        found.extend(judge_previous(book, line, own, previous).map(|says| format!("{name} {says}")));
        found.extend(
            self.judge_receiver(book, begun, place)
                .map(|says| format!("{name} {says}")),
        );
        found
    }

    /// What the receiver has seen of the line: nothing behind this one in its turn.
    fn judge_receiver(&self, book: &Book, begun: &Begun, place: &Place) -> Option<String> {
        let line = book.lines.get(&(begun.key.endpoint, Arc::clone(&place.key)))?;
        let behind = line.range(place.sequence + 1..);
        behind.into_iter().find_map(|(sequence, message)| {
            let other = DeliveryKey {
                message: *message,
                endpoint: begun.key.endpoint,
            };
            let seen = book.trials.get(&other).into_iter().flatten().any(|trial| trial.in_turn);
            seen.then(|| {
                format!(
                    "is number {} of `{}`, after number {sequence}",
                    place.sequence, place.key
                )
            })
        })
    }

    /// Numbers have no gaps and stay with their message; eras never go back; who was routed into a line is in it.
    pub(super) fn check_lines(&self, book: &mut Book, store: &MemoryStore) -> Vec<String> {
        let mut found = Vec::new();
        let there: Vec<EndpointId> = store.all_endpoints().iter().map(|endpoint| endpoint.id).collect();
        let placed = store.placed(None);
        let by_key: BTreeMap<DeliveryKey, &Placed> = placed.iter().map(|placed| (placed.delivery, placed)).collect();
        for (message, routes) in &book.accepted {
            for route in routes {
                let key = DeliveryKey {
                    message: *message,
                    endpoint: route.endpoint,
                };
                let joined = by_key.get(&key).map(|placed| &placed.key);
                let wanted = route.line.as_ref().map(|line| &line.key);
                if joined != wanted {
                    found.push(format!("{key:?} was routed into {wanted:?} and is in {joined:?}"));
                }
            }
        }
        let mut eras = BTreeMap::<EndpointId, u32>::new();
        // By endpoint, and by message in the order in which they were accepted.
        for placed in &placed {
            let endpoint = placed.delivery.endpoint;
            if !there.contains(&endpoint) {
                // What is accepted for an endpoint that was deleted meanwhile is numbered anew.
                continue;
            }
            if let Some(era) = placed.era {
                let earlier = eras.entry(endpoint).or_default();
                let routed = book.route(placed.delivery).and_then(|route| route.line.as_ref());
                if era < *earlier || routed.is_some_and(|line| line.era > era) {
                    found.push(format!("{placed:?} is behind its era, {earlier} or {routed:?}"));
                }
                *earlier = era;
            }
            let line = book.lines.entry((endpoint, Arc::clone(&placed.key))).or_default();
            let before = line.insert(placed.sequence, placed.delivery.message);
            if before.is_some_and(|before| before != placed.delivery.message) {
                found.push(format!("{placed:?} has the number of {before:?}"));
            }
        }
        for ((endpoint, key), line) in &book.lines {
            let gap = (1..).zip(line.keys()).find(|(expected, number)| expected != *number);
            if let Some((expected, number)) = gap.filter(|_| there.contains(endpoint)) {
                found.push(format!(
                    "`{key}` at {endpoint} has number {number}, and none {expected}"
                ));
            }
        }
        found
    }
}

/// The receiver is told the last number that succeeded, where that can be told from how deliveries stand now.
fn judge_previous<'a>(
    book: &Book,
    line: impl Iterator<Item = &'a Placed>,
    own: &Placed,
    previous: u64,
) -> Option<String> {
    if previous >= own.sequence {
        return Some(format!("says that {previous} came before {}", own.sequence));
    }
    let mut ahead = line.filter(|other| other.sequence < own.sequence && !book.is_asked_again(other.delivery));
    ahead.find_map(|other| {
        let succeeded = other.state == DeliveryState::Succeeded;
        let contradicts = match other.sequence.cmp(&previous) {
            std::cmp::Ordering::Greater => succeeded,
            std::cmp::Ordering::Equal => !succeeded,
            std::cmp::Ordering::Less => false,
        };
        contradicts.then(|| format!("says that {previous} was the last that succeeded, and {other:?}"))
    })
}
