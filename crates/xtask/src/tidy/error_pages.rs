//! Every public error code has its page under `docs/errors/`, and every page its code.
//!
//! Silent while either side is missing.

use std::collections::BTreeMap;

use crate::repo::glob;
use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// Where the codes are written down, as string literals.
const CODES_IN: [&str; 2] = ["crates/api/src/error.rs", "crates/intake/src/door.rs"];
const PAGES: &str = "docs/errors/*.md";
/// Pages that are about no code.
const OTHER_PAGES: [&str; 2] = ["README", "index"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let codes = public_codes(tree);
    let pages: Vec<(&str, &str)> = tree
        .matching(PAGES)
        .filter_map(|(path, _)| Some((path, path.rsplit('/').next()?.strip_suffix(".md")?)))
        .filter(|(_, name)| !OTHER_PAGES.contains(name))
        .collect();
    if codes.is_empty() || !tree.has("docs/errors") {
        return Vec::new();
    }
    let no_page = codes
        .iter()
        .filter(|(code, _)| !pages.iter().any(|(_, name)| *name == **code))
        .map(|(code, (file, line))| {
            Finding::error(
                file,
                *line,
                format!("code `{code}` has no page; write docs/errors/{code}.md"),
            )
        });
    let no_code = pages
        .iter()
        .filter(|(_, name)| !codes.contains_key(*name))
        .map(|(path, name)| {
            Finding::error(
                path,
                0,
                format!("no error has the code `{name}`; remove or rename the page"),
            )
        });
    no_page.chain(no_code).collect()
}

/// THE HOOK: which strings are public codes, with the file and line each is first seen on.
///
/// As it stands: every literal outside the tests of [`CODES_IN`] that is nothing but lower-case words joined by `_`. When
/// the codes move to a table of their own, point this at it.
fn public_codes(tree: &Tree) -> BTreeMap<&str, (&str, usize)> {
    let mut codes = BTreeMap::new();
    for (path, source) in tree
        .rust()
        .filter(|(path, _)| CODES_IN.iter().any(|file| glob(file, path)))
    {
        for literal in source
            .strings
            .iter()
            .filter(|literal| !source.is_test_line(literal.line) && is_code(&literal.text))
        {
            codes.entry(literal.text.as_str()).or_insert((path, literal.line));
        }
    }
    codes
}

fn is_code(text: &str) -> bool {
    text.contains('_')
        && text
            .split('_')
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: &str = "fn code() {\n \"not_found\"; \"uid_taken\"; \"Not a code\"; \"detail\"\n}\n#[cfg(test)]\nmod tests {\n \"only_tested\"\n}";

    fn texts(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_errors() {
        let found = texts(&[
            (CODES_IN[0], ERRORS),
            (CODES_IN[1], "fn code() { \"not_verified\" }"),
            ("docs/errors/not_verified.md", ""),
            ("docs/errors/not_found.md", ""),
            ("docs/errors/gone_away.md", ""),
            ("docs/errors/README.md", ""),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("error.rs:2") && found[0].contains("docs/errors/uid_taken.md"),
            "{found:?}"
        );
        assert!(found[1].contains("docs/errors/gone_away.md"), "{found:?}");
    }

    #[test]
    fn nothing_is_said_before_there_are_pages() {
        assert_eq!(texts(&[(CODES_IN[0], ERRORS)]), [""; 0]);
    }
}
