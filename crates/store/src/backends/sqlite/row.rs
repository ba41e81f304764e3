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
use rusqlite::{Row, types::Type};

use super::super::common::columns::trigger;
pub(super) use super::super::common::columns::{
    ATTEMPT_COLUMNS, CANCELLED, FAILED, MESSAGE_COLUMNS, PENDING, SUCCEEDED, Stored, endpoints_in, key, list, number,
    pack_endpoints, place, placed, state, trigger_code,
};

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

/// Reads run, tries and trigger from three columns.
pub(super) fn progress(row: &Row<'_>, first: usize) -> rusqlite::Result<Progress> {
    Ok(Progress {
        run: row.get(first)?,
        tries: row.get(first + 1)?,
        trigger: trigger(row.get(first + 2)?),
    })
}
