//! The scenarios, and the table that says which code runs each.

mod down;
mod load;
mod pending;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use crate::args::{BenchArgs, Scenario};
use crate::clock::Clock;
use crate::machine::Machine;
use crate::publish::Extent;
use crate::report::{Figures, Report, ScenarioReport, Settings};
use crate::server::Launch;

/// What every round needs.
pub(crate) struct Context<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) clock: Clock,
    launch: Launch,
}

impl Context<'_> {
    /// The measured part of a round.
    fn extent(&self) -> Extent {
        match self.args.messages {
            Some(messages) => Extent::Messages(messages),
            None => Extent::For(Duration::from_secs_f64(self.args.seconds)),
        }
    }

    fn warm_up(&self) -> Option<Extent> {
        (self.args.warmup_seconds > 0.0).then(|| Extent::For(Duration::from_secs_f64(self.args.warmup_seconds)))
    }

    fn drain_limit(&self) -> Duration {
        Duration::from_secs_f64(self.args.drain_seconds)
    }
}

/// Runs every scenario asked for, each for its rounds.
pub(crate) async fn run_all(args: &BenchArgs) -> anyhow::Result<Report> {
    let launch = launch(args)?;
    let machine = Machine::inspect(&launch.data_parent);
    let context = Context {
        args,
        clock: Clock::start(),
        launch,
    };
    let mut scenarios = Vec::with_capacity(args.scenario.len());
    for &scenario in &args.scenario {
        let rounds = if scenario == Scenario::Pending { 1 } else { args.rounds };
        let mut figures = Vec::with_capacity(rounds);
        for round in 1..=rounds {
            let done = run_round(&context, scenario).await?;
            eprintln!("{scenario} {round}/{rounds}: {}", progress(&done));
            figures.push(done);
        }
        scenarios.push(ScenarioReport::of(scenario, figures));
    }
    Ok(Report {
        machine,
        settings: Settings::of(args),
        scenarios,
    })
}

async fn run_round(context: &Context<'_>, scenario: Scenario) -> anyhow::Result<Figures> {
    match scenario {
        Scenario::Floor => Box::pin(load::floor(context)).await,
        Scenario::Saturate { endpoints } => Box::pin(load::saturate(context, endpoints)).await,
        Scenario::Steady { per_second } => Box::pin(load::steady(context, per_second)).await,
        Scenario::Down => Box::pin(down::run(context)).await,
        Scenario::Pending => Box::pin(pending::run(context)).await,
    }
}

fn launch(args: &BenchArgs) -> anyhow::Result<Launch> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?,
    };
    let data_parent: PathBuf = args.data_parent.clone().unwrap_or_else(std::env::temp_dir);
    let env = args.server_env.iter().filter_map(|pair| pair.split_once('='));
    let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(Launch {
        binary,
        data_parent,
        env,
    })
}

fn progress(figures: &Figures) -> String {
    let deliveries = figures
        .deliveries_per_s
        .map_or(String::new(), |rate| format!(", {rate:.0} deliveries/s"));
    format!("{:.0} publishes/s{deliveries}", figures.publishes_per_s)
}
