//! One transaction of this node, as the operations in it see it.
//!
//! What nobody needs an answer to is queued, and goes out with the next statement that somebody waits for, or with the commit:
//! one way there and back for all of it. So a batch of publications without keys and lines is a single round trip, from `BEGIN`
//! to `COMMIT`.
//!
//! The first statement of each asks whether this process still is the node it says (see [`super::node`]); the lock it takes is
//! what whoever takes its place waits for.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bellwire_core::{
    id::{EndpointId, Id as _},
    time::Timestamp,
};
use futures_util::future;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    argument::kept,
    columns::key,
    connection::{Arg, Connection, Statement},
    days::{Days, Kind},
    effects::{Effects, Ids},
    fate::{self, Witness},
    fault::Fault,
    lease::Leases,
    node::Ownership,
    partition,
    shard::Owned,
};

/// A transaction that is under way.
pub(super) struct Tx {
    connection: Connection,
    queued: Vec<Statement>,
    pub now: Timestamp,
    pub ids: Ids,
    pub days: Days,
    pub leases: Arc<Leases>,
    /// Whether somebody takes fresh deliveries.
    pub attached: bool,
    pub idempotency_ttl: Duration,
    /// Whose number this node has.
    pub node: i16,
    /// Which endpoints are its own.
    owned: Arc<Owned>,
    /// By what it is known that it was committed.
    pub witness: Option<Witness>,
    /// Nobody knows any more that it was not, unless somebody says so.
    commits: bool,
    looked_for_days: bool,
    /// Endpoints whose lines are locked.
    pub locked: HashSet<u64>,
    pub effects: Effects,
}

/// What a transaction is made from, and what is left of it.
pub(super) struct Parts {
    pub connection: Connection,
    pub ids: Ids,
    pub days: Days,
}

/// What a transaction is told.
pub(super) struct Terms<'a> {
    /// How it begins.
    pub begin: &'a str,
    pub now: Timestamp,
    pub leases: &'a Arc<Leases>,
    pub attached: bool,
    pub idempotency_ttl: Duration,
    pub own: Ownership,
    pub owned: &'a Arc<Owned>,
}

impl Tx {
    /// Begins one. Nothing is sent yet.
    pub fn begin(parts: Parts, terms: Terms<'_>) -> Self {
        let Parts { connection, ids, days } = parts;
        let mut tx = Self {
            connection,
            queued: vec![Statement::Plain(terms.begin.to_owned())],
            now: terms.now,
            ids,
            days,
            leases: Arc::clone(terms.leases),
            attached: terms.attached,
            idempotency_ttl: terms.idempotency_ttl,
            node: terms.own.number,
            owned: Arc::clone(terms.owned),
            witness: None,
            commits: false,
            looked_for_days: false,
            locked: HashSet::new(),
            effects: Effects::default(),
        };
        tx.queue("SELECT own($1, $2)", kept![terms.own.number, terms.own.epoch]);
        tx
    }

    /// Sends it off when something is next waited for.
    pub fn queue(&mut self, sql: impl Into<String>, values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>) {
        let sql = sql.into();
        self.queued.push(Statement::With { sql, values });
    }

    /// Sends off what is queued. Returns the connection, on which all of it has taken effect.
    pub async fn flushed(&mut self) -> Result<&Connection, Fault> {
        let queued = std::mem::take(&mut self.queued);
        if !queued.is_empty() {
            self.connection.send(&queued).await?;
        }
        Ok(&self.connection)
    }

    /// What a statement finds.
    pub async fn rows(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<Row>, Fault> {
        let queued = std::mem::take(&mut self.queued);
        if queued.is_empty() {
            return self.connection.rows(sql, args).await;
        }
        let before = self.connection.send(&queued);
        let (before, rows) = future::join(before, self.connection.rows(sql, args)).await;
        before?;
        rows
    }

    /// The first row that a statement finds.
    pub async fn row(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// How many rows a statement changed.
    pub async fn execute(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<u64, Fault> {
        self.flushed().await?.execute(sql, args).await
    }

    /// Whether what is accepted for this endpoint is handed over here.
    pub fn serves(&self, endpoint: EndpointId) -> bool {
        self.owned.serves(endpoint.number())
    }

    /// Whether the day's tables are there. Other nodes make some: what is not known is looked for, once in a transaction.
    pub async fn has(&mut self, kind: Kind, day: i64) -> Result<bool, Fault> {
        if !self.days.has(kind, day) && !std::mem::replace(&mut self.looked_for_days, true) {
            self.days = partition::read(self.flushed().await?).await?;
        }
        Ok(self.days.has(kind, day))
    }

    /// Makes sure that the day's tables are there. They mostly are: made ahead.
    pub async fn ensure(&mut self, kind: Kind, day: i64) -> Result<(), Fault> {
        if !self.days.has(kind, day) {
            partition::make(self.flushed().await?, kind, day).await?;
            self.days.add(kind, day);
        }
        Ok(())
    }

    /// Drops the day's tables.
    pub async fn forget(&mut self, kind: Kind, day: i64) -> Result<(), Fault> {
        partition::forget(self.flushed().await?, kind, day).await?;
        self.days.remove(kind, day);
        Ok(())
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// Those of the database. After one that ends the connection it may be durable all the same (see [`Self::in_doubt`]).
    pub async fn commit(&mut self, marker: i64) -> Result<(), Fault> {
        self.write_backlogs();
        if self.witness.is_none() {
            self.witness = Some(fate::leave_marker(self, marker));
        }
        self.commits = true;
        self.queued.push(Statement::Plain("COMMIT".to_owned()));
        self.flushed().await.map(drop)
    }

    /// After a failure: by what it is known whether it was committed, when nobody knows it yet.
    pub fn in_doubt(&self, fault: &Fault) -> Option<Witness> {
        self.witness.filter(|_| self.commits && fault.ends_the_connection())
    }

    /// Makes none of it so.
    pub async fn roll_back(&mut self) -> Result<(), Fault> {
        self.queued.clear();
        self.connection.batch("ROLLBACK").await
    }

    /// By how much more or less waits for whom.
    fn write_backlogs(&mut self) {
        let changed = self.effects.waiting.iter().filter(|(_, more)| **more != 0);
        let mut changed: Vec<(i64, i64)> = changed.map(|(endpoint, more)| (key(*endpoint), *more)).collect();
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        let (endpoints, more): (Vec<i64>, Vec<i64>) = changed.into_iter().unzip();
        let sql = "INSERT INTO backlog (endpoint, node, waiting) SELECT endpoint, $3, more FROM unnest($1, $2) AS t (endpoint, more) \
             ON CONFLICT (endpoint, node) DO UPDATE SET waiting = backlog.waiting + excluded.waiting";
        self.queue(sql, kept![endpoints, more, self.node]);
    }

    /// Ends it, whatever became of it.
    pub fn into_parts(self) -> (Parts, Effects) {
        let Self {
            connection,
            ids,
            days,
            effects,
            ..
        } = self;
        (Parts { connection, ids, days }, effects)
    }
}

/// Each once, in order: so that transactions lock them in one order.
pub(super) fn sorted<T: Copy + Ord + std::hash::Hash>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let each: HashSet<T> = all.into_iter().collect();
    let mut sorted: Vec<T> = each.into_iter().collect();
    sorted.sort_unstable();
    sorted
}
