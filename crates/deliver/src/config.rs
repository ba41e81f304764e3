//! What is in force for all deliveries that do not say otherwise.

use std::time::Duration;

use bellwire_core::retry::STANDARD_SCHEDULE;

use crate::scheduler::{Bounds, Rules};

/// Settings of the delivering half of the server.
#[derive(Debug, Clone)]
pub struct DeliverConfig {
    /// The waits before each retry.
    pub retry_schedule: Vec<Duration>,
    /// How long an attempt may take, connecting and answer included.
    pub timeout: Duration,
    /// The longest that an endpoint may ask for.
    pub timeout_max: Duration,
    /// An endpoint that only failed for so long is disabled; `None` is never.
    pub disable_after: Option<Duration>,
    /// What the server is reached by, without a slash at its end: the beginning of the `source` of CloudEvents. May be empty.
    pub server: String,
    /// `User-Agent` of our requests.
    pub user_agent: String,
    /// Send `svix-id`, `svix-timestamp` and `svix-signature` beside the `webhook-*` headers.
    pub svix_headers: bool,
    /// How many bytes of an answer's body are kept.
    pub response_bytes: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Bounds of the scheduler.
    pub bounds: Bounds,
    /// How the scheduler treats an endpoint that does badly, and what people are told of.
    pub rules: Rules,
}

impl Default for DeliverConfig {
    fn default() -> Self {
        Self {
            retry_schedule: STANDARD_SCHEDULE.to_vec(),
            timeout: Duration::from_secs(15),
            timeout_max: Duration::from_secs(30),
            disable_after: Some(Duration::from_secs(5 * 86_400)),
            server: String::new(),
            user_agent: concat!("Bellwire/", env!("CARGO_PKG_VERSION")).to_owned(),
            svix_headers: true,
            response_bytes: 4_096,
            idle_timeout: Duration::from_secs(60),
            bounds: Bounds::default(),
            rules: Rules::default(),
        }
    }
}
