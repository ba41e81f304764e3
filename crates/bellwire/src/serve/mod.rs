//! One server: everything opened, wired together and started, with a handle that says where it listens and stops it.
//!
//! `bellwire serve` runs one; tests run as many as they like in one process. Nothing here is static, reads the environment or
//! prints.

pub mod backup;
mod calls;
pub mod command;
mod first;
pub mod hooks;
mod ingress;
mod intake;
pub mod keys;
mod node;
mod page;
pub mod presence;
pub mod private;
#[cfg(test)]
mod tests;
mod watch;
mod welcome;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bellwire_api::{ApiLimits, ApiMetrics, ApiState, DOCS_PATH};
use bellwire_core::token::hash_opaque;
use bellwire_deliver::{
    Scheduler, SchedulerParts,
    actions::{ActionParts, Actions, http::HttpAction},
    guard::GuardError,
};
use bellwire_store::{Directory, OpenError, Store, StoreError, SystemClock, backends, feed::Feed, vault::Vault};
use bellwire_tasks::Tasks;
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::TaskTracker;

use self::{ingress::Ingress, keys::KeyError};
use crate::{
    config::{Config, Hidden, Metrics},
    supervise::{Ending, OnPanic, Stage, Stop, Supervisor},
    telemetry::{Exporter, MetricsPage},
};

/// How often connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen there.
    #[error("cannot listen on {address}: {error}; is another server running? `listen` chooses another address")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The main secret.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting about outgoing calls.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A file that a setting names, or that the server keeps.
    #[error("{what} {file}: {error}", file = .file.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        file: std::path::PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The hooks file.
    #[error(transparent)]
    Hooks(#[from] hooks::HooksError),
    /// The machine gives no randomness.
    #[error("the machine gives no random bytes; no token can be made")]
    NoRandomness,
}

/// A server that runs. Dropping it without [`Running::wait`] cuts everything off.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where metrics are, if that is an address of its own.
    pub metrics_address: Option<SocketAddr>,
    /// The admin token that was made now, because there was none. Nobody can ask for it again.
    pub new_token: Option<Hidden>,
    /// Stops it.
    pub stop: Stop,
    /// Its hooks file, where it has one.
    pub hooks: Option<Arc<hooks::Hooks>>,
    supervisor: Supervisor,
    store: Arc<dyn Store>,
    ready: Arc<AtomicBool>,
    ousted: Arc<AtomicBool>,
    grace: Duration,
    announced: presence::Announced,
}

impl Running {
    /// Runs until it is stopped, or cannot go on; then everything has ended and the store is closed.
    pub async fn wait(self) -> Ending {
        let Self {
            stop,
            supervisor,
            store,
            ready,
            ousted,
            grace,
            announced,
            ..
        } = self;
        let ending = supervisor
            .run(stop, grace, || ready.store(false, Ordering::Relaxed))
            .await;
        let ending = match ousted.load(Ordering::Relaxed) {
            true => Ending::Ousted,
            false => ending,
        };
        drop(announced);
        store.close().await;
        tracing::info!(?ending, "stopped");
        ending
    }
}

/// Opens everything and starts the server. It is ready when this returns.
///
/// # Errors
/// [`ServeError`], in words for the operator. Nothing runs then.
pub async fn serve(config: Config) -> Result<Running, ServeError> {
    // The address first: a second server by mistake shall not get as far as the store.
    let listener = bind(config.http.listen).await?;
    let address = listener.local_addr().map_err(|error| ServeError::Bind {
        address: config.http.listen,
        error,
    })?;
    let metrics_listener = match config.telemetry.metrics {
        Metrics::Listen(address) => Some(bind(address).await?),
        Metrics::On | Metrics::Off => None,
    };
    let metrics_address = metrics_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());

    let guard = Arc::new(calls::guard(&config.calls)?);
    let trusted_guard = Arc::new(calls::trusted_guard(&config.calls)?);
    let keys = keys::load(&config)?;
    let clock = Arc::new(SystemClock);
    let role = config.process.role;
    let options = backends::OpenOptions {
        role,
        host: node::host(address),
        ..backends::OpenOptions::new(clock.clone(), Vault::new(keys.ring.clone()))
    };
    let vault = Arc::clone(&options.vault);
    let store = backends::open(&config.storage.url(), options).await?;
    keys::reseal(&keys, store.as_ref()).await?;
    let directory = Arc::new(Directory::open(Arc::clone(&store), clock).await?);
    let first::Prepared { environment, new_token } = first::prepare(&directory, &config).await?;

    let hooks = hooks::open(&config, &directory, environment.id).await?;

    let feed = Arc::new(Feed::default());
    let deliver = calls::deliver(&config.delivery, config.http.public_url.as_deref());
    let sent_headers = calls::sent_headers(&deliver);
    let user_agent = deliver.user_agent.clone();
    let tasks = TaskTracker::new();
    let action = Arc::new(Actions::new(ActionParts {
        http: Arc::new(HttpAction::new(Arc::clone(&guard), deliver.clone(), tasks.clone())),
        guard: Arc::clone(&guard),
        trusted_guard: Arc::clone(&trusted_guard),
        store: Arc::clone(&store),
        directory: Arc::clone(&directory),
        feed: Arc::clone(&feed),
        config: deliver.clone(),
        data: config.storage.data.clone(),
        variables: config.inherited.clone(),
        payload_retention: config.retention.payloads.unwrap_or(Duration::MAX),
        payload_check: Arc::new(bellwire_api::payload_check(Arc::clone(&directory))),
        tasks,
    }));
    let parts = SchedulerParts {
        store: Arc::clone(&store),
        directory: Arc::clone(&directory),
        action: action.clone(),
        feed: Arc::clone(&feed),
        config: deliver,
    };
    let scheduler = Scheduler::start(parts).await?;

    let wake = Arc::new(Notify::new());
    let ready = Arc::new(AtomicBool::new(true));
    let api = ApiState {
        address_policy: config.calls.policy.clone(),
        limits: ApiLimits {
            body_bytes_max: config.http.max_body,
            // For ever is longer than any calendar: times saturate.
            payload_retention: config.retention.payloads.unwrap_or(Duration::MAX),
            publish: calls::publish(&config),
            ..ApiLimits::default()
        },
        admin_token: config
            .secrets
            .admin_token
            .as_ref()
            .map(|token| hash_opaque(token.expose())),
        default_signature: config.delivery.default_signature,
        tasks_wake: Arc::clone(&wake),
        ready: Arc::clone(&ready),
        public_url: public_url(&config, address),
        // Without a public address a link stays relative: it leads to the very server that answered.
        docs_url: config.http.public_url.clone().unwrap_or_default() + DOCS_PATH,
        sent_headers,
        check_cron: |settings| {
            let read = bellwire_intake::cron::read(settings);
            read.map(drop).map_err(|error| (error.setting, error.why))
        },
        ..ApiState::new(
            Arc::clone(&store),
            Arc::clone(&directory),
            Arc::clone(&feed),
            vault,
            environment.id,
        )
    };
    let intake = intake::open(
        &config,
        intake::Parts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            feed: Arc::clone(&feed),
            guard,
            trusted_guard,
            environment: environment.id,
            user_agent,
        },
    );
    intake::warn_of_short_memory(&config, &directory);
    let connections = Arc::new(AtomicUsize::new(0));
    let metrics = MetricsPage {
        store: Arc::clone(&store),
        directory: Arc::clone(&directory),
        scheduler: Arc::clone(&scheduler),
        api: Arc::<ApiMetrics>::clone(&api.metrics),
        intake: Arc::clone(intake.metrics()),
        connections: Arc::clone(&connections),
        hooks: hooks.clone(),
    };

    let mut supervisor = Supervisor::default();
    let instance = presence::instance().ok_or(ServeError::NoRandomness)?;
    let copies_in = config.storage.data.clone();
    let (router, door) = if role.answers() {
        bellwire_api::open(api.clone())
    } else {
        bellwire_api::open_health(api.clone())
    };
    let router = match role.answers() {
        true => router
            .merge(intake.router())
            .merge(page::pages(&api.public_url))
            .merge(backup::route(api.clone(), copies_in, instance.clone())),
        false => router,
    };
    let router = match hooks.as_ref().filter(|_| role.answers()) {
        Some(hooks) => router.merge(hooks::routes(api, Arc::clone(hooks))),
        None => router,
    };
    let router = if config.telemetry.metrics == Metrics::On {
        router.merge(page::metrics(metrics.clone()))
    } else {
        router
    };
    let ingress = |listener, router: Router, door, connections| {
        Ingress::new(listener, router, door, config.http.max_connections, connections)
    };
    let front = Arc::new(ingress(listener, router, Some(door), connections));
    supervisor.spawn(Stage::Ingress, "ingress", OnPanic::Restart, move |stop| {
        let front = Arc::clone(&front);
        async move { front.accept(stop).await }
    });
    if let Some(listener) = metrics_listener {
        let beside = Arc::new(ingress(listener, page::metrics(metrics), None, Arc::default()));
        supervisor.spawn(Stage::Telemetry, "metrics", OnPanic::Restart, move |stop| {
            let beside = Arc::clone(&beside);
            async move { beside.accept(stop).await }
        });
    }
    let tasks = Arc::new(Tasks::new(Arc::clone(&store), Arc::clone(&directory), wake));
    supervisor.spawn(Stage::Background, "tasks", OnPanic::Restart, move |stop| {
        let tasks = Arc::clone(&tasks);
        async move { tasks.run(stop).await }
    });
    let kept = bellwire_tasks::Retention {
        messages: config.retention.messages,
        attempts: config.retention.attempts,
    };
    let (kept_in, told_by) = (Arc::clone(&store), Arc::clone(&directory));
    supervisor.spawn(Stage::Background, "retention", OnPanic::Restart, move |stop| {
        bellwire_tasks::keep(Arc::clone(&kept_in), Arc::clone(&told_by), kept, stop)
    });
    if let Some(hooks) = &hooks {
        hooks::watch(&mut supervisor, hooks);
    }
    intake::run(&mut supervisor, &intake);
    let stop = Stop::default();
    let ousted = node::follow(&mut supervisor, &store, &directory, &stop);
    let grace = config.process.grace;
    watch::scheduler(&mut supervisor, scheduler, grace);
    supervisor.spawn(Stage::Delivery, "connections", OnPanic::Restart, move |stop| {
        let action = Arc::clone(&action);
        async move {
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                action.sweep();
            }
        }
    });
    if let Some(collector) = &config.telemetry.otlp {
        let exporter = Arc::new(Exporter::new(collector, feed, Arc::clone(&store)));
        supervisor.spawn(Stage::Telemetry, "traces", OnPanic::Restart, move |stop| {
            let exporter = Arc::clone(&exporter);
            async move { exporter.run(stop).await }
        });
    }
    let database = crate::operate::place::database_file(&config).ok();
    let announced = presence::announce(database, address, &instance);
    tracing::info!(%address, environment = %environment.id, version = env!("CARGO_PKG_VERSION"), "started");
    Ok(Running {
        address,
        metrics_address,
        new_token,
        stop,
        hooks,
        supervisor,
        store,
        ready,
        ousted,
        grace,
        announced,
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    ingress::listen(address).map_err(|error| ServeError::Bind { address, error })
}

/// What people reach the server by.
fn public_url(config: &Config, address: SocketAddr) -> String {
    config
        .http
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{}", reachable(address)))
}

/// An address to connect to for one that is listened on: 'all addresses' is none of them.
pub fn reachable(listened: SocketAddr) -> SocketAddr {
    let mut address = listened;
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    address
}
