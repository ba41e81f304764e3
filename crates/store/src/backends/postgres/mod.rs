//! The shared store: PostgreSQL 15 or newer.
//!
//! One task writes for this node ([`writer`]) and commits for everybody at once; a few connections read and claim beside it.
//! Durable is what PostgreSQL calls durable: `synchronous_commit` is on, or stronger if the operator made it so.
//!
//! What is where:
//! * [`address`], [`tls`], [`connection`], [`pool`], [`fault`], [`argument`]: the way to the database.
//! * [`node`], [`books`], [`recover`]: who writes, and how a crash does not lose what was out in memory.
//! * [`cluster`], [`keeper`], [`gate`], [`word`]: what nodes know of each other, and how they say it.
//! * [`shard`], [`share`], [`balance`], [`watch`], [`wish`]: which node serves which endpoints, and what others leave for it.
//! * [`queue`] → [`writer`]: the way of a write; [`tx`] is one transaction, [`fate`] what became of one.
//! * [`append`], [`known`], [`settle`], [`due`], [`claim`], [`hand`]: the hot verbs and what is done to deliveries by hand.
//! * [`arrival`], [`stream`], [`held`], [`refused`]: what sources bring, in its turn, and what they refuse.
//! * [`line`], [`tend`], [`lines`]: order, what people do about it and see of it.
//! * [`schema`], [`partition`]: tables, most of them per day; [`retain`] drops them.
//! * [`message`], [`delivery`], [`attempt`], [`configuration`]: reading, and the configuration's writes.
//! * [`find`], [`survey`], [`audit`]: looking through many things at once, and at what people changed.
//! * [`check`], [`upkeep`], [`copying`]: the rest of the house-keeping.
//!
//! Deliberately absent: prepared statements and session state, so that a pooler may stand in between; `SELECT … FOR UPDATE SKIP
//! LOCKED`, because each endpoint's queue is read by one node only; backups, which PostgreSQL's own tools make.

mod address;
mod append;
mod argument;
mod arrival;
mod attempt;
mod audit;
mod balance;
mod books;
mod change;
mod check;
mod check_lines;
mod check_streams;
mod claim;
mod cluster;
mod configuration;
mod connection;
mod copying;
mod copying_row;
mod delivery;
mod due;
mod fate;
mod fault;
mod find;
mod gate;
mod hand;
mod held;
mod keeper;
mod known;
mod line;
mod lines;
mod members;
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
mod share;
mod stream;
mod survey;
mod tend;
#[cfg(test)]
mod tests;
mod tls;
mod tx;
mod upkeep;
mod verbs;
mod watch;
mod wish;
mod word;
mod writer;

use std::{
    collections::BTreeMap,
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
    balance::Balancer,
    cluster::Cluster,
    connection::{Connection, Server},
    fault::Fault,
    keeper::Keeper,
    lease::Leases,
    node::{House, Ownership},
    pool::Pool,
    queue::{AdminJob, Queue},
    schema::Standing,
    shard::Owned,
    shared::Shared,
    tx::Tx,
    watch::Watch,
    wish::Fulfiller,
    word::Word,
    writer::{Beginning, Writer},
};
use super::{
    Migrated, OpenOptions,
    common::{
        acknowledge, backlog::Backlogs, columns, days, effects, fit, fresh, lease, paging, proof, shared, verdict,
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
    house: House,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
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
    /// What goes between nodes: the balancer, the watch, the fulfiller.
    between: JoinSet<()>,
    keeper: JoinSet<()>,
}

impl Postgres {
    /// Opens the store at a URL, makes its tables if they are not there, takes a node's place, brings back what was under way
    /// where a node's process ended, and takes the shards that nobody has. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]: too new, sealed with another main secret, or not to be reached.
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
        let session = server.connect().await.map_err(told)?;
        let durably = look_around(&session).await.map_err(told)?.map_err(failed)?;
        let schema = server.address.schema.clone();
        migrate(&session, &server.address).await?;
        copying::refuse_unfinished(&session, &server.address).await?;
        let house = House {
            begin: begin_of_writes(&schema, durably),
            server: server.clone(),
        };
        let now = options.clock.now();
        let connection = server.connect().await.map_err(told)?;
        let connection = prepare(connection, &house.begin, &options)
            .await
            .map_err(|fault| match fault {
                Fault::Judged(StoreError::Corrupt(reason)) => OpenError::Sealed(reason),
                fault => told(fault),
            })?;
        let joined = node::join(&house, &session, options.role, &options.host, now).await;
        let joined = joined.map_err(told)?;
        let (own, books) = joined.ok_or_else(|| OpenError::Held(shown.clone()))?;
        let recovered = recover::recover(connection, &house.begin, own, books, now).await;
        let (connection, days, books) = recovered.map_err(told)?;
        settle_in(&connection, &house, own).await.map_err(told)?;
        let owned = Arc::<Owned>::default();
        let serves = Arc::clone(&owned);
        let shared = Arc::new(Shared::with(Leases::of_ours(move |endpoint| serves.serves(endpoint))));
        let cluster = Arc::new(Cluster::new(own, Arc::clone(&owned)));
        *shared.backlogs() = backlogs(&connection, &schema).await.map_err(told)?;
        let queue = Arc::new(Queue::new(options.settle_linger));
        let (committed, commits) = mpsc::unbounded_channel();
        let writer = Writer::new(Beginning {
            server: server.clone(),
            begin: house.begin.clone(),
            own,
            connection,
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            cluster: Arc::clone(&cluster),
            clock: Arc::clone(&options.clock),
            idempotency_ttl: options.idempotency_ttl,
            committed,
            days,
            books,
        });
        let left = server.address.connections - OWN_CONNECTIONS;
        let claimers = (left / 3).clamp(1, 4);
        let readers = Pool::new(server.clone(), (left - claimers) as u32, READ_STATEMENT);
        let claimers = Pool::new(server.clone(), claimers as u32, WRITE_STATEMENT);
        // From the session that joined to one that hears what others say.
        let hearing = keeper::open_session(&server, &shared, &cluster).await.map_err(told)?;
        node::unlock(&session, &schema, own.number).await.map_err(told)?;
        node::lock(&hearing, &schema, own.number).await.map_err(told)?;
        cluster.set_connection(Some(Arc::new(hearing)));
        drop(session);
        let mut running = Running {
            writer: one(writer.run()),
            acknowledger: one(acknowledge::acknowledge(commits, Arc::clone(&shared))),
            between: JoinSet::new(),
            keeper: JoinSet::new(),
        };
        let mut balancer = Balancer {
            house: house.clone(),
            shared: Arc::clone(&shared),
            cluster: Arc::clone(&cluster),
            jobs: Jobs(Arc::clone(&queue)),
            pool: Arc::clone(&claimers),
            clock: Arc::clone(&options.clock),
            giving: BTreeMap::new(),
            kept: BTreeMap::new(),
        };
        let ahead = balancer.jobs.write(|tx| Box::pin(upkeep::make_ahead(tx))).await;
        ahead.map_err(|error| told(error.into()))?;
        balancer.step().await.map_err(told)?;
        cluster.say(Word::Moved);
        let keeper = Keeper {
            server,
            shared: Arc::clone(&shared),
            cluster: Arc::clone(&cluster),
        };
        running.keeper.spawn(keeper.run());
        running.between.spawn(balancer.run());
        let watch = Watch {
            shared: Arc::clone(&shared),
            cluster: Arc::clone(&cluster),
            pool: Arc::clone(&claimers),
        };
        running.between.spawn(watch.run());
        let fulfiller = Fulfiller {
            cluster: Arc::clone(&cluster),
            jobs: Jobs(Arc::clone(&queue)),
            pool: Arc::clone(&claimers),
        };
        running.between.spawn(fulfiller.run());
        Ok(Arc::new(Self {
            readers,
            claimers,
            options,
            house,
            queue,
            shared,
            cluster,
            running: Mutex::new(Some(running)),
        }))
    }

    /// Runs a write in a transaction of its own.
    async fn write<T: Send + 'static>(
        &self,
        write: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
    ) -> Result<T, StoreError> {
        Jobs(Arc::clone(&self.queue)).write(write).await
    }

    async fn close_orderly(&self) {
        self.queue.stop();
        self.shared.close();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running {
            mut writer,
            mut acknowledger,
            mut between,
            mut keeper,
        }) = running
        else {
            return;
        };
        between.shutdown().await;
        while writer.join_next().await.is_some() {}
        while acknowledger.join_next().await.is_some() {}
        self.claimers.close().await;
        self.readers.close().await;
        keeper.shutdown().await;
        self.leave().await;
    }

    /// Says that this node goes, so that others take its endpoints at once.
    async fn leave(&self) {
        let schema = &self.house.server.address.schema;
        let Some(session) = self.cluster.connection().filter(|_| !self.shared.is_fenced()) else {
            return;
        };
        let left = async {
            node::leave(&session, schema, self.cluster.own).await?;
            keeper::say(&session, schema, &Word::Moved).await
        };
        // Otherwise they find out by themselves.
        let _ = tokio::time::timeout(IDLE, left).await;
        self.cluster.set_connection(None);
    }
}

/// Writes that run in transactions of their own.
#[derive(Clone)]
struct Jobs(Arc<Queue>);

impl Jobs {
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
        self.0.admin(job).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
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
        let what = format!(
            "there is no store in the schema `{}`; a server makes one",
            address.schema
        );
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

/// Proves that the secrets can be opened, before this process is anybody.
async fn prepare(connection: Connection, begin: &str, options: &OpenOptions) -> Result<Connection, Fault> {
    connection.batch(begin).await?;
    upkeep::prove_vault(&connection, &options.vault)
        .await?
        .map_err(StoreError::Corrupt)?;
    connection.batch("COMMIT").await?;
    Ok(connection)
}

/// Nothing is served under this number yet, whoever had it before.
async fn settle_in(connection: &Connection, house: &House, own: Ownership) -> Result<(), Fault> {
    let sql = format!(
        "{}; SELECT own({}::smallint, {}::bigint)",
        house.begin, own.number, own.epoch
    );
    connection.batch(&sql).await?;
    node::free_shards(connection, own.number).await?;
    connection.batch("COMMIT").await
}

/// How much waits for each endpoint.
async fn backlogs(connection: &Connection, schema: &str) -> Result<Backlogs, Fault> {
    connection
        .batch(&format!("BEGIN READ ONLY; SET LOCAL search_path TO {schema}"))
        .await?;
    let all = watch::backlogs(connection).await?;
    connection.batch("COMMIT").await?;
    Ok(Backlogs::all(all))
}
