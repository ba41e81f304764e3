//! What the owner of an environment is told: operational events as messages of the environment's operational application.
//!
//! `api` calls [`event`] when an endpoint is created, changed or deleted; the scheduler when a delivery keeps failing, is
//! given up or recovers, when an endpoint is disabled, and when an alert about an endpoint is raised or cleared. The result is appended like any message, so it is signed, retried
//! and shown like any message. Pure: it reads the directory and writes nothing.
//!
//! Deliberately silent about the operational application's own endpoints: an event about a failing delivery of an event would
//! feed itself.

use std::time::Duration;

use bellwire_core::{
    alert::Alert,
    app::AppKind,
    endpoint::Endpoint,
    id::{AttemptId, EnvironmentId, MessageId},
    message::NewMessage,
    time::Timestamp,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::directory::{Directory, Incoming};

/// How long the payload of an operational event is kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Something that an environment's owner wants to know.
#[derive(Debug, Clone, Copy)]
pub enum OperationalEvent<'a> {
    /// An endpoint was made.
    EndpointCreated(&'a Endpoint),
    /// An endpoint's settings changed.
    EndpointUpdated(&'a Endpoint),
    /// An endpoint was deleted.
    EndpointDeleted(&'a Endpoint),
    /// An endpoint was disabled because it only failed.
    EndpointDisabled {
        /// Which.
        endpoint: &'a Endpoint,
        /// When its unbroken row of failures began.
        fail_since: Timestamp,
    },
    /// A delivery keeps failing; it is still tried.
    AttemptFailing(LastAttempt<'a>),
    /// A delivery was given up.
    AttemptExhausted(LastAttempt<'a>),
    /// A delivery succeeded after its owner was told that it was failing.
    AttemptRecovered(LastAttempt<'a>),
    /// An endpoint needs a look, or no longer does.
    Alert {
        /// Which.
        endpoint: &'a Endpoint,
        /// What it is about.
        alert: Alert,
        /// Raised rather than cleared.
        raised: bool,
    },
}

/// The attempt that made a delivery worth telling about.
#[derive(Debug, Clone, Copy)]
pub struct LastAttempt<'a> {
    /// At which endpoint.
    pub endpoint: &'a Endpoint,
    /// Of which message.
    pub message: MessageId,
    /// The publisher's own id of the event.
    pub event_id: Option<&'a str>,
    /// Its id, when it is known already: the store gives it when it settles. Told as an empty text otherwise.
    pub id: Option<AttemptId>,
    /// The receiver's status code; 0 without an answer.
    pub status_code: u16,
    /// When it was begun.
    pub at: Timestamp,
}

impl<'a> OperationalEvent<'a> {
    /// Every name there is, for documentation and filters.
    pub const NAMES: &'static [&'static str] = &[
        "endpoint.created",
        "endpoint.deleted",
        "endpoint.disabled",
        "endpoint.failure_rate.high",
        "endpoint.queue.delayed",
        "endpoint.traffic.spike",
        "endpoint.updated",
        "message.attempt.exhausted",
        "message.attempt.failing",
        "message.attempt.recovered",
    ];

    /// The event type its message has.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EndpointCreated(_) => "endpoint.created",
            Self::EndpointUpdated(_) => "endpoint.updated",
            Self::EndpointDeleted(_) => "endpoint.deleted",
            Self::EndpointDisabled { .. } => "endpoint.disabled",
            Self::AttemptFailing(_) => "message.attempt.failing",
            Self::AttemptExhausted(_) => "message.attempt.exhausted",
            Self::AttemptRecovered(_) => "message.attempt.recovered",
            Self::Alert { alert, .. } => match alert {
                Alert::QueueDelayed { .. } => "endpoint.queue.delayed",
                Alert::FailureRateHigh { .. } => "endpoint.failure_rate.high",
                Alert::TrafficSpike { .. } => "endpoint.traffic.spike",
            },
        }
    }

    fn endpoint(&self) -> &'a Endpoint {
        match self {
            Self::EndpointCreated(endpoint)
            | Self::EndpointUpdated(endpoint)
            | Self::EndpointDeleted(endpoint)
            | Self::EndpointDisabled { endpoint, .. }
            | Self::Alert { endpoint, .. } => endpoint,
            Self::AttemptFailing(last) | Self::AttemptExhausted(last) | Self::AttemptRecovered(last) => last.endpoint,
        }
    }

    /// The member `data` of its payload.
    fn data(&self, app_uid: Option<&str>) -> Value {
        let endpoint = self.endpoint();
        let mut data = json!({ "appId": endpoint.app, "endpointId": endpoint.id });
        let mut put = |name: &str, value: Value| data[name] = value;
        if let Some(uid) = app_uid {
            put("appUid", uid.into());
        }
        if let Some(uid) = &endpoint.uid {
            put("endpointUid", uid.as_str().into());
        }
        match self {
            Self::EndpointCreated(_) | Self::EndpointUpdated(_) | Self::EndpointDeleted(_) => {}
            Self::EndpointDisabled { fail_since, .. } => put("failSince", fail_since.to_string().into()),
            Self::Alert { alert, raised, .. } => {
                put("state", if *raised { "raised" } else { "cleared" }.into());
                match alert {
                    Alert::QueueDelayed { age } => put("oldestDueSeconds", age.as_secs().into()),
                    Alert::FailureRateHigh { attempts, failed } => {
                        put("attempts", (*attempts).into());
                        put("failed", (*failed).into());
                    }
                    Alert::TrafficSpike { messages, average } => {
                        put("messagesPerMinute", (*messages).into());
                        put("averagePerMinute", ((average * 10.0).round() / 10.0).into());
                    }
                }
            }
            Self::AttemptFailing(last) | Self::AttemptExhausted(last) | Self::AttemptRecovered(last) => {
                put("msgId", last.message.to_string().into());
                if let Some(event_id) = last.event_id {
                    put("msgEventId", event_id.into());
                }
                let id = last.id.map(|id| id.to_string()).unwrap_or_default();
                put(
                    "lastAttempt",
                    json!({ "id": id, "responseStatusCode": last.status_code, "timestamp": last.at }),
                );
            }
        }
        data
    }
}

/// The message that tells the environment's owner, ready to be appended; `None` when nobody listens, or when the event is
/// about the operational application itself.
pub fn event(directory: &Directory, environment: EnvironmentId, event: OperationalEvent<'_>) -> Option<NewMessage> {
    let teller = directory.operational_app(environment)?;
    let about = directory.app_by_id(event.endpoint().app)?;
    if about.kind == AppKind::Operational {
        return None;
    }
    if !directory.listens(teller.id, event.name(), &[]) {
        return None;
    }
    let payload = json!({ "type": event.name(), "data": event.data(about.uid.as_deref()) }).to_string();
    let routes = directory.routes(
        teller.id,
        &Incoming {
            event_type: event.name(),
            channels: &[],
            ordering_key: None,
            payload: payload.as_bytes(),
            inbound: None,
        },
    );
    if routes.is_empty() {
        return None;
    }
    Some(NewMessage {
        app: teller.id,
        event_type: event.name().to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Bytes::from(payload),
        payload_expires_at: directory.now().plus(KEPT),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        routes,
        idempotency: None,
    })
}
