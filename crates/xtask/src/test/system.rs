//! What this machine has, and Debian's packages for what it lacks.

use std::process::Command;

use anyhow::Result;

use crate::process;

/// The first of `candidates` for which `works` holds; otherwise, on a Debian machine where we are root, `packages` are
/// installed and the question is asked again. `None` when this machine does not have it and we cannot get it.
///
/// # Errors
/// When apt-get fails.
pub(super) fn find_or_install(
    candidates: &[&'static str],
    packages: &[&str],
    works: impl Fn(&str) -> bool,
) -> Result<Option<&'static str>> {
    let find = || candidates.iter().copied().find(|program| works(program));
    if let Some(program) = find() {
        return Ok(Some(program));
    }
    if !is_root() || !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Ok(None);
    }
    process::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    Ok(find())
}

/// Whether a program is there: in `PATH`, or where Debian keeps database servers.
pub(super) fn has_program(program: &str) -> bool {
    let look = format!("ls /usr/lib/postgresql/*/bin/{program} || ls /usr/sbin/{program} || command -v {program}");
    process::succeeds(Command::new("sh").args(["-c", &look]))
}

fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_candidate_that_works_is_taken_and_nothing_installed() {
        let found = find_or_install(&["a", "b", "c"], &["bellwire-no-such-package"], |program| {
            program != "a"
        });
        assert_eq!(found.expect("no need to install"), Some("b"));
    }
}
