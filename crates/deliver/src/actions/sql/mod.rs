//! The kind `sql`: an effect in a database, once for each message.
//!
//! In the transaction of the effect a row is written into `bellwire_done`, whose key names message and endpoint. Where the row is
//! there already, the effect was committed by an earlier attempt whose answer was lost: nothing is done, and that is a success.
//! So deliveries that are made at least once have their effect exactly once.
//!
//! Values are bound. No SQL is made here but what keeps that table.

mod bounded;
mod failure;
mod mysql;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_action::{
    Compiled as _,
    sql::{Database, Plan, Settings},
};
use bellwire_core::{attempt::Failure, endpoint::Endpoint, time::format_span};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// So many connections one endpoint has at once.
const CONNECTIONS_MAX: usize = 4;
/// How long an effect that was cut off may take to let go of the database.
const GRACE: Duration = Duration::from_secs(2);
/// How long a rollback, or a connection that nobody holds any more, may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Has one endpoint's effects.
struct SqlAction {
    settings: Settings,
    backend: Box<dyn Backend>,
}

/// A database that effects can be had in.
#[async_trait]
trait Backend: Send + Sync + 'static {
    /// Has the effect, in one transaction, and `begin` is asked before. What is not done within the limit is abandoned.
    async fn run(&self, plan: Plan, limit: Limit, begin: &Begin<'_>) -> Result<Done, Undone>;

    /// Closes connections that were not used for so long.
    fn sweep(&self, unused: Duration);
}

/// Whether the effect may begin.
type Begin<'a> = dyn Fn() -> Result<(), Undone> + Sync + 'a;

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// It was had, and so many rows changed.
    Rows(u64),
    /// An earlier attempt had it.
    Already,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    if settings.database().is_local() && !endpoint.action.trusted {
        return Err(Failure {
            reason: "kind_refused",
            detail:
                "only the operator's hooks file may name a database file or a socket of this machine; nothing was done"
                    .to_owned(),
        });
    }
    let guard = Arc::clone(parts.guard(endpoint));
    let backend: Box<dyn Backend> = match settings.database() {
        Database::Sqlite(path) => Box::new(sqlite::Sqlite::new(parts.data.join(path))),
        Database::Postgres(server) => Box::new(postgres::Postgres::new(server.clone(), guard, parts.tasks.clone())),
        Database::Mysql(server) => Box::new(mysql::Mysql::new(server.clone(), guard, parts.tasks.clone())),
    };
    Ok(Arc::new(SqlAction { settings, backend }))
}

#[async_trait]
impl Executor for SqlAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let begin = || task.begin();
        let done = self.backend.run(plan, Limit::new(task.timeout), &begin).await?;
        Ok(Effect::done(match done {
            Done::Rows(1) => "1 row".to_owned(),
            Done::Rows(rows) => format!("{rows} rows"),
            Done::Already => "already done by an earlier attempt; not repeated".to_owned(),
        }))
    }

    fn grace(&self) -> Duration {
        GRACE
    }

    fn sweep(&self, unused: Duration) {
        self.backend.sweep(unused);
    }
}

/// How long an effect may take.
#[derive(Debug, Clone, Copy)]
struct Limit {
    after: Duration,
    deadline: Instant,
}

impl Limit {
    fn new(after: Duration) -> Self {
        Self {
            after,
            deadline: Instant::now() + after,
        }
    }

    /// What is left of the time, in milliseconds; never 0, which databases take for no limit.
    fn left_ms(&self) -> u64 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// The future's answer, or the failure when the time is over before.
    async fn keep<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Failure> {
        timeout_at(self.deadline, future).await.map_err(|_| self.over(what))
    }

    /// The failure when the time is over.
    fn over(&self, what: &str) -> Failure {
        Failure {
            reason: "sql_timeout",
            detail: format!(
                "{what} within {}; look for locks in the database, or raise the endpoint's timeoutMs",
                format_span(self.after)
            ),
        }
    }
}

/// What is said when the time is over before there is a connection.
const NO_CONNECTION: &str = "no connection to the database";
/// What is said when the time is over in a transaction.
const NOT_DONE: &str = "the transaction was not done and was abandoned: not done";
