//! What is kept per endpoint between attempts: its parsed URL and fixed headers, and connections to use again.
//!
//! Nothing is shared between endpoints: not a connection, not a TLS session's trust.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bellwire_core::{attempt::Failure, endpoint::Endpoint, id::EndpointId};

use super::{connection::Connection, request::Prepared};

/// So many unused connections are kept per endpoint.
const IDLE_MAX: usize = 64;

#[derive(Debug)]
struct Pool {
    prepared: Arc<Prepared>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// All endpoints' pools.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: Mutex<HashMap<EndpointId, Pool>>,
}

impl Pools {
    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was prepared for this version of the endpoint, or what `prepare` makes now.
    pub fn prepared(
        &self,
        id: EndpointId,
        endpoint: &Endpoint,
        prepare: impl FnOnce() -> Result<Prepared, Failure>,
    ) -> Result<Arc<Prepared>, Failure> {
        let mut pools = self.lock();
        if let Some(pool) = pools.get(&id)
            && pool.prepared.version == endpoint.updated_at
        {
            return Ok(Arc::clone(&pool.prepared));
        }
        let prepared = Arc::new(prepare()?);
        // Connections of an earlier version led to an earlier URL: they are closed.
        pools.insert(
            id,
            Pool {
                prepared: Arc::clone(&prepared),
                idle: Vec::new(),
            },
        );
        Ok(prepared)
    }

    /// A connection that is ready, the one used last first; a shared one stays.
    pub fn take(&self, id: EndpointId, prepared: &Arc<Prepared>) -> Option<Connection> {
        let mut pools = self.lock();
        let pool = pools
            .get_mut(&id)
            .filter(|pool| Arc::ptr_eq(&pool.prepared, prepared))?;
        while let Some(mut idle) = pool.idle.pop() {
            if !idle.connection.is_usable() && idle.connection.is_closed() {
                continue;
            }
            if let Some(shared) = idle.connection.share() {
                idle.since = Instant::now();
                pool.idle.push(idle);
                return Some(shared);
            }
            return Some(idle.connection);
        }
        None
    }

    /// Keeps a connection for the next attempt.
    pub fn put(&self, id: EndpointId, prepared: &Arc<Prepared>, connection: Connection) {
        let mut pools = self.lock();
        let Some(pool) = pools.get_mut(&id).filter(|pool| Arc::ptr_eq(&pool.prepared, prepared)) else {
            return;
        };
        let already_shared = connection.is_http2() && pool.idle.iter().any(|idle| idle.connection.is_http2());
        if !already_shared && pool.idle.len() < IDLE_MAX && !connection.is_closed() {
            pool.idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Lets go of everything kept for an endpoint.
    pub fn forget(&self, id: EndpointId) {
        self.lock().remove(&id);
    }

    /// Closes what has not been used for `unused`, and forgets endpoints that have nothing left.
    pub fn sweep(&self, unused: Duration) {
        self.lock().retain(|_, pool| {
            pool.idle
                .retain(|idle| idle.since.elapsed() < unused && !idle.connection.is_closed());
            !pool.idle.is_empty()
        });
    }

    /// Connections that wait to be used again.
    pub fn idle(&self) -> usize {
        self.lock().values().map(|pool| pool.idle.len()).sum()
    }
}
