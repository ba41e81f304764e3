//! The manifests: which crate may depend on which, and a reason for every dependency.
//!
//! Reads `Cargo.toml` files line by line, as we write them; it is no TOML parser.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// A crate of ours and the crates of ours that it may depend on (short names).
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    tests_may_use: &'static [&'static str],
}

/// The direction of the house: `core ← template ← store ← {deliver, api, tasks} ← bellwire`. A new crate adds its row.
const ROOMS: &[Room] = &[
    Room {
        name: "core",
        may_use: &[],
        tests_may_use: &[],
    },
    Room {
        name: "template",
        may_use: &["core"],
        tests_may_use: &[],
    },
    Room {
        name: "store",
        may_use: &["core", "template"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "action",
        may_use: &["core", "template"],
        tests_may_use: &[],
    },
    Room {
        name: "deliver",
        may_use: &["core", "store", "template", "action"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "api",
        may_use: &["core", "store", "template", "action", "listen"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "dashboard",
        may_use: &["core"],
        tests_may_use: &[],
    },
    Room {
        name: "tasks",
        may_use: &["core", "store"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "listen",
        may_use: &["core"],
        tests_may_use: &[],
    },
    Room {
        name: "intake",
        may_use: &["core", "store", "template", "listen"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "hooks",
        may_use: &["core", "store", "template", "listen", "action"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "bench",
        may_use: &["core"],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "testkit",
        may_use: &["core", "store", "deliver"],
        tests_may_use: &["tasks"],
    },
    Room {
        name: "crash",
        may_use: &["core"],
        tests_may_use: &[],
    },
    Room {
        name: "bellwire",
        may_use: &[
            "core",
            "template",
            "store",
            "action",
            "deliver",
            "api",
            "dashboard",
            "tasks",
            "listen",
            "intake",
            "hooks",
            "bench",
        ],
        tests_may_use: &["testkit"],
    },
    Room {
        name: "xtask",
        may_use: &[],
        tests_may_use: &[],
    },
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let members: Vec<(&str, Vec<Entry<'_>>)> = tree
        .matching("crates/*/Cargo.toml")
        .map(|(path, text)| (path, entries(text)))
        .collect();
    let mut findings: Vec<Finding> = members
        .iter()
        .flat_map(|(path, entries)| member(path, entries))
        .collect();
    for (path, text) in tree.matching("Cargo.toml") {
        findings.extend(root(path, text, &members));
    }
    findings
}

/// A line `name = …` or `name.workspace = …` of a manifest.
struct Entry<'a> {
    section: &'a str,
    name: &'a str,
    line: usize,
    /// Whether a comment stands above it, before the last empty line or heading.
    explained: bool,
}

impl Entry<'_> {
    fn is_dependency(&self) -> bool {
        self.section.ends_with("dependencies")
    }
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut explained = false;
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.trim_end().trim_end_matches(']');
            explained = false;
            // `[dependencies.name]` is an entry as well.
            if let Some((table, name)) = section.rsplit_once("dependencies.") {
                section = &section[..table.len() + "dependencies".len()];
                entries.push(Entry {
                    section,
                    name,
                    line: at + 1,
                    explained,
                });
                section = "";
            }
        } else if line.trim().is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if let Some((key, _)) = line
            .split_once('=')
            .filter(|_| !line.starts_with([' ', '\t', ']', '}']))
        {
            let name = key.split('.').next().unwrap_or(key).trim().trim_matches('"');
            entries.push(Entry {
                section,
                name,
                line: at + 1,
                explained,
            });
        }
    }
    entries
}

/// The name a crate of ours has in [`ROOMS`].
fn short(dependency: &str) -> Option<&str> {
    if dependency == "bellwire" || dependency == "xtask" {
        Some(dependency)
    } else {
        dependency.strip_prefix("bellwire-")
    }
}

fn member(path: &str, entries: &[Entry<'_>]) -> Vec<Finding> {
    let folder = path.split('/').nth(1).unwrap_or_default();
    let mut findings = Vec::new();
    if !entries
        .iter()
        .any(|entry| entry.section == "lints" && entry.name == "workspace")
    {
        findings.push(Finding::error(
            path,
            0,
            "no `[lints] workspace = true`: the crate escapes the lints",
        ));
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == folder) else {
        let text = format!(
            "crate `{folder}` has no row in ROOMS (crates/xtask/src/tidy/manifests.rs): which crates may it use?"
        );
        findings.push(Finding::error(path, 0, text));
        return findings;
    };
    for entry in entries.iter().filter(|entry| entry.is_dependency()) {
        let Some(name) = short(entry.name) else { continue };
        let in_tests = entry.section.ends_with("dev-dependencies");
        let allowed = room.may_use.contains(&name) || (in_tests && room.tests_may_use.contains(&name));
        if !allowed {
            let text = format!(
                "`{folder}` must not depend on `{}`: the doors of ARCHITECTURE.md open one way",
                entry.name
            );
            findings.push(Finding::error(path, entry.line, text));
        }
    }
    findings
}

fn root(path: &str, text: &str, members: &[(&str, Vec<Entry<'_>>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries(text)
        .iter()
        .filter(|entry| entry.section == "workspace.dependencies")
    {
        if !entry.explained {
            let text = format!(
                "`{}` does not say why it was chosen; put a comment above it or its group",
                entry.name
            );
            findings.push(Finding::error(path, entry.line, text));
        }
        let used = |(_, entries): &(&str, Vec<Entry<'_>>)| {
            entries
                .iter()
                .any(|member| member.is_dependency() && member.name == entry.name)
        };
        if !members.iter().any(used) {
            findings.push(Finding::error(
                path,
                entry.line,
                format!("no crate uses `{}`; remove it", entry.name),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_door_that_opens_the_wrong_way_is_found() {
        let lints = "[lints]\nworkspace = true\n";
        let core = format!("{lints}[dependencies]\nserde.workspace = true\nbellwire-store.workspace = true\n");
        let api = format!(
            "{lints}[dependencies]\nbellwire-core.workspace = true\n[dev-dependencies]\nbellwire-testkit.workspace = true\n"
        );
        let deliver = format!("{lints}[dependencies]\nbellwire-testkit.workspace = true\n");
        let found = texts(&[
            ("crates/api/Cargo.toml", &api),
            ("crates/core/Cargo.toml", &core),
            ("crates/deliver/Cargo.toml", &deliver),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("error: crates/core/Cargo.toml:5"), "{found:?}");
        assert!(found[1].starts_with("error: crates/deliver/Cargo.toml:4"), "{found:?}");
    }

    #[test]
    fn other_spellings_of_a_dependency_are_seen() {
        let manifest = "[lints]\nworkspace = true\n[dependencies.bellwire-api]\npath = \"../api\"\n[target.'cfg(unix)'.dependencies]\nbellwire-store = { path = \"../store\" }\n";
        assert_eq!(texts(&[("crates/core/Cargo.toml", manifest)]).len(), 2);
    }

    #[test]
    fn a_crate_without_a_row_or_without_lints_is_an_error() {
        let found = texts(&[("crates/attic/Cargo.toml", "[package]\nname = \"bellwire-attic\"\n")]);
        assert!(found[0].contains("lints") && found[1].contains("no row"), "{found:?}");
    }

    #[test]
    fn every_dependency_of_the_workspace_is_explained_and_used() {
        let root = "[workspace.dependencies]\n# Why.\na = \"1\"\nb = { version = \"1\", features = [\n  \"x\",\n] }\n\nc = \"1\"\n";
        let user = "[lints]\nworkspace = true\n[dependencies]\na.workspace = true\nb.workspace = true\n";
        let found = texts(&[("Cargo.toml", root), ("crates/core/Cargo.toml", user)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.iter().all(|text| text.starts_with("error: Cargo.toml:8: ")),
            "{found:?}"
        );
    }
}
