//! `bellwire source providers`: what the program knows of providers. It asks no server.

use bellwire_listen::{Provider, providers};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::{
    exit::Failure,
    out::{Column, Out, cell},
};

/// `source providers`.
#[derive(Args)]
pub struct ProvidersArgs {
    /// Only this one, with all its settings
    name: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "NAME",
        show: |item| cell(item, "name"),
    },
    Column {
        title: "PROVIDER",
        show: |item| cell(item, "title"),
    },
    Column {
        title: "SETTINGS",
        show: settings,
    },
    Column {
        title: "THE PROOF COVERS",
        show: |item| cell(item, "covers"),
    },
];

/// The names of what must be given, and how many more may be.
fn settings(item: &Value) -> String {
    let all = item["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (needed, other): (Vec<_>, Vec<_>) = all.iter().partition(|setting| setting["required"] == true);
    let mut names: Vec<_> = needed.into_iter().map(|setting| cell(setting, "name")).collect();
    if !other.is_empty() {
        names.push(format!("{} optional", other.len()));
    }
    names.join(", ")
}

/// A row of the table as JSON.
fn described(provider: &Provider) -> Value {
    let setting = |setting: &bellwire_listen::Setting| {
        json!({
            "name": setting.name, "about": setting.about, "required": setting.required, "secret": setting.secret,
        })
    };
    json!({
        "name": provider.name,
        "aliases": provider.aliases,
        "title": provider.title,
        "about": provider.about,
        "covers": provider.covers.to_string(),
        "settings": provider.settings.iter().map(setting).collect::<Vec<_>>(),
        "handshakes": provider.handshakes(),
        "idFrom": provider.id_places(),
        "eventTypeFrom": provider.event_type_places(),
        "orderFrom": provider.order_places(),
        "signsUrl": provider.needs_url(),
        "source": provider.source,
    })
}

impl ProvidersArgs {
    /// Prints them.
    ///
    /// # Errors
    /// A usage failure when there is no such provider.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        if let Some(name) = &self.name {
            let provider = providers::by_name(name).map_err(Failure::usage)?;
            let shown = described(provider);
            if out.is_json() {
                return out.line(&shown.to_string());
            }
            return show(provider, out);
        }
        let all: Vec<Value> = providers::all().map(described).collect();
        if out.is_json() {
            return out.line(&Value::Array(all).to_string());
        }
        out.table(COLUMNS, &all)
    }
}

/// One provider, for people.
fn show(provider: &Provider, out: &mut Out) -> Result<(), Failure> {
    let mut lines = vec![
        ("provider", provider.title.to_owned()),
        ("names", [&[provider.name], provider.aliases].concat().join(", ")),
        ("checked", provider.about.to_owned()),
        ("covers", provider.covers.to_string()),
        ("facts from", provider.source.to_owned()),
    ];
    for setting in provider.settings {
        let optional = if setting.required { "" } else { " (optional)" };
        lines.push(("setting", format!("{}{optional}: {}", setting.name, setting.about)));
    }
    for (what, places) in [
        ("event type", provider.event_type_places()),
        ("id", provider.id_places()),
        ("order", provider.order_places()),
    ] {
        if !places.is_empty() {
            lines.push((what, places.join(", ")));
        }
    }
    lines.extend(
        provider
            .handshakes()
            .into_iter()
            .map(|words| ("answers", words.to_owned())),
    );
    for (what, text) in lines {
        out.line(&format!("{what:<10}  {text}"))?;
    }
    Ok(())
}
