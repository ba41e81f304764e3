//! Part `examples`: `tests/examples` with pytest, in a virtual environment at `target/examples`. Each test starts a server of
//! its own on an example's hooks file; one of them starts a PostgreSQL as well.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use super::{Run, parse, python, system};
use crate::process;

const SUITE: &str = "tests/examples";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let suite = run.repo.path(SUITE);
    let requirements = suite.join("requirements.txt");
    let lock =
        std::fs::read_to_string(&requirements).with_context(|| format!("could not read {SUITE}/requirements.txt"))?;
    let Some(interpreter) = python::find()? else {
        return Ok(Outcome::Skipped("there is no python3 with venv and ensurepip".into()));
    };
    if !has_postgres()? {
        return Ok(Outcome::Skipped("there is no PostgreSQL".into()));
    }
    let environment = run.repo.target().join("examples").join("python");
    python::install(interpreter, &environment, &requirements, &lock)?;
    let report = run.repo.target().join("xtask").join("examples.xml");
    // An old report must not speak for a run that wrote none.
    drop(std::fs::remove_file(&report));
    let mut pytest = Command::new(environment.join("bin/python"));
    pytest.args(["-m", "pytest", "-q", "--junitxml"]).arg(&report);
    pytest
        .current_dir(&suite)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("EXAMPLES_SERVER", run.binary()?)
        .env("EXAMPLES_FOLDER", run.repo.path("examples"));
    let done = process::stream(&mut pytest)?;
    let report = std::fs::read_to_string(&report).unwrap_or_default();
    Ok(Outcome::judge(parse::junit(&report), done.status.success()))
}

fn has_postgres() -> Result<bool> {
    Ok(system::find_or_install(&["initdb"], &["postgresql"], system::has_program)?.is_some())
}
