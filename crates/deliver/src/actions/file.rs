//! The kind `file`: a line for each message, on the disk before the delivery succeeds.
//!
//! The file is opened for each line, so that whoever rotates it (logrotate) need not tell us. A line that a crash has torn off
//! is ended first: what comes behind it is whole.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bellwire_action::{Compiled as _, file::Settings};
use bellwire_core::{attempt::Failure, endpoint::Endpoint, time::format_span};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// How long to wait before a lock that somebody else has is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Appends to one file.
struct FileAction {
    settings: Settings,
    path: PathBuf,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    _endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    let path = parts.data.join(settings.path());
    Ok(Arc::new(FileAction { settings, path }))
}

#[async_trait]
impl Executor for FileAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let file = self.locked(task.timeout).await?;
        task.begin()?;
        let (sync, bytes) = (self.settings.sync(), plan.line.len());
        let wanted = Wanted::default();
        let still = Arc::clone(&wanted.0);
        let path = self.path.clone();
        self.off_thread(move || match still.load(Ordering::Acquire) {
            true => file.append(&path, plan.line.as_bytes(), sync),
            false => Err(io::Error::other("nobody waits for it any more")),
        })
        .await?;
        Ok(Effect::done(format!("{bytes} bytes appended")))
    }

    /// The time is ours to keep: only here it is known what was waited for.
    fn grace(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl FileAction {
    /// The file, of which we are the only writer, within this time. It is opened anew for each try: whoever holds the lock may move
    /// it away.
    async fn locked(&self, time: Duration) -> Result<Locked, Failure> {
        let locked = timeout(time, async {
            loop {
                let path = self.path.clone();
                if let Some(locked) = self.off_thread(move || Locked::open(&path)).await? {
                    return Ok(locked);
                }
                sleep(LOCK_RETRY).await;
            }
        });
        locked.await.unwrap_or_else(|_| {
            let why = format!("another process held its lock for {}", format_span(time));
            Err(self.not_written(&io::Error::other(why)))
        })
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &io::Error) -> Failure {
        Failure {
            reason: "file_not_written",
            detail: format!("cannot append to {}: {error}", self.path.display()),
        }
    }
}

/// True until it is dropped: a thread cannot be stopped, and must not write what will be written again.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A file that nobody else appends to, of this process or another, as long as this is kept.
struct Locked {
    file: File,
    is_new: bool,
}

impl Locked {
    /// Opens and locks it; `None` while somebody else has the lock.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let is_new = match fs::metadata(path) {
            // A pipe would make us wait for a reader, and no disk keeps what a device is told.
            Ok(found) if !found.is_file() => return Err(io::Error::other("it is no regular file")),
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, is_new })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Appends a line by one write, and lets go of the file.
    fn append(mut self, path: &Path, line: &[u8], sync: bool) -> io::Result<()> {
        if is_torn(&mut self.file)? {
            self.file.write_all(&[b"\n", line].concat())?;
        } else {
            self.file.write_all(line)?;
        }
        self.file.unlock()?;
        if sync {
            self.file.sync_data()?;
            if self.is_new
                && let Some(folder) = path.parent()
            {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// Whether the file ends within a line.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(path: &Path, line: &[u8], sync: bool) -> io::Result<()> {
        loop {
            if let Some(locked) = Locked::open(path)? {
                return locked.append(path, line, sync);
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        append(&path, b"{\"a\":1}\n", true).unwrap();
        fs::write(&path, "{\"a\":1}\n{\"b\":").unwrap();
        append(&path, b"{\"c\":3}\n", false).unwrap();
        append(&path, b"{\"d\":4}\n", true).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"a\":1}\n{\"b\":\n{\"c\":3}\n{\"d\":4}\n"
        );
    }

    #[test]
    fn what_is_no_file_is_refused_and_a_rotated_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        assert!(append(folder.path(), b"x\n", true).is_err());
        assert!(append(&folder.path().join("missing/a"), b"x\n", true).is_err());
        let path = folder.path().join("a");
        append(&path, b"1\n", true).unwrap();
        fs::rename(&path, folder.path().join("a.1")).unwrap();
        append(&path, b"2\n", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[test]
    fn lines_of_many_writers_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let line = format!("{}\n", writer.to_string().repeat(5_000));
                        append(path, line.as_bytes(), false).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 200);
        assert!(text.lines().all(|line| line.len() == 5_000));
    }
}
