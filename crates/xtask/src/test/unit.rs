//! Part `unit`: `cargo test` of the workspace, doc tests included.

use anyhow::Result;

use super::outcome::Outcome;
use super::{Run, parse};
use crate::process;

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let mut cargo = process::cargo(run.repo.root());
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    let done = process::stream(&mut cargo)?;
    Ok(Outcome::judge(parse::cargo(&done.stdout), done.status.success()))
}
