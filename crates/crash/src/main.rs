//! The crash loop: does what was acknowledged survive?
//!
//! A program of its own, called by `cargo xtask crash`. It starts a real `bellwire serve`, publishes from several connections,
//! kills the process with SIGKILL at random moments, restarts it on the same data, and in the end accounts for every
//! acknowledged message at every endpoint ([`account`] says what is a violation). Further scenarios fill the disk or take away
//! the right to write. What is promised and measured stands in `docs/reliability.md`.
//!
//! It knows the server by its binary and its API alone: no store, no scheduler. Only the verification of signatures is
//! borrowed, from `bellwire-core`.

mod account;
mod args;
mod client;
mod faults;
mod inbound;
mod kill;
mod moment;
mod names;
mod nodes;
mod order;
mod outage;
mod payload;
mod plan;
mod port;
mod process;
mod publish;
mod receive;
mod report;
mod rig;
mod runs;
mod secrets;
mod trouble;
mod violation;
mod world;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use serde::Serialize;

use args::{Args, Scenario};
use kill::Starts;
use report::Report;
use rig::{Ending, Rig};
use trouble::Trouble;
use violation::Kind;

/// What a scenario is skipped with.
const SKIPPED: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(&args)))
    {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bellwire-crash: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let scratch = args.scratch.join(format!("bellwire-crash-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    eprintln!("{}: seed {seed}, data in {}", args.scenario.name(), scratch.display());
    let outcome = scenario(args, seed, &scratch).await;
    let failed = !outcome
        .as_ref()
        .is_ok_and(|told| told.as_ref().is_none_or(|told| told.clean));
    if failed {
        eprintln!("kept for a look: {}; run again with --seed {seed}", scratch.display());
    } else if args.keep {
        eprintln!("kept: {}", scratch.display());
    } else {
        std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    let told = outcome?;
    print(args, told.as_ref())?;
    Ok(match told {
        None => ExitCode::from(SKIPPED),
        Some(_) if failed => ExitCode::FAILURE,
        Some(_) => ExitCode::SUCCESS,
    })
}

/// The summary of a run, whichever scenario it was.
struct Told {
    clean: bool,
    text: String,
    json: serde_json::Value,
}

impl Told {
    fn new(clean: bool, report: &(impl Display + Serialize)) -> anyhow::Result<Self> {
        Ok(Self {
            clean,
            text: report.to_string(),
            json: serde_json::to_value(report)?,
        })
    }
}

/// Runs the scenario asked for; `None` when this machine cannot.
async fn scenario(args: &Args, seed: u64, scratch: &Path) -> anyhow::Result<Option<Told>> {
    let mut data = scratch.join("data");
    let trouble = match args.scenario {
        Scenario::Order => {
            let report = order::run(args, seed, scratch).await?;
            return Told::new(report.is_clean(), &report).map(Some);
        }
        Scenario::Inbound => {
            let report = inbound::run(args, seed, scratch).await?;
            return Told::new(report.is_clean(), &report).map(Some);
        }
        Scenario::Nodes => {
            let report = nodes::run(args, seed, scratch).await?;
            return Told::new(report.is_clean(), &report).map(Some);
        }
        Scenario::Kill => Ok(None),
        Scenario::DiskFull => {
            let disk = scratch.join("disk");
            data = disk.join("data");
            Trouble::full(&disk).map(Some)
        }
        Scenario::Unwritable => Trouble::immutable(scratch, &data).map(Some),
    };
    match trouble {
        Ok(trouble) => {
            let report = account(args, seed, scratch, data, trouble).await?;
            Told::new(report.is_clean(), &report).map(Some)
        }
        Err(why) => {
            println!("SKIPPED {}: {why:#}", args.scenario.name());
            Ok(None)
        }
    }
}

/// The crash loop, or an outage.
async fn account(
    args: &Args,
    seed: u64,
    scratch: &Path,
    data: PathBuf,
    trouble: Option<Trouble>,
) -> anyhow::Result<Report> {
    let mut starts = Starts::default();
    let mut rig = Rig::new(args, seed, scratch, data.clone()).await?;
    let went = tokio::select! {
        went = async {
            match &trouble {
                None => kill::run(args, &mut rig, seed, &mut starts).await,
                Some(trouble) => outage::run(args, &mut rig, trouble).await,
            }
        } => went,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into).and_then(|()| bail!("interrupted")),
    };
    // What happened until an error is still told.
    let ending = went.unwrap_or_else(|error| {
        rig.world.account().violation(Kind::Server, format!("{error:#}"));
        Ending::default()
    });
    let world = Arc::clone(&rig.world);
    // The process ends before the account is closed and the disk goes away.
    drop(rig);
    let closed = world.account().close();
    if let Some(Trouble::Full(_)) = trouble
        && !closed.violations.is_empty()
    {
        keep(&data, &scratch.join("data"))?;
    }
    Ok(Report::new(
        args.scenario.name(),
        &world,
        closed,
        starts.summary(),
        ending.notes,
    ))
}

/// Copies what would go with the small disk.
fn keep(data: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp")
        .arg("-a")
        .args([data, to])
        .status()
        .context("cannot run cp")?;
    ensure!(copied.success(), "cannot copy {} to {}", data.display(), to.display());
    Ok(())
}

fn print(args: &Args, told: Option<&Told>) -> anyhow::Result<()> {
    match told {
        Some(told) if args.json => {
            eprintln!("{}", told.text);
            println!("{}", serde_json::to_string_pretty(&told.json)?);
        }
        Some(told) => println!("{}", told.text),
        None => {}
    }
    Ok(())
}
