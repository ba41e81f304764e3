//! Part `sdk-python`: `tests/sdk/python` with pytest, in a virtual environment at `target/sdk/python`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use super::{Run, parse, sdk, system};
use crate::process;

const SUITE: &str = "tests/sdk/python";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    suite(run, sdk::Kept::Embedded)
}

/// The suite, on a server that keeps everything there.
pub(super) fn suite(run: &Run<'_>, kept: sdk::Kept) -> Result<Outcome> {
    let requirements = run.repo.path(SUITE).join("requirements.txt");
    let lock =
        std::fs::read_to_string(&requirements).with_context(|| format!("could not read {SUITE}/requirements.txt"))?;
    let Some(python) = find()? else {
        return Ok(Outcome::Skipped("there is no python3 with venv and ensurepip".into()));
    };
    let environment = run.repo.target().join("sdk").join("python");
    install(python, &environment, &requirements, &lock)?;

    sdk::against_server(run, "sdk-python", kept, |server| {
        let report = run.repo.target().join("xtask").join("sdk-python.xml");
        // An old report must not speak for a run that wrote none.
        drop(std::fs::remove_file(&report));
        let mut pytest = Command::new(environment.join("bin/python"));
        pytest.args(["-m", "pytest", "-q", "--junitxml"]).arg(&report);
        pytest
            .current_dir(run.repo.path(SUITE))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // The suite tests the code that the docs show.
            .env("BELLWIRE_DOCS", run.repo.path("docs"));
        let done = process::stream(sdk::connect(&mut pytest, server))?;
        let report = std::fs::read_to_string(&report).unwrap_or_default();
        Ok(Outcome::judge(parse::junit(&report), done.status.success()))
    })
}

/// A python that can make virtual environments.
pub(super) fn find() -> Result<Option<&'static str>> {
    let can_make_environments =
        |python: &str| process::succeeds(Command::new(python).args(["-c", "import venv, ensurepip"]));
    // Debian's own comes second: another python3 may stand before it in PATH, and lack what Debian's has.
    let candidates = ["python3", "/usr/bin/python3"];
    system::find_or_install(&candidates, &["python3", "python3-venv"], can_make_environments)
}

/// Makes a virtual environment with what the requirements file names, whose text is `lock`.
pub(super) fn install(python: &str, environment: &Path, requirements: &Path, lock: &str) -> Result<()> {
    let version = process::capture(Command::new(python).arg("--version"))?;
    sdk::once(environment, &format!("{version}{lock}"), || {
        process::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(environment))?;
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        process::run(pip.arg(requirements))
    })
}
