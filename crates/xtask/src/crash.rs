//! `cargo xtask crash`: publish under load, SIGKILL, restart, account for every acknowledged message; with `--ordered`, for the
//! order of its lines as well.
//!
//! The program that does it is the crate's own; this builds the server, starts that program and reads how it ended.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::postgres::{self, Postgres};
use crate::process;
use crate::product::{self, Beside};
use crate::repo::Repo;

/// Cycles in the test suite; a release runs a thousand.
pub(crate) const CYCLES: u32 = 25;
/// Cycles of the ordered run in the test suite; how much it delivers is the program's own default.
pub(crate) const ORDERED_CYCLES: u32 = 8;

/// Cycles of the run of what comes in, in the test suite.
pub(crate) const INBOUND_CYCLES: u32 = 6;

/// The one place that knows which program the crash loop is and how it is told what to do.
pub(crate) fn program(repo: &Repo, binary: &Path, cycles: u32) -> Command {
    let mut command = process::cargo(repo.root());
    command.args(["run", "--quiet", "--package", "bellwire-crash", "--"]);
    command.args(["--cycles", &cycles.to_string(), "--binary"]).arg(binary);
    command
}

/// Servers of the run with several, and how often one of them fails.
pub(crate) const NODES: u32 = 3;
const FAULTS: u32 = 20;

/// The program with several servers on one PostgreSQL.
pub(crate) fn nodes(repo: &Repo, binary: &Path, database: &Postgres, nodes: u32, faults: u32) -> Command {
    let mut command = program(repo, binary, faults);
    command.args(["--scenario", "nodes", "--nodes", &nodes.to_string(), "--postgres"]);
    command
        .arg(database.folder())
        .arg("--postgres-programs")
        .arg(database.programs());
    command
}

/// What the program ends with when this machine cannot run a scenario.
pub(crate) const CANNOT_RUN: i32 = 3;

/// The program with one of its outages instead of kills.
pub(crate) fn outage(repo: &Repo, binary: &Path, scenario: &str) -> Command {
    let mut command = program(repo, binary, 0);
    command.args(["--scenario", scenario]);
    command
}

/// The program with lines whose order must be kept.
pub(crate) fn ordered(repo: &Repo, binary: &Path, cycles: u32) -> Command {
    let mut command = program(repo, binary, cycles);
    command.args(["--scenario", "order"]);
    command
}

/// The program with webhooks that come in again and again and out of order.
pub(crate) fn inbound(repo: &Repo, binary: &Path, cycles: u32) -> Command {
    let mut command = program(repo, binary, cycles);
    command.args(["--scenario", "inbound"]);
    command
}

/// Runs the loop as asked on the command line; answers whether every message was accounted for.
pub(crate) fn command(repo: &Repo, options: &[&str]) -> Result<bool> {
    let asked = parse(options)?;
    let binary = product::build(repo, Beside::Nothing)?;
    // Started where it is needed, and there until the run is over.
    let database = match asked.run {
        Loop::Nodes(_) => Some(postgres::start()?),
        _ => None,
    };
    let mut program = match asked.run {
        Loop::Plain => program(repo, &binary, asked.cycles.unwrap_or(CYCLES)),
        Loop::Ordered => ordered(repo, &binary, asked.cycles.unwrap_or(ORDERED_CYCLES)),
        Loop::Inbound => inbound(repo, &binary, asked.cycles.unwrap_or(INBOUND_CYCLES)),
        Loop::Nodes(count) => {
            let database = database.as_ref().context("there is no PostgreSQL")?;
            nodes(repo, &binary, database, count, asked.cycles.unwrap_or(FAULTS))
        }
    };
    program.args(asked.passed);
    process::announce(&program);
    Ok(program.status().context("could not start the crash program")?.success())
}

/// Which of the loops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Loop {
    #[default]
    Plain,
    /// Lines, and the order in them.
    Ordered,
    /// Webhooks that come in.
    Inbound,
    /// So many servers on one PostgreSQL.
    Nodes(u32),
}

impl Loop {
    /// Options of the crash program that this loop takes by name.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Nodes(_) => &["--keys", "--failures", "--rate", "--connections"],
            Self::Ordered => &["--keys", "--deliveries", "--failures"],
            Self::Inbound => &["--events", "--copies", "--numbered"],
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked<'a> {
    run: Loop,
    cycles: Option<u32>,
    /// What goes to the crash program itself.
    passed: Vec<&'a str>,
}

/// `--cycles N`, `--ordered`, `--inbound` or `--nodes N` with their numbers, then after `--` whatever goes to the crash program itself (a seed to replay,
/// say).
fn parse<'a>(options: &[&'a str]) -> Result<Asked<'a>> {
    let mut asked = Asked::default();
    let mut options = options;
    loop {
        options = match options {
            [] => break,
            ["--", rest @ ..] => {
                asked.passed.extend(rest);
                break;
            }
            ["--ordered", rest @ ..] => {
                asked.run = Loop::Ordered;
                rest
            }
            ["--inbound", rest @ ..] => {
                asked.run = Loop::Inbound;
                rest
            }
            ["--nodes", count, rest @ ..] => {
                asked.run = Loop::Nodes(number("--nodes", count)?);
                rest
            }
            ["--cycles", count, rest @ ..] => {
                asked.cycles = Some(number("--cycles", count)?);
                rest
            }
            [name, count, rest @ ..] if asked.run.options().contains(name) => {
                number(name, count)?;
                asked.passed.extend([*name, *count]);
                rest
            }
            [name, ..]
                if [Loop::Ordered, Loop::Inbound]
                    .iter()
                    .any(|run| run.options().contains(name)) =>
            {
                bail!("crash: {name} goes behind `--ordered` or `--inbound`, whichever it is for")
            }
            [other, ..] => bail!("crash: unknown option `{other}`; try `cargo xtask crash --cycles 100 -- ARGS`"),
        }
    }
    Ok(asked)
}

fn number(name: &str, text: &str) -> Result<u32> {
    text.parse().with_context(|| format!("{name} {text}: not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_the_programs_own_arguments_are_told_apart() {
        let asked = |run, cycles, passed: &[&'static str]| Asked {
            run,
            cycles,
            passed: passed.to_vec(),
        };
        assert_eq!(parse(&[]).expect("valid"), asked(Loop::Plain, None, &[]));
        assert_eq!(
            parse(&["--cycles", "1000"]).expect("valid"),
            asked(Loop::Plain, Some(1000), &[])
        );
        assert_eq!(
            parse(&["--cycles", "3", "--", "--seed", "7"]).expect("valid"),
            asked(Loop::Plain, Some(3), &["--seed", "7"])
        );
        assert_eq!(
            parse(&["--ordered", "--keys", "9", "--cycles", "3", "--", "--keep"]).expect("valid"),
            asked(Loop::Ordered, Some(3), &["--keys", "9", "--keep"])
        );
        assert_eq!(
            parse(&["--inbound", "--events", "9"]).expect("valid"),
            asked(Loop::Inbound, None, &["--events", "9"])
        );
        assert_eq!(
            parse(&["--nodes", "3", "--rate", "9"]).expect("valid"),
            asked(Loop::Nodes(3), None, &["--rate", "9"])
        );
        assert!(parse(&["--nodes"]).is_err());
        assert!(parse(&["--inbound", "--keys", "9"]).is_err());
        assert!(parse(&["--ordered", "--keys", "many"]).is_err());
        assert!(parse(&["--deliveries", "3"]).is_err());
        assert!(parse(&["--cycles", "many"]).is_err());
        assert!(parse(&["--cycels", "3"]).is_err());
        assert!(parse(&["--cycles"]).is_err());
    }
}
