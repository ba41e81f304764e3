//! What depends on which deliveries are out is done by the node that has them: another one writes its wish down and waits.
//!
//! That is the discarding of lines, which leaves what is out. Whatever else people do to deliveries is right from anywhere: a newer
//! run fences an older one that is out, and the lines of an endpoint are changed by whoever has locked its lane.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Jobs,
    argument::{args, owned, plain},
    cluster::Cluster,
    columns::{key, number},
    fault::Fault,
    pool::Pool,
    shard::place,
    tend::{self, Discarding},
    tx::Tx,
    word::Word,
};
use crate::error::StoreError;

/// So long somebody waits for the owner: longer than it takes to find another one when that is gone.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it is looked whether it was done, where nobody says so.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether somebody wishes something, where nobody says so.
const EVERY: Duration = Duration::from_secs(1);

/// Discards what is in line at one of this node's endpoints and not out.
pub(super) async fn discard(jobs: &Jobs, endpoint: u64, okey: Option<String>) -> Result<u64, StoreError> {
    let (mut changed, mut next) = (0, Some(Discarding::begin()));
    while let Some(state) = next.take() {
        let okey = okey.clone();
        let piece = jobs
            .write(move |tx| Box::pin(async move { tend::discard(tx, endpoint, okey.as_deref(), state).await }))
            .await?;
        changed += piece.changed;
        next = piece.next;
    }
    Ok(changed)
}

/// Has the owner of an endpoint discard what is in line there. Answers how much that was.
pub(super) async fn ask(
    jobs: &Jobs,
    pool: &Arc<Pool>,
    cluster: &Cluster,
    endpoint: u64,
    okey: Option<String>,
) -> Result<u64, StoreError> {
    let id = jobs
        .write(move |tx| Box::pin(async move { write_down(tx, endpoint, okey).await }))
        .await?;
    cluster.say(Word::Wish);
    let begun = Instant::now();
    let mut answer = None;
    while answer.is_none() && begun.elapsed() < PATIENCE {
        tokio::select! {
            () = cluster.wishes.notified() => {}
            () = sleep(LOOK) => {}
        }
        let snapshot = pool.snapshot().await?;
        let sql = "SELECT changed, refused FROM wish WHERE id = $1";
        let row = snapshot.row(sql, args![id]).await;
        let row = snapshot.end(row).await?;
        answer = row.and_then(|row| match (row.get::<_, Option<i64>>(0), row.get::<_, Option<String>>(1)) {
            (Some(changed), _) => Some(Ok(number(changed))),
            (None, Some(refused)) => Some(Err(StoreError::Unavailable(refused))),
            (None, None) => None,
        });
    }
    let forget = move |tx: &mut Tx| tx.queue("DELETE FROM wish WHERE id = $1", super::argument::kept![id]);
    jobs.write(move |tx| {
        Box::pin(async move {
            forget(tx);
            Ok(())
        })
    })
    .await?;
    answer.unwrap_or_else(|| {
        Err(StoreError::Unavailable(
            "the node that serves this endpoint did not answer; try again".to_owned(),
        ))
    })
}

/// Forgets wishes of those that did not wait for the answer.
pub(super) fn forget_old(tx: &mut Tx) {
    let sql = "DELETE FROM wish WHERE made_at < clock_timestamp() - interval '10 minutes'";
    tx.queue(sql, Vec::new());
}

async fn write_down(tx: &mut Tx, endpoint: u64, okey: Option<String>) -> Result<i64, Fault> {
    let (shard, endpoint) = place(endpoint);
    let okey = okey.as_deref().map(owned);
    let sql = "INSERT INTO wish (shard, endpoint, okey) VALUES ($1, $2, $3) RETURNING id";
    let row = tx.row(sql, args![shard, endpoint, okey]).await?;
    row.map(|row| row.get(0))
        .ok_or_else(|| Fault::Away("a wish could not be written down".to_owned()))
}

/// Does what others wish to be done at this node's endpoints.
pub(super) struct Fulfiller {
    pub cluster: Arc<Cluster>,
    pub jobs: Jobs,
    pub pool: Arc<Pool>,
}

impl Fulfiller {
    /// Until it is aborted.
    pub async fn run(self) {
        loop {
            tokio::select! {
                () = self.cluster.wishes.notified() => {}
                () = sleep(EVERY) => {}
            }
            if self.cluster.is_alone() {
                continue;
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "what other nodes wish could not be looked at");
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let snapshot = self.pool.snapshot().await?;
        let sql = "SELECT id, endpoint, okey FROM wish WHERE changed IS NULL AND refused IS NULL AND shard = ANY ($1) \
             ORDER BY id LIMIT 100";
        let rows = snapshot.rows(sql, args![self.cluster.owned.all()]).await;
        for row in snapshot.end(rows).await? {
            let id: i64 = row.get(0);
            let okey = row.get::<_, Option<String>>(2).map(plain);
            let done = discard(&self.jobs, number(row.get(1)), okey).await;
            let changed = done.as_ref().ok().map(|changed| key(*changed));
            let refused = done.err().map(|error| error.to_string());
            self.jobs
                .write(move |tx| {
                    Box::pin(async move {
                        let sql = "UPDATE wish SET changed = $2, refused = $3 WHERE id = $1";
                        tx.execute(sql, args![id, changed, refused]).await.map(drop)
                    })
                })
                .await?;
            self.cluster.say(Word::Wish);
        }
        Ok(())
    }
}
