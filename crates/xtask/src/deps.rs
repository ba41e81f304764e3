//! `cargo xtask deps`: what we depend on, checked by cargo-deny (`deny.toml`: licences, sources, bans, duplicates) and
//! cargo-machete (dependencies nobody uses).
//!
//! Why the real tools, built by us: nobody publishes current binaries of them where a build machine is sure to reach,
//! and a reimplementation would be code to keep. Compiled without optimisation they cost 42 s and 19 s on two cold cores
//! (122 s and 53 s with it) and each run takes well under a second. They live in `target/tools`.
//!
//! Not done here: known vulnerabilities. They need a network that reaches the advisory database; `deny.toml` says how.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::repo::Repo;

/// A checker, at the version whose answers we know.
struct Tool {
    name: &'static str,
    version: &'static str,
    args: &'static [&'static str],
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "cargo-deny",
        version: "0.20.2",
        args: &[
            "--log-level",
            "error",
            "--locked",
            "check",
            "bans",
            "licenses",
            "sources",
        ],
    },
    Tool {
        name: "cargo-machete",
        version: "0.9.2",
        args: &["--skip-target-dir", "."],
    },
];

/// Runs every checker; answers whether all of them are content.
///
/// # Errors
/// When a checker cannot be built or started.
pub(crate) fn command(repo: &Repo) -> Result<bool> {
    let mut content = true;
    for tool in &TOOLS {
        let mut check = Command::new(installed(repo, tool)?);
        check.args(tool.args).current_dir(repo.root());
        process::announce(&check);
        content &= check
            .status()
            .with_context(|| format!("could not start {}", tool.name))?
            .success();
    }
    Ok(content)
}

/// The tool's file, built first when it is missing or of another version.
fn installed(repo: &Repo, tool: &Tool) -> Result<PathBuf> {
    let root = repo.target().join("tools");
    let file = root.join("bin").join(tool.name);
    let version = process::capture(Command::new(&file).arg("--version")).unwrap_or_default();
    if is_version(&version, tool.version) {
        return Ok(file);
    }
    let mut install = process::cargo(repo.root());
    install.args([
        "install",
        "--locked",
        "--quiet",
        "--force",
        "--version",
        tool.version,
        tool.name,
        "--root",
    ]);
    install.arg(&root).arg("--target-dir").arg(root.join("build"));
    for (setting, value) in [
        ("OPT_LEVEL", "0"),
        ("DEBUG", "0"),
        ("LTO", "off"),
        ("CODEGEN_UNITS", "16"),
        ("STRIP", "none"),
    ] {
        install.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    println!("building {} {} (once)", tool.name, tool.version);
    process::run(&mut install)?;
    Ok(file)
}

/// Whether what `--version` printed (`cargo-deny 0.20.2`, or just the number) is exactly `wanted`.
fn is_version(printed: &str, wanted: &str) -> bool {
    printed.split_whitespace().last() == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_version_is_taken() {
        assert!(is_version("cargo-deny 0.20.2\n", "0.20.2"));
        assert!(is_version("0.9.2", "0.9.2"));
        assert!(!is_version("cargo-deny 0.20.21\n", "0.20.2"));
        assert!(!is_version("", "0.20.2"));
    }
}
