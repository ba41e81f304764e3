//! `cargo xtask crash`: publish under load, SIGKILL, restart, account for every acknowledged message; with `--ordered`, for the
//! order of its lines as well.
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
/// Cycles of the ordered run in the test suite; how much it delivers is the program's own default.
pub(crate) const ORDERED_CYCLES: u32 = 8;

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

/// The program with lines whose order must be kept.
pub(crate) fn ordered(repo: &Repo, binary: &Path, cycles: u32) -> Command {
    let mut command = program(repo, binary, cycles);
    command.args(["--scenario", "order"]);
    command
}

/// Runs the loop as asked on the command line; answers whether every message was accounted for.
pub(crate) fn command(repo: &Repo, options: &[&str]) -> Result<bool> {
    let asked = parse(options)?;
    let binary = product::build(repo, Beside::Nothing)?;
    let mut program = match asked.ordered {
        true => ordered(repo, &binary, asked.cycles.unwrap_or(ORDERED_CYCLES)),
        false => program(repo, &binary, asked.cycles.unwrap_or(CYCLES)),
    };
    program.args(asked.passed);
    process::announce(&program);
    Ok(program.status().context("could not start the crash program")?.success())
}

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked<'a> {
    /// Lines, and the order in them.
    ordered: bool,
    cycles: Option<u32>,
    /// What goes to the crash program itself.
    passed: Vec<&'a str>,
}

/// Options of the crash program that an ordered run takes by name.
const OF_ORDER: [&str; 3] = ["--keys", "--deliveries", "--failures"];

/// `--cycles N`, `--ordered` with its numbers, then after `--` whatever goes to the crash program itself (a seed to replay,
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
                asked.ordered = true;
                rest
            }
            ["--cycles", count, rest @ ..] => {
                asked.cycles = Some(number("--cycles", count)?);
                rest
            }
            [name, count, rest @ ..] if OF_ORDER.contains(name) => {
                number(name, count)?;
                asked.passed.extend([*name, *count]);
                rest
            }
            [other, ..] => bail!("crash: unknown option `{other}`; try `cargo xtask crash --cycles 100 -- ARGS`"),
        }
    }
    if !asked.ordered
        && let Some(name) = asked.passed.iter().find(|name| OF_ORDER.contains(name))
    {
        bail!("crash: {name} is for `--ordered`");
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
        let asked = |ordered, cycles, passed: &[&'static str]| Asked {
            ordered,
            cycles,
            passed: passed.to_vec(),
        };
        assert_eq!(parse(&[]).expect("valid"), asked(false, None, &[]));
        assert_eq!(
            parse(&["--cycles", "1000"]).expect("valid"),
            asked(false, Some(1000), &[])
        );
        assert_eq!(
            parse(&["--cycles", "3", "--", "--seed", "7"]).expect("valid"),
            asked(false, Some(3), &["--seed", "7"])
        );
        assert_eq!(
            parse(&["--ordered", "--keys", "9", "--cycles", "3", "--", "--keep"]).expect("valid"),
            asked(true, Some(3), &["--keys", "9", "--keep"])
        );
        assert!(parse(&["--ordered", "--keys", "many"]).is_err());
        assert!(parse(&["--deliveries", "3"]).is_err());
        assert!(parse(&["--cycles", "many"]).is_err());
        assert!(parse(&["--cycels", "3"]).is_err());
        assert!(parse(&["--cycles"]).is_err());
    }
}
