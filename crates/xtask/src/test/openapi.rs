//! Part `openapi`: the committed document is the generated one.

use anyhow::Result;

use super::Run;
use super::outcome::{Counts, Outcome};
use crate::openapi;

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    Ok(match openapi::difference(run.repo, run.binary()?)? {
        None => Outcome::judge(
            Counts {
                passed: 1,
                ..Counts::default()
            },
            true,
        ),
        Some(difference) => Outcome::broken(difference),
    })
}
