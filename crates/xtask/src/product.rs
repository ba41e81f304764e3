//! Building the product's own binary, for the commands that run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::repo::Repo;

/// What else is built in the same go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Only the binary.
    Nothing,
    /// The workspace's tests as well: cargo then picks the same features for every dependency as `cargo test` does, and
    /// nothing is compiled twice in a run that needs both.
    Tests,
}

/// Builds `bellwire` in the dev profile and answers where the file is.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build(repo: &Repo, beside: Beside) -> Result<PathBuf> {
    let mut cargo = process::cargo(repo.root());
    match beside {
        Beside::Nothing => cargo.args(["build", "--package", "bellwire", "--bin", "bellwire"]),
        Beside::Tests => cargo.args(["build", "--workspace", "--bins", "--tests"]),
    };
    cargo.args(["--message-format", "json-render-diagnostics"]);
    process::announce(&cargo);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    ensure!(output.status.success(), "bellwire does not build");
    executable(&String::from_utf8_lossy(&output.stdout), "bellwire").context("cargo built no binary called bellwire")
}

/// The file of the binary target `name` in cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let target = message.get("target")?;
            let wanted = message.get("reason")? == "compiler-artifact"
                && target.get("name")? == name
                && target.get("kind")?.as_array()?.iter().any(|kind| kind == "bin")
                && message.get("profile")?.get("test")? == false;
            wanted.then(|| {
                message
                    .get("executable")?
                    .as_str()
                    .map(|path| Path::new(path).to_owned())
            })?
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_told_from_its_own_test_harness() {
        let messages = concat!(
            r#"{"reason":"build-script-executed","package_id":"x"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"bellwire"},"profile":{"test":true},"executable":"/t/deps/bellwire-1f"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"bellwire"},"profile":{"test":false},"executable":"/t/bellwire"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages, "bellwire"), Some("/t/bellwire".into()));
        assert_eq!(executable(messages, "xtask"), None);
    }
}
