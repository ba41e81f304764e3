//! Looks at what other nodes have left for this one: deliveries that wait in its shards, how much waits altogether, and wishes.
//!
//! They say so when they do ([`super::word`]); looking makes up for words that were not heard, and replaces them where none is.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bellwire_core::time::Timestamp;
use tokio::time::sleep;

use super::{claim, cluster::Cluster, columns::number, connection::Connection, fault::Fault, pool::Pool, shared::Shared};
use crate::{contract::LaneHead, error::StoreError};

/// How often it is looked what waits, where words are heard.
const HEARING: Duration = Duration::from_secs(2);
/// … and where they are not: never more than a twentieth of the time is spent on it.
const DEAF_MIN: Duration = Duration::from_millis(20);
const DEAF_MAX: Duration = Duration::from_secs(5);
const SHARE: u32 = 20;
/// How often the numbers of what waits are read.
const COUNTED: Duration = Duration::from_secs(2);

/// The part that does it.
pub(super) struct Watch {
    pub shared: Arc<Shared>,
    pub cluster: Arc<Cluster>,
    pub pool: Arc<Pool>,
}

impl Watch {
    /// Until it is aborted.
    pub async fn run(self) {
        let mut told: HashMap<u64, Timestamp> = HashMap::new();
        let mut counted_at = Instant::now();
        let mut wait = HEARING;
        loop {
            let is_called = tokio::select! {
                () = sleep(wait) => false,
                () = self.cluster.looks.notified() => true,
            };
            wait = HEARING;
            if self.cluster.is_alone() && !is_called {
                continue;
            }
            if is_called {
                told.clear();
            }
            let begun = Instant::now();
            if let Err(error) = self.look(&mut told).await {
                tracing::debug!(%error, "what waits could not be looked at");
            } else if !self.cluster.hears() {
                wait = (begun.elapsed() * SHARE).clamp(DEAF_MIN, DEAF_MAX);
            }
            if counted_at.elapsed() >= COUNTED {
                counted_at = Instant::now();
                if let Err(error) = self.count().await {
                    tracing::debug!(%error, "what waits could not be counted");
                }
            }
        }
    }

    /// Tells of everything that waits in our shards and was not told before.
    async fn look(&self, told: &mut HashMap<u64, Timestamp>) -> Result<(), StoreError> {
        let Some(handoff) = self.shared.handoff() else {
            return Ok(());
        };
        let shards = self.cluster.owned.all();
        if shards.is_empty() {
            return Ok(());
        }
        let snapshot = self.pool.snapshot().await?;
        let heads = claim::lanes(&snapshot, &self.shared.leases, &shards).await;
        let heads: Vec<LaneHead> = snapshot.end(heads).await?;
        let mut now = HashMap::with_capacity(heads.len());
        for head in heads {
            let endpoint = bellwire_core::id::Id::number(head.endpoint);
            now.insert(endpoint, head.due_at);
            if told.get(&endpoint) != Some(&head.due_at) {
                handoff.stored(head);
            }
        }
        *told = now;
        Ok(())
    }

    /// Takes over how much waits for whom by now.
    async fn count(&self) -> Result<(), StoreError> {
        let snapshot = self.pool.snapshot().await?;
        let all = backlogs(&snapshot).await;
        let all = snapshot.end(all).await?;
        let changed = self.shared.backlogs().replace(all);
        self.shared.tell_waiting(&changed);
        Ok(())
    }
}

/// How much waits for each endpoint.
pub(super) async fn backlogs(connection: &Connection) -> Result<HashMap<u64, i64>, Fault> {
    let sql = "SELECT endpoint, sum(waiting)::bigint FROM backlog GROUP BY endpoint HAVING sum(waiting) <> 0";
    let rows = connection.rows(sql, &[]).await?;
    Ok(rows.iter().map(|row| (number(row.get(0)), row.get(1))).collect())
}
