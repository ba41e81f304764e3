//! `docs/providers.md` says what the table says; `BELLWIRE_UPDATE=1` makes it so.

use bellwire_listen::{Provider, providers};

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
