//! `cargo xtask`: what the repository can do to itself — run its tests, check its rules, write its OpenAPI document.
//!
//! Called by people and by `.ci/run`; never part of the product. It depends on no crate of the workspace, so that it
//! builds in seconds and still runs when the product does not compile.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo and CI speak to a tool through the environment"
)]

mod crash;
mod deps;
mod openapi;
mod postgres;
mod process;
mod product;
mod repo;
mod rust_source;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::repo::Repo;

const HELP: &str = "\
cargo xtask <command>

  test [PART…] [--list]         run every part of the test suite (or just these) and print one summary
  crash [--cycles N] [-- ARGS]  kill and restart the server N times (default 25) and account for every message
  crash --ordered [--keys N] [--deliveries N] [--failures PERCENT] [--cycles N] [-- ARGS]
                                the same with lines: in order, without gaps, through failures and restarts
  crash --nodes N [--cycles N] [-- ARGS]
                                N servers on one PostgreSQL, of which one is killed, paused or cut off again and again
  openapi [--check]             write openapi.json from the code, or check that it is up to date
  tidy                          check the rules of the repository that no compiler checks
  deps                          check dependencies: licences, sources, bans, duplicates, unused ones
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let repo = Repo::find();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let passed = match args.as_slice() {
        [] | ["help" | "--help" | "-h", ..] => {
            print!("{HELP}");
            true
        }
        ["test", parts @ ..] => test::command(&repo, parts)?,
        ["crash", options @ ..] => crash::command(&repo, options)?,
        ["openapi"] => openapi::write(&repo)?,
        ["openapi", "--check"] => openapi::check(&repo)?,
        ["tidy"] => tidy::command(&repo)?,
        ["deps"] => deps::command(&repo)?,
        other => bail!("unknown command `{}`\n\n{HELP}", other.join(" ")),
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
