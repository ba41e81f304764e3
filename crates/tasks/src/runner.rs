//! The loop: every running task gets a chunk in turn, until none is left.

use std::{sync::Arc, time::Duration};

use bellwire_core::task::{Job, Task, TaskStatus};
use bellwire_store::{
    Change, Directory, Store, StoreError,
    directory::Edit,
    query::{Order, Page, Start},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    erase,
    replay::{self, Replay},
    step::{Step, after},
};

/// Nobody wakes the runner for so long: it looks by itself.
const LOOK: Duration = Duration::from_secs(60);
/// Where other processes write tasks down as well, of which nobody tells.
const LOOK_AT_OTHERS: Duration = Duration::from_secs(1);
/// The wait after the store could not be used.
const AGAIN: Duration = Duration::from_secs(1);
/// Tasks that take turns; more of them wait for a place.
const AT_ONCE: usize = 100;

/// The runner. One per server: two would work on the same tasks. Of servers that share a store one works at a time
/// ([`Store::lead`]).
pub struct Tasks {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

impl Tasks {
    /// A runner over this store. `wake` is notified when a task was written down.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, wake: Arc<Notify>) -> Self {
        Self { store, directory, wake }
    }

    /// Works on tasks, those left running by an earlier process included, until stopped. A chunk that has begun is finished.
    pub async fn run(&self, stop: CancellationToken) {
        let look = if self.store.is_shared() { LOOK_AT_OTHERS } else { LOOK };
        while !stop.is_cancelled() {
            let wait = match self.store.lead() {
                None => look,
                Some(_lead) => match self.round(&stop).await {
                    Ok(true) => continue,
                    Ok(false) => look,
                    Err(error) => {
                        tracing::warn!(%error, "background tasks wait for the store");
                        AGAIN
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One chunk for each running task; answers whether there was one.
    ///
    /// # Errors
    /// When the store cannot be used right now.
    pub async fn round(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let page = Page {
            limit: AT_ONCE,
            start: Start::First,
            order: Order::Ascending,
        };
        let running = self.store.tasks(None, Some(TaskStatus::Running), page).await?.items;
        for listed in &running {
            if stop.is_cancelled() {
                return Ok(false);
            }
            self.turn(listed).await?;
        }
        Ok(!running.is_empty())
    }

    /// One chunk of one task. Nobody changes the configuration from the look at the task until its progress is written down:
    /// who cancels it waits for the chunk, and what the chunk did is counted. Erasures cannot be cancelled, so nobody waits
    /// for their chunks.
    async fn turn(&self, listed: &Task) -> Result<(), StoreError> {
        let edit = self.directory.edit().await;
        // It may have been cancelled while others had their turn.
        let Some(task) = self.running(listed).await? else {
            return Ok(());
        };
        let edit = Some(edit).filter(|_| !matches!(task.job, Job::EraseApp { .. }));
        let step = match self.chunk(&task).await {
            Err(StoreError::Unavailable(why)) => return Err(StoreError::Unavailable(why)),
            Err(error) => Step::Failed(error.to_string()),
            Ok(step) => step,
        };
        let edit = match edit {
            Some(edit) => edit,
            None => self.directory.edit().await,
        };
        self.record(edit, &task, step).await
    }

    async fn running(&self, task: &Task) -> Result<Option<Task>, StoreError> {
        Ok(self
            .store
            .task(task.id)
            .await?
            .filter(|now| now.status == TaskStatus::Running))
    }

    async fn chunk(&self, task: &Task) -> Result<Step, StoreError> {
        let store = self.store.as_ref();
        match &task.job {
            Job::Replay {
                app,
                endpoint,
                which,
                since,
                until,
            } => {
                let replay = Replay {
                    app: *app,
                    endpoint: *endpoint,
                    which,
                    since: *since,
                    until: *until,
                };
                replay::chunk(task, replay, store, &self.directory).await
            }
            Job::EraseApp { app } => erase::chunk(task, *app, store).await,
            Job::Report { .. } => Ok(Step::Worked {
                seen: 0,
                done: 0,
                cursor: task.cursor,
                more: false,
            }),
        }
    }

    /// Stores how far a task has come.
    async fn record(&self, edit: Edit, task: &Task, step: Step) -> Result<(), StoreError> {
        let next = after(task, step, self.directory.now());
        let Task {
            id, status, seen, done, ..
        } = next;
        let error = next.error.clone();
        self.directory
            .commit_edit(edit, vec![Change::PutTask(Box::new(next))], None)
            .await?;
        match (status, error) {
            (TaskStatus::Failed, Some(why)) => tracing::warn!(task = %id, seen, done, why, "background task failed"),
            (TaskStatus::Finished, _) => tracing::info!(task = %id, seen, done, "background task finished"),
            _ => {}
        }
        Ok(())
    }
}
