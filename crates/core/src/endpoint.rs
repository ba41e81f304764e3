//! An endpoint: where a message goes, and everything about how.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    batch::BatchSettings,
    id::{AppId, EndpointId},
    order::OrderSettings,
    secret::SigningKey,
    time::{Timestamp, span::Span},
};

/// Where a message goes: a URL, its secrets, its filter and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The application it belongs to.
    pub app: AppId,
    /// The owner's own name for it, unique in the application.
    pub uid: Option<String>,
    /// Where its messages are posted. Judged by [`crate::address`] when saved and at each connection.
    pub url: String,
    /// For people.
    pub description: String,
    /// Why nothing is sent to it, when nothing is.
    pub disabled: Option<Disabled>,
    /// Deliveries wait in the store until it is resumed; messages still match it.
    pub paused: bool,
    /// Which event types it wants (see [`crate::event_type::filter_covers`]); `None` is all.
    pub event_types: Option<Vec<String>>,
    /// Which channels it listens on; `None` is all messages, those without a channel included.
    pub channels: Option<Vec<String>>,
    /// Messages per second at most; `None` is unlimited.
    pub throttle_rate: Option<u16>,
    /// The owner's notes.
    pub metadata: BTreeMap<String, String>,
    /// Headers added to every request.
    pub headers: BTreeMap<String, String>,
    /// Live signing keys, newest first: every one signs.
    pub keys: Vec<LiveKey>,
    /// The waits before each retry; `None` is the server's.
    pub retry_schedule: Option<Vec<Duration>>,
    /// How long one attempt may take, answer included; `None` is the server's.
    pub timeout: Option<Duration>,
    /// How many attempts may run at once; `None` is the server's.
    pub max_in_flight: Option<u16>,
    /// Which deliveries wait for each other.
    pub order: OrderSettings,
    /// Several messages in one request; `None` is one each.
    pub batch: Option<BatchSettings>,
    /// Requests carry HTTP message signatures (RFC 9421) and a content digest (RFC 9530) as well.
    pub http_signatures: bool,
    /// What is done with a message here: its kind, and that kind's settings.
    pub action: ActionSettings,
    /// Which messages come here, and what becomes of them on the way.
    pub workflow: Workflow,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// The keys that are live at `now`, newest first. The newest never expires.
    pub fn live_keys(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys
            .iter()
            .filter(move |key| key.expires_at.is_none_or(|at| now < at))
            .map(|key| &key.key)
    }

    /// Whether deliveries may be attempted now.
    pub fn accepts_attempts(&self) -> bool {
        self.disabled.is_none() && !self.paused
    }
}

/// The kind of an endpoint that posts signed messages to its URL.
pub const HTTP: &str = "http";

/// What an endpoint does with a message.
#[derive(Clone, PartialEq, Eq)]
pub struct ActionSettings {
    /// One of the kinds of action: [`HTTP`], `email`, `sql`…
    pub kind: Arc<str>,
    /// The kind's settings as a JSON object; `None` where it has none. May hold passwords: sealed at rest, never shown whole.
    pub settings: Option<Arc<str>>,
    /// The operator wrote it (in the hooks file): addresses that strangers may not name are allowed.
    pub trusted: bool,
    /// JSON pointers to the texts of the settings that must not be shown whatever they are: something in them came from outside
    /// of the hooks file.
    pub hidden: Arc<[String]>,
}

impl Default for ActionSettings {
    fn default() -> Self {
        Self {
            kind: HTTP.into(),
            settings: None,
            trusted: false,
            hidden: Arc::default(),
        }
    }
}

impl ActionSettings {
    /// Whether messages are posted, signed, to the endpoint's URL.
    pub fn is_http(&self) -> bool {
        &*self.kind == HTTP
    }
}

impl fmt::Debug for ActionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionSettings")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Which messages come to an endpoint, and what becomes of them on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workflow {
    /// An expression: only messages for which it holds come here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Arc<str>>,
    /// A template for JSON whose output is sent in the place of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<Arc<str>>,
    /// The transformation is kept, but not applied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transformation_off: bool,
    /// What the payload is written as.
    #[serde(default)]
    pub format: Format,
    /// At most one message of a kind in a span of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
}

/// What a payload is written as when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The bytes as they came.
    #[default]
    Json,
    /// An XML document.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A CloudEvent whose attributes are headers (binary mode).
    CloudeventsBinary,
    /// A CloudEvent as one JSON document (structured mode).
    CloudeventsStructured,
}

/// At most one message of a kind in a span of time: the others are cancelled, visibly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// A template that says what is of a kind; all messages are when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The span of time, counted from the last that was acted upon.
    pub every: Span,
}

/// Since when and why nothing is sent to an endpoint. Its pending deliveries are cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disabled {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: DisabledReason,
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Somebody asked for it.
    Requested,
    /// The receiver answered 410 Gone.
    Gone,
    /// Every attempt failed for as long as the server's `disable_after` says.
    Failing,
}

/// A signing key and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveKey {
    /// The key.
    pub key: SigningKey,
    /// `None` for the newest; older ones stop signing at the end of their grace period.
    pub expires_at: Option<Timestamp>,
}
