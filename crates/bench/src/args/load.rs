//! The options of the scenarios about load and isolation (L1–L7): how much of everything.
//!
//! Each has two defaults: one for figures that are published, and a small one for `--quick`.

use std::time::Duration;

use clap::Args;

/// Sizes of the scenarios about load; `None` is the default, which depends on `--quick`.
#[derive(Args, Clone, Debug, Default)]
pub struct LoadArgs {
    /// Seconds instead of minutes: small sizes, one round; only the ratios within a run mean anything then
    #[arg(long)]
    pub quick: bool,

    /// Messages that wait for an endpoint that is down [default: pending 2,000,000; return and restart 1,000,000; with --quick 20,000]
    #[arg(long, value_name = "N")]
    pub pending: Option<u64>,

    /// Endpoints of the scenario idle-endpoints, 1 % of them active [default: 100,000; with --quick 2,000]
    #[arg(long, value_name = "N")]
    pub endpoints: Option<usize>,

    /// Endpoints of the scenario drip that answer a byte each second [default: 1,000; with --quick 100]
    #[arg(long, value_name = "N")]
    pub drips: Option<usize>,

    /// Length of the overload [default: 60; with --quick 4]
    #[arg(long, value_name = "SECONDS")]
    pub overload_seconds: Option<f64>,

    /// Connections of the overload. A message that finds none free is not published, and counted [default: 5,000; with --quick 192]
    #[arg(long, value_name = "N")]
    pub overload_connections: Option<usize>,

    /// How long after its return an endpoint is watched [default: 60; with --quick 8]
    #[arg(long, value_name = "SECONDS")]
    pub return_seconds: Option<f64>,

    /// How long the server lets an attempt take, in the scenarios hang and drip: a server that the benchmark starts is told, a --target
    /// must be set so [default: 15; with --quick 2]
    #[arg(long, value_name = "SECONDS")]
    pub attempt_timeout: Option<f64>,
}

impl LoadArgs {
    fn either<T>(&self, asked: Option<T>, full: T, quick: T) -> T {
        asked.unwrap_or(if self.quick { quick } else { full })
    }

    /// Messages that wait, where `full` is the scenario's own default.
    pub(crate) fn pending(&self, full: u64) -> u64 {
        self.either(self.pending, full, 20_000)
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.either(self.endpoints, 100_000, 2_000)
    }

    pub(crate) fn drips(&self) -> usize {
        self.either(self.drips, 1_000, 100)
    }

    pub(crate) fn overload(&self) -> Duration {
        Duration::from_secs_f64(self.either(self.overload_seconds, 60.0, 4.0))
    }

    pub(crate) fn overload_connections(&self) -> usize {
        self.either(self.overload_connections, 5_000, 192)
    }

    pub(crate) fn watch_after_return(&self) -> Duration {
        Duration::from_secs_f64(self.either(self.return_seconds, 60.0, 8.0))
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.either(self.attempt_timeout, 15.0, 2.0))
    }

    /// Refuses what cannot be measured.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.pending != Some(0), "--pending must be at least 1");
        anyhow::ensure!(self.endpoints() >= 200, "--endpoints must be at least 200");
        anyhow::ensure!(self.drips() >= 10, "--drips must be at least 10");
        anyhow::ensure!(
            self.overload_connections() > 0,
            "--overload-connections must be at least 1"
        );
        for (name, value) in [
            ("--overload-seconds", self.overload_seconds),
            ("--return-seconds", self.return_seconds),
            ("--attempt-timeout", self.attempt_timeout),
        ] {
            let fits = value.is_none_or(|value| value.is_finite() && (0.1..=86_400.0).contains(&value));
            anyhow::ensure!(fits, "{name} must be from 0.1 to 86400");
        }
        Ok(())
    }
}
