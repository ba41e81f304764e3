//! `cargo xtask openapi`: keeps `openapi.json` at the root equal to what the code says.
//!
//! The document itself is made by `bellwire openapi`; this only writes or compares it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::product::{self, Beside};
use crate::repo::Repo;

const FILE: &str = "openapi.json";

/// Writes the document. Always answers true, or fails.
pub(crate) fn write(repo: &Repo) -> Result<bool> {
    let document = generate(&product::build(repo, Beside::Nothing)?)?;
    std::fs::write(repo.path(FILE), document).with_context(|| format!("could not write {FILE}"))?;
    println!("{FILE} written");
    Ok(true)
}

/// Builds the binary and checks the document; answers whether it is up to date.
pub(crate) fn check(repo: &Repo) -> Result<bool> {
    let difference = difference(repo, &product::build(repo, Beside::Nothing)?)?;
    match &difference {
        Some(what) => eprintln!("{what}"),
        None => println!("{FILE} is up to date"),
    }
    Ok(difference.is_none())
}

/// How the committed document differs from what `binary` prints, and how to mend it; `None` when it does not.
///
/// # Errors
/// When the binary does not print a document.
pub(crate) fn difference(repo: &Repo, binary: &Path) -> Result<Option<String>> {
    let generated = generate(binary)?;
    let committed = std::fs::read_to_string(repo.path(FILE)).unwrap_or_default();
    Ok(compare(&committed, &generated))
}

fn generate(binary: &Path) -> Result<String> {
    let mut document = process::capture(Command::new(binary).arg("openapi"))?;
    serde_json::from_str::<serde_json::Value>(&document).context("`bellwire openapi` did not print JSON")?;
    if !document.ends_with('\n') {
        document.push('\n');
    }
    Ok(document)
}

fn compare(committed: &str, generated: &str) -> Option<String> {
    if committed == generated {
        return None;
    }
    const FIX: &str = "run `cargo xtask openapi` and commit the result";
    if committed.is_empty() {
        return Some(format!("{FILE} is missing or empty; {FIX}"));
    }
    let same = committed
        .lines()
        .zip(generated.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end of file)").trim().to_owned();
    Some(format!(
        "{FILE} differs from the code at line {}; {FIX}\n  committed: {}\n  code says: {}",
        same + 1,
        line(committed),
        line(generated)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_do_not_differ() {
        assert_eq!(compare("{\n}\n", "{\n}\n"), None);
    }

    #[test]
    fn a_difference_names_the_line_and_the_remedy() {
        let text = compare("{\n  \"a\": 1\n}\n", "{\n  \"a\": 2\n}\n").expect("they differ");
        assert!(text.contains("line 2"), "{text}");
        assert!(text.contains("\"a\": 1") && text.contains("\"a\": 2"), "{text}");
        assert!(text.contains("cargo xtask openapi"), "{text}");
    }

    #[test]
    fn a_missing_document_and_a_truncated_one_differ() {
        assert!(compare("", "{}\n").expect("differs").contains("missing"));
        assert!(compare("{\n", "{\n}\n").expect("differs").contains("(end of file)"));
    }
}
