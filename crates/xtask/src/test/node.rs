//! Part `sdk-node`: `tests/sdk/node` with node's own test runner.
//!
//! The suite is copied to `target/sdk/node` and run there, beside its `node_modules`: node looks for packages from the
//! importing file upwards, and the checkout itself stays clean.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::outcome::Outcome;
use super::{Run, parse, sdk, system};
use crate::process;

const SUITE: &str = "tests/sdk/node";
/// The first node whose test runner reports as TAP, and known to run the SDK whatever its package declares.
const NODE_MIN: u32 = 18;

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    suite(run, sdk::Kept::Embedded)
}

/// The suite, on a server that keeps everything there.
pub(super) fn suite(run: &Run<'_>, kept: sdk::Kept) -> Result<Outcome> {
    let suite = run.repo.path(SUITE);
    let lock = std::fs::read_to_string(suite.join("package-lock.json"))
        .with_context(|| format!("could not read {SUITE}/package-lock.json"))?;
    let Some(node) = find()? else {
        return Ok(Outcome::Skipped(format!(
            "there is no node (version {NODE_MIN} or later) with npm"
        )));
    };
    let copy = run.repo.target().join("sdk").join("node");
    mirror(&suite, &copy).with_context(|| format!("could not copy {SUITE} to {}", copy.display()))?;
    sdk::once(&copy, &lock, || {
        process::run(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&copy),
        )
    })?;

    sdk::against_server(run, "sdk-node", kept, |server| {
        let mut command = Command::new(node);
        command.args(["--test", "--test-reporter=tap"]).current_dir(&copy);
        // The copy tests the code that the docs show.
        command.env("BELLWIRE_DOCS", run.repo.path("docs"));
        let done = process::stream(sdk::connect(&mut command, server))?;
        Ok(Outcome::judge(parse::tap(&done.stdout), done.status.success()))
    })
}

/// A node that is new enough, with npm beside it.
pub(super) fn find() -> Result<Option<&'static str>> {
    let works = |node: &str| {
        major(node).is_some_and(|major| major >= NODE_MIN) && process::succeeds(Command::new("npm").arg("--version"))
    };
    system::find_or_install(&["node", "/usr/bin/node"], &["nodejs", "npm"], works)
}

/// The major version of a node, when it runs at all.
fn major(node: &str) -> Option<u32> {
    let version = process::capture(Command::new(node).arg("--version")).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// What lives only in the copy.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    name == "node_modules" || name == ".installed"
}

/// Makes `to` hold what `from` holds, no more and no less, apart from what the installation put there.
pub(super) fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if is_ours(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
        names.insert(entry.file_name());
    }
    for entry in std::fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) || is_ours(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn the_copy_follows_the_suite_and_keeps_its_packages() {
        let scratch = Scratch::new(&Repo::find().target(), "mirror-test").expect("a folder");
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        for (path, text) in [
            ("from/a.test.mjs", "new"),
            ("from/lib/b.mjs", "b"),
            ("from/node_modules/x/i.js", "theirs"),
            ("to/a.test.mjs", "old"),
            ("to/gone.test.mjs", "gone"),
            ("to/gone/c.mjs", "gone"),
            ("to/node_modules/svix/i.js", "svix"),
            ("to/.installed", "lock"),
        ] {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        mirror(&from, &to).expect("copied");
        assert_eq!(std::fs::read_to_string(to.join("a.test.mjs")).expect("a file"), "new");
        assert!(
            to.join("lib/b.mjs").exists()
                && to.join("node_modules/svix/i.js").exists()
                && to.join(".installed").exists()
        );
        assert!(!to.join("gone.test.mjs").exists() && !to.join("gone").exists() && !to.join("node_modules/x").exists());
    }
}
