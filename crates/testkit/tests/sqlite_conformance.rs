//! The embedded store keeps every promise of the seam.
//!
//! A crash is a copy of its files as they stand, opened by a new store, while the old one still runs: what a killed process
//! would leave, and nothing that closing would add.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

use std::{path::Path, sync::Arc};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    Clock, Store,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bellwire_testkit::{ManualClock, conformance::Backend};
use rusqlite::Connection;
use tempfile::TempDir;

struct Sqlite {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Sqlite {
    async fn open(folder: TempDir, clock: Arc<ManualClock>) -> Self {
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let options = OpenOptions::new(now, Vault::new(Keyring::new(secret)));
        let store = backends::open(&format!("sqlite:{}", folder.path().display()), options)
            .await
            .unwrap();
        Self { folder, clock, store }
    }
}

/// Copies all files as they are at one moment: while somebody reads, the log is neither emptied nor begun anew, whatever is copied
/// from it into the database meanwhile.
fn copy_files(from: &Path, to: &Path) {
    let reader = Connection::open(from.join("bellwire.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
        .unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

impl Backend for Sqlite {
    async fn create(clock: Arc<ManualClock>) -> Self {
        Self::open(tempfile::tempdir().unwrap(), clock).await
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        let left = tempfile::tempdir().unwrap();
        copy_files(self.folder.path(), left.path());
        let clock = Arc::clone(&self.clock);
        drop(self);
        Self::open(left, clock).await
    }
}

bellwire_testkit::conformance!(Sqlite);
