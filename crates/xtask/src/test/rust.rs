//! Part `sdk-rust`: `tests/sdk/rust`, a workspace of its own so that the SDK's dependencies are not ours.

use anyhow::{Result, ensure};

use super::outcome::Outcome;
use super::{Run, parse, sdk};
use crate::process;

const SUITE: &str = "tests/sdk/rust";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    suite(run, sdk::Kept::Embedded)
}

/// The suite, on a server that keeps everything there.
pub(super) fn suite(run: &Run<'_>, kept: sdk::Kept) -> Result<Outcome> {
    let suite = run.repo.path(SUITE);
    ensure!(suite.join("Cargo.lock").is_file(), "could not find {SUITE}/Cargo.lock");
    sdk::against_server(run, "sdk-rust", kept, |server| {
        let mut cargo = process::cargo(&suite);
        cargo.args(["test", "--locked", "--no-fail-fast"]);
        // Beside our own build: what both use in the same version and features is compiled once.
        cargo.arg("--target-dir").arg(run.repo.target());
        let done = process::stream(sdk::connect(&mut cargo, server))?;
        Ok(Outcome::judge(parse::cargo(&done.stdout), done.status.success()))
    })
}
