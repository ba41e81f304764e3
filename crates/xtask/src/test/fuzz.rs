//! Part `fuzz`: every fuzz target is built with the house's own compiler and run once over its seeds (`fuzz/seeds`).
//!
//! That keeps targets from rotting and old findings from coming back; looking for new ones needs a nightly compiler (`fuzz/README.md`).
//! The fuzz crate is a workspace of its own, so it has a target folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Run;
use super::outcome::{Counts, Outcome};
use crate::process;

const CRATE: &str = "fuzz";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let folder = run.repo.path(CRATE);
    let target = run.repo.target().join(CRATE);
    let mut build = process::cargo(&folder);
    build
        .args(["build", "--locked", "--bins"])
        .env("CARGO_TARGET_DIR", &target);
    process::run(&mut build)?;
    let (mut counts, mut problems) = (Counts::default(), Vec::new());
    for name in files(&folder.join("fuzz_targets"))?
        .iter()
        .filter_map(|file| file.file_stem())
    {
        let seeds = files(&folder.join("seeds").join(name))?;
        let mut program = Command::new(target.join("debug").join(name));
        let done = process::stream(program.args(&seeds).current_dir(&target))?;
        if done.status.success() && !seeds.is_empty() {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            problems.push(format!(
                "{}: {} over {} seeds",
                name.display(),
                done.status,
                seeds.len()
            ));
        }
    }
    Ok(Outcome::Ran { counts, problems })
}

/// The files of a folder, in their order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
