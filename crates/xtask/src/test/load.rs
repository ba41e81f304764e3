//! Part `load`: the benchmark's scenarios about load and order, in their short form, against the product's own binary.
//!
//! One test after the other: each measures ratios, and two at once would measure each other.

use anyhow::Result;

use super::outcome::Outcome;
use super::{Run, parse};
use crate::process;

/// Where the tests look for the binary. Not `BELLWIRE_…`: the server would take it for a setting that it does not know.
const BINARY: &str = "LOAD_TEST_BINARY";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let mut cargo = process::cargo(run.repo.root());
    // The workspace, not the one crate: cargo then picks the features that everything else was built with.
    cargo.args(["test", "--workspace", "--test", "load", "--", "--test-threads", "1"]);
    cargo.env(BINARY, run.binary()?);
    let done = process::stream(&mut cargo)?;
    Ok(Outcome::judge(parse::cargo(&done.stdout), done.status.success()))
}
