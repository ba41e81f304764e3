//! What follows a commit: handing over what was made durable, then telling everybody who waits.
//!
//! A task of its own on the runtime, fed once per commit: completing thousands of waiting calls from the writer's thread
//! would cost it more than the commit.

use std::sync::Arc;

use bellwire_core::delivery::Work;
use tokio::sync::{mpsc, oneshot};

use super::shared::Shared;
use crate::{
    contract::{Appended, LaneHead},
    error::{AppendError, StoreError},
};

/// Tells whoever waits what became of it, once the commit is known to have succeeded or failed.
pub(crate) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Who waits, and for what.
pub(crate) type Answer<T> = (oneshot::Sender<T>, T);

/// One commit, or one failure of it.
#[derive(Default)]
pub(crate) struct Committed {
    pub work: Vec<Work>,
    pub heads: Vec<LaneHead>,
    /// Endpoints for which more or less waits than before.
    pub waiting: Vec<u64>,
    pub appends: Vec<Answer<Result<Appended, AppendError>>>,
    pub settles: Vec<Answer<Result<(), StoreError>>>,
    pub admins: Vec<(Reply, Result<(), StoreError>)>,
}

/// Serves until the writer has ended and everything was told.
pub(crate) async fn acknowledge(mut commits: mpsc::UnboundedReceiver<Committed>, shared: Arc<Shared>) {
    while let Some(commit) = commits.recv().await {
        if !(commit.work.is_empty() && commit.heads.is_empty())
            && let Some(handoff) = shared.handoff()
        {
            if !commit.work.is_empty() {
                handoff.fresh(commit.work);
            }
            for head in commit.heads {
                handoff.stored(head);
            }
        }
        shared.tell_waiting(&commit.waiting);
        for (reply, result) in commit.appends {
            let _ = reply.send(result);
        }
        for (reply, result) in commit.settles {
            let _ = reply.send(result);
        }
        for (reply, result) in commit.admins {
            reply(result);
        }
    }
}
