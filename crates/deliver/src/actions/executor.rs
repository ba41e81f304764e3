//! What a kind of action is to the deliverer: an executor, the task it is given, and the effect it tells of.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bellwire_action::{Event, PlanError, Problem};
use bellwire_core::{attempt::Failure, endpoint::Endpoint, message::Message, time::Timestamp};
use bellwire_store::directory::EndpointEntry;
use bytes::Bytes;
use serde_json::Value;

use super::{
    client::{Missed, Stages},
    dispatch::ActionParts,
};

/// Makes the executor of an endpoint from its settings.
pub(super) type Make = fn(&Arc<ActionParts>, &Endpoint, &Value) -> Result<Arc<dyn Executor>, Failure>;

/// Carries out the actions of one endpoint. Made from its settings, kept while they stay, dropped with all it holds
/// (connections, pools) when they change.
#[async_trait]
pub(super) trait Executor: Send + Sync + 'static {
    /// Does it once. Dropped where it stands when its time is over ([`Self::timeout`]) or the server stops.
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone>;

    /// How long it may take, where the endpoint may take so long.
    fn timeout(&self, endpoint: Duration) -> Duration {
        endpoint
    }

    /// How long it may take after that to end tidily, with a failure of its own.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    /// Lets go of what was not used for so long. Called now and then.
    fn sweep(&self, _unused: Duration) {}
}

/// One action that is to be done.
pub(super) struct Task<'a> {
    /// The message as plans see it.
    pub event: Event<'a>,
    /// The endpoint as it stands now.
    pub endpoint: &'a Arc<EndpointEntry>,
    /// The message as it was accepted; the first of a batch.
    pub message: &'a Arc<Message>,
    /// The payload that is sent: that of `event`, to be shared.
    pub body: &'a Bytes,
    /// When the attempt begins.
    pub started_at: Timestamp,
    /// The same, to measure by.
    pub begun: Instant,
    /// How long it may take.
    pub timeout: Duration,
    /// How far it has come, for what is said when its time is over.
    pub stages: Stages,
    /// See [`Task::begin`].
    pub may_begin: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Task<'_> {
    /// Asked right before the effect.
    ///
    /// # Errors
    /// The endpoint was disabled, paused or deleted meanwhile: nothing is done.
    pub fn begin(&self) -> Result<(), Undone> {
        if (self.may_begin)() {
            Ok(())
        } else {
            Err(Undone::Withheld)
        }
    }
}

/// What was done, or tried and answered.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Why it is no success, if it is none.
    pub failure: Option<Failure>,
    /// What is kept of the answer or the output.
    pub response: Bytes,
    /// The answer's status code, where the action speaks HTTP.
    pub status_code: u16,
    /// The answer's headers, where it has some.
    pub response_headers: Vec<(String, String)>,
    /// How long we were asked to wait.
    pub retry_after: Option<Duration>,
    /// The signing headers that were sent, as [`bellwire_core::sign::keep`] writes them.
    pub signature: String,
    /// Where it was done, when that is not the endpoint's URL. Without what is secret.
    pub url: Option<String>,
}

impl Effect {
    /// No effect, and why.
    pub fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// A success, with what is worth keeping of it.
    pub fn done(response: impl Into<Bytes>) -> Self {
        Self {
            response: response.into(),
            ..Self::default()
        }
    }
}

/// Why there is no effect, as far as anybody knows.
#[derive(Debug)]
pub(super) enum Undone {
    /// It was not allowed to begin.
    Withheld,
    /// It failed before there was an answer.
    Failed(Failure),
    /// The settings make nothing of this message, and nothing was done.
    Unplanned(PlanError),
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Missed> for Undone {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Withheld => Self::Withheld,
            Missed::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<PlanError> for Undone {
    fn from(error: PlanError) -> Self {
        Self::Unplanned(error)
    }
}

/// The failure of settings that make nothing of a message. An error quotes the setting, so of one that holds what a reference was
/// replaced by (`hidden`, JSON pointers) nothing is said but its name.
pub(super) fn unplanned(error: &PlanError, hidden: &[String]) -> Failure {
    let setting = error.setting.split('.').next().unwrap_or_default();
    let is_hidden = hidden.iter().any(|pointer| pointer.split('/').nth(1) == Some(setting));
    Failure {
        reason: "template_failed",
        detail: match is_hidden {
            true => format!(
                "nothing was done: `{}` cannot be made of this message; why is not shown, because what a `${{…}}` was replaced by \
                 stands in it. `bellwire hooks test` with the message's payload says why",
                error.setting
            ),
            false => format!("nothing was done: {error}"),
        },
    }
}

/// Settings that cannot be used: the API and the hooks file refuse them, so a later version of the program wrote them, or an
/// earlier one.
pub(super) fn unusable(problem: &Problem) -> Failure {
    Failure {
        reason: "settings_invalid",
        detail: format!("the endpoint's action cannot be used: {problem}"),
    }
}
