//! `docs/providers.md` says what the table says.

use bellwire_listen::{Provider, providers};

const DOCS: &str = include_str!("../../../../docs/providers.md");

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

#[test]
fn the_documentation_has_the_line_of_every_provider() {
    let missing: Vec<_> = providers::all().map(line).filter(|line| !DOCS.contains(line)).collect();
    assert!(missing.is_empty(), "docs/providers.md lacks:\n{}", missing.join("\n"));
    // Rows of this table have eight cells.
    let rows = DOCS
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 7);
    assert_eq!(
        rows.count(),
        providers::all().count(),
        "docs/providers.md has lines that the table has not"
    );
}
