//! Tables, and how a database of an older version becomes one of this version.
//!
//! Everything is in one schema of the database (`bellwire`, unless the URL says otherwise). Configuration, queue and
//! bookkeeping are ordinary tables, made by the versioned steps below. Messages, payloads, deliveries, attempts and
//! idempotency keys live in tables per UTC day: their DDL stands here as well, with `{d}` for the day's number since the
//! epoch. Old days are dropped, not deleted from. They are plain tables and not partitions of a parent, so that a statement
//! locks and plans for the one day it is about, and dropping a day locks nothing else.
//!
//! A step runs in one transaction, below a lock that only migrations take. It waits for no table for longer than a moment, since
//! whoever comes behind it would wait as well: it lets go of everything then, and tries again.
//!
//! **Two versions side by side.** A step says which is the oldest version that can live with it; as a rule the one before (a new
//! table, a new column with a constant default, nothing taken away that the one before still uses). The database keeps that
//! number, and a program is refused only by a database that it cannot live with. The forms of the tables per day are kept in the
//! database as well, so that an older node makes tomorrow's tables as the newest one wants them.
//!
//! Tables whose rows change have room left in their pages, and the columns that change are in no index, so that the new
//! version of a row stays in its page and cleans up after the old one (heap-only tuples).

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    argument::args,
    connection::Connection,
    days::{Days, Kind, render},
    fault::{FENCED, Fault},
    partition,
};

/// Names the lock of migrations: one at a time in a database.
const MIGRATION: i64 = 0x4277_6972_6d69_6772;
/// A step waits so long for a table that others use.
const LOCK: Duration = Duration::from_millis(500);
/// Then it lets others go first for so long.
const PAUSE: Duration = Duration::from_millis(500);
/// And gives up when it could not be taken for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What makes the next version out of the one before.
struct Step {
    /// The statements about ordinary tables.
    sql: &'static str,
    /// The statements for each day of a kind that exists.
    days: &'static [(Kind, &'static str)],
    /// The oldest version whose programs can live with the schema from here on.
    lives_with: i64,
}

/// The steps; the schema's version is how many were taken.
const STEPS: &[Step] = &[
    Step {
        sql: V1,
        days: &[],
        lives_with: 1,
    },
    Step {
        sql: V2,
        days: &[],
        lives_with: 2,
    },
    Step {
        sql: V3,
        days: &[],
        lives_with: 2,
    },
];

/// How a database's schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its version; 0 when there is nothing yet.
    pub version: i64,
    /// The oldest version that can live with it.
    pub lives_with: i64,
}

impl Standing {
    /// Whether a program that knows the schema up to this version can use the database, once it has taken the steps that it knows.
    pub fn is_fit_for(self, known: i64) -> bool {
        self.version <= known || self.lives_with <= known
    }
}

/// What is kept as text and compared is compared by its bytes (`COLLATE "C"`), as everywhere else in the house.
///
/// * `node`: who has which number, by which epoch, until when; its bookkeeping, and the last of
///   its transactions that leave nothing else to be known by (see [`super::node`], [`super::books`], [`super::fate`]).
/// * `shard`: of the 1,024 parts of all endpoints, which node has which, by which epoch.
/// * `lane`: a row per endpoint that keeps order, to be locked by whoever changes its lines.
/// * `due`: the queue. `sequence`, `line`, `stream`, `held`: as in the embedded store. `line.state`: 0 waits, 1 is the head and
///   has a place in the queue, 2 is a blocked head.
/// * `backlog`: how much waits for an endpoint is the sum of what each node added and took away, so that nodes never wait for
///   each other's rows.
const V1: &str = r#"
CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE seal (one boolean PRIMARY KEY DEFAULT true CHECK (one), sealed bytea NOT NULL);
CREATE TABLE day (kind text COLLATE "C" NOT NULL, day bigint NOT NULL, PRIMARY KEY (kind, day));

CREATE TABLE node (number smallint PRIMARY KEY, epoch bigint NOT NULL, name text NOT NULL, backend integer,
    renewed_at timestamptz NOT NULL, mark bigint NOT NULL, last_id bigint NOT NULL, marker bigint NOT NULL DEFAULT 0)
    WITH (fillfactor = 20);
CREATE FUNCTION own(which smallint, held bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM node WHERE node.number = which AND node.epoch = held FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another process has taken the place of node %; this one must start anew', which
            USING ERRCODE = '{fenced}';
    END IF;
END $$;
CREATE TABLE shard (number smallint PRIMARY KEY, node smallint, epoch bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO shard (number, node, epoch) SELECT number, NULL, 0 FROM generate_series(0, 1023) AS number;

CREATE TABLE environment (id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, document text NOT NULL);
CREATE TABLE app (id bigint PRIMARY KEY, environment bigint NOT NULL, uid text COLLATE "C", document text NOT NULL);
CREATE UNIQUE INDEX app_uid ON app (environment, uid) WHERE uid IS NOT NULL;
CREATE TABLE endpoint (id bigint PRIMARY KEY, app bigint NOT NULL, uid text COLLATE "C", document text NOT NULL,
    sealed bytea NOT NULL);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (app, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_app ON endpoint (app);
CREATE TABLE endpoint_health (endpoint bigint PRIMARY KEY, failing_since bigint NOT NULL);
CREATE TABLE event_type (environment bigint NOT NULL, name text COLLATE "C" NOT NULL, document text NOT NULL,
    PRIMARY KEY (environment, name));
CREATE TABLE token (id bigint PRIMARY KEY, app bigint, document text NOT NULL);
CREATE INDEX token_app ON token (app) WHERE app IS NOT NULL;
CREATE TABLE task (id bigint PRIMARY KEY, environment bigint NOT NULL, status text COLLATE "C" NOT NULL,
    document text NOT NULL) WITH (fillfactor = 70);
CREATE INDEX task_environment ON task (environment, id);
CREATE INDEX task_status ON task (status, id);
CREATE TABLE source (id bigint PRIMARY KEY, environment bigint NOT NULL, uid text COLLATE "C", document text NOT NULL,
    sealed bytea NOT NULL);
CREATE UNIQUE INDEX source_uid ON source (environment, uid) WHERE uid IS NOT NULL;

CREATE TABLE event_id (app bigint NOT NULL, event_id text COLLATE "C" NOT NULL, msg bigint NOT NULL,
    PRIMARY KEY (app, event_id));

CREATE TABLE lane (endpoint bigint PRIMARY KEY) WITH (fillfactor = 50);
CREATE TABLE due (shard smallint NOT NULL, endpoint bigint NOT NULL, next_at bigint NOT NULL, msg bigint NOT NULL,
    run integer NOT NULL, tries smallint NOT NULL, trigger smallint NOT NULL, okey text COLLATE "C", seq bigint, era bigint,
    PRIMARY KEY (shard, endpoint, next_at, msg)) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE TABLE sequence (endpoint bigint NOT NULL, okey text COLLATE "C" NOT NULL, last bigint NOT NULL,
    succeeded bigint NOT NULL, length bigint NOT NULL, gone boolean NOT NULL, PRIMARY KEY (endpoint, okey))
    WITH (fillfactor = 60);
CREATE TABLE line (endpoint bigint NOT NULL, era bigint NOT NULL, okey text COLLATE "C" NOT NULL, seq bigint NOT NULL,
    msg bigint NOT NULL, state smallint NOT NULL, PRIMARY KEY (endpoint, era, okey, seq))
    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX line_blocked ON line (endpoint, okey, msg) WHERE state = 2;
CREATE TABLE backlog (endpoint bigint NOT NULL, node smallint NOT NULL, waiting bigint NOT NULL,
    PRIMARY KEY (endpoint, node)) WITH (fillfactor = 50);

CREATE TABLE stream (app bigint NOT NULL, okey text COLLATE "C" NOT NULL, number bigint, start bigint,
    version text COLLATE "C", gaps text, day bigint NOT NULL, PRIMARY KEY (app, okey)) WITH (fillfactor = 60);
CREATE INDEX stream_day ON stream (day);
CREATE TABLE held (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, app bigint NOT NULL, okey text COLLATE "C" NOT NULL,
    number bigint NOT NULL, until bigint NOT NULL, came_at bigint NOT NULL, missing bigint, event_id text COLLATE "C",
    document text NOT NULL, body bytea NOT NULL);
CREATE INDEX held_place ON held (app, okey, number, id, until);
CREATE INDEX held_until ON held (until);
CREATE UNIQUE INDEX held_event_id ON held (app, event_id) WHERE event_id IS NOT NULL;
CREATE TABLE refused (number bigint PRIMARY KEY, source bigint NOT NULL, document text NOT NULL);
CREATE INDEX refused_source ON refused (source, number);
"#;

/// Many nodes.
///
/// * `member`: the nodes that take part, with their numbers' epochs, and what they say of themselves every second: apart from `node`,
///   whose rows are locked by whoever writes. `version` is that of the configuration in force there; nothing where none is kept.
/// * `change`: what each version of the configuration touched, the newest few thousand.
/// * `wish`: lines (one, or all of an endpoint) that are to be discarded by the endpoint's owner, because it depends on what is out
///   there; and what came of it.
const V2: &str = r#"
CREATE TABLE member (number smallint PRIMARY KEY, epoch bigint NOT NULL, backend integer, renewed_at timestamptz NOT NULL,
    since timestamptz NOT NULL, role text COLLATE "C" NOT NULL, host text NOT NULL, version bigint,
    gone boolean NOT NULL DEFAULT false) WITH (fillfactor = 20);
CREATE TABLE change (version bigint PRIMARY KEY, touched text NOT NULL);
INSERT INTO meta (key, value) VALUES ('configuration', 0) ON CONFLICT DO NOTHING;
CREATE TABLE wish (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shard smallint NOT NULL, endpoint bigint NOT NULL,
    okey text COLLATE "C", made_at timestamptz NOT NULL DEFAULT clock_timestamp(), changed bigint, refused text);
"#;

/// The forms of the tables per day: whoever makes some makes them in the newest one.
const V3: &str = r#"
CREATE TABLE form (kind text COLLATE "C" PRIMARY KEY, ddl text NOT NULL);
"#;

/// The accepted messages of a day and the deliveries that are not simply 'made at the first try': ordered ones all are there.
const MESSAGE: &str = r#"
CREATE TABLE IF NOT EXISTS message_{d} (id bigint PRIMARY KEY, app bigint NOT NULL, event_type text NOT NULL, event_id text,
    channels text, tags text, payload_expires_at bigint NOT NULL, deliver_at bigint, traceparent text, content_type text,
    created_at bigint NOT NULL, endpoints bytea NOT NULL, ordering_key text, inbound text);
CREATE INDEX IF NOT EXISTS message_app_{d} ON message_{d} (app, id);
CREATE TABLE IF NOT EXISTS delivery_{d} (msg bigint NOT NULL, endpoint bigint NOT NULL, state smallint NOT NULL,
    run integer NOT NULL, tries smallint NOT NULL, trigger smallint NOT NULL, next_at bigint,
    okey text COLLATE "C", seq bigint, era bigint, PRIMARY KEY (msg, endpoint)) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS delivery_over_{d} ON delivery_{d} (endpoint, state, msg) WHERE state >= 2;
"#;

/// The payloads that expire on a day.
const PAYLOAD: &str = "
CREATE TABLE IF NOT EXISTS payload_{d} (id bigint PRIMARY KEY, body bytea NOT NULL);
";

/// The attempts made on a day. The index holds what counting needs.
const ATTEMPT: &str = "
CREATE TABLE IF NOT EXISTS attempt_{d} (msg bigint NOT NULL, id bigint NOT NULL, endpoint bigint NOT NULL, app bigint NOT NULL,
    started_at bigint NOT NULL, duration_us bigint NOT NULL, status smallint NOT NULL, ok boolean NOT NULL, failure text,
    trigger smallint NOT NULL, number smallint NOT NULL, last boolean NOT NULL, url text NOT NULL, signature text NOT NULL,
    response bytea, response_headers text, PRIMARY KEY (msg, id));
CREATE INDEX IF NOT EXISTS attempt_endpoint_{d} ON attempt_{d} (endpoint, id) INCLUDE (started_at, ok, msg);
";

/// The idempotency keys that expire on a day: with the message they made, or with the answer they were given.
const IDEMPOTENT: &str = "
CREATE TABLE IF NOT EXISTS idempotent_{d} (key bytea PRIMARY KEY, body_hash bytea NOT NULL, msg bigint, status smallint,
    answer bytea, expires_at bigint NOT NULL);
";

/// The form of a kind's tables in the newest version that this program knows, for a day `{d}`.
fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => MESSAGE,
        Kind::Payload => PAYLOAD,
        Kind::Attempt => ATTEMPT,
        Kind::Idempotent => IDEMPOTENT,
    }
}

/// The statements that make the tables of a day, in the form that the database keeps.
pub(super) async fn of_day(connection: &Connection, kind: Kind, day: i64) -> Result<String, Fault> {
    let kept = connection
        .row("SELECT ddl FROM form WHERE kind = $1", args![kind.name()])
        .await?;
    let kept: Option<String> = kept.map(|row| row.get(0));
    Ok(render(kept.as_deref().unwrap_or_else(|| form(kind)), day))
}

/// The newest schema version this program knows.
pub(super) fn newest_version() -> i64 {
    STEPS.len() as i64
}

/// How the database stands.
pub(super) async fn standing(connection: &Connection, schema: &str) -> Result<Standing, Fault> {
    let table = format!("{schema}.meta");
    let there = connection
        .row("SELECT to_regclass($1) IS NOT NULL", args![table])
        .await?;
    let mut standing = Standing {
        version: 0,
        lives_with: 0,
    };
    if !there.is_some_and(|row| row.get(0)) {
        return Ok(standing);
    }
    let sql = format!("SELECT key, value FROM {schema}.meta WHERE key IN ('version', 'lives_with')");
    for row in connection.rows(&sql, &[]).await? {
        match row.get::<_, &str>(0) {
            "version" => standing.version = row.get(1),
            _ => standing.lives_with = row.get(1),
        }
    }
    // Who wrote no such number knew of no older version that could.
    if standing.lives_with == 0 {
        standing.lives_with = standing.version;
    }
    Ok(standing)
}

/// Brings the database up to the newest version that this program knows, one transaction per step. Answers how it stood before; one
/// that is newer is left as it is.
pub(super) async fn migrate(connection: &Connection, schema: &str) -> Result<Standing, Fault> {
    let found = standing(connection, schema).await?;
    for step in usize::try_from(found.version).unwrap_or(0)..STEPS.len() {
        take(connection, schema, step..step + 1, "COMMIT").await?;
    }
    Ok(found)
}

/// Takes all steps that are left, and takes them back: in one transaction that is rolled back.
pub(super) async fn rehearse(connection: &Connection, schema: &str) -> Result<Standing, Fault> {
    let found = standing(connection, schema).await?;
    let left = usize::try_from(found.version).unwrap_or(0)..STEPS.len();
    if !left.is_empty() {
        take(connection, schema, left, "ROLLBACK").await?;
    }
    Ok(found)
}

/// Takes steps in one transaction that ends like this. While somebody else has what it needs it steps back, for as long as there
/// is patience.
async fn take(connection: &Connection, schema: &str, steps: std::ops::Range<usize>, end: &str) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let taken = async {
            begin(connection).await?;
            for step in steps.clone() {
                apply(connection, schema, step).await?;
            }
            connection.batch(end).await
        };
        let Err(fault) = taken.await else { return Ok(()) };
        let _ = connection.batch("ROLLBACK").await;
        if !fault.is_about_a_lock() || begun.elapsed() > PATIENCE {
            return Err(fault);
        }
        tracing::info!(?fault, "the schema cannot be changed at this moment; trying again");
        sleep(PAUSE).await;
    }
}

/// Takes the first step alone: a database of the first version, for tests.
#[cfg(test)]
pub(super) async fn take_first(connection: &Connection, schema: &str) -> Result<(), Fault> {
    take(connection, schema, 0..1, "COMMIT").await
}

async fn begin(connection: &Connection) -> Result<(), Fault> {
    let lock = LOCK.as_millis();
    connection
        .batch(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({MIGRATION}); SET LOCAL lock_timeout = {lock}"
        ))
        .await
}

/// Takes one step within the transaction, unless another node has taken it meanwhile.
async fn apply(connection: &Connection, schema: &str, step: usize) -> Result<(), Fault> {
    if standing(connection, schema).await?.version > step as i64 {
        return Ok(());
    }
    let is_there = connection
        .row("SELECT 1 FROM pg_namespace WHERE nspname = $1", args![schema])
        .await?;
    if is_there.is_none() {
        connection.batch(&format!("CREATE SCHEMA {schema}")).await?;
    }
    connection.batch(&format!("SET LOCAL search_path TO {schema}")).await?;
    let Step { sql, days, lives_with } = &STEPS[step];
    connection.batch(&sql.replace("{fenced}", FENCED)).await?;
    if !days.is_empty() {
        // Whoever is making tables has made them by then; whoever comes later makes them in the new form.
        partition::lock(connection).await?;
        let known: Days = partition::read(connection).await?;
        for (kind, template) in *days {
            for day in known.of(*kind) {
                connection.batch(&render(template, day)).await?;
            }
        }
    }
    if step + 1 == STEPS.len() {
        let sql = "INSERT INTO form (kind, ddl) VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE SET ddl = excluded.ddl";
        for kind in Kind::ALL {
            connection.execute(sql, args![kind.name(), form(kind)]).await?;
        }
    }
    let sql = "INSERT INTO meta (key, value) VALUES ('version', $1), ('lives_with', $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection
        .execute(sql, args![step as i64 + 1, *lives_with])
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_database_is_fit_for_whom_it_says_it_can_live_with() {
        let standing = |version, lives_with| Standing { version, lives_with };
        assert!(standing(0, 0).is_fit_for(2));
        assert!(standing(2, 1).is_fit_for(2));
        assert!(standing(3, 2).is_fit_for(2), "the next version, side by side");
        assert!(!standing(4, 3).is_fit_for(2), "two versions on");
        assert!(!standing(3, 3).is_fit_for(2), "one that says so");
    }

    #[test]
    fn every_step_can_be_lived_with_by_some_version_that_there_was() {
        for (version, step) in (1..).zip(STEPS) {
            assert!((1..=version).contains(&step.lives_with), "step {version}");
        }
    }
}
