//! Connections: how they are set up, and a small pool of them for reading.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::sync::Semaphore;

use super::fault::{Fault, describe};
use crate::error::StoreError;

/// How long a connection waits for another one's short lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The WAL file is cut back to this once it was larger.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// The one connection that writes. Also sets what the file itself remembers.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", 4_096)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    set_deleted(&connection, Deleted::Fast)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// A statement that is prepared once keeps its plan, whatever values it is given. Otherwise SQLite prepares some anew each
/// time they are taken from the cache, which costs more than running them; and there are no statistics that would make
/// another plan a better one.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// What becomes of deleted content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleted {
    /// It is overwritten in pages that are written anyway, which costs next to nothing; freed pages keep it.
    Fast,
    /// It is overwritten.
    Overwritten,
}

/// Chooses what becomes of what the connection deletes from now on.
pub(super) fn set_deleted(connection: &Connection, deleted: Deleted) -> rusqlite::Result<()> {
    let value = match deleted {
        Deleted::Fast => "fast",
        Deleted::Overwritten => "on",
    };
    connection.pragma_update_and_check(None, "secure_delete", value, |_| Ok(()))
}

/// A connection that copies the WAL into the file.
pub(super) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", -2_048)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A few connections that only read.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    size: u32,
}

impl Readers {
    /// A pool of at most so many. Connections are opened when they are first needed.
    pub fn new(path: &Path, size: u32) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
        })
    }

    /// Runs a read on a thread that may block.
    ///
    /// # Errors
    /// Those of the read; `Unavailable` once closed.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            let connection = pool.take().map_err(|error| describe(&error))?;
            let result = read(&connection);
            // A read that failed half-way may have left a transaction open.
            if connection.is_autocommit() {
                pool.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(connection);
            }
            result.map_err(StoreError::from)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(StoreError::Corrupt(format!("a read ended unexpectedly: {error}"))))
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open_reader(&self.path), Ok)
    }

    /// Waits for reads under way and lets go of the file.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(all);
    }
}
