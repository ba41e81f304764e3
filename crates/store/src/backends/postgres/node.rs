//! Which node this process is, and that it is the only one that says so.
//!
//! A node is a row of `node` with a number and an epoch. Whoever becomes a node raises its epoch; every transaction of the node
//! begins by asking whether the epoch still is its own, and holds that row until it ends. So who takes over waits for what its
//! predecessor has under way, and from then on the database refuses whatever that one still sends: a process that hung, or that
//! was cut off, cannot write.
//!
//! Whoever takes part has a row of `member` as well, and says every second that it is alive ([`super::keeper`]). One of which
//! nothing was heard for [`SILENCE`] is buried by whoever sees it first ([`bury`]); and sooner where its session is gone, which
//! holds an advisory lock: a process that was killed is missed at once. Behind a pooler, where sessions mean nothing, only the
//! silence counts. All times are the database's, and it says nothing of a node while it was away itself.

use std::time::Duration;

use bellwire_core::{id::first_number_at, time::Timestamp};
use tokio::time::sleep;

use super::{
    argument::args,
    books::Books,
    columns::{key, number},
    connection::{Connection, Server},
    fault::Fault,
    recover::recover,
};
use crate::query::Role;

/// When nothing was heard of a node for so long, it is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(7);
/// When its session is gone as well, so much is enough: it has missed its time to speak.
const MISSED: Duration = Duration::from_millis(1_500);
/// A session of a node that is gone, in which nothing happened for so long, is cut off by whoever buries the node.
const HANGS: Duration = Duration::from_secs(3);
/// How often somebody who may be gone is looked at by whoever wants to join.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// So many numbers there are: they are a part of ids.
const NUMBERS: i16 = 1_024;
/// What whoever joins, and whoever wants to be alone, lock behind the numbers: one after the other.
const DOOR: i32 = NUMBERS as i32;
/// In the bookkeeping: who keeps the store for itself, by number and epoch.
const HELD: &str = "held";

/// The place this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ownership {
    pub number: i16,
    pub epoch: i64,
}

/// Where nodes meet, and how a transaction of theirs begins.
#[derive(Clone)]
pub(super) struct House {
    pub server: Server,
    pub begin: String,
}

impl House {
    fn schema(&self) -> &str {
        &self.server.address.schema
    }
}

/// Takes the first number that nobody has. Whoever is gone is buried before, so that nothing that was under way there is missing.
/// `None` while somebody has the store alone ([`hold`]).
///
/// # Errors
/// Those of the database.
pub(super) async fn join(
    house: &House,
    session: &Connection,
    role: Role,
    host: &str,
    now: Timestamp,
) -> Result<Option<(Ownership, Books)>, Fault> {
    loop {
        let others = look(session, house.schema()).await?;
        for gone in others.iter().filter(|other| other.state == State::Gone) {
            bury(house, session, gone, now).await?;
        }
        if others.iter().any(|other| other.state != State::Alive) {
            sleep(TRY_EVERY).await;
            continue;
        }
        let free = (0..NUMBERS).find(|n| others.iter().all(|other| other.own.number != *n));
        let Some(free) = free else {
            return Err(Fault::Away(format!("{NUMBERS} nodes share this store already")));
        };
        match take(house, session, free, (role, host), now).await {
            // Somebody else took it in this moment.
            Err(fault) if fault.is_about_something_taken() => continue,
            taken => return taken,
        }
    }
}

async fn take(
    house: &House,
    session: &Connection,
    which: i16,
    named: (Role, &str),
    now: Timestamp,
) -> Result<Option<(Ownership, Books)>, Fault> {
    let schema = house.schema();
    lock(session, schema, which).await?;
    let taken = async {
        session.batch(&house.begin).await?;
        let sql = "SELECT pg_advisory_xact_lock_shared(hashtext($1), $2)";
        session.rows(sql, args![place(schema), DOOR]).await?;
        if is_held(session).await? {
            return Ok(None);
        }
        let taken = enter(session, which, named, now).await?;
        session.batch("COMMIT").await?;
        Ok(Some(taken))
    };
    let taken = taken.await;
    if !matches!(taken, Ok(Some(_))) {
        let _ = session.batch("ROLLBACK").await;
        let _ = unlock(session, schema, which).await;
    }
    taken
}

async fn enter(
    session: &Connection,
    which: i16,
    (role, host): (Role, &str),
    now: Timestamp,
) -> Result<(Ownership, Books), Fault> {
    let sql = "WITH place AS (INSERT INTO node (number, epoch, name, renewed_at, mark, last_id) \
           VALUES ($1, 1, $2, clock_timestamp(), 0, 0) ON CONFLICT (number) DO UPDATE SET epoch = node.epoch + 1, \
           name = excluded.name, renewed_at = excluded.renewed_at RETURNING number, epoch, mark, last_id), \
         taken AS (INSERT INTO member (number, epoch, backend, renewed_at, since, role, host) \
           SELECT number, epoch, pg_backend_pid(), clock_timestamp(), clock_timestamp(), $3, $2 FROM place) \
         SELECT epoch, mark, last_id FROM place";
    let taken = session.row(sql, args![which, host, role.name()]).await?;
    let row = taken.ok_or_else(|| Fault::Away("the node's row could not be written".to_owned()))?;
    let own = Ownership {
        number: which,
        epoch: row.get(0),
    };
    let mut books = Books {
        mark: number(row.get(1)),
        last_id: number(row.get(2)),
    };
    if own.epoch == 1 {
        // Nobody had the number before: nothing is to be looked for.
        books.last_id = first_number_at(now);
        books.mark = books.last_id + 1;
    }
    Ok((own, books))
}

/// Keeps the store for whoever has this place, where nobody else takes part: nobody joins from now on. The mark names the place
/// and means nothing without it, so one that a process left behind that died is none. False when others take part.
///
/// # Errors
/// Those of the database.
pub(super) async fn hold(house: &House, session: &Connection, own: Ownership) -> Result<bool, Fault> {
    let held = async {
        session.batch(&house.begin).await?;
        // Whoever is joining is waited for, so that it is seen.
        let sql = "SELECT pg_advisory_xact_lock(hashtext($1), $2)";
        session.rows(sql, args![place(house.schema()), DOOR]).await?;
        let others = look(session, house.schema()).await?;
        if others.iter().any(|other| other.own != own) {
            return Ok(false);
        }
        let sql =
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let holder = own.epoch * i64::from(NUMBERS) + i64::from(own.number);
        session.execute(sql, args![HELD, holder]).await?;
        session.batch("COMMIT").await?;
        Ok(true)
    };
    let held = held.await;
    if !matches!(held, Ok(true)) {
        let _ = session.batch("ROLLBACK").await;
    }
    held
}

/// Whether somebody who is there keeps the store for itself.
async fn is_held(session: &Connection) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM meta JOIN member AS m ON meta.value = m.epoch * $2 + m.number \
         WHERE meta.key = $1 AND NOT m.gone";
    let held = session.row(sql, args![HELD, i64::from(NUMBERS)]).await?;
    Ok(held.is_some())
}

/// How somebody who takes part is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was heard of.
    Alive,
    /// Its session is gone; it may come back with another one.
    Missed,
    /// It left, or nothing was heard of it for too long.
    Gone,
}

/// Somebody who takes part.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub own: Ownership,
    pub backend: Option<i32>,
    pub state: State,
    /// It said itself that it goes.
    pub left: bool,
    pub role: Role,
}

/// All that take part.
pub(super) async fn look(session: &Connection, schema: &str) -> Result<Vec<Other>, Fault> {
    let sql = format!(
        "SELECT m.number, m.epoch, m.backend, m.gone, m.role, s.is_there, s.silent FROM {schema}.member AS m \
         CROSS JOIN LATERAL (SELECT (extract(epoch FROM clock_timestamp() - \
           greatest(m.renewed_at, pg_postmaster_start_time())) * 1000)::bigint AS silent, \
           EXISTS (SELECT 1 FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND l.classid::bigint = (hashtext($1)::bigint & 4294967295) AND l.objid::bigint = m.number) AS is_there) AS s \
         ORDER BY m.number"
    );
    let rows = session.rows(&sql, args![place(schema)]).await?;
    let other = |row: &tokio_postgres::Row| {
        let (left, is_there): (bool, bool) = (row.get(3), row.get(5));
        let silent = Duration::from_millis(row.get::<_, i64>(6).unsigned_abs());
        let is_gone = left || silent > SILENCE || (!is_there && silent > MISSED);
        Other {
            own: Ownership {
                number: row.get(0),
                epoch: row.get(1),
            },
            backend: row.get(2),
            state: match (is_gone, is_there) {
                (true, _) => State::Gone,
                (false, false) => State::Missed,
                (false, true) => State::Alive,
            },
            left,
            role: row.get::<_, &str>(4).parse().unwrap_or_default(),
        }
    };
    Ok(rows.iter().map(other).collect())
}

/// Ends a node that is gone: nothing it sends counts any more, what was out in its memory waits again, and its shards are free.
/// Nothing happens where somebody else does that. Answers whether it was done here.
///
/// # Errors
/// Those of the database; it is tried again then, by whoever sees it.
pub(super) async fn bury(house: &House, session: &Connection, gone: &Other, now: Timestamp) -> Result<bool, Fault> {
    let schema = house.schema();
    let which = gone.own.number;
    if let Some(backend) = gone.backend {
        end_session(session, backend, HANGS.as_secs() as i64).await?;
    }
    cut_off_who_hangs(session, schema).await?;
    // So that nobody takes it for gone once more while it is being buried.
    lock(session, schema, which).await?;
    let buried = async {
        let sql = format!(
            "WITH fenced AS (UPDATE {schema}.node SET epoch = epoch + 1 WHERE number = $1 AND epoch = $2 \
               RETURNING number, epoch, mark, last_id), \
             renewed AS (UPDATE {schema}.member SET epoch = fenced.epoch, renewed_at = clock_timestamp(), gone = false, \
               backend = NULL FROM fenced WHERE member.number = fenced.number) \
             SELECT epoch, mark, last_id FROM fenced"
        );
        let Some(row) = session.row(&sql, args![which, gone.own.epoch]).await? else {
            return Ok(false);
        };
        let own = Ownership {
            number: which,
            epoch: row.get(0),
        };
        let books = Books {
            mark: number(row.get(1)),
            last_id: number(row.get(2)),
        };
        let connection = bring_back(house, own, books, now).await?;
        free_shards(&connection, which).await?;
        let sql = "DELETE FROM member WHERE number = $1 AND epoch = $2";
        connection.execute(sql, args![which, own.epoch]).await?;
        connection.batch("COMMIT").await?;
        if gone.left {
            tracing::info!(node = which, "a node has left");
        } else {
            tracing::warn!(node = which, "a node is gone; others take its place");
        }
        Ok(true)
    };
    let buried = buried.await;
    let _ = unlock(session, schema, which).await;
    buried
}

/// What was out in the memory of whoever had the place before waits again. Answers a connection with a transaction of the node open,
/// in which its bookkeeping says so.
///
/// # Errors
/// Those of the database.
pub(super) async fn bring_back(
    house: &House,
    own: Ownership,
    books: Books,
    now: Timestamp,
) -> Result<Connection, Fault> {
    let connection = house.server.connect().await?;
    let (connection, _, books) = recover(connection, &house.begin, own, books, now).await?;
    let sql = format!(
        "{}; SELECT own({}::smallint, {}::bigint)",
        house.begin, own.number, own.epoch
    );
    connection.batch(&sql).await?;
    let sql = "UPDATE node SET mark = $2, last_id = $3 WHERE number = $1";
    let args = args![own.number, key(books.mark), key(books.last_id)];
    connection.execute(sql, args).await?;
    Ok(connection)
}

/// The shards of a node that was fenced are for whoever takes them.
pub(super) async fn free_shards(connection: &Connection, which: i16) -> Result<u64, Fault> {
    let sql = "UPDATE shard SET node = NULL, epoch = epoch + 1 WHERE node = $1";
    connection.execute(sql, args![which]).await
}

fn place(schema: &str) -> String {
    format!("bellwire {schema}")
}

/// Takes the lock that says that the node's process is alive. False when another session has it.
pub(super) async fn lock(session: &Connection, schema: &str, which: i16) -> Result<bool, Fault> {
    let sql = "SELECT pg_try_advisory_lock(hashtext($1), $2)";
    let row = session.row(sql, args![place(schema), i32::from(which)]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

pub(super) async fn unlock(session: &Connection, schema: &str, which: i16) -> Result<(), Fault> {
    let sql = "SELECT pg_advisory_unlock(hashtext($1), $2)";
    session
        .rows(sql, args![place(schema), i32::from(which)])
        .await
        .map(drop)
}

/// Ends the session of somebody of whom nothing was heard, and with it the lock. One in which something happened meanwhile is
/// somebody else's: behind a pooler sessions go round.
pub(super) async fn end_session(session: &Connection, backend: i32, idle_secs: i64) -> Result<(), Fault> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND pid <> pg_backend_pid() \
         AND state = 'idle' AND state_change < clock_timestamp() - make_interval(secs => $2::bigint)";
    session.rows(sql, args![backend, idle_secs]).await.map(drop)
}

/// Ends transactions that hold a node's row and are not going on: their process, or the way to it, is gone. Otherwise taking
/// over would wait for the server to notice.
async fn cut_off_who_hangs(session: &Connection, schema: &str) -> Result<(), Fault> {
    let sql = "SELECT pg_terminate_backend(a.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
         WHERE l.relation = to_regclass($1) AND l.mode = 'RowShareLock' AND a.pid <> pg_backend_pid() \
         AND a.state LIKE 'idle in transaction%' AND a.state_change < clock_timestamp() - make_interval(secs => $2::bigint)";
    let table = format!("{schema}.node");
    session.rows(sql, args![table, HANGS.as_secs() as i64]).await.map(drop)
}

/// Says that the node goes: others need not wait.
pub(super) async fn leave(session: &Connection, schema: &str, own: Ownership) -> Result<(), Fault> {
    let sql = format!("UPDATE {schema}.member SET gone = true WHERE number = $1 AND epoch = $2");
    session.execute(&sql, args![own.number, own.epoch]).await.map(drop)
}
