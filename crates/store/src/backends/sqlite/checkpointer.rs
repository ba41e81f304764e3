//! Copies the write-ahead log into the file in the background, so that the writer rarely has to, and never much at once.
//!
//! What is copied lies in the system's cache at first. The writer's own checkpoint, with which the log starts anew, brings all of that
//! to the disk while every publisher waits; so it is brought there from here before, piece by piece.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, wal::CheckpointMode};

use super::{connection::open_checkpointer, shared::Shared};

/// How often the log is copied while little is written.
const EVERY: Duration = Duration::from_millis(500);

/// Wakes the checkpointer: the log has grown.
pub(super) type Grown = SyncSender<()>;

/// The running thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Dropped, with those that others have, to stop it.
    grown: Grown,
    thread: JoinHandle<File>,
}

impl Checkpointer {
    /// Starts it.
    ///
    /// # Errors
    /// When the file cannot be opened or no thread be made.
    pub fn start(path: &Path, shared: Arc<Shared>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let connection = open_checkpointer(path)?;
        let file = File::open(path)?;
        let (grown, woken) = mpsc::sync_channel::<()>(1);
        let work = move || {
            let mut seen = 0;
            loop {
                let much = match woken.recv_timeout(EVERY) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return file,
                };
                let commits = shared.commits.load(Ordering::Relaxed);
                if commits == seen {
                    continue;
                }
                match copy(&connection, much.then_some(&file)) {
                    Ok(()) => seen = commits,
                    // The writer is at it, or the file is at rest anyway.
                    Err(Trouble::Busy) => {}
                    Err(Trouble::Failed(error)) => {
                        seen = commits;
                        tracing::warn!(error, "the write-ahead log could not be copied into the file");
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("store-checkpoint".to_owned()).spawn(work)?;
        Ok(Self { grown, thread })
    }

    /// What wakes it.
    pub fn grown(&self) -> Grown {
        self.grown.clone()
    }

    /// Stops it, once nobody can wake it any more. Answers the file, which must not be closed before every connection to it is:
    /// the system then takes away all locks of the process on it (fcntl(2), POSIX record locks).
    pub fn stop(self) -> Option<File> {
        drop(self.grown);
        self.thread.join().ok()
    }
}

enum Trouble {
    Busy,
    Failed(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Self::Busy,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Copies what can be, and brings it to the disk when there is much of it.
fn copy(connection: &Connection, file: Option<&File>) -> Result<(), Trouble> {
    connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)?;
    if let Some(file) = file {
        file.sync_data()?;
    }
    Ok(())
}
