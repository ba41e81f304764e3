//! The embedded store: one SQLite file.
//!
//! One thread writes ([`writer`]) and commits for everybody at once; a few connections read beside it. Durable is what
//! SQLite calls durable: write-ahead log, `synchronous=FULL`.
//!
//! What is where:
//! * [`queue`] → [`writer`] → [`acknowledge`]: the way of a write; [`tx`] is one transaction.
//! * [`ingest`], [`settle`], [`claim`], [`hand`]: the hot verbs and what is done to deliveries by hand.
//! * [`arrival`], [`stream`], [`held`], [`refused`]: what sources bring, in its turn, and what they refuse.
//! * [`line`], [`tend`], [`lines`], [`backlog`]: order, what people do about it and see of it, and how much waits.
//! * [`fresh`], [`lease`], [`books`], [`recover`]: what is out in memory, and how a crash does not lose it.
//! * [`schema`], [`partition`]: tables, most of them per day; [`retain`] drops them.
//! * [`message`], [`delivery`], [`attempt`], [`configuration`]: reading, and the configuration's writes.
//! * [`find`], [`survey`], [`audit`]: looking through many things at once, and at what people changed.
//! * [`check`], [`upkeep`], [`copying`], [`location`], [`connection`], [`checkpointer`]: the rest of the house-keeping.

mod arrival;
mod attempt;
mod audit;
mod backlog;
mod books;
mod check;
mod check_lines;
mod check_streams;
mod checkpointer;
mod claim;
mod configuration;
mod connection;
mod copying;
mod delivery;
mod fault;
mod find;
mod hand;
mod held;
mod ingest;
mod line;
mod lines;
mod location;
mod message;
mod partition;
mod queue;
mod recover;
mod refused;
mod retain;
mod row;
mod scan;
mod schema;
mod settle;
mod stream;
mod survey;
mod tend;
#[cfg(test)]
mod tests;
mod tx;
mod upkeep;
mod verbs;
mod writer;

use std::{
    collections::HashSet,
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use bellwire_core::id::AppId;
use rusqlite::Connection;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

pub(super) use self::copying::{hold, is_there};
use self::{
    backlog::Backlogs,
    books::Books,
    checkpointer::Checkpointer,
    connection::Readers,
    fault::Fault,
    location::Lock,
    queue::{AdminJob, Queue, Stop},
    shared::Shared,
    tx::Tx,
    writer::{Parts, Writer},
};
use super::{
    OpenOptions,
    common::{acknowledge, fresh, lease, paging, proof, shared},
};
use crate::error::{OpenError, StoreError};

/// Connections that answer people's questions.
const READERS: u32 = 3;
/// Connections that claim deliveries.
const CLAIMERS: u32 = 2;

/// The embedded store.
pub struct Sqlite {
    path: PathBuf,
    options: OpenOptions,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    claimers: Arc<Readers>,
    /// Applications under erasure whose payloads and answers are overwritten already.
    blanked: Mutex<HashSet<AppId>>,
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What runs while the store is open; the lock is let go last.
struct Running {
    writer: JoinHandle<()>,
    checkpointer: Checkpointer,
    acknowledger: JoinSet<()>,
    _lock: Lock,
}

impl Running {
    /// Answers the file, to be let go when no connection is open any more.
    fn join_threads(writer: JoinHandle<()>, checkpointer: Checkpointer) -> Option<File> {
        let _ = writer.join();
        checkpointer.stop()
    }
}

/// A file that is ready to be written to.
struct Opened {
    path: PathBuf,
    connection: Connection,
    books: Books,
    backlogs: Backlogs,
    lock: Lock,
}

impl Sqlite {
    /// Opens the store in a directory or file, making it if it is not there, and brings back what was under way when the
    /// process ended. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]: in use, too new, sealed with another main secret, or not to be read or written.
    pub async fn open(location: &str, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let path = location::database_path(location);
        let shown = path.display().to_string();
        let failed = |detail: String| OpenError::Failed {
            location: shown.clone(),
            detail,
        };
        let given = options.clone();
        let opened = tokio::task::spawn_blocking(move || open_file(path, &given))
            .await
            .map_err(|error| failed(format!("opening ended unexpectedly: {error}")))??;
        let Opened {
            path,
            connection,
            books,
            backlogs,
            lock,
        } = opened;
        let queue = Arc::new(Queue::new(options.settle_linger));
        let shared = Arc::new(Shared::default());
        *shared.backlogs() = backlogs;
        let (committed, commits) = mpsc::unbounded_channel();
        let checkpointer =
            Checkpointer::start(&path, Arc::clone(&shared)).map_err(|error| failed(error.to_string()))?;
        let writer = Writer::new(Parts {
            connection,
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            clock: Arc::clone(&options.clock),
            idempotency_ttl: options.idempotency_ttl,
            committed,
            books,
            grown: checkpointer.grown(),
        })
        .map_err(|error| failed(error.to_string()))?;
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        let mut acknowledger = JoinSet::new();
        acknowledger.spawn(acknowledge::acknowledge(commits, Arc::clone(&shared)));
        Ok(Arc::new(Self {
            readers: Readers::new(&path, READERS),
            claimers: Readers::new(&path, CLAIMERS),
            path,
            options,
            queue,
            shared,
            blanked: Mutex::default(),
            running: Mutex::new(Some(Running {
                writer,
                checkpointer,
                acknowledger,
                _lock: lock,
            })),
        }))
    }

    /// Runs a read in a snapshot of its own.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers
            .read(|connection| {
                let snapshot = connection.unchecked_transaction()?;
                read(&snapshot)
            })
            .await
    }

    /// Runs a write among the writer's next commit, all of it or nothing.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.administer(false, write).await
    }

    /// Like [`Self::write`]; what is deleted is overwritten on the disk as well: in the file with the commit, in the log
    /// soon after.
    async fn erase<T: Send + 'static>(
        &self,
        erase: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.administer(true, erase).await
    }

    async fn administer<T: Send + 'static>(
        &self,
        erases: bool,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let job = AdminJob {
            run: Box::new(move |tx| {
                let outcome = tx.below_savepoint(write)?;
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                Ok(())
            }),
            reply: Box::new(move |committed| {
                let outcome = result.lock().unwrap_or_else(PoisonError::into_inner).take();
                let _ = reply.send(committed.and_then(|()| outcome.unwrap_or_else(|| Err(closed()))));
            }),
            erases,
        };
        self.queue.admin(job).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn close_orderly(&self) {
        self.queue.stop(Stop::Orderly);
        self.shared.close();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running {
            writer,
            checkpointer,
            mut acknowledger,
            _lock: lock,
        }) = running
        else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || Running::join_threads(writer, checkpointer)).await;
        let file = joined.unwrap_or_else(|error| {
            tracing::error!(%error, "the store's threads did not end as they should");
            None
        });
        while acknowledger.join_next().await.is_some() {}
        self.claimers.close().await;
        self.readers.close().await;
        drop(file);
        drop(lock);
    }
}

impl Drop for Sqlite {
    /// Without [`crate::Store::close`]: like a crash, but for the threads, which end.
    fn drop(&mut self) {
        self.queue.stop(Stop::AtOnce);
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(Running::join_threads(running.writer, running.checkpointer));
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn open_file(path: PathBuf, options: &OpenOptions) -> Result<Opened, OpenError> {
    let shown = path.display().to_string();
    let failed = |detail: String| OpenError::Failed {
        location: shown.clone(),
        detail,
    };
    let lock = location::prepare(&path)?;
    let connection = connection::open_writer(&path).map_err(|error| failed(error.to_string()))?;
    schema::migrate(&connection, &shown)?;
    copying::refuse_unfinished(&connection, &shown)?;
    let prepared = (|| {
        upkeep::prove_vault(&connection, &options.vault)?.map_err(|reason| Fault::Judged(StoreError::Corrupt(reason)))
    })();
    match prepared {
        Ok(()) => {}
        Err(Fault::Judged(StoreError::Corrupt(reason))) => return Err(OpenError::Sealed(reason)),
        Err(fault) => return Err(failed(StoreError::from(fault).to_string())),
    }
    let recovered = Backlogs::load(&connection)
        .map_err(Fault::from)
        .and_then(|mut backlogs| {
            let books = recover::recover(&connection, &mut backlogs, options.clock.now())?;
            Ok((books, backlogs))
        });
    let (books, backlogs) = recovered.map_err(|fault| failed(StoreError::from(fault).to_string()))?;
    Ok(Opened {
        path,
        connection,
        books,
        backlogs,
        lock,
    })
}
