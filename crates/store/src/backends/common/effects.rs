//! What a transaction gives out, and what follows from it once it is committed.

use std::collections::HashMap;

use bellwire_core::{
    delivery::Work,
    id::{EndpointId, Id, IdGenerator},
    time::Timestamp,
};

use super::lease::Key;
use crate::contract::LaneHead;

/// Gives ids to messages and attempts, and knows the last one.
pub(crate) struct Ids {
    node: u16,
    generator: IdGenerator,
    last: u64,
}

impl Ids {
    /// A store that has one writer is node 0.
    pub fn after(last: u64) -> Self {
        Self::of_node(0, last)
    }

    /// Goes on behind this number, as this node.
    pub fn of_node(node: u16, last: u64) -> Self {
        Self {
            node,
            generator: IdGenerator::new(node, last),
            last,
        }
    }

    pub fn next_number(&mut self, now: Timestamp) -> u64 {
        self.last = self.generator.next_number(now);
        self.last
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    /// What is made from now on is greater than this number as well.
    pub fn skip_to(&mut self, number: u64) {
        if number > self.last {
            self.generator = IdGenerator::new(self.node, number);
            self.last = number;
        }
    }
}

/// What follows from a transaction, outside of the database, once it is committed.
#[derive(Default)]
pub(crate) struct Effects {
    /// Deliveries handed over.
    pub work: Vec<Work>,
    /// Fresh deliveries (message, endpoint) that are settled.
    pub settled: Vec<(u64, u64)>,
    /// Leases that end with the commit.
    pub returned: Vec<Key>,
    /// Keys held for the duration of the transaction; given back however it ends.
    pub held: Vec<Key>,
    /// Keys held for whoever is handed the deliveries; given back when the transaction fails.
    pub handed: Vec<Key>,
    /// Endpoints for which something waits, and the earliest time.
    pub heads: HashMap<u64, Timestamp>,
    /// By how much more (or less) waits for which endpoint.
    pub waiting: HashMap<u64, i64>,
}

impl Effects {
    /// Something waits for this endpoint.
    pub fn head(&mut self, endpoint: u64, due_at: Timestamp) {
        self.heads
            .entry(endpoint)
            .and_modify(|head| *head = (*head).min(due_at))
            .or_insert(due_at);
    }

    /// So many more wait for this endpoint.
    pub fn wait(&mut self, endpoint: u64, more: i64) {
        *self.waiting.entry(endpoint).or_default() += more;
    }

    pub fn lane_heads(&self) -> Vec<LaneHead> {
        let head = |(endpoint, due_at): (&u64, &Timestamp)| LaneHead {
            endpoint: EndpointId::from_number(*endpoint),
            due_at: *due_at,
        };
        self.heads.iter().map(head).collect()
    }

    /// Those of an operation that succeeded join those of its transaction.
    pub fn absorb(&mut self, other: Self) {
        self.work.extend(other.work);
        self.settled.extend(other.settled);
        self.returned.extend(other.returned);
        for (endpoint, due_at) in other.heads {
            self.head(endpoint, due_at);
        }
        for (endpoint, more) in other.waiting {
            self.wait(endpoint, more);
        }
        self.handed.extend(other.handed);
    }
}
