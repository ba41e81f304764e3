//! Noticing that the file changed, or one that it refers to.
//!
//! Once a second their states are compared, links followed: that sees editors that put a new file in the old one's place,
//! Kubernetes' links that begin to point elsewhere, and network file systems. A file is read when two looks in a row found it
//! the same, so that one that is still being written is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    Hooks,
    reading::{State, state},
};
use crate::supervise::{OnPanic, Stage, Supervisor};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

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
        let mut before = self.states().await;
        loop {
            let was_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = self.states().await;
            let is_settled = now == before;
            if was_asked || (is_settled && now != self.told().seen) {
                // What came of it is in the log.
                drop(self.apply().await);
                before = self.states().await;
            } else {
                before = now;
            }
        }
    }

    /// The states that the file, and what it referred to when it was last read, have now.
    async fn states(&self) -> BTreeMap<PathBuf, State> {
        let mut files: BTreeSet<PathBuf> = self.told().seen.keys().cloned().collect();
        files.insert(self.file.clone());
        let look = move || files.into_iter().map(|file| (file.clone(), state(&file))).collect();
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}
