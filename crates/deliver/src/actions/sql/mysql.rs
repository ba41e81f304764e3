//! Effects in MySQL and MariaDB.
//!
//! The library opens its connections itself. It is told the addresses that the guard has judged, and asks no DNS server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_action::sql::{Place, Plan, Server, Tls, Value};
use bellwire_core::attempt::Failure;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, Params, PathOrBuf, SslOpts, prelude::Queryable as _};

use super::{
    super::{executor::Undone, pool::Pool},
    Backend, Begin, CONNECTIONS_MAX, Done, Limit, NO_CONNECTION, NOT_DONE, failure,
};
use crate::guard::{Guard, Service};

/// No such table.
const NO_SUCH_TABLE: u16 = 1146;
/// A row of this key is there already.
const DUPLICATE_KEY: u16 = 1062;
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 8;

const CREATE_DONE: &str = "CREATE TABLE IF NOT EXISTS bellwire_done (id VARCHAR(191) CHARACTER SET ascii PRIMARY KEY, \
     at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";
const NOTE_DONE: &str = "INSERT INTO bellwire_done (id) VALUES (?)";

/// One server, for one endpoint.
pub(super) struct Mysql {
    server: Server,
    guard: Arc<Guard>,
    pool: Pool<Conn>,
}

impl Mysql {
    pub fn new(server: Server, guard: Arc<Guard>) -> Self {
        Self {
            server,
            guard,
            pool: Pool::new(CONNECTIONS_MAX),
        }
    }

    /// A connection with a transaction begun in it. A kept one may have been closed by the server meanwhile: then a new one is made.
    async fn begun(&self, limit: &Limit) -> Result<Conn, Failure> {
        while let Some(mut kept) = self.pool.take() {
            if begin_transaction(&mut kept, limit).await.is_ok() {
                return Ok(kept);
            }
        }
        let mut connection = self.connect().await?;
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
                Some(SslOpts::default().with_root_certs(roots.map(PathOrBuf::from).collect()))
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
                .keep(NOT_DONE, effect(&mut connection, &plan, &limit))
                .await?
                .map_err(Undone::from),
        };
        let is_ended = match &outcome {
            Ok(Done::Rows(_)) => true,
            _ => connection.query_drop("ROLLBACK").await.is_ok(),
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

/// Notes that it is done, does it, and commits; in a transaction that was begun, and that the caller rolls back unless rows come out.
async fn effect(connection: &mut Conn, plan: &Plan, limit: &Limit) -> Result<Done, Failure> {
    let told = |error: Error| failure::mysql(&error);
    if let Some(id) = &plan.once {
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
                begin_transaction(connection, limit).await.map_err(told)?;
                connection.exec_drop(NOTE_DONE, (id,)).await
            }
            noted => noted,
        };
        match noted {
            Err(Error::Server(said)) if said.code == DUPLICATE_KEY => return Ok(Done::Already),
            noted => noted.map_err(told)?,
        }
    }
    let values = plan.values.iter().map(bound).collect();
    connection
        .exec_drop(&plan.text, Params::Positional(values))
        .await
        .map_err(told)?;
    let rows = connection.affected_rows();
    connection.query_drop("COMMIT").await.map_err(told)?;
    Ok(Done::Rows(rows))
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
