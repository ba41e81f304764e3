//! A connection: how it is made, and how statements are sent on it.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, Row,
    config::{Host, SslMode, TargetSessionAttrs},
    types::{ToSql, Type},
};

use super::{
    address::{Address, with_causes},
    fault::Fault,
    tls::Tls,
};

/// How long one host may take to answer, unless the URL says otherwise (`connect_timeout`).
const CONNECT: Duration = Duration::from_secs(5);
/// Where PostgreSQL listens when the URL does not say it.
const PORT: u16 = 5_432;

/// A value and its type.
pub(super) type Arg<'a> = (&'a (dyn ToSql + Sync), Type);

/// Is told what is notified on a connection. Must not block.
pub(super) type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// Where connections go.
#[derive(Clone)]
pub(super) struct Server {
    pub address: Address,
    tls: Tls,
}

impl Server {
    /// # Errors
    /// What is wrong with the certificates, in words.
    pub fn new(address: Address) -> Result<Self, String> {
        let tls = Tls::new(&address)?;
        Ok(Self { address, tls })
    }

    /// A new connection, to the first host that answers and can be written to.
    ///
    /// # Errors
    /// `Away` with what each host said.
    pub async fn connect(&self) -> Result<Connection, Fault> {
        self.connect_hearing(None).await
    }

    /// As [`Self::connect`]; somebody is told what is notified on it.
    ///
    /// # Errors
    /// Those of [`Self::connect`].
    pub async fn connect_hearing(&self, listener: Option<Listener>) -> Result<Connection, Fault> {
        let config = &self.address.config;
        let ports = config.get_ports();
        let span = config.get_connect_timeout().copied().unwrap_or(CONNECT);
        let mut refusals = Vec::new();
        for (index, host) in config.get_hosts().iter().enumerate() {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
            let tried = timeout(span, self.connect_to(host, port, listener.clone())).await;
            let why = match tried.unwrap_or_else(|_| Err(format!("no answer within {} s", span.as_secs()))) {
                Ok(connection) => return Ok(connection),
                Err(why) => why,
            };
            refusals.push(match host {
                Host::Tcp(name) => format!("{name}:{port}: {why}"),
                #[cfg(unix)]
                Host::Unix(folder) => format!("{}: {why}", folder.display()),
            });
        }
        Err(Fault::Away(format!(
            "cannot connect to PostgreSQL: {}",
            refusals.join("; ")
        )))
    }

    async fn connect_to(&self, host: &Host, port: u16, listener: Option<Listener>) -> Result<Connection, String> {
        let connection = match host {
            #[cfg(unix)]
            Host::Unix(folder) => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(&path).await.map_err(|error| error.to_string())?;
                let mut config = self.address.config.clone();
                config.ssl_mode(SslMode::Disable);
                Connection::drive(config.connect_raw(stream, NoTls).await, listener)?
            }
            Host::Tcp(name) => {
                let stream = dial(name, port).await?;
                let config: &Config = &self.address.config;
                Connection::drive(config.connect_raw(stream, self.tls.to(name)?).await, listener)?
            }
        };
        let may_choose = self.address.config.get_hosts().len() > 1;
        if may_choose || self.address.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            let rows = connection.rows("SELECT pg_is_in_recovery()", &[]).await;
            let is_standby = rows.is_ok_and(|rows| rows.first().is_some_and(|row| row.get(0)));
            if is_standby {
                return Err("it is a standby".to_owned());
            }
        }
        Ok(connection)
    }
}

/// The first of a name's addresses that answers.
async fn dial(name: &str, port: u16) -> Result<TcpStream, String> {
    let addresses: Vec<SocketAddr> = lookup_host((name, port))
        .await
        .map_err(|error| error.to_string())?
        .collect();
    let mut refusal = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) => refusal = format!("{address}: {error}"),
        }
    }
    Err(refusal)
}

/// A connection. Dropping it closes it, and the server rolls back what was begun.
pub(super) struct Connection {
    client: Client,
    _driver: JoinSet<()>,
}

impl Connection {
    fn drive<S, T>(
        connected: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
        listener: Option<Listener>,
    ) -> Result<Self, String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
    {
        let (client, mut connection) = connected.map_err(|error| with_causes(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match (message, &listener) {
                    (Ok(AsyncMessage::Notification(word)), Some(listener)) => listener(word.payload()),
                    (Ok(_), _) => {}
                    // Whoever waits for an answer is told that there will be none.
                    (Err(error), _) => {
                        tracing::debug!(error = with_causes(&error), "a connection to PostgreSQL ended");
                        return;
                    }
                }
            }
        });
        Ok(Self {
            client,
            _driver: driver,
        })
    }

    /// Whether it is known to have ended.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What a statement finds.
    pub async fn rows(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<Row>, Fault> {
        Ok(self.client.query_typed(sql, args).await?)
    }

    /// The first row that a statement finds.
    pub async fn row(&self, sql: &str, args: &[Arg<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// How many rows a statement changed.
    pub async fn execute(&self, sql: &str, args: &[Arg<'_>]) -> Result<u64, Fault> {
        Ok(self.client.execute_typed(sql, args).await?)
    }

    /// Statements without values.
    pub async fn batch(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Sends statements without waiting in between, and waits for all: one way there and back. Answers how many rows each
    /// changed.
    ///
    /// # Errors
    /// The first failure. In a transaction none of those behind it takes effect.
    pub async fn send(&self, statements: &[Statement]) -> Result<Vec<u64>, Fault> {
        let sent: Vec<BoxFuture<'_, Result<u64, Fault>>> = statements
            .iter()
            .map(|statement| Box::pin(statement.send(self)) as BoxFuture<'_, _>)
            .collect();
        in_order(sent).await.into_iter().collect()
    }
}

/// A statement that nobody needs the rows of.
pub(super) enum Statement {
    /// Without values; may be several.
    Plain(String),
    /// With values.
    With {
        /// Its text.
        sql: String,
        /// Its values and their types.
        values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    },
}

impl Statement {
    async fn send(&self, connection: &Connection) -> Result<u64, Fault> {
        match self {
            Self::Plain(sql) => connection.batch(sql).await.map(|()| 0),
            Self::With { sql, values } => {
                let args: Vec<Arg<'_>> = values
                    .iter()
                    .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
                    .collect();
                connection.execute(sql, &args).await
            }
        }
    }
}

/// Polls all of them, the first one first: so they are sent in their order.
async fn in_order<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    enum Slot<'a, T> {
        Running(BoxFuture<'a, T>),
        Done(Option<T>),
    }
    let mut slots: Vec<Slot<'_, T>> = futures.into_iter().map(Slot::Running).collect();
    poll_fn(|cx| {
        let mut is_over = true;
        for slot in &mut slots {
            if let Slot::Running(future) = slot {
                match Pin::new(future).poll(cx) {
                    Poll::Ready(answer) => *slot = Slot::Done(Some(answer)),
                    Poll::Pending => is_over = false,
                }
            }
        }
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let answer = |slot| match slot {
        Slot::Done(answer) => answer,
        Slot::Running(_) => None,
    };
    slots.into_iter().filter_map(answer).collect()
}
