//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Publishes under load, kills the server again and again, and accounts for every acknowledged message.
///
/// Exit codes: 0 all is accounted for; 1 it is not, or the run could not be made; 3 the scenario cannot run on this machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "bellwire-crash")]
pub(crate) struct Args {
    /// What to do
    #[arg(long, value_enum, default_value_t = Scenario::Kill)]
    pub(crate) scenario: Scenario,
    /// How often the server is killed
    #[arg(long, default_value_t = 25)]
    pub(crate) cycles: u32,
    /// The server: a `bellwire` binary
    #[arg(long)]
    pub(crate) binary: PathBuf,
    /// Brings back the messages and the intended moments of an earlier run
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Endpoints: fast, failing, slow, filtered, and from there the same again
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) endpoints: u8,
    /// Publishing connections [default: 8; scenario order: 64]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) connections: Option<u32>,
    /// Messages a second, all connections together; 0 is as fast as they can [default: 250; scenario order: 0]
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// Rough size of a payload; each has its own, up to twice as large
    #[arg(long, default_value_t = 1_000)]
    pub(crate) payload_bytes: usize,
    /// Scenario order: how many ordering keys
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) keys: u32,
    /// Scenario order: how many deliveries in order
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) deliveries: u64,
    /// Scenario order: how many of a hundred tries fail
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=60))]
    pub(crate) failures: u8,
    /// Scenario inbound: how many events come in whose repetitions must change nothing
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) events: u32,
    /// Scenario inbound: how often each of them comes
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) copies: u32,
    /// Scenario inbound: how many numbered events come in, shuffled, that must be put in order
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) numbered: u32,
    /// How long before a kill an accepted delivery may have been answered and still be repeated, in milliseconds: outcomes
    /// gather for a moment, then wait for a commit [default: 500; scenario order, which keeps the server busy: 2000]
    #[arg(long)]
    pub(crate) settling_ms: Option<u64>,
    /// Scenario nodes: the folder with the socket of a PostgreSQL of the run's own
    #[arg(long, value_name = "DIR", required_if_eq("scenario", "nodes"))]
    pub(crate) postgres: Option<PathBuf>,
    /// Scenario nodes: the folder with PostgreSQL's programs
    #[arg(long, value_name = "DIR", required_if_eq("scenario", "nodes"))]
    pub(crate) postgres_programs: Option<PathBuf>,
    /// Scenario nodes: how many servers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) nodes: u8,
    /// Scenario nodes: further parameters of the store's URL, such as standby=true
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) store_parameter: Vec<String>,
    /// Where the run's directory is made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) scratch: PathBuf,
    /// Keep the run's directory, also when nothing is wrong
    #[arg(long)]
    pub(crate) keep: bool,
    /// The summary as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// SIGKILL at random moments
    Kill,
    /// The disk fills up and is freed again (needs the right to mount a tmpfs)
    DiskFull,
    /// Lines of deliveries that wait for each other, failing receivers, SIGKILL and SIGTERM
    Order,
    /// Webhooks come in again and again and out of order, SIGKILL and SIGTERM; each takes effect once, and in order
    Inbound,
    /// The store's files may not be written for a while (needs the right to make files immutable)
    Unwritable,
    /// Several servers on one PostgreSQL, of which one is killed, paused or cut off again and again
    Nodes,
}

impl Scenario {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Kill => "kill",
            Scenario::DiskFull => "disk-full",
            Scenario::Order => "order",
            Scenario::Inbound => "inbound",
            Scenario::Unwritable => "unwritable",
            Scenario::Nodes => "nodes",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_scenarios_have_their_names() {
        Args::command().debug_assert();
        for scenario in Scenario::value_variants() {
            assert_eq!(scenario.to_possible_value().unwrap().get_name(), scenario.name());
        }
    }
}
