//! The scenarios, and the table that says which code runs each.

mod comeback;
mod down;
mod drip;
mod fill;
mod group;
mod hang;
mod hook;
mod idle;
mod load;
mod noisy;
mod order;
mod overload;
mod pending;
mod samples;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::args::{BenchArgs, Scenario};
use crate::clock::Clock;
use crate::comparison::Comparison;
use crate::machine::Machine;
use crate::postgres::Postgres;
use crate::publish::Extent;
use crate::report::{Figures, Report, ScenarioReport, Settings};
use crate::server::Launch;

/// With so many deliveries waiting, a server takes no more, unless [`HIGH_WATER_KEY`] says otherwise.
const HIGH_WATER: u64 = 10_000_000;
const HIGH_WATER_KEY: &str = "BELLWIRE_PUBLISH_HIGH_WATER";

/// What every round needs.
pub(crate) struct Context<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) clock: Clock,
    launch: Launch,
    database: Option<Arc<Postgres>>,
}

impl Context<'_> {
    /// The measured part of a round.
    fn extent(&self) -> Extent {
        match self.args.messages {
            Some(messages) => Extent::Messages(messages),
            None => Extent::For(Duration::from_secs_f64(self.args.seconds())),
        }
    }

    fn warm_up(&self) -> Option<Extent> {
        let seconds = self.args.warmup_seconds();
        (seconds > 0.0).then(|| Extent::For(Duration::from_secs_f64(seconds)))
    }

    /// What tells the servers of a round where to keep everything, in a schema that nobody has used, and what to seal it with.
    fn store_of_its_own(&self) -> Vec<(String, String)> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("bench_{}_{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let url = match (&self.database, &self.args.store) {
            (Some(database), _) => database.url(&schema),
            (None, Some(url)) if url.contains('?') => format!("{url}&schema={schema}"),
            (None, Some(url)) => format!("{url}?schema={schema}"),
            (None, None) => return Vec::new(),
        };
        // Servers that share a store share its main secret.
        let secret = format!("{schema}-main-secret-of-a-benchmark-and-no-secret");
        vec![
            ("BELLWIRE_STORE".to_owned(), url),
            ("BELLWIRE_MAIN_SECRET".to_owned(), secret),
        ]
    }

    /// The database's process, where it is the bench's own.
    fn database_pid(&self) -> Option<u32> {
        self.database.as_ref().map(|database| database.pid())
    }

    fn drain_limit(&self) -> Duration {
        Duration::from_secs_f64(self.args.drain_seconds)
    }
}

/// Runs every scenario asked for, each for its rounds.
pub(crate) async fn run_all(args: &BenchArgs) -> anyhow::Result<Report> {
    let launch = launch(args)?;
    let machine = Machine::inspect(&launch.data_parent);
    let clock = Clock::start();
    let database = match args.postgres {
        true => {
            let settings: Vec<&str> = args.postgres_setting.iter().map(String::as_str).collect();
            Some(Arc::new(Postgres::start(&launch.data_parent, &settings)?))
        }
        false => None,
    };
    let other = args.against.as_ref().map(|binary| Context {
        args,
        clock,
        launch: Launch {
            binary: binary.clone(),
            ..launch.clone()
        },
        database: database.clone(),
    });
    let this = Context {
        args,
        clock,
        launch,
        database,
    };
    let mut report = Report {
        machine,
        settings: Settings::of(args),
        scenarios: Vec::with_capacity(args.scenario.len()),
        comparisons: Vec::new(),
    };
    for &scenario in &args.scenario {
        // Without a server there is nothing to compare.
        let other = other.as_ref().filter(|_| scenario != Scenario::Floor);
        let [mine, others] = run_rounds(scenario, args.rounds(scenario), &this, other).await?;
        if other.is_some() {
            report.comparisons.extend(Comparison::of(scenario, &mine, &others));
        }
        report.scenarios.push(ScenarioReport::of(scenario, false, mine));
        if other.is_some() {
            report.scenarios.push(ScenarioReport::of(scenario, true, others));
        }
    }
    Ok(report)
}

/// The rounds of one scenario. Two binaries take turns, and take turns in going first: what a round leaves behind in the machine (a warm
/// disk, a busy neighbour) then falls on both.
async fn run_rounds(
    scenario: Scenario,
    rounds: usize,
    this: &Context<'_>,
    other: Option<&Context<'_>>,
) -> anyhow::Result<[Vec<Figures>; 2]> {
    let mut done = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    for round in 1..=rounds {
        let mut sides = [Some((0, this)), other.map(|other| (1, other))];
        if round % 2 == 0 {
            sides.reverse();
        }
        for (side, context) in sides.into_iter().flatten() {
            let figures = run_round(context, scenario).await?;
            let name = if side == 0 { "" } else { " (against)" };
            eprintln!("{scenario}{name} {round}/{rounds}: {}", progress(&figures));
            done[side].push(figures);
        }
    }
    Ok(done)
}

async fn run_round(context: &Context<'_>, scenario: Scenario) -> anyhow::Result<Figures> {
    match scenario {
        Scenario::Floor => Box::pin(load::floor(context)).await,
        Scenario::Saturate { endpoints } => Box::pin(load::saturate(context, endpoints)).await,
        Scenario::Steady { per_second } => Box::pin(load::steady(context, per_second)).await,
        Scenario::Down => Box::pin(down::run(context)).await,
        Scenario::Pending => Box::pin(pending::run(context)).await,
        Scenario::Hang => Box::pin(hang::run(context)).await,
        Scenario::Noisy => Box::pin(noisy::run(context)).await,
        Scenario::Return => Box::pin(comeback::run(context)).await,
        Scenario::Overload => Box::pin(overload::run(context)).await,
        Scenario::IdleEndpoints => Box::pin(idle::run(context)).await,
        Scenario::Drip => Box::pin(drip::run(context)).await,
        Scenario::Restart => Box::pin(pending::killed(context)).await,
        Scenario::OrderKey { keys } => Box::pin(order::by_key(context, keys as usize)).await,
        Scenario::OrderEndpoint => Box::pin(order::by_endpoint(context)).await,
        Scenario::Hook { per_second } => Box::pin(hook::run(context, per_second)).await,
    }
}

fn launch(args: &BenchArgs) -> anyhow::Result<Launch> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?,
    };
    let data_parent: PathBuf = args.data_parent.clone().unwrap_or_else(std::env::temp_dir);
    Ok(Launch {
        binary,
        data_parent,
        env: server_env(args),
    })
}

/// What servers are started with. As many as are to wait may wait, unless it is said how many may.
fn server_env(args: &BenchArgs) -> Vec<(String, String)> {
    let env = args.server_env.iter().filter_map(|pair| pair.split_once('='));
    let mut env: Vec<_> = env.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if let Some(pending) = args.load.pending.filter(|pending| pending * 2 > HIGH_WATER)
        && env.iter().all(|(key, _)| key != HIGH_WATER_KEY)
    {
        env.push((HIGH_WATER_KEY.to_owned(), (pending * 2).to_string()));
    }
    env
}

fn progress(figures: &Figures) -> String {
    let deliveries = figures
        .deliveries_per_s
        .map_or(String::new(), |rate| format!(", {rate:.0} deliveries/s"));
    let verdicts: String = figures.verdicts.iter().map(|verdict| format!("; {verdict}")).collect();
    format!("{:.0} publishes/s{deliveries}{verdicts}", figures.publishes_per_s)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn env(args: &[&str]) -> Vec<(String, String)> {
        server_env(&Cli::parse_from([&["bench"], args].concat()).bench)
    }

    #[test]
    fn a_server_takes_as_many_as_are_to_wait() {
        let high_water = |value: &str| vec![(HIGH_WATER_KEY.to_owned(), value.to_owned())];
        assert_eq!(env(&[]), []);
        assert_eq!(env(&["--pending", "5000000"]), []);
        assert_eq!(env(&["--pending", "10000000"]), high_water("20000000"));
        let said = ["--pending", "10000000", "--server-env", "BELLWIRE_PUBLISH_HIGH_WATER=7"];
        assert_eq!(env(&said), high_water("7"));
    }
}
