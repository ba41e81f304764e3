//! The log: lines on standard error, for people or as JSON with ids as fields.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// Sends what is logged to standard error from now on, for the whole process, and panics with it. `level` is a filter such
/// as `info,bellwire_deliver=debug`. The first call decides; later ones change nothing.
pub fn log_to_stderr(format: LogFormat, level: &str) {
    // The configuration has judged it; whatever else comes here is logged like the default.
    let filter: Targets = level
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match format {
        LogFormat::Human => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    if tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .is_ok()
    {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                place,
                "a task panicked: {}",
                panic.payload_as_str().unwrap_or("no message")
            );
        }));
    }
}
