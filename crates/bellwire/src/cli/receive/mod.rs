//! `bellwire receive`: a small receiver on this machine that verifies and shows what comes, and misbehaves when told to.
//!
//! For tours, development and tests. It listens on the loopback only, remembers nothing on disk, and is no server to put
//! in front of anything: whoever can reach it makes it work.

mod item;
mod lines;
mod plan;
mod seen;
mod server;
mod show;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bellwire_core::sign::TOLERANCE;
use clap::Args;

use super::{
    exit::Failure,
    out::{Out, count},
    verify, when,
};
use plan::Plan;
use server::{Options, Receiver};

/// `receive`.
#[derive(Args)]
pub struct ReceiveArgs {
    /// The port to listen on; 0 takes any that is free
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Check signatures with this secret (whsec_…, whsk_…, whpk_…) or @file, and answer 401 when none matches; repeat
    /// for more
    #[arg(long, env = "BELLWIRE_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// Fail the first N tries of each message
    #[arg(long, value_name = "N")]
    fail: Option<u32>,
    /// Fail this share of the requests, 0 to 1
    #[arg(long, value_name = "P", value_parser = share)]
    fail_rate: Option<f64>,
    /// Fail by this status (500 if not told); without --fail and --fail-rate, always
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// Fail by not answering: keep the connection for so many seconds and close it
    #[arg(long, value_name = "SECONDS", value_parser = when::span, conflicts_with = "status")]
    hang: Option<Duration>,
    /// Wait so many milliseconds before every answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow: u64,
    /// How old or new a signature may be
    #[arg(long, value_name = "SPAN", value_parser = when::span)]
    tolerance: Option<Duration>,
    /// The URL that the sender calls, when a tunnel or proxy stands in between: its scheme and host are what HTTP message
    /// signatures cover
    #[arg(long, value_name = "URL", value_parser = verify::target_uri)]
    public_url: Option<String>,
    /// Stop after N requests; exits with 4 when a signature did not match
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Receive until interrupted, which is what happens without --count
    #[arg(long, conflicts_with = "count")]
    forever: bool,
}

/// For clap: 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
}

impl ReceiveArgs {
    /// Receives until it is interrupted or has seen `--count` requests.
    ///
    /// # Errors
    /// When the port is taken; with `--count`, [`Failure::Unverified`] when a signature did not match.
    pub fn run(self, out: Out) -> Result<(), Failure> {
        let options = Options {
            plan: Plan {
                fail_first: self.fail,
                fail_rate: self.fail_rate,
                status: self.status,
                hang: self.hang,
                slow: Duration::from_millis(self.slow),
            },
            keys: verify::keys(&self.secret)?,
            tolerance: self.tolerance.unwrap_or(TOLERANCE),
            public_url: self.public_url,
            count: self.count,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let receiver = Receiver::bind(self.port, options, out).await?;
            let interrupted = async {
                // Without a handler the default stays: the process ends.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let summary = receiver.run(interrupted).await?;
            match (self.count, summary.interrupted) {
                (Some(_), true) => Err(Failure::Interrupted),
                (Some(_), false) if summary.unverified > 0 => Err(Failure::Unverified(format!(
                    "{} did not match",
                    count(summary.unverified, "signature")
                ))),
                _ => Ok(()),
            }
        })
    }
}
