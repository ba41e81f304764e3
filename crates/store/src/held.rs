//! The stored form of a message that is held until its turn: a JSON document, and beside it what is looked up, and the payload.

use std::sync::Arc;

use bellwire_core::{
    id::{AppId, EndpointId},
    message::{NewMessage, Route},
    order::Line,
    source::Inbound,
    time::Timestamp,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;

#[derive(Serialize, Deserialize)]
struct Document {
    event_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordering_key: Option<String>,
    payload_expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliver_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inbound: Option<Inbound>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteDocument>,
}

#[derive(Serialize, Deserialize)]
struct RouteDocument {
    endpoint: EndpointId,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stored: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<LineDocument>,
}

#[derive(Serialize, Deserialize)]
struct LineDocument {
    key: Arc<str>,
    era: u32,
}

/// What stands in columns of its own.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Whose message it is.
    pub app: AppId,
    /// Its event id.
    pub event_id: Option<String>,
    /// Its payload.
    pub payload: Bytes,
}

/// The document of a message; an idempotency key is not kept.
///
/// # Errors
/// `Corrupt` when it cannot be written.
pub fn to_document(message: &NewMessage) -> Result<String, StoreError> {
    let document = Document {
        event_type: message.event_type.clone(),
        channels: message.channels.clone(),
        tags: message.tags.clone(),
        ordering_key: message.ordering_key.clone(),
        payload_expires_at: message.payload_expires_at,
        deliver_at: message.deliver_at,
        traceparent: message.traceparent.clone(),
        content_type: message.content_type.clone(),
        inbound: message.inbound.as_deref().cloned(),
        routes: message.routes.iter().map(route_to_document).collect(),
    };
    serde_json::to_string(&document)
        .map_err(|error| StoreError::Corrupt(format!("a held message cannot be written: {error}")))
}

fn route_to_document(route: &Route) -> RouteDocument {
    RouteDocument {
        endpoint: route.endpoint,
        stored: route.stored,
        line: route.line.as_ref().map(|line| LineDocument {
            key: Arc::clone(&line.key),
            era: line.era,
        }),
    }
}

/// Reads a message.
///
/// # Errors
/// `Corrupt`, with the reason, when the document cannot be read.
pub fn from_document(document: &str, beside: Beside) -> Result<NewMessage, StoreError> {
    let document: Document = serde_json::from_str(document)
        .map_err(|error| StoreError::Corrupt(format!("a held message cannot be read: {error}")))?;
    Ok(NewMessage {
        app: beside.app,
        event_type: document.event_type,
        event_id: beside.event_id,
        channels: document.channels,
        tags: document.tags,
        ordering_key: document.ordering_key,
        payload: beside.payload,
        payload_expires_at: document.payload_expires_at,
        deliver_at: document.deliver_at,
        traceparent: document.traceparent,
        content_type: document.content_type,
        inbound: document.inbound.map(Arc::new),
        routes: document.routes.into_iter().map(route_from_document).collect(),
        idempotency: None,
    })
}

fn route_from_document(route: RouteDocument) -> Route {
    Route {
        endpoint: route.endpoint,
        stored: route.stored,
        line: route.line.map(|line| Line {
            key: line.key,
            era: line.era,
        }),
    }
}
