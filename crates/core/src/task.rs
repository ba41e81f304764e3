//! Background tasks: work that outlives a request, with progress that people can watch and stop.

use serde::{Deserialize, Serialize};

use crate::{
    id::{AppId, EndpointId, EnvironmentId, TaskId},
    time::Timestamp,
};

/// A piece of background work and how far it has come. Survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub environment: EnvironmentId,
    /// What it does.
    pub job: Job,
    /// Where it stands.
    pub status: TaskStatus,
    /// Things looked at so far.
    pub seen: u64,
    /// Things done so far (deliveries made due, rows removed…).
    pub done: u64,
    /// Where to go on after a restart: the number of the last id that was handled.
    pub cursor: u64,
    /// What went wrong, when something did.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last made progress.
    pub updated_at: Timestamp,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// At work, or waiting for its turn.
    Running,
    /// Everything is done.
    Finished,
    /// It could not go on; `error` says why.
    Failed,
    /// Somebody stopped it: what it had done stays done.
    Cancelled,
}

/// What a background task does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Job {
    /// Makes deliveries of one endpoint due again.
    Replay {
        /// The application.
        app: AppId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Which deliveries.
        which: ReplayWhich,
        /// Messages accepted from then on…
        since: Timestamp,
        /// …and before then.
        until: Timestamp,
    },
    /// Removes everything that belonged to a deleted application.
    EraseApp {
        /// The application.
        app: AppId,
    },
}

/// Which messages a replay takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "which")]
pub enum ReplayWhich {
    /// Those whose delivery failed or was cancelled (`recover`).
    Failed,
    /// Those that match the endpoint now and were never attempted there (`replay-missing`).
    Missing,
    /// Those that match these conditions, whatever became of them (`bulk-replay`).
    Matching {
        /// Of these event types (filter entries); `None` is all.
        event_types: Option<Vec<String>>,
        /// On this channel.
        channel: Option<String>,
        /// With this tag.
        tag: Option<String>,
        /// Whose delivery stands so.
        state: Option<ReplayState>,
        /// Whose last answer was of this class: 0 for none, 100 to 500.
        status_class: Option<u16>,
    },
}

/// A delivery's state as a replay's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Delivered.
    Succeeded,
    /// Waiting or under way.
    Pending,
    /// Given up.
    Failed,
    /// Cancelled.
    Cancelled,
}
