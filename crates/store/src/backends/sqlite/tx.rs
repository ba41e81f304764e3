//! One transaction of the writer, as the operations in it see it, and what is to happen once it is committed.

use std::{collections::HashMap, time::Duration};

use bellwire_core::{
    delivery::Work,
    id::{EndpointId, Id, IdGenerator},
    time::Timestamp,
};
use rusqlite::Connection;

use super::{
    fault::{Fault, describe},
    lease::{Key, Leases},
    partition::{Kind, Tables},
};
use crate::{contract::LaneHead, error::StoreError};

/// A transaction that is under way.
pub(super) struct Tx<'a> {
    pub connection: &'a Connection,
    pub now: Timestamp,
    pub ids: &'a mut Ids,
    pub tables: &'a mut Tables,
    pub leases: &'a Leases,
    /// Whether somebody takes fresh deliveries.
    pub attached: bool,
    pub idempotency_ttl: Duration,
    pub effects: Effects,
}

/// Gives ids to messages and attempts, and knows the last one.
pub(super) struct Ids {
    generator: IdGenerator,
    last: u64,
}

impl Ids {
    pub fn after(last: u64) -> Self {
        Self {
            generator: IdGenerator::new(0, last),
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
}

/// What follows from a transaction, outside of the file, once it is committed.
#[derive(Default)]
pub(super) struct Effects {
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

    fn absorb(&mut self, other: Self) {
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

impl Tx<'_> {
    /// Makes sure that the day's tables are there.
    pub fn ensure(&mut self, kind: Kind, day: i64) -> rusqlite::Result<()> {
        self.tables.ensure(self.connection, kind, day)
    }

    /// Runs an operation so that its failure undoes it alone.
    ///
    /// # Errors
    /// When SQLite gave up the whole transaction.
    pub fn below_savepoint<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> rusqlite::Result<Result<T, StoreError>> {
        self.connection.execute_batch("SAVEPOINT job")?;
        let outer = std::mem::take(&mut self.effects);
        let result = operation(self);
        let inner = std::mem::replace(&mut self.effects, outer);
        self.effects.held.extend(&inner.held);
        if result.is_err() {
            self.effects.held.extend(&inner.handed);
        }
        match result {
            Ok(value) => {
                self.connection.execute_batch("RELEASE job")?;
                self.effects.absorb(inner);
                Ok(Ok(value))
            }
            Err(Fault::Sql(error)) if self.connection.is_autocommit() => Err(error),
            Err(fault) => {
                self.connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
                self.tables.reload(self.connection)?;
                Ok(Err(match fault {
                    Fault::Sql(error) => describe(&error),
                    Fault::Judged(error) => error,
                }))
            }
        }
    }
}
