//! Parts `crash`, `order` and `inbound`: the crash loop, the ordered run and the run of what comes in, as much of them as a test run can afford.

use std::process::Command;

use anyhow::Result;

use super::Run;
use super::outcome::{Counts, Outcome};
use crate::{crash, process};

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    judge(&mut crash::program(run.repo, run.binary()?, crash::CYCLES))
}

pub(super) fn run_ordered(run: &Run<'_>) -> Result<Outcome> {
    judge(&mut crash::ordered(run.repo, run.binary()?, crash::ORDERED_CYCLES))
}

pub(super) fn run_inbound(run: &Run<'_>) -> Result<Outcome> {
    judge(&mut crash::inbound(run.repo, run.binary()?, crash::INBOUND_CYCLES))
}

/// The outcome of a crash program.
pub(super) fn judge(program: &mut Command) -> Result<Outcome> {
    let done = process::stream(program)?;
    Ok(if done.status.success() {
        Outcome::judge(
            Counts {
                passed: 1,
                ..Counts::default()
            },
            true,
        )
    } else {
        Outcome::broken(format!("the crash program ended with {}", done.status))
    })
}
