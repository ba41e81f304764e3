//! Batching: several messages in one request, when an endpoint asks for it.
//!
//! A batch is formed from deliveries that are due; it is one request with one answer, and each of its deliveries gets an
//! attempt of its own with that outcome. Retries are the deliveries': they may go in another batch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::span::Span;

/// How an endpoint takes several messages at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSettings {
    /// At most so many messages in one request, from 2 to [`MESSAGES_MAX`].
    pub messages_max: u16,
    /// A batch that is not full leaves when its oldest delivery has waited for so long, at most [`WAIT_MAX`].
    pub wait: Span,
    /// What the request looks like.
    pub format: BatchFormat,
}

/// The most messages in one batch.
pub const MESSAGES_MAX: u16 = 1_000;
/// The longest that a batch waits for company.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// A batch of more than one message has at most so many bytes of payload.
pub const BYTES_MAX: usize = 1 << 20;

/// What a batch looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFormat {
    /// A JSON array of objects with `id`, `type`, `timestamp` and `data` (the payload); `application/json`.
    #[default]
    Json,
    /// The JSON batch format of CloudEvents 1.0 (JSON Event Format, section 4); `application/cloudevents-batch+json`.
    Cloudevents,
}

impl BatchFormat {
    /// Every format, by its name in the API.
    pub const NAMES: &'static [(&'static str, Self)] = &[("json", Self::Json), ("cloudevents", Self::Cloudevents)];
}
