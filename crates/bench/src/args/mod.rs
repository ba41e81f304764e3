//! The options of `bellwire bench`.

mod load;
mod scenario;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::sink::Behaviour;

pub use load::LoadArgs;
pub use scenario::Scenario;

/// Measure deliveries per second, latency, CPU and memory of this server, or of any server with the same API.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Measure a running server, such as http://127.0.0.1:8071; without it, each round starts a server of its own on an empty directory
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// The token for --target
    #[arg(long, env = "BELLWIRE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// The processes of --target (their descendants count as well), for CPU and memory
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,

    /// The server to start [default: this executable]
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub binary: Option<PathBuf>,

    /// Where the server's temporary data directories are made; choose a real disk [default: the system's temporary directory]
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub data_parent: Option<PathBuf>,

    /// A further environment variable for the server that is started; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "target")]
    pub server_env: Vec<String>,

    /// Keep everything in this PostgreSQL, postgres://…; each round has a schema of its own there, which stays
    #[arg(long, value_name = "URL", conflicts_with_all = ["target", "postgres"])]
    pub store: Option<String>,

    /// Start a PostgreSQL of the benchmark's own beside the data directories and keep everything in it; its CPU is shown
    #[arg(long, conflicts_with = "target")]
    pub postgres: bool,

    /// A further setting of that PostgreSQL; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "postgres")]
    pub postgres_setting: Vec<String>,

    /// Start so many servers on one store (--store or --postgres) and publish to all of them
    #[arg(long, default_value_t = 1, conflicts_with = "target")]
    pub nodes: usize,

    /// Another binary to measure in turn with the first, round by round; the report then says how many times as fast the first is
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub against: Option<PathBuf>,

    /// What to measure
    #[arg(
        long,
        help = format!("What to measure: {}", scenario::NAMES),
        value_delimiter = ',',
        default_value = "floor,saturate,fanout,steady-100,steady-500,down"
    )]
    pub scenario: Vec<Scenario>,

    /// Length of each measurement [default: 10, hang 30; with --quick 2]
    #[arg(long)]
    pub seconds: Option<f64>,

    /// Unmeasured time before each measurement [default: 2; with --quick 0.5]
    #[arg(long)]
    pub warmup_seconds: Option<f64>,

    /// Publish this many messages instead of publishing for --seconds
    #[arg(long)]
    pub messages: Option<u64>,

    /// Connections that publish
    #[arg(long, default_value_t = 64)]
    pub connections: usize,

    /// Size of each payload
    #[arg(long, default_value_t = 1024)]
    pub payload_bytes: usize,

    /// Rounds of each scenario; the table shows medians [default: 3; for scenarios that take long, and with --quick, 1]
    #[arg(long)]
    pub rounds: Option<usize>,

    /// How the receiver is down in the scenarios down, pending, return and restart
    #[arg(long, value_enum, default_value_t = Down::Refuse)]
    pub down: Down,

    /// Post to this URL in the scenario hook instead of making a source, such as another program's hook; name its process with --pid
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    pub hook_url: Option<String>,

    /// The secret that webhooks are signed with in the scenario hook [default: one of its own]
    #[arg(long, value_name = "SECRET", env = "BELLWIRE_HOOK_SECRET", hide_env_values = true)]
    pub hook_secret: Option<String>,

    /// Size of a webhook's body in the scenario hook
    #[arg(long, default_value_t = 8192)]
    pub hook_bytes: usize,

    /// Sizes of the scenarios about load.
    #[command(flatten)]
    pub load: LoadArgs,

    /// How long deliveries may take to arrive after publishing has ended, before they count as missing
    #[arg(long, default_value_t = 60.0)]
    pub drain_seconds: f64,

    /// Write the report as JSON; - is stdout, and the table then goes to stderr
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl BenchArgs {
    /// Length of a measurement, where a scenario has no length of its own.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_or(10.0)
    }

    /// Length of a measurement, where `full` is the scenario's own default.
    pub(crate) fn seconds_or(&self, full: f64) -> f64 {
        self.seconds.unwrap_or(if self.load.quick { 2.0 } else { full })
    }

    pub(crate) fn warmup_seconds(&self) -> f64 {
        self.warmup_seconds.unwrap_or(if self.load.quick { 0.5 } else { 2.0 })
    }

    pub(crate) fn rounds(&self, scenario: Scenario) -> usize {
        let few = self.load.quick || scenario.takes_long();
        self.rounds.unwrap_or(if few { 1 } else { 3 })
    }

    /// Refuses what cannot be measured.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.rounds != Some(0), "--rounds must be at least 1");
        anyhow::ensure!(self.connections > 0, "--connections must be at least 1");
        anyhow::ensure!(self.nodes > 0, "--nodes must be at least 1");
        anyhow::ensure!(
            self.nodes == 1 || self.postgres || self.store.is_some(),
            "--nodes {} needs a store that they share: --postgres, or --store postgres://…",
            self.nodes
        );
        anyhow::ensure!(self.messages != Some(0), "--messages must be at least 1");
        self.load.check()?;
        for (name, value) in [("--seconds", self.seconds()), ("--drain-seconds", self.drain_seconds)] {
            anyhow::ensure!(value.is_finite() && value > 0.0, "{name} must be more than 0");
        }
        let warm_up = self.warmup_seconds();
        anyhow::ensure!(
            warm_up.is_finite() && warm_up >= 0.0,
            "--warmup-seconds must be 0 or more"
        );
        let bad_pair = self.server_env.iter().find(|pair| !pair.contains('='));
        anyhow::ensure!(
            bad_pair.is_none(),
            "--server-env {} must be KEY=VALUE",
            bad_pair.map_or("", |pair| pair)
        );
        Ok(())
    }
}

/// How a receiver is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Down {
    /// The port refuses connections
    Refuse,
    /// Every request is answered 500
    Error,
    /// Requests are read and never answered
    Hang,
}

impl Down {
    pub(crate) fn behaviour(self) -> Behaviour {
        match self {
            Down::Refuse => Behaviour::Refuse,
            Down::Error => Behaviour::Status(500),
            Down::Hang => Behaviour::Hang,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn options_are_read_from_the_command_line() {
        let line = [
            "bench",
            "--scenario",
            "saturate,steady-250",
            "--pid",
            "7,8",
            "--target",
            "http://x",
            "--json",
            "-",
        ];
        let args = Cli::try_parse_from(line).unwrap().bench;
        assert_eq!(
            args.scenario,
            [
                Scenario::Saturate { endpoints: 1 },
                Scenario::Steady { per_second: 250 }
            ]
        );
        assert_eq!(args.pid, [7, 8]);
        assert!(args.check().is_ok());
        assert!(Cli::try_parse_from(["bench", "--target", "http://x", "--binary", "y"]).is_err());
    }

    #[test]
    fn values_that_cannot_be_measured_are_refused() {
        for line in [
            ["bench", "--rounds", "0"],
            ["bench", "--connections", "0"],
            ["bench", "--seconds", "0"],
            ["bench", "--seconds", "NaN"],
            ["bench", "--messages", "0"],
            ["bench", "--server-env", "X"],
            ["bench", "--nodes", "0"],
            ["bench", "--nodes", "2"],
            ["bench", "--pending", "0"],
            ["bench", "--endpoints", "199"],
            ["bench", "--drips", "9"],
            ["bench", "--overload-seconds", "inf"],
            ["bench", "--attempt-timeout", "0"],
        ] {
            assert!(Cli::try_parse_from(line).unwrap().bench.check().is_err(), "{line:?}");
        }
    }
    #[test]
    fn quick_makes_everything_small_that_was_not_asked_for() {
        let args = |line: &[&str]| Cli::try_parse_from([&["bench"], line].concat()).unwrap().bench;
        let (full, quick) = (args(&[]), args(&["--quick", "--drips", "300"]));
        assert_eq!(
            (full.seconds(), full.seconds_or(30.0), quick.seconds_or(30.0)),
            (10.0, 30.0, 2.0)
        );
        assert_eq!(
            (full.load.pending(7), quick.load.pending(7), quick.load.drips()),
            (7, 20_000, 300)
        );
        assert_eq!(
            (
                full.rounds(Scenario::Hang),
                full.rounds(Scenario::Restart),
                quick.rounds(Scenario::Hang)
            ),
            (3, 1, 1)
        );
    }
}
