//! The store in memory keeps every promise of the seam.

use std::sync::Arc;

use bellwire_store::Store;
use bellwire_testkit::{ManualClock, MemoryStore, conformance::Backend};

struct Memory(Arc<MemoryStore>);

impl Backend for Memory {
    async fn create(clock: Arc<ManualClock>) -> Self {
        Self(Arc::new(MemoryStore::new(clock)))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0) as Arc<dyn Store>
    }

    async fn crash(self) -> Self {
        Self(Arc::new(self.0.reopen()))
    }
}

bellwire_testkit::conformance!(Memory);
