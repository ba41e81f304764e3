//! `bellwire serve`: loads the configuration, starts a server, says where it is, and stops it when told to.

use std::{io::Write as _, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Running, reachable, serve};
use crate::{
    cli::Failure,
    config::{self, Config, ConfigArgs},
    supervise::{Ending, Stop},
    telemetry,
};

/// Runs a server until SIGTERM or SIGINT; a second one of them ends it at once.
///
/// # Errors
/// When the configuration is refused, the server cannot start, or it did not end well.
pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let config = config::load(args).map_err(Failure::usage)?.config;
    telemetry::log_to_stderr(config.telemetry.format, &config.telemetry.level);
    let runtime = runtime(&config)?;
    let ending = runtime.block_on(async {
        let signals = Signals::listen()?;
        let server = serve(config.clone())
            .await
            .map_err(|error| Failure::Failed(error.to_string()))?;
        announce(&server, &config)?;
        let stop = server.stop.clone();
        tokio::select! {
            ending = server.wait() => Ok::<_, Failure>(ending),
            never = signals.stop(stop) => match never {},
        }
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ending {
        Ending::Graceful => Ok(()),
        Ending::CutShort => Err(Failure::Failed(
            "stopped before everything had ended; what was cut off is tried again at the next start".to_owned(),
        )),
        Ending::Died(task) => Err(Failure::Failed(format!(
            "stopped because {task} died; the log says why"
        ))),
    }
}

fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.process.workers {
        builder.worker_threads(workers);
    }
    builder
        .enable_all()
        .thread_name("bellwire")
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Passes on the first signal as a request to stop, the second as one to stop at once.
    async fn stop(mut self, stop: Stop) -> std::convert::Infallible {
        self.next().await;
        tracing::info!("stopping; a second signal stops at once");
        stop.gracefully.cancel();
        self.next().await;
        tracing::warn!("stopping at once");
        stop.now.cancel();
        std::future::pending().await
    }
}

/// Says on standard output where the server is and, when an admin token was made, shows it this once.
fn announce(server: &Running, config: &Config) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{}", server.address)?;
    if let Some(metrics) = server.metrics_address {
        writeln!(out, "metrics on http://{metrics}/metrics")?;
    }
    if let Some(token) = &server.new_token {
        let url = format!("http://{}", reachable(server.address));
        writeln!(out, "\n{}", welcome(&url, token.expose(), config))?;
    }
    Ok(out.flush()?)
}

/// The first start's greeting, ready to be pasted.
fn welcome(url: &str, token: &str, config: &Config) -> String {
    let found = config.dev && config.storage.data == Config::default().storage.data && url == "http://127.0.0.1:8071";
    let (place, export) = if found {
        (
            ", also in the data directory, where this command line finds it",
            String::new(),
        )
    } else {
        ("", format!("    export BELLWIRE_URL={url} BELLWIRE_TOKEN={token}\n"))
    };
    format!(
        "The admin token, shown this once{place}:\n\n    {token}\n\nPublish a first message:\n\n{export}    \
         bellwire send invoice.paid --app demo --create-app --data '{{\"id\": 1}}'\n\nor, without the command line:\n\n    \
         curl {url}/api/v1/app/ -H 'Authorization: Bearer {token}' \\\n      \
         -H 'Content-Type: application/json' -d '{{\"name\": \"Demo\", \"uid\": \"demo\"}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_can_be_pasted() {
        let mut config = Config {
            dev: true,
            ..Config::default()
        };
        let short = welcome("http://127.0.0.1:8071", "TOKEN", &config);
        assert!(
            short.contains("\n    bellwire send ") && !short.contains("export"),
            "{short}"
        );
        config.storage.data = "/srv/bellwire".into();
        let long = welcome("http://127.0.0.1:9", "TOKEN", &config);
        assert!(
            long.contains("export BELLWIRE_URL=http://127.0.0.1:9 BELLWIRE_TOKEN=TOKEN\n"),
            "{long}"
        );
        assert!(long.contains("curl http://127.0.0.1:9/api/v1/app/ -H 'Authorization: Bearer TOKEN'"));
    }
}
