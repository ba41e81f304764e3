//! Reading messages.

use std::ops::ControlFlow;

use bellwire_core::{
    id::{AppId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};

pub(super) use super::super::common::fit::{accepted, fits, fits_but_for_time};
use super::{
    fault::Fault,
    paging::{Span, Walk},
    partition::{Days, Kind, day_of, render},
    row::{self, MESSAGE_COLUMNS, Stored, key},
};
use crate::query::{MessageFilter, Page, Rows};

/// One message by its id, without payload.
pub(super) fn stored(connection: &Connection, days: &Days, id: u64) -> Result<Option<Stored>, Fault> {
    let day = day_of(id);
    if !days.has(Kind::Message, day) {
        return Ok(None);
    }
    let sql = format!("SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE id = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([key(id)], row::message)
        .optional()?)
}

/// A message's payload, unless it expired or was expunged.
pub(super) fn payload(
    connection: &Connection,
    days: &Days,
    message: &Message,
    now: Timestamp,
) -> Result<Option<Bytes>, Fault> {
    let day = message.payload_expires_at.day();
    if message.payload_expires_at <= now || !days.has(Kind::Payload, day) {
        return Ok(None);
    }
    let sql = render("SELECT body FROM payload_{d} WHERE id = ?1", day);
    let body: Option<Vec<u8>> = connection
        .prepare_cached(&sql)?
        .query_row([key(message.id.number())], |row| row.get(0))
        .optional()?;
    Ok(body.map(Bytes::from))
}

/// One message of the application.
pub(super) fn message(
    connection: &Connection,
    app: AppId,
    id: MessageId,
    with_payload: bool,
    now: Timestamp,
) -> Result<Option<Message>, Fault> {
    let days = Days::read(connection)?;
    let Some(found) = stored(connection, &days, id.number())?.filter(|found| found.message.app == app) else {
        return Ok(None);
    };
    let mut message = found.message;
    if with_payload {
        message.payload = payload(connection, &days, &message, now)?;
    }
    Ok(Some(message))
}

/// Messages of the application that fit.
pub(super) fn messages(
    connection: &Connection,
    app: AppId,
    filter: &MessageFilter,
    page: Page,
    with_payload: bool,
    now: Timestamp,
) -> Result<Rows<Message>, Fault> {
    let days = Days::read(connection)?;
    let mut walk = Walk::new(page);
    let span = walk.span().and(accepted(filter));
    each_of_app(connection, &days, app, span, walk.ascending(), |found| {
        if !fits(filter, &found.message) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut message = found.message;
        if with_payload && walk.has_room() {
            message.payload = payload(connection, &days, &message, now)?;
        }
        Ok(walk.push(message))
    })?;
    Ok(walk.into_rows())
}

/// The statement that walks an application's messages of one day.
pub(super) fn of_app_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE app = ?1 AND id >= ?2 AND id < ?3 ORDER BY id {direction}"
    )
}

/// Walks an application's messages within a span of ids, until told to stop.
pub(super) fn each_of_app(
    connection: &Connection,
    days: &Days,
    app: AppId,
    span: Span,
    ascending: bool,
    mut visit: impl FnMut(Stored) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    for day in span.days(days, Kind::Message, ascending) {
        let mut statement = connection.prepare_cached(&of_app_sql(day, ascending))?;
        let mut rows = statement.query((key(app.number()), span.first_key(), span.end_key()))?;
        while let Some(row) = rows.next()? {
            if visit(row::message(row)?)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
