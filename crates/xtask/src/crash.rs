//! `cargo xtask crash`: publish under load, SIGKILL, restart, account for every acknowledged message.
//!
//! The program that does it is the crate's own; this builds the server, starts that program and reads how it ended.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::product::{self, Beside};
use crate::repo::Repo;

/// Cycles in the test suite; a release runs a thousand.
pub(crate) const CYCLES: u32 = 25;

/// The one place that knows which program the crash loop is and how it is told what to do.
pub(crate) fn program(repo: &Repo, binary: &Path, cycles: u32) -> Command {
    let mut command = process::cargo(repo.root());
    command.args(["run", "--quiet", "--package", "bellwire-crash", "--"]);
    command.args(["--cycles", &cycles.to_string(), "--binary"]).arg(binary);
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

/// Runs the loop as asked on the command line; answers whether every message was accounted for.
pub(crate) fn command(repo: &Repo, options: &[&str]) -> Result<bool> {
    let (cycles, rest) = parse(options)?;
    let binary = product::build(repo, Beside::Nothing)?;
    let mut program = program(repo, &binary, cycles);
    program.args(rest);
    process::announce(&program);
    Ok(program.status().context("could not start the crash program")?.success())
}

/// `--cycles N`, then after `--` whatever goes to the crash program itself (a seed to replay, say).
fn parse<'a>(options: &'a [&'a str]) -> Result<(u32, &'a [&'a str])> {
    let mut cycles = CYCLES;
    let mut options = options;
    loop {
        options = match options {
            [] => return Ok((cycles, &[])),
            ["--", rest @ ..] => return Ok((cycles, rest)),
            ["--cycles", count, rest @ ..] => {
                cycles = count
                    .parse()
                    .with_context(|| format!("--cycles {count}: not a number"))?;
                rest
            }
            [other, ..] => bail!("crash: unknown option `{other}`; try `cargo xtask crash --cycles 100 -- ARGS`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_the_programs_own_arguments_are_told_apart() {
        assert_eq!(parse(&[]).expect("valid"), (CYCLES, &[][..]));
        assert_eq!(parse(&["--cycles", "1000"]).expect("valid"), (1000, &[][..]));
        assert_eq!(
            parse(&["--cycles", "3", "--", "--seed", "7"]).expect("valid"),
            (3, &["--seed", "7"][..])
        );
        assert!(parse(&["--cycles", "many"]).is_err());
        assert!(parse(&["--cycels", "3"]).is_err());
        assert!(parse(&["--cycles"]).is_err());
    }
}
