//! Sees who takes part, buries who is gone, and takes and gives up shards, so that each node has its share ([`super::share`]).
//!
//! A shard changes hands by its row: its owner frees it, in a transaction of its own, once nothing of it is out in memory; or
//! whoever buried its owner does. So the epoch of the node is all that a write has to be checked for.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bellwire_core::{
    decide::Health,
    id::{EndpointId, Id as _},
    time::Timestamp,
};
use tokio::time::{sleep, timeout};

use super::{
    Jobs,
    argument::args,
    books, claim,
    cluster::Cluster,
    columns::number,
    connection::Connection,
    fault::Fault,
    node::{self, House, Other, State},
    pool::Pool,
    shard::{LEADING, SHARDS, shard_of},
    share::{self, Move},
    shared::Shared,
    tx::Tx,
    watch, wish,
    word::Word,
};
use crate::clock::Clock;

/// How often it is looked who takes part.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether a shard that is given up is quiet.
const GIVING: Duration = Duration::from_millis(25);
/// A shard that is not quiet by then is kept, and given up later: an attempt may take its time.
const GIVES_FOR: Duration = Duration::from_secs(20);
/// When later is.
const KEEPS_FOR: Duration = Duration::from_secs(60);
/// Whoever was away itself knows nothing of the others' silence before so much time has passed.
const LISTENED: Duration = Duration::from_secs(3);
/// Whatever is asked takes longer only when the database is away.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a node that may have done nothing says up to where nothing of it is to be looked for.
const MOVES_ON: Duration = Duration::from_secs(60);
/// What has no owner that anybody knows.
const NOBODY: i16 = -1;

/// The part that does it.
pub(super) struct Balancer {
    pub house: House,
    pub shared: Arc<Shared>,
    pub cluster: Arc<Cluster>,
    pub jobs: Jobs,
    pub pool: Arc<Pool>,
    pub clock: Arc<dyn Clock>,
    /// Shards that are being given up, and since when.
    pub giving: BTreeMap<i16, Instant>,
    /// Shards that could not be given up, and when.
    pub kept: BTreeMap<i16, Instant>,
}

impl Balancer {
    /// Until it is aborted.
    pub async fn run(mut self) {
        let mut looked_at: Option<Instant> = None;
        let mut moved_on_at = Instant::now();
        loop {
            if looked_at.is_none_or(|at| at.elapsed() >= EVERY) {
                looked_at = Some(Instant::now());
                match timeout(PATIENCE, self.step()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(?error, "the nodes could not be looked at"),
                    Err(_) => tracing::debug!("the nodes could not be looked at in time"),
                }
            }
            if moved_on_at.elapsed() >= MOVES_ON {
                moved_on_at = Instant::now();
                // Where nothing can be written the writer says so.
                let _ = self
                    .jobs
                    .write(|tx| {
                        Box::pin(async {
                            wish::forget_old(tx);
                            books::move_on(tx);
                            Ok(())
                        })
                    })
                    .await;
            }
            self.give().await;
            let wait = if self.giving.is_empty() { EVERY } else { GIVING };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.cluster.moves.notified() => looked_at = None,
            }
        }
    }

    /// Looks once, and does what is to be done.
    ///
    /// # Errors
    /// Those of the database; it is done the next time then.
    pub async fn step(&mut self) -> Result<(), Fault> {
        let Some(session) = self.cluster.connection() else {
            return Ok(());
        };
        let schema = self.house.server.address.schema.clone();
        let mut others = node::look(&session, &schema).await?;
        let is_sure = self.cluster.connected_for() >= LISTENED;
        let own = self.cluster.own.number;
        let is_gone = |other: &&Other| other.own.number != own && other.state == State::Gone && (other.left || is_sure);
        let gone: Vec<Other> = others.iter().filter(is_gone).cloned().collect();
        for gone in &gone {
            let buried = node::bury(&self.house, &session, gone, self.clock.now()).await?;
            if buried && !gone.left {
                self.cluster.counted.takeovers.fetch_add(1, Ordering::Relaxed);
            }
            self.cluster.say(Word::Moved);
        }
        if !gone.is_empty() {
            others = node::look(&session, &schema).await?;
        }
        self.cluster.set_members(others.len());
        let nodes: Vec<i16> = others
            .iter()
            .filter(|other| other.role.delivers() && !other.left)
            .map(|other| other.own.number)
            .collect();
        let owners = owners(&session, &schema).await?;
        let moves = self.adopt_and_decide(&nodes, owners).await?;
        self.take(moves.take).await?;
        if !moves.give.is_empty() {
            let now = Instant::now();
            self.giving.extend(moves.give.iter().map(|shard| (*shard, now)));
            // Nothing is given out of them from here on.
            self.shared.leases.meanwhile(|| self.cluster.owned.remove(&moves.give));
            if let Some(handoff) = self.shared.handoff() {
                handoff.lost();
            }
        }
        Ok(())
    }

    async fn adopt_and_decide(&mut self, nodes: &[i16], mut owners: Vec<Option<i16>>) -> Result<Move, Fault> {
        let me = self.cluster.own.number;
        // A commit whose answer was lost took them.
        let not_known: Vec<i16> = (0..owners.len() as i16)
            .filter(|shard| owners.get(*shard as usize) == Some(&Some(me)))
            .filter(|shard| !self.cluster.owned.has(*shard) && !self.giving.contains_key(shard))
            .collect();
        self.adopt(&not_known).await?;
        self.giving
            .retain(|shard, _| owners.get(*shard as usize) == Some(&Some(me)));
        for shard in self.giving.keys() {
            if let Some(owner) = owners.get_mut(*shard as usize) {
                *owner = Some(NOBODY);
            }
        }
        self.kept.retain(|_, since| since.elapsed() < KEEPS_FOR);
        let busy = self.busy();
        Ok(share::decide(me, nodes, &owners, |shard| {
            self.kept.contains_key(&shard) || busy.contains(&shard) || self.cluster.owned.has_fresh(shard)
        }))
    }

    /// The shards of which something is out with a row.
    fn busy(&self) -> HashSet<i16> {
        let out = self.shared.leases.endpoints();
        out.into_iter().map(shard_of).collect()
    }

    /// Takes shards, those that are free still.
    async fn take(&mut self, wanted: Vec<i16>) -> Result<(), Fault> {
        if wanted.is_empty() {
            return Ok(());
        }
        let taken = self.jobs.write(move |tx| Box::pin(take_free(tx, wanted))).await?;
        self.adopt(&taken).await?;
        if self.cluster.owned.count() > 0 {
            tracing::info!(
                node = self.cluster.own.number,
                shards = self.cluster.owned.count(),
                "endpoints were taken over"
            );
        }
        Ok(())
    }

    /// They are ours: whoever makes deliveries is told what waits.
    async fn adopt(&self, shards: &[i16]) -> Result<(), Fault> {
        if shards.is_empty() {
            return Ok(());
        }
        self.cluster.owned.add(shards);
        let snapshot = self.pool.snapshot().await?;
        let read = async {
            let backlogs = watch::backlogs(&snapshot).await?;
            let failing = failing(&snapshot).await?;
            let heads = claim::lanes(&snapshot, &self.shared.leases, shards).await?;
            Ok((backlogs, failing, heads))
        };
        let read = read.await;
        let (backlogs, failing, heads) = match snapshot.end(read).await {
            Ok(read) => read,
            Err(error) => {
                // They are ours all the same: what waits in them is found by looking.
                self.cluster.looks.notify_one();
                return Err(error.into());
            }
        };
        let changed = self.shared.backlogs().replace(backlogs);
        let Some(handoff) = self.shared.handoff() else {
            return Ok(());
        };
        let gained: BTreeSet<i16> = shards.iter().copied().collect();
        let is_gained = |endpoint: EndpointId| gained.contains(&shard_of(endpoint.number()));
        let failing: Vec<(EndpointId, Health)> = failing.into_iter().filter(|(of, _)| is_gained(*of)).collect();
        handoff.gained(&is_gained, &failing);
        self.shared.tell_waiting(&changed);
        for head in heads {
            handoff.stored(head);
        }
        Ok(())
    }

    /// Frees those of the shards that are being given up of which nothing is out any more.
    async fn give(&mut self) {
        if self.giving.is_empty() {
            return;
        }
        let busy = self.busy();
        let is_led = self.cluster.is_led();
        let is_quiet = |shard: &i16| {
            let is_out = busy.contains(shard) || self.cluster.owned.has_fresh(*shard);
            !(is_out || *shard == LEADING && is_led)
        };
        let quiet: Vec<i16> = self.giving.keys().copied().filter(is_quiet).collect();
        if !quiet.is_empty() {
            let (shared, cluster) = (Arc::clone(&self.shared), Arc::clone(&self.cluster));
            let freed = self
                .jobs
                .write(move |tx| Box::pin(free(tx, shared, cluster, quiet)))
                .await;
            match freed {
                Ok(freed) => {
                    for shard in freed {
                        self.giving.remove(&shard);
                    }
                    self.cluster.say(Word::Moved);
                }
                Err(error) => tracing::debug!(%error, "shards could not be given up; tried again"),
            }
        }
        let late = |since: &Instant| since.elapsed() >= GIVES_FOR;
        let kept: Vec<i16> = self
            .giving
            .iter()
            .filter(|(_, since)| late(since))
            .map(|(shard, _)| *shard)
            .collect();
        if kept.is_empty() {
            return;
        }
        let now = Instant::now();
        for shard in &kept {
            self.giving.remove(shard);
            self.kept.insert(*shard, now);
        }
        if let Err(fault) = self.adopt(&kept).await {
            tracing::debug!(?fault, "what waits in shards that are kept is looked for later");
        }
    }
}

/// Who has which shard, by their number.
pub(super) async fn owners(session: &Connection, schema: &str) -> Result<Vec<Option<i16>>, Fault> {
    let sql = format!("SELECT number, node FROM {schema}.shard");
    let mut owners = vec![None; SHARDS];
    for row in session.rows(&sql, &[]).await? {
        if let Some(owner) = owners.get_mut(row.get::<_, i16>(0) as usize) {
            *owner = row.get(1);
        }
    }
    Ok(owners)
}

async fn take_free(tx: &mut Tx, wanted: Vec<i16>) -> Result<Vec<i16>, Fault> {
    let sql = "UPDATE shard SET node = $1, epoch = epoch + 1 WHERE number IN (SELECT number FROM shard \
         WHERE node IS NULL AND number = ANY ($2) ORDER BY number FOR UPDATE SKIP LOCKED) RETURNING number";
    let me = tx.node;
    let rows = tx.rows(sql, args![me, wanted]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Frees shards, those of which nothing is out: between two of this node's transactions, so that nothing goes out meanwhile.
async fn free(
    tx: &mut Tx,
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    mut shards: Vec<i16>,
) -> Result<Vec<i16>, Fault> {
    let busy: HashSet<i16> = shared.leases.endpoints().into_iter().map(shard_of).collect();
    let is_led = cluster.is_led();
    shards.retain(|shard| {
        let is_out = busy.contains(shard) || cluster.owned.has_fresh(*shard) || (*shard == LEADING && is_led);
        !(is_out || cluster.owned.has(*shard))
    });
    if shards.is_empty() {
        return Ok(shards);
    }
    let sql = "UPDATE shard SET node = NULL, epoch = epoch + 1 WHERE number = ANY ($2) AND node = $1 RETURNING number";
    let me = tx.node;
    let rows = tx.rows(sql, args![me, shards]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How endpoints are doing that are not simply fine.
async fn failing(connection: &Connection) -> Result<Vec<(EndpointId, Health)>, Fault> {
    let rows = connection
        .rows("SELECT endpoint, failing_since FROM endpoint_health", &[])
        .await?;
    let one = |row: &tokio_postgres::Row| {
        let health = Health {
            failing_since: Some(Timestamp::from_micros(row.get(1))),
        };
        (EndpointId::from_number(number(row.get(0))), health)
    };
    Ok(rows.iter().map(one).collect())
}
