//! The shared store: PostgreSQL 15 or newer.
//!
//! One task writes for this node ([`writer`]) and commits for everybody at once; a few connections read and claim beside it.
//! Durable is what PostgreSQL calls durable: `synchronous_commit` is on, or stronger if the operator made it so.
//!
//! What is where:
//! * [`address`], [`tls`], [`connection`], [`pool`], [`fault`], [`argument`]: the way to the database.
//! * [`node`], [`shard`], [`books`], [`recover`]: who writes, and how a crash does not lose what was out in memory.
//! * [`queue`] → [`writer`]: the way of a write; [`tx`] is one transaction, [`fate`] what became of one.
//! * [`append`], [`known`], [`settle`], [`due`], [`claim`], [`hand`]: the hot verbs and what is done to deliveries by hand.
//! * [`arrival`], [`stream`], [`held`], [`refused`]: what sources bring, in its turn, and what they refuse.
//! * [`line`], [`tend`], [`lines`]: order, what people do about it and see of it.
//! * [`schema`], [`partition`]: tables, most of them per day; [`retain`] drops them.
//! * [`message`], [`delivery`], [`attempt`], [`configuration`]: reading, and the configuration's writes.
//! * [`check`], [`upkeep`], [`copying`]: the rest of the house-keeping.
//!
//! Deliberately absent: prepared statements and session state, so that a pooler may stand in between; `SELECT … FOR UPDATE SKIP
//! LOCKED`, because each endpoint's queue is read by one node only; backups, which PostgreSQL's own tools make.

mod address;
mod append;
mod argument;
mod arrival;
mod attempt;
mod books;
mod check;
mod check_lines;
mod check_streams;
mod claim;
mod configuration;
mod connection;
mod copying;
mod copying_row;
mod delivery;
mod due;
mod fate;
mod fault;
mod hand;
mod held;
mod known;
mod line;
mod lines;
mod message;
mod node;
mod partition;
mod pool;
mod queue;
mod recover;
mod refused;
mod retain;
mod row;
mod scan;
mod schema;
mod settle;
mod shard;
mod stream;
mod tend;
#[cfg(test)]
mod tests;
mod tls;
mod tx;
mod upkeep;
mod verbs;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

pub(super) use self::copying::{hold, is_there};
use self::{
    address::Address,
    connection::{Connection, Server},
    effects::Ids,
    fault::Fault,
    node::{Keeper, Ownership},
    pool::Pool,
    queue::{AdminJob, Queue},
    schema::Standing,
    shared::Shared,
    tx::{Parts, Terms, Tx},
    writer::{Beginning, Writer},
};
use super::{
    Migrated, OpenOptions,
    common::{
        acknowledge, backlog::Backlogs, columns, columns::number, days, effects, fit, fresh, lease, paging, shared,
        verdict,
    },
};
use crate::error::{OpenError, StoreError};

/// The oldest PostgreSQL that is good enough.
const VERSION_MIN: i32 = 150_000;
/// A statement of a write takes longer only when something is wrong.
const WRITE_STATEMENT: Duration = Duration::from_secs(20);
/// Whoever holds rows and says nothing for so long is cut off.
const IDLE: Duration = Duration::from_secs(10);
/// So long for what people ask.
const READ_STATEMENT: Duration = Duration::from_secs(60);
/// The writer and the keeper have a connection each.
const OWN_CONNECTIONS: usize = 2;

/// The shared store.
pub struct Postgres {
    options: OpenOptions,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    readers: Arc<Pool>,
    claimers: Arc<Pool>,
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

/// What runs while the store is open. All of it ends when it is dropped.
struct Running {
    writer: JoinSet<()>,
    acknowledger: JoinSet<()>,
    _keeper: JoinSet<()>,
}

impl Postgres {
    /// Opens the store at a URL, makes its tables if they are not there, takes a node's place, and brings back what was under
    /// way when that node's process ended. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]: in use, too new, sealed with another main secret, or not to be reached.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let address = Address::parse(url).map_err(|detail| OpenError::Failed {
            location: super::without_password(url),
            detail,
        })?;
        let shown = address.shown.clone();
        let failed = |detail: String| OpenError::Failed {
            location: shown.clone(),
            detail,
        };
        let server = Server::new(address).map_err(failed)?;
        let told = |fault: Fault| failed(StoreError::from(fault).to_string());
        let keeper = server.connect().await.map_err(told)?;
        let durably = look_around(&keeper).await.map_err(told)?.map_err(failed)?;
        let schema = server.address.schema.clone();
        migrate(&keeper, &server.address).await?;
        copying::refuse_unfinished(&keeper, &server.address).await?;
        let begin = begin_of_writes(&schema, durably);
        let (own, books) = node::take(&keeper, &server.address, 0, "bellwire").await?;
        let connection = server.connect().await.map_err(told)?;
        let connection = prepare(connection, &begin, own, &options)
            .await
            .map_err(|fault| match fault {
                Fault::Judged(StoreError::Corrupt(reason)) => OpenError::Sealed(reason),
                fault => failed(StoreError::from(fault).to_string()),
            })?;
        let recovered = recover::recover(connection, &begin, own, books, options.clock.now()).await;
        let (connection, days, books) = recovered.map_err(told)?;
        let shared = Arc::new(Shared::default());
        *shared.backlogs() = backlogs(&connection, &schema).await.map_err(told)?;
        let queue = Arc::new(Queue::new(options.settle_linger));
        let (committed, commits) = mpsc::unbounded_channel();
        let writer = Writer::new(Beginning {
            server: server.clone(),
            begin,
            own,
            connection,
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            clock: Arc::clone(&options.clock),
            idempotency_ttl: options.idempotency_ttl,
            committed,
            days,
            books,
        });
        let keeper = Keeper {
            server: server.clone(),
            own,
            shared: Arc::clone(&shared),
            connection: Some(keeper),
        };
        let running = Running {
            writer: one(writer.run()),
            acknowledger: one(acknowledge::acknowledge(commits, Arc::clone(&shared))),
            _keeper: one(keeper.run()),
        };
        let left = server.address.connections - OWN_CONNECTIONS;
        let claimers = (left / 3).clamp(1, 4);
        Ok(Arc::new(Self {
            readers: Pool::new(server.clone(), (left - claimers) as u32, READ_STATEMENT),
            claimers: Pool::new(server, claimers as u32, WRITE_STATEMENT),
            options,
            queue,
            shared,
            running: Mutex::new(Some(running)),
        }))
    }

    /// Runs a write in a transaction of its own.
    async fn write<T: Send + 'static>(
        &self,
        write: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let job = AdminJob {
            run: Box::new(move |tx| {
                Box::pin(async move {
                    let outcome = write(tx).await?;
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                    Ok(())
                })
            }),
            reply: Box::new(move |committed| {
                let outcome = result.lock().unwrap_or_else(PoisonError::into_inner).take();
                let _ = reply.send(committed.and_then(|()| outcome.ok_or_else(closed)));
            }),
        };
        self.queue.admin(job).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn close_orderly(&self) {
        self.queue.stop();
        self.shared.close();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running {
            mut writer,
            mut acknowledger,
            _keeper,
        }) = running
        else {
            return;
        };
        while writer.join_next().await.is_some() {}
        while acknowledger.join_next().await.is_some() {}
        self.claimers.close().await;
        self.readers.close().await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn one(task: impl Future<Output = ()> + Send + 'static) -> JoinSet<()> {
    let mut set = JoinSet::new();
    set.spawn(task);
    set
}

/// How each transaction that writes begins. Settings are the transaction's own: a pooler may give the session to somebody else.
fn begin_of_writes(schema: &str, durably: bool) -> String {
    let durably = if durably {
        ""
    } else {
        "; SET LOCAL synchronous_commit = on"
    };
    format!(
        "BEGIN; SET LOCAL search_path TO {schema}; SET LOCAL statement_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = {}{durably}",
        WRITE_STATEMENT.as_millis(),
        IDLE.as_millis(),
    )
}

/// Brings the schema to this version. Answers how it stood before.
///
/// # Errors
/// `TooNew` when it is one that this program cannot live with.
async fn migrate(connection: &Connection, address: &Address) -> Result<Standing, OpenError> {
    let found = schema::migrate(connection, &address.schema).await;
    judged(found, address)
}

fn judged(found: Result<Standing, Fault>, address: &Address) -> Result<Standing, OpenError> {
    let known = schema::newest_version();
    let location = address.shown.clone();
    match found {
        Ok(found) if found.is_fit_for(known) => {
            if found.version > known {
                tracing::info!(
                    found = found.version,
                    known,
                    "the store's schema is newer than this program, which can live with it"
                );
            }
            Ok(found)
        }
        Ok(Standing { version: found, .. }) => Err(OpenError::TooNew { location, found, known }),
        Err(fault) => Err(OpenError::Failed {
            location,
            detail: StoreError::from(fault).to_string(),
        }),
    }
}

/// Brings the schema at a URL to this version, or rehearses it, beside nodes that have the store open.
///
/// # Errors
/// Also when there is no store.
pub(super) async fn migrate_at(url: &str, dry_run: bool) -> Result<Migrated, OpenError> {
    let (server, failed) = copying::server_at(url)?;
    let connection = server.connect().await.map_err(&failed)?;
    let address = &server.address;
    let standing = schema::standing(&connection, &address.schema).await;
    if standing.map_err(&failed)?.version == 0 {
        let what = format!("there is no store in the schema `{}`; a server makes one", address.schema);
        return Err(failed(Fault::Away(what)));
    }
    let found = if dry_run {
        judged(schema::rehearse(&connection, &address.schema).await, address)?
    } else {
        migrate(&connection, address).await?
    };
    Ok(Migrated {
        location: address.shown.clone(),
        found: found.version,
        known: schema::newest_version(),
    })
}

/// Whether the server is one we can live with, and whether it is durable without being told.
async fn look_around(connection: &Connection) -> Result<Result<bool, String>, Fault> {
    let sql = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
         current_setting('server_encoding'), current_setting('synchronous_commit'), current_setting('fsync')";
    let Some(row) = connection.row(sql, &[]).await? else {
        return Ok(Err("the server does not say what it is".to_owned()));
    };
    let (version, in_words): (i32, String) = (row.get(0), row.get(1));
    let (encoding, commit, fsync): (String, String, String) = (row.get(2), row.get(3), row.get(4));
    if version < VERSION_MIN {
        return Ok(Err(format!("PostgreSQL {in_words} is too old; use 15 or newer")));
    }
    if encoding != "UTF8" {
        return Ok(Err(format!(
            "the database's encoding is {encoding}; make one with UTF8"
        )));
    }
    if fsync == "off" {
        tracing::warn!(
            "the database server runs with fsync off: what is acknowledged may be lost when its machine fails"
        );
    }
    Ok(Ok(commit != "off"))
}

/// Proves that the secrets can be opened, and makes the tables of the days to come.
async fn prepare(
    connection: Connection,
    begin: &str,
    own: Ownership,
    options: &OpenOptions,
) -> Result<Connection, Fault> {
    connection.batch(begin).await?;
    let days = partition::read(&connection).await?;
    connection.batch("COMMIT").await?;
    let parts = Parts {
        connection,
        ids: Ids::after(0),
        days,
    };
    let terms = Terms {
        begin,
        now: options.clock.now(),
        leases: &Arc::default(),
        attached: false,
        idempotency_ttl: options.idempotency_ttl,
        own,
    };
    let mut tx = Tx::begin(parts, terms);
    upkeep::prove_vault(&mut tx, &options.vault)
        .await?
        .map_err(StoreError::Corrupt)?;
    upkeep::make_ahead(&mut tx).await?;
    tx.queue(
        "UPDATE shard SET node = $1, epoch = epoch + 1 WHERE node IS DISTINCT FROM $1",
        argument::kept![own.number],
    );
    tx.commit(0).await?;
    Ok(tx.into_parts().0.connection)
}

/// How much waits for each endpoint.
async fn backlogs(connection: &Connection, schema: &str) -> Result<Backlogs, Fault> {
    let sql = format!(
        "SELECT endpoint, sum(waiting)::bigint FROM {schema}.backlog GROUP BY endpoint HAVING sum(waiting) <> 0"
    );
    let rows = connection.rows(&sql, &[]).await?;
    let all: HashMap<u64, i64> = rows.iter().map(|row| (number(row.get(0)), row.get(1))).collect();
    Ok(Backlogs::all(all))
}
