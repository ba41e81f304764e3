//! `docs/providers.md` says what the table says; `BELLWIRE_UPDATE=1` makes it so.

use bellwire_listen::{Provider, providers};

use crate::proofs::{PROOFS, Proof};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");

/// A provider's line in the documentation.
fn line(provider: &Provider) -> String {
    let code = |name: &str| format!("`{name}`");
    let or_dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
    let names: Vec<_> = [provider.name]
        .iter()
        .chain(provider.aliases)
        .map(|name| code(name))
        .collect();
    let settings: Vec<_> = provider
        .settings
        .iter()
        .map(|setting| {
            let optional = if setting.required { "" } else { " (optional)" };
            format!("`{}`{optional}: {}", setting.name, setting.about)
        })
        .collect();
    let id: Vec<_> = provider.id_places().iter().map(|place| code(place)).collect();
    let cells = [
        names.join(", "),
        provider.title.to_owned(),
        or_dash(settings.join("; ")),
        provider.about.to_owned(),
        provider.covers.to_string(),
        or_dash(provider.handshakes().join("; ")),
        or_dash(id.join(", ")),
        provider.source.to_owned(),
    ];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// The documentation with the line of every provider that has one already written anew.
fn updated(docs: &str) -> String {
    let begin = |provider: &Provider| format!("| `{}`", provider.name);
    let line = |old: &str| {
        let is = |provider: &&Provider| is_row(old) && old.starts_with(&begin(provider));
        providers::all().find(is).map_or_else(|| old.to_owned(), line)
    };
    docs.lines().map(|old| line(old) + "\n").collect()
}

/// Rows of this table have eight cells.
fn is_row(line: &str) -> bool {
    line.starts_with("| `") && line.matches(" | ").count() == 7
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "asks a developer's wish, not a setting of the program"
)]
fn the_documentation_has_the_line_of_every_provider() {
    let mut docs = std::fs::read_to_string(PATH).unwrap();
    if std::env::var_os("BELLWIRE_UPDATE").is_some() {
        docs = updated(&docs);
        std::fs::write(PATH, &docs).unwrap();
    }
    let missing: Vec<_> = providers::all().map(line).filter(|line| !docs.contains(line)).collect();
    assert!(missing.is_empty(), "docs/providers.md lacks:\n{}", missing.join("\n"));
    assert_eq!(
        docs.lines().filter(|line| is_row(line)).count(),
        providers::all().count(),
        "docs/providers.md has lines that the table has not"
    );
}

const PROOFS_HEAD: &str = "| name | library | published request | made as documented |\n|---|---|---|---|\n";

/// What a provider's row rests on, as a line.
fn proof_line(name: &str, proofs: &[Proof]) -> String {
    let cell = |of: fn(&Proof) -> Option<String>| {
        let texts: Vec<_> = proofs.iter().filter_map(of).collect();
        if texts.is_empty() {
            "–".to_owned()
        } else {
            texts.join(", ")
        }
    };
    let libraries = cell(|proof| match proof {
        Proof::Library(library) => Some(format!("`{library}`").replace(" (", "` (").replace(")`", ")")),
        _ => None,
    });
    let published = cell(|proof| match proof {
        Proof::Vector(place) => Some((*place).to_owned()),
        _ => None,
    });
    let documented = cell(|proof| match proof {
        Proof::Documented => Some("yes".to_owned()),
        Proof::Compared => Some("nothing is signed".to_owned()),
        Proof::Library(_) | Proof::Vector(_) => None,
    });
    format!("| `{name}` | {libraries} | {published} | {documented} |\n")
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "asks a developer's wish, not a setting of the program"
)]
fn the_documentation_says_what_each_row_rests_on() {
    let lines: String = PROOFS.iter().map(|(name, proofs)| proof_line(name, proofs)).collect();
    let table = format!("{PROOFS_HEAD}{lines}");
    let docs = std::fs::read_to_string(PATH).unwrap();
    if std::env::var_os("BELLWIRE_UPDATE").is_some() {
        let (before, rest) = docs.split_once(PROOFS_HEAD).unwrap();
        let end = rest.find("\n\n").map_or("", |end| &rest[end + 1..]);
        std::fs::write(PATH, format!("{before}{table}{end}")).unwrap();
        return;
    }
    let has = docs.contains(&format!("{table}\n"));
    assert!(has, "docs/providers.md has not this table of proofs:\n{table}");
}

#[test]
fn no_row_rests_on_our_word_alone() {
    let claimed: Vec<_> = PROOFS.iter().map(|(name, _)| *name).collect();
    let rows: Vec<_> = providers::all().map(|provider| provider.name).collect();
    assert_eq!(
        claimed, rows,
        "tests/listen/proofs.rs has every row of the table, in its order"
    );
    let vectors = include_str!("documented.rs");
    for (name, proofs) in PROOFS {
        assert!(
            !proofs.is_empty(),
            "{name} rests on nothing: see tests/listen/proofs.rs"
        );
        let claims = proofs.iter().any(|proof| matches!(proof, Proof::Vector(_)));
        let quoted = format!("\"{name}\"");
        // In front of a colon it is a member of somebody's JSON.
        let has = vectors
            .match_indices(&quoted)
            .any(|(at, _)| !vectors[at + quoted.len()..].starts_with(':'));
        assert_eq!(
            claims, has,
            "{name}: a published request is in tests/listen/documented.rs and in proofs.rs"
        );
        let provider = providers::by_name(name).unwrap();
        let compared = ["token", "ip", "none"].contains(name);
        assert_eq!(
            proofs.contains(&Proof::Compared),
            compared,
            "{name}: {}",
            provider.about
        );
    }
}
