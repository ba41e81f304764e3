//! An attempt: what happened when a delivery was tried, kept and shown.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    delivery::Trigger,
    id::{AppId, AttemptId, EndpointId, MessageId},
    time::Timestamp,
};

/// How an attempt ended. Only an answer of 2xx is a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When it was begun.
    pub started_at: Timestamp,
    /// How long it took, answer included.
    pub duration: Duration,
    /// The URL that was called.
    pub url: String,
    /// The receiver's status code; 0 when there was no answer.
    pub status_code: u16,
    /// `None` when it succeeded.
    pub failure: Option<Failure>,
    /// The beginning of the answer's body.
    pub response: Bytes,
    /// The answer's headers, the first 32 of them.
    pub response_headers: Vec<(String, String)>,
    /// The signing headers that were sent, as [`crate::sign::keep`] writes them.
    pub signature: String,
    /// How long the receiver asked us to wait, counted from the end of the attempt.
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// When the attempt was over.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.plus(self.duration)
    }
}

/// Why an attempt failed: a stable name (metrics, filters, the errors' pages) and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, lower case with underscores: `connection_refused`, `timeout_headers`, `status_500`…
    pub reason: &'static str,
    /// What happened, with the values.
    pub detail: String,
}

/// Failures after which a delivery is given up at once: the same message would fail in the same way until a person changes
/// something, who then recovers it. They lie in the message or in settings, and say nothing about how the endpoint is doing.
pub const FINAL: &[&str] = &[
    "command_too_long",
    "exit_given_up",
    "kind_refused",
    "publish_refused",
    "settings_invalid",
    "smtp_permanent",
    "template_failed",
];

/// The receiver said that nothing is to be sent there any more.
pub const GONE: &str = "status_gone";

impl Failure {
    /// Whether another try would end in the same way ([`FINAL`]).
    pub fn is_final(&self) -> bool {
        FINAL.contains(&self.reason)
    }
}

/// A finished attempt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id, which says when it was begun.
    pub id: AttemptId,
    /// Whose.
    pub app: AppId,
    /// Of which message.
    pub message: MessageId,
    /// At which endpoint.
    pub endpoint: EndpointId,
    /// What made it due.
    pub trigger: Trigger,
    /// Which try of its run it was, from 1.
    pub number: u16,
    /// How it ended.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The URL that was called.
    pub url: String,
    /// The receiver's status code; 0 when there was no answer.
    pub status_code: u16,
    /// The stable name of the failure; `None` when it succeeded.
    pub failure: Option<String>,
    /// The beginning of the answer, or what went wrong in words; empty once expunged.
    pub response: Bytes,
    /// The answer's headers, the first 32 of them.
    pub response_headers: Vec<(String, String)>,
    /// The signing headers that were sent, as [`crate::sign::keep`] writes them.
    pub signature: String,
    /// Whether this was the last attempt of its run.
    pub last: bool,
}
