//! From the configuration to the way in for sources.

mod out;

use std::{sync::Arc, time::Duration};

use bellwire_core::id::EnvironmentId;
use bellwire_deliver::guard::Guard;
use bellwire_intake::{Intake, IntakeLimits, IntakeParts};
use bellwire_store::{Directory, Store, feed::Feed};

use self::out::Out;
use super::calls;
use crate::{
    config::Config,
    supervise::{OnPanic, Stage, Supervisor},
};

/// What sources work with.
pub(super) struct Parts {
    pub store: Arc<dyn Store>,
    pub directory: Arc<Directory>,
    pub feed: Arc<Feed>,
    pub guard: Arc<Guard>,
    pub trusted_guard: Arc<Guard>,
    pub environment: EnvironmentId,
    pub user_agent: String,
}

/// The way in, as configured.
pub(super) fn open(config: &Config, parts: Parts) -> Arc<Intake> {
    let out = Arc::new(Out {
        guard: parts.guard,
        trusted: parts.trusted_guard,
        user_agent: parts.user_agent,
    });
    let publish = calls::publish(config);
    Intake::new(IntakeParts {
        store: parts.store,
        directory: parts.directory,
        feed: parts.feed,
        fetch: out.clone(),
        probe: out,
        limits: IntakeLimits {
            body_bytes_max: config.http.max_body,
            in_flight_max: publish.in_flight_max,
            bodies_bytes_max: publish.body_bytes_max,
            high_water: publish.high_water,
        },
        public_url: config.http.public_url.clone(),
        trusted_proxies: config.http.trusted_proxies.clone(),
        default_environment: parts.environment,
        payload_retention: config.retention.payloads.unwrap_or(Duration::MAX),
    })
}

/// Starts what it does in the background.
pub(super) fn run(supervisor: &mut Supervisor, intake: &Arc<Intake>) {
    let intake = Arc::clone(intake);
    supervisor.spawn(Stage::Background, "intake", OnPanic::Restart, move |stop| {
        let intake = Arc::clone(&intake);
        async move { intake.run(stop).await }
    });
}
