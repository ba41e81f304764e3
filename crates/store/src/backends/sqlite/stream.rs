//! Streams: how the arrivals of each key stand.

use bellwire_core::{
    id::{AppId, Id},
    sequence::Stream,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    fault::Fault,
    held,
    row::{key, place, placed, read_json},
    tx::Tx,
};
use crate::query::{Rows, StreamQuery, StreamRow};

/// The streams of an application, from a key on.
pub(super) const STREAMS: &str = "SELECT number, start, version, gaps, okey FROM stream \
     WHERE app = ?1 AND okey >= ?2 ORDER BY okey";
const ONE: &str = "SELECT number, start, version, gaps, day FROM stream WHERE app = ?1 AND okey = ?2";
const PUT: &str = "INSERT INTO stream (app, okey, number, start, version, gaps, day) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT (app, okey) DO UPDATE SET number = excluded.number, start = excluded.start, version = excluded.version, \
     gaps = excluded.gaps, day = excluded.day";
const DELETE: &str = "DELETE FROM stream WHERE app = ?1 AND okey = ?2";
/// Some streams to which nothing came since a day.
pub(super) const UNUSED: &str = "SELECT app, okey FROM stream WHERE day < ?1 \
     AND NOT EXISTS (SELECT 1 FROM held WHERE held.app = stream.app AND held.okey = stream.okey) LIMIT ?2";
/// Some streams of an application.
pub(super) const OF_APP: &str = "SELECT app, okey FROM stream WHERE app = ?1 LIMIT ?2";

/// Names a stream.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub app: AppId,
    pub okey: String,
}

impl Name {
    /// As columns.
    pub fn columns(&self) -> (i64, &str) {
        (key(self.app.number()), &self.okey)
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

/// Opens a stream; one that is not known begins.
pub(super) fn open(connection: &Connection, name: &Name) -> rusqlite::Result<Opened> {
    let found = connection
        .prepare_cached(ONE)?
        .query_row(name.columns(), |row| Ok((stream(row)?, row.get(4)?)))
        .optional()?;
    Ok(match found {
        None => Opened::default(),
        Some((stream, day)) => Opened {
            stream: stream.clone(),
            before: Some((stream, day)),
        },
    })
}

/// How a stream stands; one that is not known begins.
pub(super) fn read(connection: &Connection, name: &Name) -> rusqlite::Result<Stream> {
    Ok(open(connection, name)?.stream)
}

/// Reads the first four columns.
pub(super) fn stream(row: &Row<'_>) -> rusqlite::Result<Stream> {
    Ok(Stream {
        last: row.get::<_, Option<i64>>(0)?.map(placed),
        start: row.get::<_, Option<i64>>(1)?.map(placed),
        version: row.get(2)?,
        gaps: read_json(row, 3)?.unwrap_or_default(),
    })
}

/// Keeps how a stream stands now, where that is news.
pub(super) fn write(tx: &Tx<'_>, name: &Name, opened: &Opened) -> rusqlite::Result<()> {
    let Opened { stream, before } = opened;
    if before
        .as_ref()
        .is_some_and(|(before, day)| before == stream && *day == tx.now.day())
    {
        return Ok(());
    }
    let gaps = if stream.gaps.is_empty() {
        None
    } else {
        serde_json::to_string(&stream.gaps).ok()
    };
    let (app, okey) = name.columns();
    tx.connection.prepare_cached(PUT)?.execute(params![
        app,
        okey,
        stream.last.map(place),
        stream.start.map(place),
        stream.version,
        gaps,
        tx.now.day(),
    ])?;
    Ok(())
}

/// How the streams of an application stand.
pub(super) fn streams(connection: &Connection, app: AppId, query: &StreamQuery) -> Result<Rows<StreamRow>, Fault> {
    let mut page = Page {
        connection,
        app,
        query,
        rows: Rows::EMPTY,
    };
    if query.held {
        page.held()?;
    } else {
        page.all()?;
    }
    Ok(page.rows)
}

/// A page in the making.
struct Page<'c> {
    connection: &'c Connection,
    app: AppId,
    query: &'c StreamQuery,
    rows: Rows<StreamRow>,
}

impl Page<'_> {
    fn from(&self) -> &str {
        match (&self.query.key, &self.query.after) {
            (Some(wanted), _) => wanted,
            (None, after) => after.as_deref().unwrap_or(""),
        }
    }

    fn all(&mut self) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(STREAMS)?;
        let mut rows = statement.query((key(self.app.number()), self.from()))?;
        while let Some(row) = rows.next()? {
            if !self.take(row.get(4)?, stream(row)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Goes from one stream in which something is held to the next.
    fn held(&mut self) -> Result<(), Fault> {
        let mut next = held::stream_from(self.connection, self.app, self.from())?;
        while let Some(okey) = next {
            let name = Name { app: self.app, okey };
            let stream = read(self.connection, &name)?;
            next = held::stream_behind(self.connection, &name)?;
            if !self.take(name.okey, stream)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next stream; tells whether to go on.
    fn take(&mut self, okey: String, stream: Stream) -> Result<bool, Fault> {
        if self.query.key.as_ref().is_some_and(|wanted| *wanted != okey) {
            return Ok(false);
        }
        if self.query.after.as_ref().is_some_and(|after| okey <= *after) {
            return Ok(true);
        }
        if self.rows.items.len() >= self.query.limit {
            self.rows.more = true;
            return Ok(false);
        }
        let name = Name { app: self.app, okey };
        let (held, until) = held::count(self.connection, &name)?;
        self.rows.items.push(StreamRow {
            key: name.okey,
            last: stream.last.map(|last| last.to_string()).or(stream.version),
            held,
            until,
            gaps: stream.gaps,
        });
        Ok(true)
    }
}

/// Forgets a stream. Answers whether there was one.
pub(super) fn forget_one(tx: &Tx<'_>, name: &Name) -> rusqlite::Result<bool> {
    let gone = tx.connection.prepare_cached(DELETE)?.execute(name.columns())?;
    Ok(gone > 0)
}

/// Forgets some streams to which nothing came since a day. Answers how many.
pub(super) fn forget_unused(tx: &Tx<'_>, day: i64, limit: usize) -> Result<usize, Fault> {
    forget(tx, UNUSED, day, limit)
}

/// Forgets some streams of an application. Answers how many.
pub(super) fn forget_of_app(tx: &Tx<'_>, app: AppId, limit: usize) -> Result<usize, Fault> {
    forget(tx, OF_APP, key(app.number()), limit)
}

fn forget(tx: &Tx<'_>, which: &str, of: i64, limit: usize) -> Result<usize, Fault> {
    let found: Vec<(i64, String)> = tx
        .connection
        .prepare_cached(which)?
        .query_map((of, i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = tx.connection.prepare_cached(DELETE)?;
    for (app, okey) in &found {
        delete.execute((app, okey))?;
    }
    Ok(found.len())
}
