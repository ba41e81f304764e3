//! Part `providers`: requests that the providers' own libraries sign, judged by `crates/listen`.
//!
//! `tests/providers` has a suite for Python and one for Node; each writes signed requests to `target/providers`. The example
//! `oracles` of `crates/listen` judges them, bit by bit. Nothing of what they write is committed.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use super::{Run, node, parse, python, sdk};
use crate::process;

const SUITE: &str = "tests/providers";

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let suite = run.repo.path(SUITE);
    let target = run.repo.target().join("providers");
    let out = target.join("signed");
    std::fs::create_dir_all(&out).with_context(|| format!("could not make {}", out.display()))?;
    let (from_python, from_node) = (out.join("python.json"), out.join("node.json"));
    for old in [&from_python, &from_node] {
        // An old list must not speak for a run that wrote none.
        drop(std::fs::remove_file(old));
    }

    let Some(interpreter) = python::find()? else {
        return Ok(Outcome::Skipped("there is no python3 with venv and ensurepip".into()));
    };
    let Some(program) = node::find()? else {
        return Ok(Outcome::Skipped("there is no node with npm".into()));
    };
    let requirements = suite.join("python/requirements.txt");
    let lock = read(&requirements)?;
    let environment = target.join("python");
    python::install(interpreter, &environment, &requirements, &lock)?;
    let mut generate = Command::new(environment.join("bin/python"));
    generate
        .arg(suite.join("python/generate.py"))
        .arg(&from_python)
        .arg(&out);
    process::run(generate.env("PYTHONDONTWRITEBYTECODE", "1"))?;

    // Beside its packages, as in the part `sdk-node`.
    let copy = target.join("node");
    node::mirror(&suite.join("node"), &copy).with_context(|| format!("could not copy {SUITE}/node"))?;
    let lock = read(&suite.join("node/package-lock.json"))?;
    sdk::once(&copy, &lock, || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        process::run(npm.current_dir(&copy))
    })?;
    let mut generate = Command::new(program);
    generate.arg("generate.mjs").arg(&from_node).arg(&out);
    process::run(generate.current_dir(&copy))?;

    let mut judge = process::cargo(run.repo.root());
    judge.args([
        "run",
        "--quiet",
        "--package",
        "bellwire-listen",
        "--example",
        "oracles",
        "--",
    ]);
    let done = process::stream(judge.arg(&from_node).arg(&from_python))?;
    Ok(Outcome::judge(parse::tap(&done.stdout), done.status.success()))
}

fn read(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}
