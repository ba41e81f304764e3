//! Part `unit`: `cargo test` of the workspace, doc tests included. Some tests start database servers, and a pooler, of their own;
//! Debian's packages of them are installed where they are missing.

use anyhow::Result;

use super::outcome::Outcome;
use super::{Run, parse, system};
use crate::process;

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    // Without them the tests that need them fail, and say what to install.
    system::find_or_install(&["initdb"], &["postgresql"], system::has_program)?;
    system::find_or_install(
        &["mariadbd"],
        &["mariadb-server-core", "mariadb-client-core"],
        system::has_program,
    )?;
    system::find_or_install(&["pgbouncer"], &["pgbouncer"], system::has_program)?;
    let mut cargo = process::cargo(run.repo.root());
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    let done = process::stream(&mut cargo)?;
    Ok(Outcome::judge(parse::cargo(&done.stdout), done.status.success()))
}
