//! Effects in PostgreSQL.
//!
//! Values are bound as text and read by the server by the type of their place, whatever it is: a number, a time, JSON, an enum of the
//! user's own. Statements have no names, so that a pooler between us and the server (PgBouncer) may give each transaction
//! another connection.

use std::{
    error::Error as StdError,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_action::sql::{Place, Plan, Server, Tls, Value};
use bellwire_core::attempt::Failure;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use tokio_postgres::{
    Client, Config, NoTls,
    config::SslMode,
    error::SqlState,
    types::{Format, IsNull, ToSql, Type, to_sql_checked},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    super::{executor::Undone, pool::Pool},
    Backend, Begin, CONNECTIONS_MAX, Done, GOODBYE, Limit, NO_CONNECTION, NOT_DONE,
    bounded::{Allowance, Bounded},
    failure,
};
use crate::guard::{Certificate, Guard, Service};

/// Asks for TLS ("Message Formats: SSLRequest" in the documentation of the protocol).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

const CREATE_DONE: &str =
    "CREATE TABLE IF NOT EXISTS bellwire_done (id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())";
const NOTE_DONE: &str = "INSERT INTO bellwire_done (id) VALUES ($1) ON CONFLICT DO NOTHING";

/// One server, for one endpoint.
pub(super) struct Postgres {
    server: Server,
    guard: Arc<Guard>,
    tasks: TaskTracker,
    pool: Pool<Connection>,
}

/// A connection. Dropping it closes it, and the server rolls back what was begun.
struct Connection {
    client: Client,
    /// Why it ended, when it did.
    ended: Arc<OnceLock<tokio_postgres::Error>>,
    allowance: Allowance,
    _driver: DropGuard,
}

impl Connection {
    /// The failure, or the end of the connection where that is what is behind it.
    fn explained(&self, failure: Failure) -> Failure {
        match self.ended.get() {
            Some(error) if failure.reason == "sql_connect" => failure::postgres(error),
            _ => failure,
        }
    }
}

/// Bytes to a server, over the network or a socket of this machine.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Postgres {
    pub fn new(server: Server, guard: Arc<Guard>, tasks: TaskTracker) -> Self {
        Self {
            server,
            guard,
            tasks,
            pool: Pool::new(CONNECTIONS_MAX),
        }
    }

    /// A connection with a transaction begun in it. A kept one may have been closed by the server meanwhile: then a new one is made.
    async fn begun(&self, limit: &Limit) -> Result<Connection, Failure> {
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", limit.left_ms());
        while let Some(kept) = self.pool.take() {
            kept.allowance.renew();
            if !kept.client.is_closed() && kept.client.batch_execute(&begin).await.is_ok() {
                return Ok(kept);
            }
        }
        let connection = self.connect().await?;
        let begun = connection.client.batch_execute(&begin).await;
        begun.map_err(|error| failure::postgres(&error))?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let server = &self.server;
        let mut config = Config::new();
        config
            .user(&server.user)
            .application_name(server.application.as_deref().unwrap_or("bellwire"))
            // TLS is spoken below, by the guard.
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &server.password {
            config.password(password.expose());
        }
        config.dbname(server.database.as_deref().unwrap_or(&server.user));
        if let Some(options) = &server.options {
            config.options(options);
        }
        let allowance = Allowance::new();
        let bounded = Bounded {
            io: self.wire().await?,
            allowance: allowance.clone(),
        };
        let connecting = config.connect_raw(bounded, NoTls).await;
        let (client, connection) = connecting.map_err(|error| failure::postgres(&error))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let ended = Arc::new(OnceLock::new());
        let tell = Arc::clone(&ended);
        self.tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                // Whoever waits for an answer is only told that there will be none.
                end = &mut connection => {
                    if let Err(error) = end {
                        let _ = tell.set(error);
                    }
                }
                () = stopped.cancelled() => {
                    let _ = timeout(GOODBYE, connection).await;
                }
            }
        });
        Ok(Connection {
            client,
            ended,
            allowance,
            _driver: stop.drop_guard(),
        })
    }

    /// Bytes to the server, encrypted as the URL wants it.
    async fn wire(&self) -> Result<Box<dyn Wire>, Failure> {
        let (host, port) = match &self.server.place {
            Place::Tcp { host, port } => (host, *port),
            Place::Socket(path) => {
                let socket = UnixStream::connect(path).await;
                let socket = socket
                    .map_err(|error| failure::broken(&format!("cannot connect to {}: {error}", path.display())))?;
                return Ok(Box::new(socket));
            }
        };
        let service = Service { host, port, usual: &[] };
        let opened = self.guard.open(service).await;
        let mut opened = opened.map_err(|error| failure::not_connected(&error))?;
        let certificate = match self.server.tls {
            Tls::Disable => return Ok(Box::new(opened.plain())),
            Tls::Prefer | Tls::Require => Certificate::Any,
            Tls::VerifyFull => Certificate::Verified,
        };
        let broke = |error: std::io::Error| failure::broken(&format!("the connection to PostgreSQL broke: {error}"));
        opened.tcp.write_all(&SSL_REQUEST).await.map_err(broke)?;
        match opened.tcp.read_u8().await.map_err(broke)? {
            b'S' => {
                let secured = self.guard.secure(opened, certificate).await;
                Ok(Box::new(secured.map_err(|error| failure::not_connected(&error))?))
            }
            b'N' if self.server.tls == Tls::Prefer => Ok(Box::new(opened.plain())),
            b'N' => Err(failure::no_tls()),
            _ => Err(failure::broken(
                "what listens there is no PostgreSQL; check host and port",
            )),
        }
    }
}

#[async_trait]
impl Backend for Postgres {
    async fn run(&self, plan: Plan, limit: Limit, begin: &Begin<'_>) -> Result<Done, Undone> {
        let _slot = limit.keep(NO_CONNECTION, self.pool.slot()).await?;
        let connection = limit.keep(NO_CONNECTION, self.begun(&limit)).await??;
        let outcome = match begin() {
            Err(undone) => Err(undone),
            // When the time is over the connection is dropped where it stands.
            Ok(()) => limit
                .keep(NOT_DONE, effect(&connection.client, &plan, &limit))
                .await?
                .map_err(|failure| connection.explained(failure).into()),
        };
        let is_ended = match &outcome {
            Ok(Done::Rows(_)) => true,
            _ => matches!(
                timeout(GOODBYE, connection.client.batch_execute("ROLLBACK")).await,
                Ok(Ok(()))
            ),
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
async fn effect(client: &Client, plan: &Plan, limit: &Limit) -> Result<Done, Failure> {
    let told = |error: tokio_postgres::Error| failure::postgres(&error);
    if let Some(id) = &plan.once {
        let noted = match client.execute_typed(NOTE_DONE, &[(id, Type::TEXT)]).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                create_done(client, limit).await?;
                client.execute_typed(NOTE_DONE, &[(id, Type::TEXT)]).await
            }
            noted => noted,
        };
        if noted.map_err(told)? == 0 {
            return Ok(Done::Already);
        }
    }
    let bound: Vec<Bound<'_>> = plan.values.iter().map(Bound).collect();
    let places: Vec<(&(dyn ToSql + Sync), Type)> = bound
        .iter()
        .map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN))
        .collect();
    let rows = client.execute_typed(&plan.text, &places).await.map_err(told)?;
    client.batch_execute("COMMIT").await.map_err(told)?;
    Ok(Done::Rows(rows))
}

/// Makes the table of what was done, apart from the effect, and begins anew.
async fn create_done(client: &Client, limit: &Limit) -> Result<(), Failure> {
    client
        .batch_execute("ROLLBACK")
        .await
        .map_err(|error| failure::postgres(&error))?;
    // Two at once may collide in the server's catalogue; the table is there then.
    if let Err(error) = client.batch_execute(CREATE_DONE).await
        && error.code() != Some(&SqlState::UNIQUE_VIOLATION)
    {
        let mut failure = failure::postgres(&error);
        failure.detail = format!(
            "cannot make the table bellwire_done ({}); make it yourself: {CREATE_DONE}",
            failure.detail
        );
        return Err(failure);
    }
    let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", limit.left_ms());
    client
        .batch_execute(&begin)
        .await
        .map_err(|error| failure::postgres(&error))
}

/// A value as text, for the server to read.
#[derive(Debug)]
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.0.as_text() {
            None => Ok(IsNull::Yes),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
