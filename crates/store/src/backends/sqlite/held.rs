//! Messages that are held until their turn.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    id::{AppId, Id, SourceId},
    message::NewMessage,
    source::Inbound,
    time::Timestamp,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    fault::Fault,
    row::{key, number, place, placed},
    stream::Name,
    tx::Tx,
};
use crate::{
    error::StoreError,
    held::{Beside, from_document, to_document},
};

/// The type of a message of which only the payload is left, and how long that is kept.
const UNREADABLE: &str = "unreadable";
const REMAINS_FOR: Duration = Duration::from_secs(30 * 86_400);
/// The source whose application this is. Reads all of them: for what hardly ever happens.
const SOURCE_OF_APP: &str = "SELECT id FROM source WHERE json_extract(document, '$.app') = ?1";

const PUT: &str = "INSERT INTO held (app, okey, number, until, came_at, missing, event_id, document, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const ONE: &str = "SELECT came_at, missing, event_id, document, body FROM held WHERE id = ?1";
const DELETE: &str = "DELETE FROM held WHERE id = ?1";
const DUE_SINCE_IT_CAME: &str = "UPDATE held SET until = min(until, came_at) WHERE id = ?1";
/// Those of an application that wait for others, and not until a time; of one that has its turn the wait ended when it came.
pub(super) const PROLONG: &str = "UPDATE held SET until = ?2 WHERE id IN \
     (SELECT id FROM held WHERE app = ?1 AND until < ?2 AND until > came_at LIMIT ?3)";
/// The first of a stream.
pub(super) const FIRST: &str = "SELECT id, number FROM held WHERE app = ?1 AND okey = ?2 ORDER BY number, id LIMIT 1";
/// The greatest number of a stream whose wait is over.
pub(super) const OVER: &str =
    "SELECT number FROM held WHERE app = ?1 AND okey = ?2 AND until <= ?3 ORDER BY number DESC LIMIT 1";
/// A stream in which a wait is over.
pub(super) const DUE: &str = "SELECT app, okey FROM held WHERE until <= ?1 ORDER BY until LIMIT 1";
/// When the next wait ends.
pub(super) const NEXT: &str = "SELECT min(until) FROM held";
/// Until when the one with an event id is held.
pub(super) const BY_EVENT_ID: &str = "SELECT until FROM held WHERE app = ?1 AND event_id = ?2";
/// How many are held in a stream, and when the first no longer waits.
pub(super) const COUNT: &str = "SELECT count(*), min(until) FROM held WHERE app = ?1 AND okey = ?2";
/// The first stream from a key on in which something is held.
pub(super) const STREAM_FROM: &str = "SELECT okey FROM held WHERE app = ?1 AND okey >= ?2 ORDER BY okey LIMIT 1";
/// The first stream behind a key in which something is held.
pub(super) const STREAM_BEHIND: &str = "SELECT okey FROM held WHERE app = ?1 AND okey > ?2 ORDER BY okey LIMIT 1";
/// Some of an application.
pub(super) const OF_APP: &str = "SELECT okey, number, id FROM held WHERE app = ?1 AND (okey, number, id) > (?2, ?3, ?4) \
     ORDER BY okey, number, id LIMIT ?5";

/// A message that has its turn.
pub(super) struct Held {
    pub message: NewMessage,
    pub came_at: Timestamp,
    /// The number it waited for first.
    pub missing: Option<u64>,
}

/// How long a message is held, and for whom.
pub(super) struct Wait {
    pub until: Timestamp,
    pub missing: Option<u64>,
}

/// Holds a message.
pub(super) fn put(tx: &Tx<'_>, name: &Name, numbered: u64, message: &NewMessage, wait: &Wait) -> Result<(), Fault> {
    let (app, okey) = name.columns();
    tx.connection.prepare_cached(PUT)?.execute(params![
        app,
        okey,
        place(numbered),
        wait.until.micros(),
        tx.now.micros(),
        wait.missing.map(place),
        message.event_id,
        to_document(message)?,
        &message.payload[..],
    ])?;
    Ok(())
}

/// The first of a stream: its row and its number.
pub(super) fn first(connection: &Connection, name: &Name) -> rusqlite::Result<Option<(i64, u64)>> {
    connection
        .prepare_cached(FIRST)?
        .query_row(name.columns(), |row| Ok((row.get(0)?, placed(row.get(1)?))))
        .optional()
}

/// The greatest number of a stream whose wait is over.
pub(super) fn over(connection: &Connection, name: &Name, now: Timestamp) -> rusqlite::Result<Option<u64>> {
    let (app, okey) = name.columns();
    connection
        .prepare_cached(OVER)?
        .query_row((app, okey, now.micros()), |row| row.get(0).map(placed))
        .optional()
}

/// A stream in which a wait is over.
pub(super) fn due(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Name>> {
    connection
        .prepare_cached(DUE)?
        .query_row([now.micros()], |row| {
            Ok(Name {
                app: AppId::from_number(number(row.get(0)?)),
                okey: row.get(1)?,
            })
        })
        .optional()
}

/// When the next wait ends.
pub(super) fn next(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let next: Option<i64> = connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
    Ok(next.map(Timestamp::from_micros))
}

/// Until when the message with this event id is held.
pub(super) fn until(connection: &Connection, app: AppId, event_id: &str) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(BY_EVENT_ID)?
        .query_row((key(app.number()), event_id), |row| {
            row.get(0).map(Timestamp::from_micros)
        })
        .optional()
}

/// How many are held in a stream, and when the first no longer waits.
pub(super) fn count(connection: &Connection, name: &Name) -> rusqlite::Result<(u64, Option<Timestamp>)> {
    connection.prepare_cached(COUNT)?.query_row(name.columns(), |row| {
        let until: Option<i64> = row.get(1)?;
        Ok((number(row.get(0)?), until.map(Timestamp::from_micros)))
    })
}

/// The first stream from a key on in which something is held.
pub(super) fn stream_from(connection: &Connection, app: AppId, okey: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(STREAM_FROM)?
        .query_row((key(app.number()), okey), |row| row.get(0))
        .optional()
}

/// The first stream behind this one in which something is held.
pub(super) fn stream_behind(connection: &Connection, name: &Name) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(STREAM_BEHIND)?
        .query_row(name.columns(), |row| row.get(0))
        .optional()
}

/// Takes a message out. Of one that cannot be read, what can be read comes out, and goes nowhere: the others of its stream, and
/// all other streams, would wait for it for ever.
pub(super) fn take(tx: &Tx<'_>, name: &Name, id: i64) -> Result<Held, Fault> {
    let mut statement = tx.connection.prepare_cached(ONE)?;
    let (came_at, missing, document, beside) = statement.query_row([id], |row| {
        let beside = Beside {
            app: name.app,
            event_id: lossy(row, 2)?,
            payload: Bytes::from(row.get::<_, Vec<u8>>(4)?),
        };
        let missing: Option<i64> = row.get(1)?;
        Ok((row.get(0)?, missing, lossy(row, 3)?.unwrap_or_default(), beside))
    })?;
    tx.connection.prepare_cached(DELETE)?.execute([id])?;
    let message = match from_document(&document, beside.clone()) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(app = %name.app, key = name.okey, %error, "a held message is kept without what it came with");
            remains(tx, name, beside, &error)?
        }
    };
    Ok(Held {
        message,
        came_at: Timestamp::from_micros(came_at),
        missing: missing.map(placed),
    })
}

/// A text, also one that is none.
fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// What is left of a message that cannot be read.
fn remains(tx: &Tx<'_>, name: &Name, beside: Beside, error: &StoreError) -> rusqlite::Result<NewMessage> {
    let source: Option<i64> = tx
        .connection
        .prepare_cached(SOURCE_OF_APP)?
        .query_row([name.app.to_string()], |row| row.get(0))
        .optional()?;
    let inbound = source.map(|source| Inbound {
        source: SourceId::from_number(number(source)),
        method: String::new(),
        target: String::new(),
        headers: Vec::new(),
        peer: None,
        verdict: String::new(),
        note: Some(format!("{error}; its payload is kept and goes nowhere")),
        item: None,
    });
    Ok(NewMessage {
        app: name.app,
        event_type: UNREADABLE.to_owned(),
        event_id: beside.event_id,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: Some(name.okey.clone()),
        payload: beside.payload,
        payload_expires_at: tx.now.plus(REMAINS_FOR),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: inbound.map(Arc::new),
        routes: Vec::new(),
        idempotency: None,
    })
}

/// Its turn has come, and it waits for the next piece of work only.
pub(super) fn make_due(tx: &Tx<'_>, id: i64) -> rusqlite::Result<()> {
    tx.connection.prepare_cached(DUE_SINCE_IT_CAME)?.execute([id])?;
    Ok(())
}

/// Makes some of an application wait until a time at least. Answers how many did not.
pub(super) fn prolong(tx: &Tx<'_>, app: AppId, until: Timestamp, limit: usize) -> Result<usize, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let changed = tx
        .connection
        .prepare_cached(PROLONG)?
        .execute(params![key(app.number()), until.micros(), limit])?;
    Ok(changed)
}

/// A place among the held messages of an application.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    okey: String,
    number: i64,
    id: i64,
}

impl Place {
    /// Before all of them.
    pub fn first() -> Self {
        Self {
            number: i64::MIN,
            ..Self::default()
        }
    }
}

fn some_of_app(connection: &Connection, app: AppId, after: &Place, limit: usize) -> rusqlite::Result<Vec<Place>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(OF_APP)?
        .query_map(
            params![key(app.number()), after.okey, after.number, after.id, limit],
            |row| {
                Ok(Place {
                    okey: row.get(0)?,
                    number: row.get(1)?,
                    id: row.get(2)?,
                })
            },
        )?
        .collect()
}

/// Overwrites, in place, the payloads of some that belong to an application that is to be erased. Answers where to go on, if
/// there may be more.
pub(super) fn blank(tx: &Tx<'_>, app: AppId, after: &Place, limit: usize) -> Result<Option<Place>, Fault> {
    let mut found = some_of_app(tx.connection, app, after, limit)?;
    for place in &found {
        tx.connection
            .prepare_cached("UPDATE held SET body = zeroblob(length(body)) WHERE id = ?1")?
            .execute([place.id])?;
    }
    Ok(if found.len() < limit { None } else { found.pop() })
}

/// Removes some that belong to an application. Answers how many.
pub(super) fn erase(tx: &Tx<'_>, app: AppId, limit: usize) -> Result<usize, Fault> {
    let found = some_of_app(tx.connection, app, &Place::first(), limit)?;
    for place in &found {
        tx.connection.prepare_cached(DELETE)?.execute([place.id])?;
    }
    Ok(found.len())
}
