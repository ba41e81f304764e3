//! Connections for reading and claiming: a few, made when they are first needed, each given out in a transaction of its own.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    connection::{Connection, Server},
    fault::Fault,
};
use crate::error::StoreError;

/// How long a caller waits for one of the connections.
const WAIT: Duration = Duration::from_secs(10);

/// A few connections.
pub(super) struct Pool {
    server: Server,
    begin: String,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    size: u32,
}

impl Pool {
    /// At most so many. A statement on one of them may take so long.
    pub fn new(server: Server, size: u32, statement: Duration) -> Arc<Self> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO {}; SET LOCAL statement_timeout = {}; \
             SET LOCAL jit = off",
            server.address.schema,
            statement.as_millis(),
        );
        Arc::new(Self {
            server,
            begin,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
        })
    }

    /// A connection in a snapshot of its own.
    ///
    /// # Errors
    /// `Unavailable` once closed, when all are in use for too long, or when the database is away.
    pub async fn snapshot(self: &Arc<Self>) -> Result<Snapshot, StoreError> {
        let permit = timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit
            .map_err(|_| StoreError::Unavailable("all connections to PostgreSQL are in use".to_owned()))?
            .map_err(|_| super::closed())?;
        let connection = self.begun().await?;
        Ok(Snapshot {
            connection,
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    /// A kept one may have been closed by the server meanwhile: then a new one is made.
    async fn begun(&self) -> Result<Connection, Fault> {
        while let Some(kept) = self.take() {
            if !kept.is_closed() && kept.batch(&self.begin).await.is_ok() {
                return Ok(kept);
            }
        }
        let connection = self.server.connect().await?;
        connection.batch(&self.begin).await?;
        Ok(connection)
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// How many of its connections are in use.
    pub fn in_use(&self) -> usize {
        (self.size as usize).saturating_sub(self.permits.available_permits())
    }

    /// Waits for reads under way and closes the connections.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(all);
    }
}

/// A connection in a snapshot. One that is not ended is closed.
pub(super) struct Snapshot {
    connection: Connection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Snapshot {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Snapshot {
    /// Gives the connection back, and the answer on.
    ///
    /// # Errors
    /// That of the answer.
    pub async fn end<T>(self, answer: Result<T, Fault>) -> Result<T, StoreError> {
        let is_of_use = answer.as_ref().err().is_none_or(|fault| !fault.ends_the_connection());
        if is_of_use && self.connection.batch("ROLLBACK").await.is_ok() {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(self.connection);
        }
        Ok(answer?)
    }
}
