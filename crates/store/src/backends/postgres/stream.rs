//! Streams: how the arrivals of each key stand.

use bellwire_core::{
    id::{AppId, Id},
    sequence::Stream,
};
use tokio_postgres::Row;

use super::{
    argument::{args, kept, owned, plain},
    columns::{key, place, placed},
    connection::Connection,
    fault::Fault,
    held, row,
    tx::Tx,
};
use crate::query::{Rows, StreamQuery, StreamRow};

/// The streams of an application, from a key on, or behind it.
pub(super) const STREAMS: &str = "SELECT number, start, version, gaps, okey FROM stream \
     WHERE app = $1 AND (okey > $2 OR $3 AND okey = $2) AND okey >= $2 ORDER BY okey LIMIT $4";
const ONE: &str = "SELECT number, start, version, gaps, day FROM stream WHERE app = $1 AND okey = $2";
const PUT: &str = "INSERT INTO stream (app, okey, number, start, version, gaps, day) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (app, okey) DO UPDATE SET number = excluded.number, start = excluded.start, version = excluded.version, \
     gaps = excluded.gaps, day = excluded.day";
/// Forgets some streams to which nothing came since a day.
pub(super) const FORGET_UNUSED: &str = "DELETE FROM stream WHERE (app, okey) IN (SELECT app, okey FROM stream AS s WHERE day < $1 \
     AND NOT EXISTS (SELECT 1 FROM held WHERE held.app = s.app AND held.okey = s.okey) ORDER BY day LIMIT $2)";
/// Forgets some streams of an application.
pub(super) const FORGET_OF_APP: &str =
    "DELETE FROM stream WHERE (app, okey) IN (SELECT app, okey FROM stream WHERE app = $1 LIMIT $2)";

/// Names a stream.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub app: AppId,
    pub okey: String,
}

impl Name {
    /// As columns.
    pub fn columns(&self) -> (i64, String) {
        (key(self.app.number()), owned(&self.okey))
    }
}

/// A stream under work.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// How it stands now.
    pub stream: Stream,
    /// As it was read, and the day on which something last came; `None` for one that begins.
    before: Option<(Stream, i64)>,
}

/// Opens a stream; one that is not known begins. Whoever opens it next waits for this transaction.
pub(super) async fn open(tx: &mut Tx, name: &Name) -> Result<Opened, Fault> {
    let (app, okey) = name.columns();
    tx.queue(
        "SELECT pg_advisory_xact_lock(hashtextextended($2, $1))",
        kept![app, okey.clone()],
    );
    let found = tx.row(ONE, args![app, okey]).await?;
    Ok(match found {
        None => Opened::default(),
        Some(row) => {
            let stream = stream(&row)?;
            Opened {
                stream: stream.clone(),
                before: Some((stream, row.get(4))),
            }
        }
    })
}

/// How a stream stands; one that is not known begins.
pub(super) async fn read(connection: &Connection, name: &Name) -> Result<Stream, Fault> {
    let (app, okey) = name.columns();
    let found = connection.row(ONE, args![app, okey]).await?;
    found.map_or_else(|| Ok(Stream::default()), |row| stream(&row))
}

/// Reads the first four columns.
fn stream(row: &Row) -> Result<Stream, Fault> {
    let gaps: Option<&str> = row.get(3);
    Ok(Stream {
        last: row.get::<_, Option<i64>>(0).map(placed),
        start: row.get::<_, Option<i64>>(1).map(placed),
        version: row.get::<_, Option<String>>(2).map(plain),
        gaps: gaps
            .map(|text| row::json("a stream's gaps", text))
            .transpose()?
            .unwrap_or_default(),
    })
}

/// Keeps how a stream stands now, where that is news.
pub(super) fn write(tx: &mut Tx, name: &Name, opened: &Opened) {
    let Opened { stream, before } = opened;
    let day = tx.now.day();
    if before
        .as_ref()
        .is_some_and(|(before, of)| before == stream && *of == day)
    {
        return;
    }
    let gaps = if stream.gaps.is_empty() {
        None
    } else {
        serde_json::to_string(&stream.gaps).ok()
    };
    let (app, okey) = name.columns();
    let version = stream.version.as_deref().map(owned);
    let values = kept![
        app,
        okey,
        stream.last.map(place),
        stream.start.map(place),
        version,
        gaps,
        day
    ];
    tx.queue(PUT, values);
}

/// How the streams of an application stand.
pub(super) async fn streams(
    connection: &Connection,
    app: AppId,
    query: &StreamQuery,
) -> Result<Rows<StreamRow>, Fault> {
    let (from, includes) = match (&query.key, &query.after) {
        (Some(wanted), _) => (wanted.clone(), true),
        (None, Some(after)) => (after.clone(), false),
        (None, None) => (String::new(), true),
    };
    if query.key.is_some() && query.after.as_ref() >= query.key.as_ref() {
        return Ok(Rows::EMPTY);
    }
    let limit = query.limit as i64 + 1;
    let mut found: Vec<(String, Stream)> = Vec::new();
    if query.held {
        let sql = held::STREAMS;
        let args = args![key(app.number()), owned(&from), includes, limit];
        for row in connection.rows(sql, args).await? {
            let name = Name {
                app,
                okey: plain(row.get(0)),
            };
            let stream = read(connection, &name).await?;
            found.push((name.okey, stream));
        }
    } else {
        let args = args![key(app.number()), owned(&from), includes, limit];
        for row in connection.rows(STREAMS, args).await? {
            found.push((plain(row.get(4)), stream(&row)?));
        }
    }
    if let Some(wanted) = &query.key {
        found.retain(|(okey, _)| okey == wanted);
    }
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let mut items = Vec::with_capacity(found.len());
    for (okey, stream) in found {
        let name = Name { app, okey };
        let (held, until) = held::count(connection, &name).await?;
        items.push(StreamRow {
            key: name.okey,
            last: stream.last.map(|last| last.to_string()).or(stream.version),
            held,
            until,
            gaps: stream.gaps,
        });
    }
    Ok(Rows { items, more })
}

/// Forgets a stream. Answers whether there was one.
pub(super) async fn forget_one(tx: &mut Tx, name: &Name) -> Result<bool, Fault> {
    let (app, okey) = name.columns();
    let sql = "DELETE FROM stream WHERE app = $1 AND okey = $2";
    Ok(tx.execute(sql, args![app, okey]).await? > 0)
}

/// Forgets some streams to which nothing came since a day. Answers how many.
pub(super) async fn forget_unused(tx: &mut Tx, day: i64, limit: usize) -> Result<usize, Fault> {
    Ok(tx.execute(FORGET_UNUSED, args![day, limit as i64]).await? as usize)
}

/// Forgets some streams of an application. Answers how many.
pub(super) async fn forget_of_app(tx: &mut Tx, app: AppId, limit: usize) -> Result<usize, Fault> {
    Ok(tx
        .execute(FORGET_OF_APP, args![key(app.number()), limit as i64])
        .await? as usize)
}
