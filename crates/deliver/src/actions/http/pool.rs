//! What is kept per endpoint between attempts: its parsed URL, its fixed headers and its connections.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bellwire_core::{attempt::Failure, endpoint::Endpoint, id::EndpointId};

use super::request::Prepared;

/// What is kept for all endpoints.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: Mutex<HashMap<EndpointId, Arc<Prepared>>>,
}

impl Pools {
    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Arc<Prepared>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was prepared for this version of the endpoint, or what `prepare` makes now. Connections of an earlier version led to
    /// an earlier URL: they are closed.
    pub fn prepared(
        &self,
        id: EndpointId,
        endpoint: &Endpoint,
        prepare: impl FnOnce() -> Result<Prepared, Failure>,
    ) -> Result<Arc<Prepared>, Failure> {
        let mut pools = self.lock();
        if let Some(prepared) = pools.get(&id)
            && prepared.version == endpoint.updated_at
        {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(prepare()?);
        pools.insert(id, Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Lets go of everything kept for an endpoint.
    pub fn forget(&self, id: EndpointId) {
        self.lock().remove(&id);
    }

    /// Closes what has not been used for `unused`, and forgets endpoints that have nothing left.
    pub fn sweep(&self, unused: Duration) {
        self.lock().retain(|_, prepared| {
            prepared.place.sweep(unused);
            prepared.place.idle() > 0
        });
    }

    /// Connections that wait to be used again.
    pub fn idle(&self) -> usize {
        self.lock().values().map(|prepared| prepared.place.idle()).sum()
    }
}
