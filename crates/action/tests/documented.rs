//! docs/actions.md explains each kind: every setting, and an example that works.

use std::{fs, io, path::Path};

use bellwire_action::KINDS;
use serde_json::Value;

const PAGE: &str = "../../docs/actions.md";

/// The section of a kind: from its heading to the next.
fn section<'a>(page: &'a str, kind: &str) -> &'a str {
    let start = page.split_once(&format!("\n## `{kind}`\n"));
    let (_, rest) = start.unwrap_or_else(|| panic!("docs/actions.md has no section `{kind}`"));
    rest.split("\n## ").next().unwrap_or(rest)
}

fn page() -> io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE))
}

#[test]
fn the_examples_of_each_kind_can_be_used() -> io::Result<()> {
    let page = page()?;
    for kind in KINDS {
        let section = section(&page, kind.name);
        let examples: Vec<&str> = section
            .split("```json\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!examples.is_empty(), "`{}` has no example", kind.name);
        for example in examples {
            let settings: Value = serde_json::from_str(example)?;
            assert_eq!((kind.check)(&settings), Ok(()), "{}", kind.name);
        }
    }
    Ok(())
}

#[test]
fn every_setting_is_explained() -> io::Result<()> {
    let page = page()?;
    for kind in KINDS {
        let section = section(&page, kind.name);
        let schema = (kind.schema)();
        let settings = schema["properties"]
            .as_object()
            .map(|all| all.keys())
            .into_iter()
            .flatten();
        for setting in settings {
            assert!(
                section.contains(&format!("`{setting}`")),
                "`{}` does not explain `{setting}`",
                kind.name
            );
        }
    }
    Ok(())
}
