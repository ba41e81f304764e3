//! Part `crash`: the crash loop, as many cycles as a test run can afford.

use anyhow::Result;

use super::Run;
use super::outcome::{Counts, Outcome};
use crate::{crash, process};

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let done = process::stream(&mut crash::program(run.repo, run.binary()?, crash::CYCLES))?;
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
