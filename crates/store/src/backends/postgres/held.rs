//! Messages that are held until their turn.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    id::{AppId, Id, SourceId},
    message::NewMessage,
    source::Inbound,
    time::Timestamp,
};
use bytes::Bytes;

use super::{
    argument::{Raw, args, kept, owned, plain},
    columns::{key, number, place, placed},
    connection::Connection,
    fault::Fault,
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
const SOURCE_OF_APP: &str = "SELECT id FROM source WHERE document::json ->> 'app' = $1";

const PUT: &str = "INSERT INTO held (app, okey, number, until, came_at, missing, event_id, document, body) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const TAKE: &str = "DELETE FROM held WHERE id = $1 RETURNING came_at, missing, event_id, document, body";
/// Those of an application that wait for others, and not until a time; of one that has its turn the wait ended when it came.
pub(super) const PROLONG: &str = "UPDATE held SET until = $2 WHERE id IN \
     (SELECT id FROM held WHERE app = $1 AND until < $2 AND until > came_at LIMIT $3)";
/// The first of a stream.
pub(super) const FIRST: &str = "SELECT id, number FROM held WHERE app = $1 AND okey = $2 ORDER BY number, id LIMIT 1";
/// The greatest number of a stream whose wait is over.
pub(super) const OVER: &str =
    "SELECT number FROM held WHERE app = $1 AND okey = $2 AND until <= $3 ORDER BY number DESC LIMIT 1";
/// A stream in which a wait is over.
pub(super) const DUE: &str = "SELECT app, okey FROM held WHERE until <= $1 ORDER BY until LIMIT 1";
/// When the next wait ends.
pub(super) const NEXT: &str = "SELECT min(until) FROM held";
/// Until when the one with an event id is held.
pub(super) const BY_EVENT_ID: &str = "SELECT until FROM held WHERE app = $1 AND event_id = $2";
/// How many are held in a stream, and when the first no longer waits.
pub(super) const COUNT: &str = "SELECT count(*), min(until) FROM held WHERE app = $1 AND okey = $2";
/// The streams of an application in which something is held, from a key on, or behind it. Goes from one to the next by the key.
pub(super) const STREAMS: &str = "WITH RECURSIVE s (okey) AS (\
       (SELECT okey FROM held WHERE app = $1 AND (okey > $2 OR $3 AND okey = $2) AND okey >= $2 ORDER BY okey LIMIT 1) \
       UNION ALL SELECT (SELECT held.okey FROM held WHERE held.app = $1 AND held.okey > s.okey ORDER BY held.okey LIMIT 1) \
         FROM s WHERE s.okey IS NOT NULL) \
     SELECT okey FROM s WHERE okey IS NOT NULL LIMIT $4";
/// Some of an application.
pub(super) const ERASE: &str = "DELETE FROM held WHERE id IN (SELECT id FROM held WHERE app = $1 LIMIT $2)";

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
pub(super) fn put(tx: &mut Tx, name: &Name, numbered: u64, message: &NewMessage, wait: &Wait) -> Result<(), Fault> {
    let (app, okey) = name.columns();
    let came_at = tx.now.micros();
    let values = kept![
        app,
        okey,
        place(numbered),
        wait.until.micros(),
        came_at,
        wait.missing.map(place),
        message.event_id.as_deref().map(owned),
        to_document(message)?,
        Raw(Bytes::clone(&message.payload)),
    ];
    tx.queue(PUT, values);
    Ok(())
}

/// The first of a stream: its row and its number.
pub(super) async fn first(tx: &mut Tx, name: &Name) -> Result<Option<(i64, u64)>, Fault> {
    let (app, okey) = name.columns();
    let found = tx.row(FIRST, args![app, okey]).await?;
    Ok(found.map(|row| (row.get(0), placed(row.get(1)))))
}

/// The greatest number of a stream whose wait is over.
pub(super) async fn over(tx: &mut Tx, name: &Name, now: Timestamp) -> Result<Option<u64>, Fault> {
    let (app, okey) = name.columns();
    let found = tx.row(OVER, args![app, okey, now.micros()]).await?;
    Ok(found.map(|row| placed(row.get(0))))
}

/// A stream in which a wait is over.
pub(super) async fn due(tx: &mut Tx, now: Timestamp) -> Result<Option<Name>, Fault> {
    let found = tx.row(DUE, args![now.micros()]).await?;
    Ok(found.map(|row| Name {
        app: AppId::from_number(number(row.get(0))),
        okey: plain(row.get(1)),
    }))
}

/// When the next wait ends.
pub(super) async fn next(tx: &mut Tx) -> Result<Option<Timestamp>, Fault> {
    let found = tx.row(NEXT, &[]).await?;
    let next: Option<i64> = found.and_then(|row| row.get(0));
    Ok(next.map(Timestamp::from_micros))
}

/// Until when the message with this event id is held.
pub(super) async fn until(tx: &mut Tx, app: AppId, event_id: &str) -> Result<Option<Timestamp>, Fault> {
    let found = tx.row(BY_EVENT_ID, args![key(app.number()), owned(event_id)]).await?;
    Ok(found.map(|row| Timestamp::from_micros(row.get(0))))
}

/// How many are held in a stream, and when the first no longer waits.
pub(super) async fn count(connection: &Connection, name: &Name) -> Result<(u64, Option<Timestamp>), Fault> {
    let (app, okey) = name.columns();
    let Some(row) = connection.row(COUNT, args![app, okey]).await? else {
        return Ok((0, None));
    };
    let until: Option<i64> = row.get(1);
    Ok((number(row.get(0)), until.map(Timestamp::from_micros)))
}

/// Takes a message out. Of one that cannot be read, what can be read comes out, and goes nowhere: the others of its stream, and
/// all other streams, would wait for it for ever.
pub(super) async fn take(tx: &mut Tx, name: &Name, id: i64) -> Result<Held, Fault> {
    let row = tx.row(TAKE, args![id]).await?;
    let row = row.ok_or(StoreError::NotFound("the held message"))?;
    let beside = Beside {
        app: name.app,
        event_id: row.get::<_, Option<String>>(2).map(plain),
        payload: Bytes::from(row.get::<_, Vec<u8>>(4)),
    };
    let document: &str = row.get(3);
    let message = match from_document(document, beside.clone()) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(app = %name.app, key = name.okey, %error, "a held message is kept without what it came with");
            remains(tx, name, beside, &error).await?
        }
    };
    Ok(Held {
        message,
        came_at: Timestamp::from_micros(row.get(0)),
        missing: row.get::<_, Option<i64>>(1).map(placed),
    })
}

/// What is left of a message that cannot be read.
async fn remains(tx: &mut Tx, name: &Name, beside: Beside, error: &StoreError) -> Result<NewMessage, Fault> {
    let source = tx.row(SOURCE_OF_APP, args![name.app.to_string()]).await?;
    let inbound = source.map(|row| Inbound {
        source: SourceId::from_number(number(row.get(0))),
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
pub(super) fn make_due(tx: &mut Tx, id: i64) {
    tx.queue("UPDATE held SET until = least(until, came_at) WHERE id = $1", kept![id]);
}

/// Makes some of an application wait until a time at least. Answers how many did not.
pub(super) async fn prolong(tx: &mut Tx, app: AppId, until: Timestamp, limit: usize) -> Result<usize, Fault> {
    let args = args![key(app.number()), until.micros(), limit as i64];
    Ok(tx.execute(PROLONG, args).await? as usize)
}

/// Removes some that belong to an application. Answers how many.
pub(super) async fn erase(tx: &mut Tx, app: AppId, limit: usize) -> Result<usize, Fault> {
    Ok(tx.execute(ERASE, args![key(app.number()), limit as i64]).await? as usize)
}
