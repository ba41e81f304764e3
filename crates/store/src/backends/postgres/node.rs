//! Which node this process is, and that it is the only one that says so.
//!
//! A node is a row with a number, an epoch and the time when it was last heard of. Whoever becomes a node raises its epoch; every
//! transaction of the node begins by asking whether the epoch still is its own, and holds that row until it ends. So who takes
//! over waits for what its predecessor has under way, and from then on the database refuses whatever that one still sends: a
//! process that hung, or that was cut off, cannot write.
//!
//! Beside it the process holds an advisory lock in a session of its own, so that its death is known at once; behind a pooler
//! or a broken network it is known when nothing was heard of it for [`SILENCE`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    address::Address,
    argument::args,
    books::Books,
    columns::number,
    connection::{Connection, Server},
    fault::Fault,
};
use crate::{backends::common::shared::Shared, error::OpenError};

/// How often a node is heard of.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// When nothing was heard of a node for so long, its place is free.
const SILENCE: Duration = Duration::from_secs(7);
/// Who holds a node's row and says nothing for so long is cut off by whoever waits for the place.
const HANGS: Duration = Duration::from_secs(3);
/// How long a place is waited for that somebody holds.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// The place this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ownership {
    pub number: i16,
    pub epoch: i64,
}

/// Takes a node's place, once its holder is gone.
///
/// # Errors
/// `InUse` when its holder is not; `Failed` otherwise.
pub(super) async fn take(
    connection: &Connection,
    address: &Address,
    which: i16,
    name: &str,
) -> Result<(Ownership, Books), OpenError> {
    let failed = |fault: Fault| OpenError::Failed {
        location: address.shown.clone(),
        detail: crate::error::StoreError::from(fault).to_string(),
    };
    let begun = Instant::now();
    let mut is_told = false;
    while !lock(connection, &address.schema, which).await.map_err(failed)? {
        if begun.elapsed() > PATIENCE && !address.standby {
            return Err(OpenError::InUse(address.shown.clone()));
        }
        if address.standby && !std::mem::replace(&mut is_told, true) {
            tracing::info!("another process has the store; this one takes its place when it is gone");
        }
        evict_if_silent(connection, &address.schema, which)
            .await
            .map_err(failed)?;
        sleep(TRY_EVERY).await;
    }
    cut_off_who_hangs(connection, &address.schema).await.map_err(failed)?;
    let sql = format!(
        "INSERT INTO {}.node (number, epoch, name, backend, renewed_at, mark, last_id) \
         VALUES ($1, 1, $2, pg_backend_pid(), clock_timestamp(), 0, 0) ON CONFLICT (number) DO UPDATE \
         SET epoch = node.epoch + 1, name = excluded.name, backend = excluded.backend, renewed_at = excluded.renewed_at \
         RETURNING epoch, mark, last_id",
        address.schema
    );
    let row = connection.row(&sql, args![which, name]).await.map_err(failed)?;
    let row = row.ok_or_else(|| failed(Fault::Away("the node's row could not be written".to_owned())))?;
    let own = Ownership {
        number: which,
        epoch: row.get(0),
    };
    let books = Books {
        mark: number(row.get(1)),
        last_id: number(row.get(2)),
    };
    Ok((own, books))
}

/// Takes the lock that says that the node's process is alive. False when another session has it.
async fn lock(connection: &Connection, schema: &str, which: i16) -> Result<bool, Fault> {
    let sql = "SELECT pg_try_advisory_lock(hashtext($1), $2)";
    let place = format!("bellwire {schema}");
    let row = connection.row(sql, args![place, i32::from(which)]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Ends the session of a node of which nothing was heard for long: its machine, or the way to it, is gone.
async fn evict_if_silent(connection: &Connection, schema: &str, which: i16) -> Result<(), Fault> {
    let sql = format!(
        "SELECT pg_terminate_backend(backend) FROM {schema}.node WHERE number = $1 AND backend IS NOT NULL \
         AND renewed_at < clock_timestamp() - make_interval(secs => $2::bigint)"
    );
    let silence = SILENCE.as_secs() as i64;
    connection.rows(&sql, args![which, silence]).await.map(drop)
}

/// Ends transactions that hold a node's row and are not going on: their process, or the way to it, is gone. Otherwise taking
/// over would wait for the server to notice.
async fn cut_off_who_hangs(connection: &Connection, schema: &str) -> Result<(), Fault> {
    let sql = "SELECT pg_terminate_backend(a.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
         WHERE l.relation = to_regclass($1) AND l.mode = 'RowShareLock' AND a.pid <> pg_backend_pid() \
         AND a.state LIKE 'idle in transaction%' AND a.state_change < clock_timestamp() - make_interval(secs => $2::bigint)";
    let table = format!("{schema}.node");
    connection
        .rows(sql, args![table, HANGS.as_secs() as i64])
        .await
        .map(drop)
}

/// Says every few seconds that this node is alive, and keeps its lock.
pub(super) struct Keeper {
    pub server: Server,
    pub own: Ownership,
    pub shared: Arc<Shared>,
    pub connection: Option<Connection>,
}

impl Keeper {
    /// Until it is aborted, or another process has taken the node's place.
    pub async fn run(mut self) {
        loop {
            sleep(HEARTBEAT).await;
            match timeout(SILENCE, self.beat()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    self.shared.fence();
                    tracing::error!(
                        "another process has taken this node's place; nothing is written any more: restart this one"
                    );
                    return;
                }
                Ok(Err(fault)) => {
                    tracing::debug!(?fault, "the node could not say that it is alive");
                    self.connection = None;
                }
                Err(_) => self.connection = None,
            }
        }
    }

    /// False when the place is another's.
    async fn beat(&mut self) -> Result<bool, Fault> {
        let schema = &self.server.address.schema;
        let connection = match self.connection.take().filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => {
                let connection = self.server.connect().await?;
                // Our own former session may still hold it; the epoch decides, not the lock.
                lock(&connection, schema, self.own.number).await?;
                connection
            }
        };
        let sql = format!(
            "UPDATE {schema}.node SET renewed_at = clock_timestamp(), backend = pg_backend_pid() WHERE number = $1 AND epoch = $2"
        );
        let renewed = connection.execute(&sql, args![self.own.number, self.own.epoch]).await?;
        self.connection = Some(connection);
        Ok(renewed == 1)
    }
}
