//! Between values of the house and columns.

use std::time::Duration;

use bellwire_core::{
    attempt::Attempt,
    delivery::Progress,
    id::{AppId, AttemptId, EndpointId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::{
    argument::plain,
    columns::{Stored, number, trigger},
    fault::Fault,
};
use crate::error::StoreError;

/// Reads JSON.
pub(super) fn json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what} cannot be read: {error}")).into())
}

fn list(row: &Row, at: usize) -> Result<Vec<String>, Fault> {
    let text: Option<&str> = row.get(at);
    text.map_or_else(|| Ok(Vec::new()), |text| json("a list", text))
}

fn time(row: &Row, at: usize) -> Option<Timestamp> {
    row.get::<_, Option<i64>>(at).map(Timestamp::from_micros)
}

fn maybe_text(row: &Row, at: usize) -> Option<String> {
    row.get::<_, Option<String>>(at).map(plain)
}

/// Reads [`super::columns::MESSAGE_COLUMNS`], from a column on.
pub(super) fn message(row: &Row, at: usize) -> Result<Stored, Fault> {
    let inbound: Option<&str> = row.get(at + 13);
    let message = Message {
        id: MessageId::from_number(number(row.get(at))),
        app: AppId::from_number(number(row.get(at + 1))),
        event_type: plain(row.get(at + 2)),
        event_id: maybe_text(row, at + 3),
        channels: list(row, at + 4)?,
        tags: list(row, at + 5)?,
        ordering_key: maybe_text(row, at + 12),
        payload: None,
        payload_expires_at: Timestamp::from_micros(row.get(at + 6)),
        deliver_at: time(row, at + 7),
        traceparent: maybe_text(row, at + 8),
        content_type: maybe_text(row, at + 9),
        inbound: inbound.map(|text| json("how a message came in", text)).transpose()?,
        created_at: Timestamp::from_micros(row.get(at + 10)),
    };
    Ok(Stored {
        message,
        endpoints: row.get(at + 11),
    })
}

/// Reads [`super::columns::ATTEMPT_COLUMNS`].
pub(super) fn attempt(row: &Row) -> Result<Attempt, Fault> {
    let headers: Option<&str> = row.get(14);
    Ok(Attempt {
        message: MessageId::from_number(number(row.get(0))),
        id: AttemptId::from_number(number(row.get(1))),
        endpoint: EndpointId::from_number(number(row.get(2))),
        app: AppId::from_number(number(row.get(3))),
        at: Timestamp::from_micros(row.get(4)),
        duration: Duration::from_micros(row.get::<_, i64>(5).unsigned_abs()),
        status_code: row.get::<_, i16>(6) as u16,
        failure: maybe_text(row, 7),
        trigger: trigger(i64::from(row.get::<_, i16>(8))),
        number: row.get::<_, i16>(9) as u16,
        last: row.get(10),
        url: plain(row.get(11)),
        signature: plain(row.get(12)),
        response: Bytes::from(row.get::<_, Option<Vec<u8>>>(13).unwrap_or_default()),
        response_headers: headers.map_or_else(|| Ok(Vec::new()), |text| json("an answer's headers", text))?,
    })
}

/// Reads run, tries and trigger from three columns.
pub(super) fn progress(row: &Row, first: usize) -> Progress {
    Progress {
        run: row.get::<_, i32>(first) as u32,
        tries: row.get::<_, i16>(first + 1) as u16,
        trigger: trigger(i64::from(row.get::<_, i16>(first + 2))),
    }
}
