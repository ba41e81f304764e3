//! The options of `bellwire bench`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::sink::Behaviour;

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

    /// What to measure: floor, saturate, fanout[-N], steady-N, down, pending
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "floor,saturate,fanout,steady-100,steady-500,down"
    )]
    pub scenario: Vec<Scenario>,

    /// Length of each measurement
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,

    /// Unmeasured time before each measurement
    #[arg(long, default_value_t = 2.0)]
    pub warmup_seconds: f64,

    /// Publish this many messages instead of publishing for --seconds
    #[arg(long)]
    pub messages: Option<u64>,

    /// Connections that publish
    #[arg(long, default_value_t = 64)]
    pub connections: usize,

    /// Size of each payload
    #[arg(long, default_value_t = 1024)]
    pub payload_bytes: usize,

    /// Rounds of each scenario; the table shows medians (pending runs once)
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,

    /// How the receiver is down in the scenarios down and pending
    #[arg(long, value_enum, default_value_t = Down::Refuse)]
    pub down: Down,

    /// Messages that the scenario pending leaves undelivered
    #[arg(long, default_value_t = 2_000_000)]
    pub pending: u64,

    /// How long deliveries may take to arrive after publishing has ended, before they count as missing
    #[arg(long, default_value_t = 60.0)]
    pub drain_seconds: f64,

    /// Write the report as JSON; - is stdout, and the table then goes to stderr
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl BenchArgs {
    /// Refuses what cannot be measured.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.rounds > 0, "--rounds must be at least 1");
        anyhow::ensure!(self.connections > 0, "--connections must be at least 1");
        anyhow::ensure!(self.messages != Some(0), "--messages must be at least 1");
        anyhow::ensure!(self.pending > 0, "--pending must be at least 1");
        for (name, value) in [("--seconds", self.seconds), ("--drain-seconds", self.drain_seconds)] {
            anyhow::ensure!(value.is_finite() && value > 0.0, "{name} must be more than 0");
        }
        anyhow::ensure!(
            self.warmup_seconds.is_finite() && self.warmup_seconds >= 0.0,
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

/// A named way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Scenario {
    /// Generator straight to receiver: what the machine does without a server.
    Floor,
    /// As fast as it goes, to this many endpoints.
    Saturate {
        /// How many endpoints each message goes to.
        endpoints: usize,
    },
    /// A fixed rate to one endpoint; latency counts from the scheduled time.
    Steady {
        /// Messages each second.
        per_second: u32,
    },
    /// The receiver is down while messages are published, then comes back.
    Down,
    /// Very many deliveries are waiting.
    Pending,
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| match digits.parse::<u32>() {
            Ok(n @ 1..=1_000_000) => Ok(n),
            _ => Err(format!("{text}: the number must be from 1 to 1000000")),
        };
        match text.split_once('-') {
            None => match text {
                "floor" => Ok(Scenario::Floor),
                "saturate" => Ok(Scenario::Saturate { endpoints: 1 }),
                "fanout" => Ok(Scenario::Saturate { endpoints: 5 }),
                "down" => Ok(Scenario::Down),
                "pending" => Ok(Scenario::Pending),
                _ => Err(format!(
                    "unknown scenario {text}; choose from floor, saturate, fanout, fanout-N, steady-N, down, pending"
                )),
            },
            Some(("fanout", n)) => match number(n)? {
                endpoints @ 1..=100 => Ok(Scenario::Saturate {
                    endpoints: endpoints as usize,
                }),
                _ => Err(format!("{text}: at most 100 endpoints")),
            },
            Some(("steady", n)) => Ok(Scenario::Steady { per_second: number(n)? }),
            Some(_) => Err(format!(
                "unknown scenario {text}; those with a number are fanout-N and steady-N"
            )),
        }
    }
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scenario::Floor => f.write_str("floor"),
            Scenario::Saturate { endpoints: 1 } => f.write_str("saturate"),
            Scenario::Saturate { endpoints: 5 } => f.write_str("fanout"),
            Scenario::Saturate { endpoints } => write!(f, "fanout-{endpoints}"),
            Scenario::Steady { per_second } => write!(f, "steady-{per_second}"),
            Scenario::Down => f.write_str("down"),
            Scenario::Pending => f.write_str("pending"),
        }
    }
}

impl From<Scenario> for String {
    fn from(scenario: Scenario) -> Self {
        scenario.to_string()
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
    fn scenario_names_are_read_and_written_alike() {
        for name in [
            "floor",
            "saturate",
            "fanout",
            "fanout-12",
            "steady-100",
            "steady-7",
            "down",
            "pending",
        ] {
            assert_eq!(name.parse::<Scenario>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn scenarios_that_do_not_exist_say_what_does() {
        for name in [
            "",
            "Floor",
            "steady",
            "steady-0",
            "steady-x",
            "fanout-101",
            "down-3",
            "steady-1000001",
        ] {
            assert!(name.parse::<Scenario>().is_err(), "{name}");
        }
        assert!("nope".parse::<Scenario>().unwrap_err().contains("saturate"));
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
        ] {
            assert!(Cli::try_parse_from(line).unwrap().bench.check().is_err(), "{line:?}");
        }
    }
}
