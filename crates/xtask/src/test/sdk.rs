//! What the suites of the SDKs share: a server around the suite, and packages installed once per lock file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Run;
use super::outcome::Outcome;
use super::server::Server;
use crate::postgres;

/// Where the server keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the embedded store.
    Embedded,
    /// In a PostgreSQL that is started for it.
    InPostgres,
}

/// Starts a server, runs `suite` with a command's environment set up by [`connect`], stops the server. A server that
/// does not stop well is a failure beside those of the suite.
pub(super) fn against_server(
    run: &Run<'_>,
    name: &str,
    kept: Kept,
    suite: impl FnOnce(&Server) -> Result<Outcome>,
) -> Result<Outcome> {
    let database = match kept {
        Kept::Embedded => None,
        Kept::InPostgres => Some(postgres::start()?),
    };
    let environment = database.as_ref().map(|database| postgres::environment(database, "sdk"));
    let server = Server::start(
        run.binary()?,
        &run.repo.target(),
        name,
        environment.into_iter().flatten(),
    )?;
    let mut outcome = suite(&server).unwrap_or_else(|error| Outcome::broken(format!("{error:#}")));
    if let Err(error) = server.stop() {
        outcome.add_failure(format!("{error:#}"));
    }
    Ok(outcome)
}

/// Tells a suite's program where the server is.
pub(super) fn connect<'a>(command: &'a mut Command, server: &Server) -> &'a mut Command {
    command
        .env("BELLWIRE_URL", &server.url)
        .env("BELLWIRE_TOKEN", &server.token)
}

/// Runs `install` unless it has succeeded before for exactly this `lock` text; `folder` keeps the memory of it.
///
/// # Errors
/// When the installation fails.
pub(super) fn once(folder: &Path, lock: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join(".installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    if stamp.exists() {
        std::fs::remove_file(&stamp).with_context(|| format!("could not remove {}", stamp.display()))?;
    }
    install()?;
    std::fs::write(&stamp, lock).with_context(|| format!("could not write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::scratch::Scratch;
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn packages_are_installed_once_per_lock_and_again_after_a_failure() {
        let folder = Scratch::new(&Repo::find().target(), "once-test").expect("a folder");
        let installs = Cell::new(0);
        let install = |lock: &str, works: bool| {
            once(folder.path(), lock, || {
                installs.set(installs.get() + 1);
                anyhow::ensure!(works, "no network");
                Ok(())
            })
        };
        install("a==1", true).expect("installed");
        install("a==1", true).expect("remembered");
        assert_eq!(installs.get(), 1);
        install("a==2", false).expect_err("failed");
        install("a==1", true).expect("installed again: the failure may have left anything");
        assert_eq!(installs.get(), 3);
    }
}
