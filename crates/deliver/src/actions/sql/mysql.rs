//! Effects in MySQL and MariaDB.
//!
//! A time as JSON has it (`2026-11-02T09:00:00+01:00`) is none that MySQL reads: where a row's column is of a time, it is written as MySQL
//! wants it, in UTC, which is the connection's time zone.
//!
//! The library opens its connections itself. It is told the addresses that the guard has judged, and asks no DNS server.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_action::sql::{Place, Plan, Server, Tls, Value};
use bellwire_core::attempt::Failure;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, Params, SslOpts, prelude::Queryable as _};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    super::{executor::Undone, pool::Pool},
    Backend, Begin, CONNECTIONS_MAX, Done, GOODBYE, Limit, NO_CONNECTION, NOT_DONE,
    bounded::BYTES_MAX,
    failure,
};
use crate::guard::{Guard, Service};

/// No such table.
const NO_SUCH_TABLE: u16 = 1146;
/// A row of this key is there already.
const DUPLICATE_KEY: u16 = 1062;
/// What a server says where a table is not what it was thought to be: no such column, no such table, no such time.
const OTHER_TABLE: &[u16] = &[1054, NO_SUCH_TABLE, 1292];
/// After so long without use a connection is taken for closed.
const WAIT_SECS: usize = 600;
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 8;

const CREATE_DONE: &str = "CREATE TABLE IF NOT EXISTS bellwire_done (id VARCHAR(191) CHARACTER SET ascii PRIMARY KEY, \
     at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";
const NOTE_DONE: &str = "INSERT INTO bellwire_done (id) VALUES (?)";

const COLUMNS: &str = "SELECT COLUMN_NAME, DATA_TYPE IN ('datetime', 'timestamp') FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = coalesce(?, database()) AND TABLE_NAME = ?";

/// One server, for one endpoint.
pub(super) struct Mysql {
    server: Server,
    guard: Arc<Guard>,
    pool: Pool<Held>,
    /// The columns of the endpoint's table that are of times; `None` as long as nobody knows, or when it was found to be otherwise.
    times: Mutex<Option<Times>>,
    tasks: TaskTracker,
}

type Times = Arc<Vec<String>>;

/// A connection that is closed within a bounded time once nobody holds it, wherever it stood: the library would read what is left
/// of an answer, however long that takes to come.
struct Held {
    connection: Option<Conn>,
    tasks: TaskTracker,
}

impl Deref for Held {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.connection.as_ref().unwrap_or_else(|| unreachable!("{GONE}"))
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Conn {
        self.connection.as_mut().unwrap_or_else(|| unreachable!("{GONE}"))
    }
}

/// Only dropping takes the connection out.
const GONE: &str = "a connection is used after it was dropped";

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Ok(runtime) = Handle::try_current()
        {
            // From here on the library closes nothing by itself: when the time is over, the socket is dropped.
            self.tasks.spawn_on(timeout(GOODBYE, connection.disconnect()), &runtime);
        }
    }
}

impl Mysql {
    pub fn new(server: Server, guard: Arc<Guard>, tasks: TaskTracker) -> Self {
        Self {
            server,
            guard,
            pool: Pool::new(CONNECTIONS_MAX),
            times: Mutex::default(),
            tasks,
        }
    }

    /// The values as they are bound.
    async fn values(&self, connection: &mut Conn, plan: &Plan) -> Result<Vec<mysql_async::Value>, Error> {
        let Some(row) = &plan.row else {
            return Ok(plan.values.iter().map(bound).collect());
        };
        let times = self.times(connection, row.schema.as_deref(), &row.table).await?;
        let values = plan.values.iter().zip(&row.columns);
        Ok(values
            .map(|(value, column)| match value {
                Value::Text(text) if times.contains(column) => mysql_async::Value::from(utc(text)),
                value => bound(value),
            })
            .collect())
    }

    /// The columns of the table that are of times. Of a table that is not there nothing is kept: it may come.
    async fn times(&self, connection: &mut Conn, schema: Option<&str>, table: &str) -> Result<Times, Error> {
        if let Some(times) = self.known_times().clone() {
            return Ok(times);
        }
        let columns: Vec<(String, bool)> = connection.exec(COLUMNS, (schema, table)).await?;
        let is_there = !columns.is_empty();
        let times = columns.into_iter().filter(|(_, is_time)| *is_time);
        let times = Arc::new(times.map(|(name, _)| name).collect());
        if is_there {
            *self.known_times() = Some(Arc::clone(&times));
        }
        Ok(times)
    }

    fn known_times(&self) -> std::sync::MutexGuard<'_, Option<Times>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of an error of the effect. Where the table is another one by now, what was known of it is forgotten.
    fn told(&self, error: &Error) -> Failure {
        if matches!(error, Error::Server(said) if OTHER_TABLE.contains(&said.code)) {
            *self.known_times() = None;
        }
        failure::mysql(error)
    }

    /// Notes that it is done, does it, and commits; in a transaction that was begun, and that the caller rolls back unless rows come
    /// out.
    async fn effect(&self, connection: &mut Conn, plan: &Plan, limit: &Limit) -> Result<Done, Failure> {
        let told = |error: Error| self.told(&error);
        if let Some(id) = &plan.once
            && !note_done(connection, id, limit).await?
        {
            return Ok(Done::Already);
        }
        let values = self.values(connection, plan).await.map_err(told)?;
        connection
            .exec_drop(&plan.text, Params::Positional(values))
            .await
            .map_err(told)?;
        let rows = connection.affected_rows();
        connection.query_drop("COMMIT").await.map_err(told)?;
        Ok(Done::Rows(rows))
    }

    /// A connection with a transaction begun in it. A kept one may have been closed by the server meanwhile: then a new one is made.
    async fn begun(&self, limit: &Limit) -> Result<Held, Failure> {
        while let Some(mut kept) = self.pool.take() {
            if begin_transaction(&mut kept, limit).await.is_ok() {
                return Ok(kept);
            }
        }
        let mut connection = Held {
            connection: Some(self.connect().await?),
            tasks: self.tasks.clone(),
        };
        begin_transaction(&mut connection, limit)
            .await
            .map_err(|error| failure::mysql(&error))?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<Conn, Failure> {
        let server = &self.server;
        let mut options = OptsBuilder::default()
            .user(Some(&server.user))
            .pass(server.password.as_ref().map(|password| password.expose()))
            .db_name(server.database.as_deref())
            .prefer_socket(false)
            .stmt_cache_size(STATEMENTS_KEPT)
            // Not what the server says of itself: it may not be ours.
            .max_allowed_packet(Some(BYTES_MAX))
            .wait_timeout(Some(WAIT_SECS))
            .init(vec!["SET time_zone = '+00:00'".to_owned()]);
        match &server.place {
            Place::Socket(path) => {
                options = options
                    .socket(Some(path.to_string_lossy().into_owned()))
                    .prefer_socket(true)
            }
            Place::Tcp { host, port } => {
                let service = Service {
                    host,
                    port: *port,
                    usual: &[],
                };
                let addresses = self.guard.judge(service).await;
                let addresses = addresses.map_err(|error| failure::not_connected(&error))?;
                options = options
                    .ip_or_hostname(host)
                    .tcp_port(*port)
                    .resolved_ips(Some(addresses));
            }
        }
        let encrypted = options.clone().ssl_opts(self.tls());
        match Conn::new(encrypted).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if server.tls == Tls::Prefer => {
                Conn::new(options).await.map_err(|error| failure::mysql(&error))
            }
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) => Err(failure::no_tls()),
            connected => connected.map_err(|error| failure::mysql(&error)),
        }
    }

    fn tls(&self) -> Option<SslOpts> {
        match self.server.tls {
            Tls::Disable => None,
            Tls::Prefer | Tls::Require => Some(
                SslOpts::default()
                    .with_danger_accept_invalid_certs(true)
                    .with_danger_skip_domain_validation(true),
            ),
            Tls::VerifyFull => {
                let roots = self.guard.extra_roots().iter().cloned();
                Some(SslOpts::default().with_root_certs(roots.map(Into::into).collect()))
            }
        }
    }
}

async fn begin_transaction(connection: &mut Conn, limit: &Limit) -> Result<(), Error> {
    // Locks are what statements of this sort wait for; seconds are the unit there is.
    let seconds = limit.left_ms().div_ceil(1_000);
    connection
        .query_drop(format!("SET innodb_lock_wait_timeout = {seconds}"))
        .await?;
    connection.query_drop("START TRANSACTION").await
}

#[async_trait]
impl Backend for Mysql {
    async fn run(&self, plan: Plan, limit: Limit, begin: &Begin<'_>) -> Result<Done, Undone> {
        let _slot = limit.keep(NO_CONNECTION, self.pool.slot()).await?;
        let mut connection = limit.keep(NO_CONNECTION, self.begun(&limit)).await??;
        let outcome = match begin() {
            Err(undone) => Err(undone),
            // When the time is over the connection is dropped where it stands.
            Ok(()) => limit
                .keep(NOT_DONE, self.effect(&mut connection, &plan, &limit))
                .await?
                .map_err(Undone::from),
        };
        let is_ended = match &outcome {
            Ok(Done::Rows(_)) => true,
            _ => matches!(timeout(GOODBYE, connection.query_drop("ROLLBACK")).await, Ok(Ok(()))),
        };
        if is_ended {
            self.pool.put(connection);
        }
        outcome
    }

    fn sweep(&self, unused: Duration) {
        self.pool.sweep(unused);
    }
}

/// Notes that an effect is done; false where that was noted before.
async fn note_done(connection: &mut Conn, id: &str, limit: &Limit) -> Result<bool, Failure> {
    let noted = match connection.exec_drop(NOTE_DONE, (id,)).await {
        Err(Error::Server(said)) if said.code == NO_SUCH_TABLE => {
            // Making a table ends the transaction.
            connection.query_drop(CREATE_DONE).await.map_err(|error| {
                let mut failure = failure::mysql(&error);
                failure.detail = format!(
                    "cannot make the table bellwire_done ({}); make it yourself: {CREATE_DONE}",
                    failure.detail
                );
                failure
            })?;
            let begun = begin_transaction(connection, limit).await;
            begun.map_err(|error| failure::mysql(&error))?;
            connection.exec_drop(NOTE_DONE, (id,)).await
        }
        noted => noted,
    };
    match noted {
        Ok(()) => Ok(true),
        Err(Error::Server(said)) if said.code == DUPLICATE_KEY => Ok(false),
        Err(error) => Err(failure::mysql(&error)),
    }
}

/// A time with a zone as MySQL reads it, in UTC; any other text as it is.
fn utc(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// A value with MySQL's own types.
fn bound(value: &Value) -> mysql_async::Value {
    match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Bool(value) => mysql_async::Value::Int(i64::from(*value)),
        Value::Integer(integer) => mysql_async::Value::Int(*integer),
        Value::Real(real) => mysql_async::Value::Double(*real),
        Value::Text(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_with_a_zone_are_written_in_utc_and_all_else_is_left() {
        for (text, written) in [
            ("2026-11-02T09:00:00+01:00", "2026-11-02 08:00:00.000000"),
            ("2026-11-02T09:00:00.25Z", "2026-11-02 09:00:00.250000"),
            ("2026-11-02 09:00:00", "2026-11-02 09:00:00"),
            ("2026-11-02", "2026-11-02"),
            ("soon", "soon"),
        ] {
            assert_eq!(utc(text), written);
        }
    }
}
