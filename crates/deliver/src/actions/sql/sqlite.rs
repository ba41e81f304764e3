//! Effects in a file of SQLite.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bellwire_action::sql::{Plan, Value};
use bellwire_core::attempt::Failure;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, types::ToSqlOutput};
use tokio::time::timeout_at;

use super::{
    super::{executor::Undone, pool::Pool},
    Backend, Begin, Done, Limit, NO_CONNECTION, NOT_DONE, failure,
};

const CREATE_DONE: &str = "CREATE TABLE IF NOT EXISTS bellwire_done (id TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID";
const NOTE_DONE: &str = "INSERT INTO bellwire_done (id) VALUES (?1) ON CONFLICT DO NOTHING";

/// One file, for one endpoint. SQLite has one writer at a time, so there is one connection.
pub(super) struct Sqlite {
    path: Arc<Path>,
    pool: Pool<Connection>,
}

impl Sqlite {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            pool: Pool::new(1),
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn run(&self, plan: Plan, limit: Limit, begin: &Begin<'_>) -> Result<Done, Undone> {
        let _slot = limit.keep(NO_CONNECTION, self.pool.slot()).await?;
        let (kept, path) = (self.pool.take(), Arc::clone(&self.path));
        let opening = tokio::task::spawn_blocking(move || kept.map_or_else(|| open(&path), Ok));
        let mut connection = limit.keep(NO_CONNECTION, opening).await?.map_err(died)??;
        begin()?;
        let stop = connection.get_interrupt_handle();
        let mut working = tokio::task::spawn_blocking(move || {
            let done = effect(&mut connection, &plan, limit);
            (connection, done)
        });
        let (connection, done) = match timeout_at(limit.deadline, &mut working).await {
            Ok(worked) => worked.map_err(died)?,
            Err(_) => {
                stop.interrupt();
                // It may have been done at this very moment: only its own word tells.
                working.await.map_err(died)?
            }
        };
        self.pool.put(connection);
        let failed = |failure: Failure| match failure.reason {
            "sql_timeout" => limit.over(NOT_DONE),
            _ => failure,
        };
        Ok(done.map_err(failed)?)
    }

    fn sweep(&self, unused: Duration) {
        self.pool.sweep(unused);
    }
}

fn died(error: tokio::task::JoinError) -> Failure {
    failure::broken(&format!("the work on the file was cut off: {error}"))
}

/// Opens a file that is there: a mistyped name makes no new database.
fn open(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| {
        failure::broken(&format!(
            "cannot open {} ({error}); it has to be a file of SQLite that exists",
            path.display()
        ))
    })
}

/// Notes that it is done, does it, and commits.
fn effect(connection: &mut Connection, plan: &Plan, limit: Limit) -> Result<Done, Failure> {
    let told = |error: rusqlite::Error| failure::sqlite(&error);
    connection
        .busy_timeout(Duration::from_millis(limit.left_ms()))
        .map_err(told)?;
    // The lock is taken at once: one that is asked for half-way is refused without waiting.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(told)?;
    if let Some(id) = &plan.once {
        transaction.execute(CREATE_DONE, []).map_err(told)?;
        if transaction.execute(NOTE_DONE, [id]).map_err(told)? == 0 {
            return Ok(Done::Already);
        }
    }
    {
        let mut statement = transaction.prepare_cached(&plan.text).map_err(told)?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(plan.values.iter().map(Bound)))
            .map_err(told)?;
        // Rows that it returns are of no use to anybody; they have to be asked for, so that it runs to its end.
        while rows.next().map_err(told)?.is_some() {}
    }
    let rows = transaction.changes();
    transaction.commit().map_err(told)?;
    Ok(Done::Rows(rows))
}

/// A value with SQLite's own types.
struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::from(rusqlite::types::Null),
            Value::Bool(value) => ToSqlOutput::from(*value),
            Value::Integer(integer) => ToSqlOutput::from(*integer),
            Value::Real(real) => ToSqlOutput::from(*real),
            Value::Text(text) => ToSqlOutput::from(text.as_str()),
        })
    }
}
