//! Noticing that the file changed, or one that it refers to.
//!
//! Once a second their states are compared, links followed: that sees editors that put a new file in the old one's place,
//! Kubernetes' links that begin to point elsewhere, and network file systems. A file is read when two looks in a row found it
//! the same, so that one that is still being written is not.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Hooks, HooksError};
use crate::supervise::{OnPanic, Stage, Supervisor};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one state of a file from another; `None` where there is no file.
type State = Option<[i64; 7]>;

/// Starts to look after a server's hooks file.
pub(in crate::serve) fn watch(supervisor: &mut Supervisor, hooks: &Arc<Hooks>) {
    let hooks = Arc::clone(hooks);
    supervisor.spawn(Stage::Background, "hooks file", OnPanic::Restart, move |stop| {
        let hooks = Arc::clone(&hooks);
        async move { hooks.watch(stop).await }
    });
}

impl Hooks {
    async fn watch(&self, stop: CancellationToken) {
        let mut applied = self.states().await;
        let mut before = applied.clone();
        loop {
            let was_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = self.states().await;
            let is_settled = now == before;
            before = now;
            if was_asked || (is_settled && before != applied) {
                let is_over = self.reload_now().await;
                // What it refers to may be others now. Those are as they were read, or a moment younger: then they are read again.
                applied = if is_over { self.states().await } else { Vec::new() };
                before.clone_from(&applied);
            }
        }
    }

    /// Reads the file; whether that is not to be tried again before something changes.
    async fn reload_now(&self) -> bool {
        let file = self.file.display();
        match self.apply().await {
            Ok(applied) => {
                for line in &applied.lines {
                    tracing::info!(%file, "hooks: {line}");
                }
                tracing::info!(%file, hooks = applied.hooks, changes = applied.lines.len(), "hooks file read again; it is in force");
                true
            }
            Err(HooksError::Findings { findings, .. }) => {
                for finding in &findings {
                    let (line, column) = (finding.at.line, finding.at.column);
                    tracing::error!(%file, line, column, "hooks: {finding}");
                }
                tracing::error!(%file, findings = findings.len(), "the hooks file cannot be used; what was in force before stays in force");
                true
            }
            Err(error @ (HooksError::Unreadable { .. } | HooksError::NoRandomness)) => {
                tracing::error!(%file, %error, "the hooks file cannot be read; what was in force before stays in force");
                true
            }
            Err(HooksError::Store(error)) => {
                tracing::error!(%file, %error, "the hooks file cannot be put in force; it is tried again");
                false
            }
        }
    }

    async fn states(&self) -> Vec<(PathBuf, State)> {
        let mut files: Vec<PathBuf> = self.told().files.iter().cloned().collect();
        files.push(self.file.clone());
        let look = move || {
            let states = files.into_iter().map(|file| {
                let state = fs::metadata(&file).ok().map(|found| {
                    let (device, inode, size) = (found.dev().cast_signed(), found.ino().cast_signed(), found.size().cast_signed());
                    let (changed, touched) = ([found.ctime(), found.ctime_nsec()], [found.mtime(), found.mtime_nsec()]);
                    [device, inode, size, changed[0], changed[1], touched[0], touched[1]]
                });
                (file, state)
            });
            states.collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}
