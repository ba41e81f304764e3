//! What columns hold: numbers for ids and states, packed endpoints, lists as JSON.

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    message::Message,
};

/// The columns of a message, in the order in which backends read them.
pub(crate) const MESSAGE_COLUMNS: &str = "id, app, event_type, event_id, channels, tags, payload_expires_at, deliver_at, \
     traceparent, content_type, created_at, endpoints, ordering_key, inbound";

/// The columns of an attempt, in the order in which backends read them.
pub(crate) const ATTEMPT_COLUMNS: &str = "msg, id, endpoint, app, started_at, duration_us, status, failure, trigger, number, \
     last, url, signature, response, response_headers";

/// An id's number as a key.
pub(crate) fn key(number: u64) -> i64 {
    number as i64
}

/// A key as an id's number.
pub(crate) fn number(key: i64) -> u64 {
    key as u64
}

/// A sender's number as a key: keys are in the order of the numbers.
pub(crate) fn place(number: u64) -> i64 {
    (number ^ (1 << 63)) as i64
}

/// A sender's number again.
pub(crate) fn placed(key: i64) -> u64 {
    key as u64 ^ (1 << 63)
}

/// A list as JSON, or nothing.
pub(crate) fn list(values: &[String]) -> Option<String> {
    if values.is_empty() {
        None
    } else {
        serde_json::to_string(values).ok()
    }
}

/// Endpoint numbers as bytes, eight each.
pub(crate) fn pack_endpoints(endpoints: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(endpoints.len() * 8);
    for endpoint in endpoints {
        bytes.extend_from_slice(&endpoint.to_be_bytes());
    }
    bytes
}

/// The endpoint numbers in a message's bytes, ascending.
pub(crate) fn endpoints_in(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk))
}

/// A message as it was read: without payload, with the endpoints it was routed to.
#[derive(Debug)]
pub(crate) struct Stored {
    pub message: Message,
    pub endpoints: Vec<u8>,
}

impl Stored {
    /// Whether it was routed there.
    pub fn goes_to(&self, endpoint: u64) -> bool {
        endpoints_in(&self.endpoints).any(|routed| routed == endpoint)
    }
}

/// What started a run, as a number.
pub(crate) fn trigger_code(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Scheduled => 0,
        Trigger::Manual => 1,
    }
}

/// What started a run, by its number.
pub(crate) fn trigger(code: i64) -> Trigger {
    if code == 1 { Trigger::Manual } else { Trigger::Scheduled }
}

pub(crate) const PENDING: i64 = 0;
pub(crate) const SUCCEEDED: i64 = 1;
pub(crate) const FAILED: i64 = 2;
pub(crate) const CANCELLED: i64 = 3;

/// A delivery's state by its number.
pub(crate) fn state(code: i64) -> DeliveryState {
    match code {
        SUCCEEDED => DeliveryState::Succeeded,
        FAILED => DeliveryState::Failed,
        CANCELLED => DeliveryState::Cancelled,
        _ => DeliveryState::Pending,
    }
}
