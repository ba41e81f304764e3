//! The configuration: what the operator decided, from which file, variable or flag, and what is in force.
//!
//! [`settings`] is the one table of all settings; the flags of `bellwire serve`, the variables, the keys of the file, the
//! output of `bellwire config` and the table in docs/configuration.md all come from it. [`load`] is called once per command;
//! after it nothing in the house reads a file or a variable for a setting.
//!
//! A further setting is one field here, one row in the table and its use.

#[cfg(test)]
mod document;
mod error;
mod flags;
mod given;
mod hidden;
mod load;
#[cfg(test)]
mod named;
mod read;
mod settings;
mod show;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use bellwire_api::PublishLimits;
use bellwire_core::{
    address::{AddressPolicy, Cidr},
    alert, breaker,
    retry::STANDARD_SCHEDULE,
    sign::{SCHEMES, Scheme},
};
use bellwire_deliver::guard::ProxyConfig;
use bellwire_store::query::Role;

pub use flags::ConfigArgs;
pub use hidden::Hidden;
pub use load::load;
pub use show::show;

/// Everything that is in force.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Made for somebody's own machine: `--dev`.
    pub dev: bool,
    /// How the server is reached.
    pub http: Http,
    /// Where things are kept.
    pub storage: Storage,
    /// What only the operator knows.
    pub secrets: Secrets,
    /// Where and how we call.
    pub calls: Calls,
    /// How deliveries are tried.
    pub delivery: Delivery,
    /// How much is taken from publishers.
    pub publish: PublishLimits,
    /// What comes in besides the API.
    pub listener: Listener,
    /// How long things are kept.
    pub retention: Retention,
    /// What the process tells about itself.
    pub telemetry: Telemetry,
    /// How the process runs.
    pub process: Process,
    /// The variables of its environment that commands are given as well; no setting.
    pub inherited: BTreeMap<String, String>,
}

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What people reach it by, without a trailing slash; `None` is `http://` and the address it listens on.
    pub public_url: Option<String>,
    /// Longest body of a request, in bytes.
    pub max_body: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// Proxies in front, whose word about who connected is taken.
    pub trusted_proxies: Vec<Cidr>,
}

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The directory of the embedded store and of what is made on the first start.
    pub data: PathBuf,
    /// The store's URL, which may hold a password; `None` is an embedded store in `data`.
    pub store: Option<Hidden>,
}

impl Storage {
    /// The store's URL.
    pub fn url(&self) -> String {
        match &self.store {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite:{}", self.data.display()),
        }
    }
}

/// What only the operator knows.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// The operator's own token.
    pub admin_token: Option<Hidden>,
    /// Seals secrets at rest; `None` is the one kept in the data directory.
    pub main_secret: Option<Hidden>,
    /// Main secrets of before, which still open what they sealed.
    pub previous: Vec<Hidden>,
}

/// Where and how we call.
#[derive(Debug, Clone)]
pub struct Calls {
    /// Which addresses.
    pub policy: AddressPolicy,
    /// DNS servers; empty is the system's.
    pub dns: Vec<SocketAddr>,
    /// The proxy that all calls go through.
    pub proxy: Option<ProxyConfig>,
    /// Where it is not used.
    pub no_proxy: Vec<String>,
    /// A file of further root certificates.
    pub ca_file: Option<PathBuf>,
    /// For opening a connection.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// For a look-up.
    pub lookup: Duration,
}

/// How deliveries are tried.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For a whole attempt.
    pub timeout: Duration,
    /// The wait before each retry.
    pub retry_schedule: Vec<Duration>,
    /// An endpoint that only failed for so long is disabled; `None` is never.
    pub disable_after: Option<Duration>,
    /// The scheme of secrets made for endpoints.
    pub default_signature: &'static Scheme,
    /// Send `svix-*` headers beside `webhook-*`.
    pub svix_headers: bool,
    /// Attempts at once.
    pub in_flight: usize,
    /// Attempts at once at one endpoint.
    pub in_flight_per_endpoint: usize,
    /// Attempts at once that an endpoint is given at least.
    pub in_flight_min: u16,
    /// When an endpoint is only probed.
    pub breaker: breaker::Settings,
    /// When people are told about an endpoint unasked.
    pub alerts: alert::Settings,
}

/// What comes in besides the API.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    /// The hooks file.
    pub hooks: Option<PathBuf>,
}

/// How long things are kept; `None` is for ever.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Messages.
    pub messages: Option<Duration>,
    /// Attempts.
    pub attempts: Option<Duration>,
    /// Payloads of messages that do not say.
    pub payloads: Option<Duration>,
}

/// What the process tells about itself.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The form of the log.
    pub format: LogFormat,
    /// How much is logged, as a filter.
    pub level: String,
    /// Where metrics are shown.
    pub metrics: Metrics,
    /// Where traces are sent: the base URL of an OTLP/HTTP collector.
    pub otlp: Option<url::Url>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// A JSON object per line.
    Json,
}

/// Where `/metrics` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metrics {
    /// Nowhere.
    Off,
    /// Beside the API.
    On,
    /// On an address of its own, and not beside the API.
    Listen(SocketAddr),
}

/// How the process runs.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// What it does, of what servers that share a store do.
    pub role: Role,
    /// Worker threads; `None` is one for each core.
    pub workers: Option<usize>,
    /// How long what is under way may take when the server stops.
    pub grace: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8071)),
            public_url: None,
            max_body: 1 << 20,
            max_connections: 10_000,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./bellwire-data"),
            store: None,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            dns: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
            ca_file: None,
            connect: Duration::from_secs(3),
            tls: Duration::from_secs(5),
            lookup: Duration::from_secs(2),
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            retry_schedule: STANDARD_SCHEDULE.to_vec(),
            disable_after: Some(5 * DAY),
            default_signature: &SCHEMES[0],
            svix_headers: true,
            in_flight: 1_024,
            in_flight_per_endpoint: 32,
            in_flight_min: 1,
            breaker: breaker::Settings::default(),
            alerts: alert::Settings::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            messages: Some(90 * DAY),
            attempts: Some(90 * DAY),
            payloads: Some(90 * DAY),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: "info".to_owned(),
            metrics: Metrics::On,
            otlp: None,
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            role: Role::All,
            workers: None,
            grace: Duration::from_secs(10),
        }
    }
}

/// A variable that a hooks file refers to (`${NAME}`).
#[expect(
    clippy::disallowed_methods,
    reason = "the hooks file is configuration, and says which variables it takes"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What `--dev` makes callable: this machine.
pub fn loopback() -> Vec<Cidr> {
    vec![
        Cidr::new([127, 0, 0, 0].into(), 8),
        Cidr::new(std::net::Ipv6Addr::LOCALHOST.into(), 128),
    ]
}
