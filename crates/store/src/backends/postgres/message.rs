//! Reading messages.

use std::collections::{BTreeMap, HashMap};

use bellwire_core::{
    id::{AppId, Id, MessageId},
    message::Message,
    time::Timestamp,
};
use bytes::Bytes;

use super::{
    argument::args,
    columns::{MESSAGE_COLUMNS, Stored, key, number},
    connection::Connection,
    days::{Days, Kind, day_of},
    fault::Fault,
    fit::{accepted, fits},
    paging::{Span, Walk},
    partition, row,
};
use crate::query::{MessageFilter, Page, Rows};

/// Rows that a walk reads at once, at first; then more and more.
const STEP: i64 = 128;
/// The most it reads at once.
const STEP_MAX: i64 = 4_096;

/// One message by its id, without payload.
pub(super) async fn stored(connection: &Connection, days: &Days, id: u64) -> Result<Option<Stored>, Fault> {
    Ok(stored_all(connection, days, [id]).await?.remove(&id))
}

/// Messages by their ids, those that are there, without payloads.
pub(super) async fn stored_all(
    connection: &Connection,
    days: &Days,
    ids: impl IntoIterator<Item = u64>,
) -> Result<HashMap<u64, Stored>, Fault> {
    let mut wanted: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for id in ids {
        let day = day_of(id);
        if days.has(Kind::Message, day) {
            wanted.entry(day).or_default().push(key(id));
        }
    }
    let mut found = HashMap::new();
    for (day, ids) in wanted {
        let sql = format!("SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE id = ANY ($1)");
        for row in connection.rows(&sql, args![ids]).await? {
            let stored = row::message(&row, 0)?;
            found.insert(stored.message.id.number(), stored);
        }
    }
    Ok(found)
}

/// The payloads of messages, unless they expired or were expunged.
pub(super) async fn payloads<'m>(
    connection: &Connection,
    days: &Days,
    messages: impl IntoIterator<Item = &'m Message>,
    now: Timestamp,
) -> Result<HashMap<u64, Bytes>, Fault> {
    let mut wanted: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for message in messages {
        let day = message.payload_expires_at.day();
        if message.payload_expires_at > now && days.has(Kind::Payload, day) {
            wanted.entry(day).or_default().push(key(message.id.number()));
        }
    }
    let mut found = HashMap::new();
    for (day, ids) in wanted {
        let sql = format!("SELECT id, body FROM payload_{day} WHERE id = ANY ($1)");
        for row in connection.rows(&sql, args![ids]).await? {
            let body: Vec<u8> = row.get(1);
            found.insert(number(row.get(0)), Bytes::from(body));
        }
    }
    Ok(found)
}

/// Gives messages their payloads.
pub(super) async fn with_payloads<'m>(
    connection: &Connection,
    days: &Days,
    messages: impl Iterator<Item = &'m mut Message>,
    now: Timestamp,
) -> Result<(), Fault> {
    let messages: Vec<&mut Message> = messages.collect();
    let mut bodies = payloads(connection, days, messages.iter().map(|message| &**message), now).await?;
    for message in messages {
        message.payload = bodies.remove(&message.id.number());
    }
    Ok(())
}

/// One message of the application.
pub(super) async fn message(
    connection: &Connection,
    app: AppId,
    id: MessageId,
    with_payload: bool,
    now: Timestamp,
) -> Result<Option<Message>, Fault> {
    let days = partition::read(connection).await?;
    let found = stored(connection, &days, id.number()).await?;
    let Some(found) = found.filter(|found| found.message.app == app) else {
        return Ok(None);
    };
    let mut message = found.message;
    if with_payload {
        with_payloads(connection, &days, std::iter::once(&mut message), now).await?;
    }
    Ok(Some(message))
}

/// Messages of the application that fit.
pub(super) async fn messages(
    connection: &Connection,
    app: AppId,
    filter: &MessageFilter,
    page: Page,
    with_payload: bool,
    now: Timestamp,
) -> Result<Rows<Message>, Fault> {
    let days = partition::read(connection).await?;
    let mut walk = Walk::new(page);
    let span = walk.span().and(accepted(filter));
    let mut steps = Steps::of_app(&days, app, span, walk.ascending());
    'walk: while let Some(found) = steps.next(connection).await? {
        for found in found {
            if fits(filter, &found.message) && walk.push(found.message).is_break() {
                break 'walk;
            }
        }
    }
    let mut rows = walk.into_rows();
    if with_payload {
        with_payloads(connection, &days, rows.items.iter_mut(), now).await?;
    }
    Ok(rows)
}

/// The statement that walks an application's messages of one day.
pub(super) fn of_app_sql(day: i64, ascending: bool) -> String {
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message_{day} WHERE app = $1 AND id >= $2 AND id < $3 ORDER BY id {direction} LIMIT $4"
    )
}

/// Walks an application's messages within a span of ids, some at a time, over days.
pub(super) struct Steps {
    app: AppId,
    days: std::vec::IntoIter<i64>,
    day: Option<i64>,
    whole: Span,
    left: Span,
    ascending: bool,
    step: i64,
}

impl Steps {
    pub fn of_app(days: &Days, app: AppId, span: Span, ascending: bool) -> Self {
        let mut days = span.days(days, Kind::Message, ascending).into_iter();
        Self {
            app,
            day: days.next(),
            days,
            whole: span,
            left: span,
            ascending,
            step: STEP,
        }
    }

    /// The next messages; `None` when there are no more.
    pub async fn next(&mut self, connection: &Connection) -> Result<Option<Vec<Stored>>, Fault> {
        let Some(day) = self.day else { return Ok(None) };
        let sql = of_app_sql(day, self.ascending);
        let args = args![
            key(self.app.number()),
            self.left.first_key(),
            self.left.end_key(),
            self.step
        ];
        let rows = connection.rows(&sql, args).await?;
        let found: Vec<Stored> = rows.iter().map(|row| row::message(row, 0)).collect::<Result<_, _>>()?;
        match found.last() {
            Some(last) if rows.len() as i64 == self.step => {
                let last = last.message.id.number();
                if self.ascending {
                    self.left.first = last + 1;
                } else {
                    self.left.end = last;
                }
                self.step = (self.step * 2).min(STEP_MAX);
            }
            _ => {
                self.day = self.days.next();
                self.left = self.whole;
            }
        }
        Ok(Some(found))
    }
}

/// Whether the message is there.
pub(super) async fn exists(connection: &Connection, days: &Days, message: u64) -> Result<bool, Fault> {
    let day = day_of(message);
    if !days.has(Kind::Message, day) {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM message_{day} WHERE id = $1");
    Ok(connection.row(&sql, args![key(message)]).await?.is_some())
}
