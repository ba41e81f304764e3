//! Part `dashboard`: `tests/dashboard` drives Debian's Chromium against a real server.
//!
//! The suite is copied to `target/dashboard/suite` and run there, beside its `node_modules`. Pictures of every page are left in
//! `target/dashboard/pictures`.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use super::{Run, node, parse, sdk, system};
use crate::process;

const SUITE: &str = "tests/dashboard";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let suite = run.repo.path(SUITE);
    let lock = std::fs::read_to_string(suite.join("package-lock.json"))
        .with_context(|| format!("could not read {SUITE}/package-lock.json"))?;
    let Some(program) = node::find()? else {
        return Ok(Outcome::Skipped("there is no node with npm".into()));
    };
    let runs = |chromium: &str| process::succeeds(Command::new(chromium).arg("--version"));
    let Some(chromium) = system::find_or_install(
        &["chromium", "chromium-browser"],
        &["chromium", "fonts-dejavu-core"],
        runs,
    )?
    else {
        return Ok(Outcome::Skipped("there is no chromium".into()));
    };
    let place = run.repo.target().join("dashboard");
    let copy = place.join("suite");
    node::mirror(&suite, &copy).with_context(|| format!("could not copy {SUITE} to {}", copy.display()))?;
    sdk::once(&copy, &lock, || {
        process::run(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
                .current_dir(&copy),
        )
    })?;
    let where_is = process::capture(Command::new("which").arg(chromium))?;
    sdk::against_server(run, "dashboard", sdk::Kept::Embedded, |server| {
        let mut command = Command::new(program);
        command
            .args(["--test", "--test-reporter=tap", "--test-concurrency=1"])
            .current_dir(&copy)
            .env("CHROMIUM", where_is.trim())
            .env("PICTURES", place.join("pictures"));
        let done = process::stream(sdk::connect(&mut command, server))?;
        Ok(Outcome::judge(parse::tap(&done.stdout), done.status.success()))
    })
}
