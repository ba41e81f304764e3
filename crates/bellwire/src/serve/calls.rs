//! From the configuration to what the delivering half is given.

use std::fs;

use bellwire_api::{PublishLimits, SentHeaders};
use bellwire_core::{address::AddressPolicy, breaker};
use bellwire_deliver::{
    DeliverConfig,
    guard::{Guard, GuardConfig},
    scheduler::{Bounds, Rules},
};

use super::ServeError;
use crate::config::{Calls, Config, Delivery};

/// The guard that all outgoing connections go through.
///
/// # Errors
/// When the file of certificates cannot be read, or a setting cannot work.
pub(super) fn guard(calls: &Calls) -> Result<Guard, ServeError> {
    guard_with(calls, calls.policy.clone())
}

/// The guard of what the operator wrote himself, in the hooks file: it calls whatever he names, but for what he denied.
///
/// # Errors
/// As [`guard`].
pub(super) fn trusted_guard(calls: &Calls) -> Result<Guard, ServeError> {
    let policy = AddressPolicy {
        extra_denied: calls.policy.extra_denied.clone(),
        ..AddressPolicy::open()
    };
    guard_with(calls, policy)
}

fn guard_with(calls: &Calls, policy: AddressPolicy) -> Result<Guard, ServeError> {
    let read = |file: &std::path::PathBuf| {
        fs::read(file).map_err(|error| ServeError::File {
            what: "cannot read ca_file",
            file: file.clone(),
            error,
        })
    };
    let guard = GuardConfig {
        policy,
        dns: calls.dns.clone(),
        connect_timeout: calls.connect,
        tls_timeout: calls.tls,
        dns_timeout: calls.lookup,
        proxy: calls.proxy.clone(),
        no_proxy: calls.no_proxy.clone(),
        extra_roots: calls.ca_file.iter().map(read).collect::<Result<_, _>>()?,
    };
    Ok(Guard::new(guard)?)
}

/// What is in force for deliveries.
pub(super) fn deliver(delivery: &Delivery, public_url: Option<&str>) -> DeliverConfig {
    DeliverConfig {
        server: public_url.unwrap_or_default().trim_end_matches('/').to_owned(),
        retry_schedule: delivery.retry_schedule.clone(),
        timeout: delivery.timeout,
        disable_after: delivery.disable_after,
        svix_headers: delivery.svix_headers,
        bounds: Bounds {
            in_flight: delivery.in_flight,
            in_flight_per_endpoint: delivery.in_flight_per_endpoint,
            // Two, so that one that hangs does not keep all others waiting.
            commands_per_endpoint: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            ..Bounds::default()
        },
        rules: Rules {
            breaker: breaker::Settings {
                probe_max: delivery.breaker.probe_max.max(delivery.breaker.probe_min),
                ..delivery.breaker
            },
            in_flight_min: delivery.in_flight_min,
            alerts: delivery.alerts,
        },
        ..DeliverConfig::default()
    }
}

/// How much is taken from publishers.
pub(super) fn publish(config: &Config) -> PublishLimits {
    PublishLimits {
        // One body at least must find room.
        body_bytes_max: config.publish.body_bytes_max.max(config.http.max_body),
        ..config.publish
    }
}

/// What the API says that deliveries send along: what they do send.
pub(super) fn sent_headers(deliver: &DeliverConfig) -> SentHeaders {
    SentHeaders {
        user_agent: deliver.user_agent.clone(),
        svix: deliver.svix_headers,
    }
}
