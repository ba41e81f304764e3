//! A message: one accepted event, immutable, durable before it is acknowledged.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    id::{AppId, EndpointId, MessageId},
    order::Line,
    source::Inbound,
    time::Timestamp,
};

/// An accepted event.
///
/// The payload is exactly the bytes of the publisher's JSON value. Once expired or expunged it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id: never changes over attempts and replays, so that a consumer recognises duplicates by it.
    pub id: MessageId,
    /// Who published it.
    pub app: AppId,
    /// What kind of event it is.
    pub event_type: String,
    /// The publisher's own id of the event, unique in the application.
    pub event_id: Option<String>,
    /// Only endpoints that listen on one of these, or on no particular channel, get it. Sorted, without duplicates.
    pub channels: Vec<String>,
    /// Marks to search by.
    pub tags: Vec<String>,
    /// What it is in order with, at endpoints that order by key (see [`crate::order`]).
    pub ordering_key: Option<String>,
    /// The event itself; `None` when it has expired or was expunged.
    pub payload: Option<Bytes>,
    /// When the payload is forgotten.
    pub payload_expires_at: Timestamp,
    /// Not delivered before then.
    pub deliver_at: Option<Timestamp>,
    /// The publisher's W3C `traceparent`, continued on each attempt.
    pub traceparent: Option<String>,
    /// What the payload is sent as; `None` is `application/json`.
    pub content_type: Option<String>,
    /// How it came in, when a source brought it.
    pub inbound: Option<Arc<Inbound>>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A message about to be accepted, with the endpoints it goes to. The store gives it its id and time.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Who publishes it.
    pub app: AppId,
    /// What kind of event it is.
    pub event_type: String,
    /// The publisher's own id, unique in the application.
    pub event_id: Option<String>,
    /// Channels, sorted, without duplicates.
    pub channels: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// The publisher's ordering key.
    pub ordering_key: Option<String>,
    /// The publisher's JSON value, byte for byte.
    pub payload: Bytes,
    /// When the payload is to be forgotten.
    pub payload_expires_at: Timestamp,
    /// Not to be delivered before then.
    pub deliver_at: Option<Timestamp>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// What the payload is sent as; `None` is `application/json`.
    pub content_type: Option<String>,
    /// How it came in, when a source brought it.
    pub inbound: Option<Arc<Inbound>>,
    /// The matching endpoints, found by [`crate::route`].
    pub routes: Vec<Route>,
    /// Makes the publication happen once, however often it is asked for.
    pub idempotency: Option<IdempotencyKey>,
}

/// One endpoint that a new message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Which.
    pub endpoint: EndpointId,
    /// Its lane is full (or held): the delivery waits in the store instead of being handed over in memory.
    pub stored: bool,
    /// The line it joins at an endpoint that keeps order.
    pub line: Option<Line>,
}

/// A client's promise that two requests are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Hash over environment, path and the client's key.
    pub key: [u8; 32],
    /// Hash over the request body: the same key with another body is a mistake.
    pub body: [u8; 32],
}
