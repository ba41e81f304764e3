//! Between values of the house and columns.

use std::time::Duration;

use bellwire_core::{
    attempt::Attempt,
    delivery::{DeliveryState, Progress, Trigger},
    id::{AppId, AttemptId, EndpointId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use bytes::Bytes;
use rusqlite::{Row, types::Type};

/// The columns that [`message`] reads, in its order.
pub(super) const MESSAGE_COLUMNS: &str = "id, app, event_type, event_id, channels, tags, payload_expires_at, deliver_at, \
     traceparent, content_type, created_at, endpoints, ordering_key, inbound";

/// The columns that [`attempt`] reads, in its order.
pub(super) const ATTEMPT_COLUMNS: &str = "msg, id, endpoint, app, started_at, duration_us, status, failure, trigger, number, \
     last, url, signature, response, response_headers";

/// An id's number as a key.
pub(super) fn key(number: u64) -> i64 {
    number as i64
}

/// A key as an id's number.
pub(super) fn number(key: i64) -> u64 {
    key as u64
}

/// A sender's number as a key: keys are in the order of the numbers.
pub(super) fn place(number: u64) -> i64 {
    (number ^ (1 << 63)) as i64
}

/// A sender's number again.
pub(super) fn placed(key: i64) -> u64 {
    key as u64 ^ (1 << 63)
}

/// A list as JSON, or nothing.
pub(super) fn list(values: &[String]) -> Option<String> {
    if values.is_empty() {
        None
    } else {
        serde_json::to_string(values).ok()
    }
}

fn read_list(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<String>> {
    match row
        .get_ref(at)?
        .as_str_or_null()
        .map_err(|error| unreadable(at, error))?
    {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| unreadable(at, error)),
    }
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(at)?;
    let text = text.as_str_or_null().map_err(|error| unreadable(at, error))?;
    text.map(|text| serde_json::from_str(text).map_err(|error| unreadable(at, error)))
        .transpose()
}

fn unreadable(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
}

/// Endpoint numbers as bytes, eight each.
pub(super) fn pack_endpoints(endpoints: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(endpoints.len() * 8);
    for endpoint in endpoints {
        bytes.extend_from_slice(&endpoint.to_be_bytes());
    }
    bytes
}

/// The endpoint numbers in a message's bytes, ascending.
pub(super) fn endpoints_in(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk))
}

/// A message as it was read: without payload, with the endpoints it was routed to.
#[derive(Debug)]
pub(super) struct Stored {
    pub message: Message,
    pub endpoints: Vec<u8>,
}

impl Stored {
    /// Whether it was routed there.
    pub fn goes_to(&self, endpoint: u64) -> bool {
        endpoints_in(&self.endpoints).any(|routed| routed == endpoint)
    }
}

/// Reads [`MESSAGE_COLUMNS`].
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let message = Message {
        id: MessageId::from_number(number(row.get(0)?)),
        app: AppId::from_number(number(row.get(1)?)),
        event_type: row.get(2)?,
        event_id: row.get(3)?,
        channels: read_list(row, 4)?,
        tags: read_list(row, 5)?,
        ordering_key: row.get(12)?,
        payload: None,
        payload_expires_at: Timestamp::from_micros(row.get(6)?),
        deliver_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
        traceparent: row.get(8)?,
        content_type: row.get(9)?,
        inbound: read_json(row, 13)?,
        created_at: Timestamp::from_micros(row.get(10)?),
    };
    Ok(Stored {
        message,
        endpoints: row.get(11)?,
    })
}

/// Reads [`ATTEMPT_COLUMNS`].
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let headers: Option<String> = row.get(14)?;
    Ok(Attempt {
        message: MessageId::from_number(number(row.get(0)?)),
        id: AttemptId::from_number(number(row.get(1)?)),
        endpoint: EndpointId::from_number(number(row.get(2)?)),
        app: AppId::from_number(number(row.get(3)?)),
        at: Timestamp::from_micros(row.get(4)?),
        duration: Duration::from_micros(row.get::<_, i64>(5)?.unsigned_abs()),
        status_code: row.get(6)?,
        failure: row.get(7)?,
        trigger: trigger(row.get(8)?),
        number: row.get(9)?,
        last: row.get(10)?,
        url: row.get(11)?,
        signature: row.get(12)?,
        response: Bytes::from(row.get::<_, Option<Vec<u8>>>(13)?.unwrap_or_default()),
        response_headers: match headers {
            None => Vec::new(),
            Some(text) => serde_json::from_str(&text).map_err(|error| unreadable(14, error))?,
        },
    })
}

/// What started a run, as a number.
pub(super) fn trigger_code(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Scheduled => 0,
        Trigger::Manual => 1,
    }
}

fn trigger(code: i64) -> Trigger {
    if code == 1 { Trigger::Manual } else { Trigger::Scheduled }
}

pub(super) const PENDING: i64 = 0;
pub(super) const SUCCEEDED: i64 = 1;
pub(super) const FAILED: i64 = 2;
pub(super) const CANCELLED: i64 = 3;

/// A delivery's state by its number.
pub(super) fn state(code: i64) -> DeliveryState {
    match code {
        SUCCEEDED => DeliveryState::Succeeded,
        FAILED => DeliveryState::Failed,
        CANCELLED => DeliveryState::Cancelled,
        _ => DeliveryState::Pending,
    }
}

/// Reads run, tries and trigger from three columns.
pub(super) fn progress(row: &Row<'_>, first: usize) -> rusqlite::Result<Progress> {
    Ok(Progress {
        run: row.get(first)?,
        tries: row.get(first + 1)?,
        trigger: trigger(row.get(first + 2)?),
    })
}
