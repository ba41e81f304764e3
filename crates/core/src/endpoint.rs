//! An endpoint: where a message goes, and everything about how.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    batch::BatchSettings,
    id::{AppId, EndpointId},
    order::OrderSettings,
    secret::SigningKey,
    time::Timestamp,
};

/// Where a message goes: a URL, its secrets, its filter and its limits.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct LiveKey {
    /// The key.
    pub key: SigningKey,
    /// `None` for the newest; older ones stop signing at the end of their grace period.
    pub expires_at: Option<Timestamp>,
}
