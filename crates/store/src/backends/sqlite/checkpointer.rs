//! Copies the write-ahead log into the file in the background, so that the writer rarely has to.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{ErrorCode, wal::CheckpointMode};

use super::{connection::open_checkpointer, shared::Shared};

const EVERY: Duration = Duration::from_millis(500);

/// The running thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Dropped to stop it.
    alive: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts it.
    ///
    /// # Errors
    /// When the file cannot be opened or no thread be made.
    pub fn start(path: &Path, shared: Arc<Shared>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let connection = open_checkpointer(path)?;
        let (alive, stopped) = mpsc::channel::<()>();
        let work = move || {
            let mut seen = 0;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let commits = shared.commits.load(Ordering::Relaxed);
                if commits == seen {
                    continue;
                }
                match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
                    Ok(_) => seen = commits,
                    // The writer is at it, or the file is at rest anyway.
                    Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
                    Err(error) => {
                        seen = commits;
                        tracing::warn!(%error, "the write-ahead log could not be copied into the file");
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("store-checkpoint".to_owned()).spawn(work)?;
        Ok(Self { alive, thread })
    }

    /// Stops it; returns when it has let go of the file.
    pub fn stop(self) {
        drop(self.alive);
        let _ = self.thread.join();
    }
}
