//! `cargo xtask tidy`: the rules of the repository that no compiler checks.
//!
//! Called by `.ci/run` and, so that nobody has to remember it, by a test of this crate. A rule is a function from the
//! [`Tree`] of files to [`Finding`]s and has a row in [`RULES`]; what a rule bans and excuses is data in its own file.

mod error_pages;
mod links;
mod manifests;
mod paths;
mod sizes;
mod tree;
mod words;

use anyhow::Result;

use crate::repo::Repo;
use crate::tidy::tree::Tree;

type Check = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Check)] = &[
    ("words", words::check),
    ("manifests", manifests::check),
    ("error pages", error_pages::check),
    ("sizes", sizes::check),
    ("paths", paths::check),
    ("links", links::check),
];

/// Something a rule has to say about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    severity: Severity,
    path: String,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

impl Finding {
    fn error(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }

    fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, line, text)
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = if self.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        match self.line {
            0 => write!(f, "{level}: {}: {}", self.path, self.text),
            line => write!(f, "{level}: {}:{line}: {}", self.path, self.text),
        }
    }
}

/// Checks everything and prints what was found; answers whether there is no error among it.
///
/// # Errors
/// When the files cannot be listed or read.
pub(crate) fn command(repo: &Repo) -> Result<bool> {
    let findings = findings(repo)?;
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    println!(
        "tidy: {} rules, {errors} errors, {} warnings",
        RULES.len(),
        findings.len() - errors
    );
    Ok(errors == 0)
}

fn findings(repo: &Repo) -> Result<Vec<Finding>> {
    let tree = Tree::load(repo)?;
    Ok(RULES.iter().flat_map(|(_, check)| check(&tree)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_own_rules() {
        let errors: Vec<String> = findings(&Repo::find())
            .expect("the repository's files")
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "\n{}\n", errors.join("\n"));
    }

    #[test]
    fn a_finding_reads_like_a_compilers() {
        assert_eq!(Finding::error("a.rs", 3, "no").to_string(), "error: a.rs:3: no");
        assert_eq!(Finding::warning("a.rs", 0, "long").to_string(), "warning: a.rs: long");
    }
}
