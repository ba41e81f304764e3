//! Tables, and how a file of an older version becomes one of this version.
//!
//! Configuration, queue and bookkeeping are ordinary tables, made by the versioned steps below. Messages, payloads,
//! deliveries, attempts and idempotency keys live in tables per UTC day (see [`super::partition`]): their DDL stands here as
//! well, with `{d}` for the day's number since the epoch. Old days are dropped, not deleted from.
//!
//! A change of a partition's form needs a new step that alters the partitions that exist.

use rusqlite::Connection;

use crate::error::OpenError;

/// "Bwir" in the file's header: says whose file it is to whoever looks.
const APPLICATION_ID: i64 = 0x4277_6972;

/// The steps; the schema's version is how many were taken.
const STEPS: &[&str] = &[V1];

const V1: &str = "
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

/// The accepted messages of a day and the deliveries that are not simply 'made at the first try'.
pub(super) const MESSAGE: &str = "
CREATE TABLE IF NOT EXISTS message_{d} (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, event_type TEXT NOT NULL,
    event_id TEXT, channels TEXT, tags TEXT, payload_expires_at INTEGER NOT NULL, deliver_at INTEGER, traceparent TEXT,
    content_type TEXT,
    created_at INTEGER NOT NULL, endpoints BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS message_app_{d} ON message_{d} (app);
CREATE TABLE IF NOT EXISTS delivery_{d} (msg INTEGER NOT NULL, endpoint INTEGER NOT NULL, state INTEGER NOT NULL,
    run INTEGER NOT NULL, tries INTEGER NOT NULL, trigger INTEGER NOT NULL, next_at INTEGER,
    PRIMARY KEY (msg, endpoint)) STRICT, WITHOUT ROWID;
";

/// The payloads that expire on a day.
pub(super) const PAYLOAD: &str = "
CREATE TABLE IF NOT EXISTS payload_{d} (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
";

/// The attempts made on a day. The index holds what counting needs.
pub(super) const ATTEMPT: &str = "
CREATE TABLE IF NOT EXISTS attempt_{d} (msg INTEGER NOT NULL, id INTEGER NOT NULL, endpoint INTEGER NOT NULL,
    app INTEGER NOT NULL, started_at INTEGER NOT NULL, duration_us INTEGER NOT NULL, status INTEGER NOT NULL,
    ok INTEGER NOT NULL, failure TEXT, trigger INTEGER NOT NULL, number INTEGER NOT NULL, last INTEGER NOT NULL,
    url TEXT NOT NULL, signature TEXT NOT NULL, response BLOB, response_headers TEXT,
    PRIMARY KEY (msg, id)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempt_endpoint_{d} ON attempt_{d} (endpoint, id, started_at, ok);
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
    for (at, step) in STEPS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let version = at + 1;
        let script = format!(
            "BEGIN IMMEDIATE; {step} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        );
        connection.execute_batch(&script).map_err(|error| {
            let _ = connection.execute_batch("ROLLBACK");
            failed(format!("cannot bring the schema to version {version}: {error}"))
        })?;
    }
    Ok(())
}
