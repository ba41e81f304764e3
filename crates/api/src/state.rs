//! What the API is given to work with, and what it keeps in memory for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bellwire_core::{
    address::AddressPolicy,
    id::EnvironmentId,
    sign::{SCHEMES, Scheme},
    token::TokenHash,
};
use bellwire_store::{Directory, Store, feed::Feed, vault::Vault};
use tokio::sync::Notify;

use crate::{
    idempotency::InFlight,
    metrics::ApiMetrics,
    payload_schema::Validators,
    pressure::{Pressure, PublishLimits},
};

/// Everything the API needs. The binary builds it; two of them can live in one process.
#[derive(Clone)]
pub struct ApiState {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The configuration in memory.
    pub directory: Arc<Directory>,
    /// What happens, as it happens: accepted messages are told here, and `tail` watches it.
    pub feed: Arc<Feed>,
    /// Seals answers that show a secret before they are kept for repetition.
    pub vault: Arc<Vault>,
    /// Where endpoints may be.
    pub address_policy: AddressPolicy,
    /// Bounds and defaults.
    pub limits: ApiLimits,
    /// The environment of [`Self::admin_token`]; its admins may make further environments.
    pub default_environment: EnvironmentId,
    /// The hash of the operator's own `admin_token`, if one is configured (`bellwire_core::token::hash_opaque`).
    pub admin_token: Option<TokenHash>,
    /// The scheme of secrets that are generated when none is given (`default_signature`).
    pub default_signature: &'static Scheme,
    /// Notified when a background task was put into the store.
    pub tasks_wake: Arc<Notify>,
    /// Set while the server is up and not stopping: part of readiness.
    pub ready: Arc<AtomicBool>,
    /// What is counted.
    pub metrics: Arc<ApiMetrics>,
    /// What every delivery sends along: shown with an attempt.
    pub sent_headers: SentHeaders,
    /// What people reach this server by, without a trailing slash: `http://127.0.0.1:8071`.
    pub public_url: String,
    /// Judges the schedules of sources.
    pub check_cron: CronCheck,
    /// What links to error pages start with; `/docs/errors` is served by this very router.
    pub docs_url: String,
}

impl ApiState {
    /// A state with defaults for everything that has one: strict addresses, 1 MiB bodies, `v1` secrets, ready.
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        feed: Arc<Feed>,
        vault: Arc<Vault>,
        default_environment: EnvironmentId,
    ) -> Self {
        Self {
            store,
            directory,
            feed,
            vault,
            address_policy: AddressPolicy::default(),
            limits: ApiLimits::default(),
            default_environment,
            admin_token: None,
            default_signature: &SCHEMES[0],
            tasks_wake: Arc::new(Notify::new()),
            ready: Arc::new(AtomicBool::new(true)),
            metrics: Arc::new(ApiMetrics::default()),
            sent_headers: SentHeaders::default(),
            public_url: "http://127.0.0.1:8071".to_owned(),
            check_cron: |_| Ok(()),
            docs_url: crate::DOCS_PATH.to_owned(),
        }
    }
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Judges the settings of a source that publishes by a schedule: which of them cannot be used, and why. The listener's, which
/// the API does not know.
pub type CronCheck = fn(&BTreeMap<String, Vec<String>>) -> Result<(), (String, String)>;

/// What deliveries send besides what message and endpoint say. The same as the deliverer's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentHeaders {
    /// `User-Agent`.
    pub user_agent: String,
    /// Whether `svix-id`, `svix-timestamp` and `svix-signature` are sent beside the `webhook-*` headers.
    pub svix: bool,
}

impl Default for SentHeaders {
    fn default() -> Self {
        Self {
            user_agent: concat!("Bellwire/", env!("CARGO_PKG_VERSION")).to_owned(),
            svix: true,
        }
    }
}

/// Bounds and defaults that the operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiLimits {
    /// Longest body of a request, in bytes (`max_body`).
    pub body_bytes_max: usize,
    /// How long a payload is kept when its message does not say (`retention`).
    pub payload_retention: Duration,
    /// The longest `timeoutMs` an endpoint may ask for.
    pub timeout_max: Duration,
    /// How much is taken from publishers.
    pub publish: PublishLimits,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1_048_576,
            payload_retention: Duration::from_secs(90 * 86_400),
            timeout_max: Duration::from_secs(30),
            publish: PublishLimits::default(),
        }
    }
}

/// The state and what lives as long as the router.
pub(crate) struct Server {
    pub state: ApiState,
    pub in_flight: InFlight,
    pub validators: Validators,
    pub pressure: Arc<Pressure>,
}

impl Server {
    pub fn new(state: ApiState) -> Self {
        let pressure = Pressure::new(state.limits.publish, Arc::clone(&state.metrics));
        Self {
            state,
            pressure: Arc::new(pressure),
            in_flight: InFlight::default(),
            validators: Validators::default(),
        }
    }
}

impl std::ops::Deref for Server {
    type Target = ApiState;
    fn deref(&self) -> &ApiState {
        &self.state
    }
}
