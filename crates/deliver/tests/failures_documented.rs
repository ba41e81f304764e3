//! docs/failures.md explains exactly the failures that the code can name.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every Rust file below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether code that ends so names a failure next: a field (`reason: "…"`), a function that only names
/// (`=> "…"`), the first of a pair of name and advice (`{ ("…"`, `=> ("…"`), or what `failed("…"` is given.
fn names_a_failure(before: &str) -> bool {
    let before = before.trim_end();
    match before.strip_suffix('(').map(str::trim_end) {
        Some(pair) => pair.ends_with('{') || pair.ends_with("=>") || pair.ends_with("::failed"),
        None => before.ends_with("reason:") || before.ends_with("=>"),
    }
}

/// The failures that a source file names. Its tests are left out.
fn named_in(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    // In files that make no failures, such text is something else.
    if !source.contains("Failure {") && !source.contains("fn reason(&self)") {
        return BTreeSet::new();
    }
    let pieces: Vec<&str> = source.split('"').collect();
    let literals = pieces.iter().enumerate().skip(1).step_by(2);
    literals
        .filter(|(at, text)| is_name(text) && names_a_failure(pieces[at - 1]))
        .map(|(_, text)| (*text).to_owned())
        .collect()
}

fn in_code() -> io::Result<BTreeSet<String>> {
    let mut files = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut files)?;
    let mut names = BTreeSet::new();
    for file in files {
        names.extend(named_in(&fs::read_to_string(file)?));
    }
    Ok(names)
}

fn in_docs() -> io::Result<BTreeSet<String>> {
    let page = fs::read_to_string(Path::new(ROOT).join("../../docs/failures.md"))?;
    let headings = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    Ok(headings.map(str::to_owned).collect())
}

#[test]
fn every_failure_is_explained_and_every_explanation_is_of_a_failure() -> io::Result<()> {
    let (code, docs) = (in_code()?, in_docs()?);
    // What must be found, whatever the shape of the code: a scan that sees nothing would agree with an empty page.
    for known in [
        "connection_refused",
        "timeout_headers",
        "answer_broken",
        "status_5xx",
        "payload_expired",
    ] {
        assert!(
            code.contains(known),
            "the scan of the code no longer finds `{known}`; it found {code:?}"
        );
    }
    let unexplained: Vec<_> = code.difference(&docs).collect();
    assert!(
        unexplained.is_empty(),
        "docs/failures.md does not explain {unexplained:?}"
    );
    let unknown: Vec<_> = docs.difference(&code).collect();
    assert!(
        unknown.is_empty(),
        "docs/failures.md explains {unknown:?}, which the code never names"
    );
    Ok(())
}
