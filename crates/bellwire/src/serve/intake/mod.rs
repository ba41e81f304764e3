//! From the configuration to the way in for sources.

mod out;

use std::{sync::Arc, time::Duration};

use bellwire_core::{id::EnvironmentId, time::format_span};
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

/// Providers repeat an event for days: so long it is to be recognised.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// Events are recognised by the messages that they became: who keeps those for less time shall know what that means.
pub(super) fn warn_of_short_memory(config: &Config, directory: &Directory) {
    let sources = directory.all_sources().len();
    if let Some(kept) = too_short(config.retention.messages).filter(|_| sources > 0) {
        tracing::warn!(
            sources,
            "retention.messages is {}: an event that comes again later than that takes effect again; keep messages for 7d",
            format_span(kept)
        );
    }
}

/// How long messages are kept, when that is too short to recognise what is repeated.
fn too_short(kept: Option<Duration>) -> Option<Duration> {
    kept.filter(|kept| *kept < REMEMBERED)
}

/// Starts what it does in the background.
pub(super) fn run(supervisor: &mut Supervisor, intake: &Arc<Intake>) {
    let intake = Arc::clone(intake);
    supervisor.spawn(Stage::Background, "intake", OnPanic::Restart, move |stop| {
        let intake = Arc::clone(&intake);
        async move { intake.run(stop).await }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_kept_for_less_than_a_week_are_too_short_a_memory() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert_eq!(too_short(days(6)), days(6));
        assert_eq!((too_short(days(7)), too_short(None)), (None, None));
    }
}
