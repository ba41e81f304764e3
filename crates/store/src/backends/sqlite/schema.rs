//! Tables, and how a file of an older version becomes one of this version.
//!
//! Configuration, queue and bookkeeping are ordinary tables, made by the versioned steps below. Messages, payloads,
//! deliveries, attempts and idempotency keys live in tables per UTC day (see [`super::partition`]): their DDL stands here as
//! well, with `{d}` for the day's number since the epoch. Old days are dropped, not deleted from.
//!
//! A change of a partition's form needs a new step that alters the partitions that exist.

use rusqlite::Connection;

use super::partition::{Days, Kind, render};
use crate::error::OpenError;

/// "Bwir" in the file's header: says whose file it is to whoever looks.
const APPLICATION_ID: i64 = 0x4277_6972;

/// What makes the next version out of the one before.
struct Step {
    /// The statements about ordinary tables.
    sql: &'static str,
    /// The statements for each partition of a kind that exists.
    partitions: &'static [(Kind, &'static str)],
}

/// The steps; the schema's version is how many were taken.
const STEPS: &[Step] = &[
    Step {
        sql: V1,
        partitions: &[],
    },
    Step {
        sql: V2,
        partitions: &[(Kind::Message, V2_MESSAGE)],
    },
    Step {
        sql: V3,
        partitions: &[(Kind::Message, V3_MESSAGE)],
    },
    Step {
        sql: V4,
        partitions: &[(Kind::Attempt, V4_ATTEMPT)],
    },
];

pub(super) const V1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE partition (kind TEXT NOT NULL, day INTEGER NOT NULL, rows INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, day)) STRICT, WITHOUT ROWID;

CREATE TABLE environment (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL) STRICT;
CREATE TABLE app (id INTEGER PRIMARY KEY, environment INTEGER NOT NULL, uid TEXT, document TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX app_uid ON app (environment, uid) WHERE uid IS NOT NULL;
CREATE TABLE endpoint (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, uid TEXT, document TEXT NOT NULL,
    sealed BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (app, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_app ON endpoint (app);
CREATE TABLE endpoint_health (endpoint INTEGER PRIMARY KEY, failing_since INTEGER NOT NULL) STRICT;
CREATE TABLE event_type (environment INTEGER NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (environment, name)) STRICT, WITHOUT ROWID;
CREATE TABLE token (id INTEGER PRIMARY KEY, app INTEGER, document TEXT NOT NULL) STRICT;
CREATE INDEX token_app ON token (app) WHERE app IS NOT NULL;
CREATE TABLE task (id INTEGER PRIMARY KEY, environment INTEGER NOT NULL, status TEXT NOT NULL,
    document TEXT NOT NULL) STRICT;
CREATE INDEX task_environment ON task (environment);
CREATE INDEX task_status ON task (status);

CREATE TABLE event_id (app INTEGER NOT NULL, event_id TEXT NOT NULL, msg INTEGER NOT NULL,
    PRIMARY KEY (app, event_id)) STRICT, WITHOUT ROWID;
CREATE TABLE due (endpoint INTEGER NOT NULL, next_at INTEGER NOT NULL, msg INTEGER NOT NULL, run INTEGER NOT NULL,
    tries INTEGER NOT NULL, trigger INTEGER NOT NULL, PRIMARY KEY (endpoint, next_at, msg)) STRICT, WITHOUT ROWID;
";

/// Order: the numbers of each line, who is in line, and how much waits for each endpoint.
///
/// `sequence.length` is how many are in line, blocked heads included; `gone` says that the endpoint was deleted and the row
/// goes with the last one in line. `line.state`: 0 waits, 1 is the head and has a place in the queue, 2 is a blocked head.
/// `due` and `delivery_{d}` name a delivery's line by `okey`, its number by `seq`, and its era while it is in line.
const V2: &str = "
ALTER TABLE due ADD COLUMN okey TEXT;
ALTER TABLE due ADD COLUMN seq INTEGER;
ALTER TABLE due ADD COLUMN era INTEGER;
CREATE TABLE sequence (endpoint INTEGER NOT NULL, okey TEXT NOT NULL, last INTEGER NOT NULL, succeeded INTEGER NOT NULL,
    length INTEGER NOT NULL, gone INTEGER NOT NULL, PRIMARY KEY (endpoint, okey)) STRICT, WITHOUT ROWID;
CREATE TABLE line (endpoint INTEGER NOT NULL, era INTEGER NOT NULL, okey TEXT NOT NULL, seq INTEGER NOT NULL,
    msg INTEGER NOT NULL, state INTEGER NOT NULL, PRIMARY KEY (endpoint, era, okey, seq)) STRICT, WITHOUT ROWID;
CREATE INDEX line_blocked ON line (endpoint, okey, msg) WHERE state = 2;
CREATE TABLE backlog (endpoint INTEGER PRIMARY KEY, waiting INTEGER NOT NULL) STRICT;
INSERT INTO backlog (endpoint, waiting) SELECT endpoint, count(*) FROM due GROUP BY endpoint;
DELETE FROM meta WHERE key = 'waiting';
";

const V2_MESSAGE: &str = "
ALTER TABLE message_{d} ADD COLUMN ordering_key TEXT;
ALTER TABLE delivery_{d} ADD COLUMN okey TEXT;
ALTER TABLE delivery_{d} ADD COLUMN seq INTEGER;
ALTER TABLE delivery_{d} ADD COLUMN era INTEGER;
CREATE INDEX delivery_over_{d} ON delivery_{d} (endpoint, state, msg) WHERE state >= 2;
";

/// Sources: who they are, with each message how it came in, what is held until its turn, and what was refused.
///
/// A stream's `number` and `start`, and a held message's `number` and `missing`, are of the sender's choice and written so that
/// they keep their order (see `row::place`). `stream.day` is the day on which something last came. `held.until` is when the
/// wait ends; a message that has its turn already is due since it came.
const V3: &str = "
CREATE TABLE source (id INTEGER PRIMARY KEY, environment INTEGER NOT NULL, uid TEXT, document TEXT NOT NULL,
    sealed BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX source_uid ON source (environment, uid) WHERE uid IS NOT NULL;
CREATE TABLE stream (app INTEGER NOT NULL, okey TEXT NOT NULL, number INTEGER, start INTEGER, version TEXT, gaps TEXT,
    day INTEGER NOT NULL, PRIMARY KEY (app, okey)) STRICT, WITHOUT ROWID;
CREATE INDEX stream_day ON stream (day);
CREATE TABLE held (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, okey TEXT NOT NULL, number INTEGER NOT NULL,
    until INTEGER NOT NULL, came_at INTEGER NOT NULL, missing INTEGER, event_id TEXT, document TEXT NOT NULL,
    body BLOB NOT NULL) STRICT;
CREATE INDEX held_place ON held (app, okey, number, id, until);
CREATE INDEX held_until ON held (until);
CREATE UNIQUE INDEX held_event_id ON held (app, event_id) WHERE event_id IS NOT NULL;
CREATE TABLE refused (number INTEGER PRIMARY KEY, source INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
CREATE INDEX refused_source ON refused (source);
";

const V3_MESSAGE: &str = "
ALTER TABLE message_{d} ADD COLUMN inbound TEXT;
";

/// Looking back: what people changed, and which attempts failed.
const V4: &str = "
CREATE TABLE audit (id INTEGER PRIMARY KEY, environment INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
CREATE INDEX audit_environment ON audit (environment);
";

const V4_ATTEMPT: &str = "
CREATE INDEX attempt_failed_{d} ON attempt_{d} (endpoint, id, failure, status, last, ok) WHERE ok = 0;
";

/// The accepted messages of a day and the deliveries that are not simply 'made at the first try': ordered ones all are there.
/// The index holds those that failed or were cancelled.
pub(super) const MESSAGE: &str = "
CREATE TABLE IF NOT EXISTS message_{d} (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, event_type TEXT NOT NULL,
    event_id TEXT, channels TEXT, tags TEXT, payload_expires_at INTEGER NOT NULL, deliver_at INTEGER, traceparent TEXT,
    content_type TEXT,
    created_at INTEGER NOT NULL, endpoints BLOB NOT NULL, ordering_key TEXT, inbound TEXT) STRICT;
CREATE INDEX IF NOT EXISTS message_app_{d} ON message_{d} (app);
CREATE TABLE IF NOT EXISTS delivery_{d} (msg INTEGER NOT NULL, endpoint INTEGER NOT NULL, state INTEGER NOT NULL,
    run INTEGER NOT NULL, tries INTEGER NOT NULL, trigger INTEGER NOT NULL, next_at INTEGER,
    okey TEXT, seq INTEGER, era INTEGER, PRIMARY KEY (msg, endpoint)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_over_{d} ON delivery_{d} (endpoint, state, msg) WHERE state >= 2;
";

/// The payloads that expire on a day.
pub(super) const PAYLOAD: &str = "
CREATE TABLE IF NOT EXISTS payload_{d} (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
";

/// The attempts made on a day. One index holds what counting needs; the other those that failed, so that it costs the others
/// nothing.
pub(super) const ATTEMPT: &str = "
CREATE TABLE IF NOT EXISTS attempt_{d} (msg INTEGER NOT NULL, id INTEGER NOT NULL, endpoint INTEGER NOT NULL,
    app INTEGER NOT NULL, started_at INTEGER NOT NULL, duration_us INTEGER NOT NULL, status INTEGER NOT NULL,
    ok INTEGER NOT NULL, failure TEXT, trigger INTEGER NOT NULL, number INTEGER NOT NULL, last INTEGER NOT NULL,
    url TEXT NOT NULL, signature TEXT NOT NULL, response BLOB, response_headers TEXT,
    PRIMARY KEY (msg, id)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempt_endpoint_{d} ON attempt_{d} (endpoint, id, started_at, ok);
CREATE INDEX IF NOT EXISTS attempt_failed_{d} ON attempt_{d} (endpoint, id, failure, status, last, ok) WHERE ok = 0;
";

/// The idempotency keys that expire on a day: with the message they made, or with the answer they were given.
pub(super) const IDEMPOTENT: &str = "
CREATE TABLE IF NOT EXISTS idempotent_{d} (key BLOB PRIMARY KEY, body_hash BLOB NOT NULL, msg INTEGER, status INTEGER,
    answer BLOB, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// The newest schema version this program knows.
pub(super) fn newest_version() -> i64 {
    STEPS.len() as i64
}

/// Brings the file up to the newest version, one transaction per step.
///
/// # Errors
/// `TooNew` for a file of a newer program, `Failed` for a file that is something else or cannot be written.
pub(super) fn migrate(connection: &Connection, location: &str) -> Result<(), OpenError> {
    let failed = |detail: String| OpenError::Failed {
        location: location.to_owned(),
        detail,
    };
    let number = |pragma: &str| -> Result<i64, OpenError> {
        connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .map_err(|error| failed(format!("cannot read the file's {pragma}: {error}")))
    };
    let (found, owner) = (number("user_version")?, number("application_id")?);
    if found > 0 && owner != APPLICATION_ID {
        return Err(failed("the file is another program's database".to_owned()));
    }
    if found > newest_version() {
        return Err(OpenError::TooNew {
            location: location.to_owned(),
            found,
            known: newest_version(),
        });
    }
    for version in usize::try_from(found).unwrap_or(0) + 1..=STEPS.len() {
        take(connection, version).map_err(|error| {
            let _ = connection.execute_batch("ROLLBACK");
            failed(format!("cannot bring the schema to version {version}: {error}"))
        })?;
    }
    Ok(())
}

/// Takes the step to a version in a transaction of its own.
pub(super) fn take(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    let step = &STEPS[version - 1];
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(step.sql)?;
    if !step.partitions.is_empty() {
        let days = Days::read(connection)?;
        for (kind, template) in step.partitions {
            for day in days.of(*kind) {
                connection.execute_batch(&render(template, day))?;
            }
        }
    }
    connection.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
    ))
}
