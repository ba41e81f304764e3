//! The kind `file`: a line for each message, on the disk before the delivery succeeds.
//!
//! The file is opened for each line, so that whoever rotates it (logrotate) need not tell us. A line that a crash has torn off
//! is ended first: what comes behind it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bellwire_action::{Compiled as _, file::Settings};
use bellwire_core::{attempt::Failure, endpoint::Endpoint};
use serde_json::Value;

use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

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
        task.begin()?;
        let (path, sync) = (self.path.clone(), self.settings.sync());
        let bytes = plan.line.len();
        let written = tokio::task::spawn_blocking(move || append(&path, plan.line.as_bytes(), sync))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| Failure {
            reason: "file_not_written",
            detail: format!("cannot append to {}: {error}", self.path.display()),
        })?;
        Ok(Effect::done(format!("{bytes} bytes appended")))
    }
}

/// Appends a line by one write. Only one writer at a time, of this process or another, looks at the end and writes behind it.
fn append(path: &Path, line: &[u8], sync: bool) -> io::Result<()> {
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
    let mut file = options.open(path)?;
    file.lock()?;
    if is_torn(&mut file)? {
        file.write_all(&[b"\n", line].concat())?;
    } else {
        file.write_all(line)?;
    }
    file.unlock()?;
    if sync {
        file.sync_data()?;
        if is_new && let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    Ok(())
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
