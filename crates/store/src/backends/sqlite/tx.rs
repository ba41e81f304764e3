//! One transaction of the writer, as the operations in it see it, and what is to happen once it is committed.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use rusqlite::Connection;

pub(super) use super::super::common::effects::{Effects, Ids};
use super::{
    fault::{Fault, describe},
    lease::Leases,
    partition::{Kind, Tables},
};
use crate::error::StoreError;

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
