//! `bellwire serve`: loads the configuration, starts a server, says where it is, and stops it when told to. What it says at the
//! first start is in [`welcome`].

use std::{io::Write as _, sync::Arc, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Running, ServeError, hooks::Hooks, reachable, serve, welcome};
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
        // Before anybody can reach the server: a SIGHUP that nobody takes ends a process.
        let (mut signals, mut hangups) = (Signals::listen()?, Hangups::listen()?);
        loop {
            let server = serve(config.clone()).await.map_err(|error| match error {
                ServeError::Hooks(error) => error.into(),
                other => Failure::Failed(other.to_string()),
            })?;
            announce(&server, &config)?;
            let (stop, hooks) = (server.stop.clone(), server.hooks.clone());
            let ending = tokio::select! {
                ending = server.wait() => ending,
                never = signals.stop(stop) => match never {},
                never = hangups.pass_on(hooks) => match never {},
            };
            if ending != Ending::Ousted {
                return Ok::<_, Failure>(ending);
            }
            tracing::warn!("another process has taken this one's place while it was not heard of; it begins anew");
        }
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ending {
        Ending::Graceful | Ending::Ousted => Ok(()),
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
    async fn stop(&mut self, stop: Stop) -> std::convert::Infallible {
        self.next().await;
        tracing::info!("stopping; a second signal stops at once");
        stop.gracefully.cancel();
        self.next().await;
        tracing::warn!("stopping at once");
        stop.now.cancel();
        std::future::pending().await
    }
}

/// SIGHUP: what is read again when it changes is read again now.
struct Hangups(Signal);

impl Hangups {
    fn listen() -> Result<Self, Failure> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    async fn pass_on(&mut self, hooks: Option<Arc<Hooks>>) -> std::convert::Infallible {
        while self.0.recv().await.is_some() {
            match &hooks {
                Some(hooks) => hooks.reload(),
                None => tracing::info!("SIGHUP: there is no hooks file to read again"),
            }
        }
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
        writeln!(out, "\n{}", welcome::text(&program(), &url, token.expose(), config))?;
    }
    Ok(out.flush()?)
}

/// This program as it was called: what worked once works again in the same folder.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| "bellwire".into());
    called.to_string_lossy().into_owned()
}
