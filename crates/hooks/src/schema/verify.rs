//! What `verify` may be: made of the table of providers.

use std::collections::BTreeMap;

use bellwire_listen::{Provider, Setting, providers};
use serde_json::{Map, Value as Json, json};

use super::{one_or_more, other_spellings, scalar};
use crate::reading::snake;

pub(super) fn schema() -> Json {
    let names: Vec<String> = providers::all().flat_map(names_of).collect();
    let needs_nothing = |provider: &&Provider| provider.settings.iter().all(|setting| !setting.required);
    let alone: Vec<String> = providers::all().filter(needs_nothing).flat_map(names_of).collect();
    let mut settings = Map::new();
    for (name, setting) in all_settings() {
        settings.insert(name, value(setting));
    }
    settings.insert(
        "provider".to_owned(),
        json!({ "enum": names, "description": "Whose webhooks they are (docs/providers.md)." }),
    );
    let forms: Map<String, Json> = providers::all()
        .flat_map(|provider| names_of(provider).into_iter().map(move |name| (name, form(provider))))
        .collect();
    json!({
        "anyOf": [
            { "enum": alone, "description": "`none`: nothing is verified, and whoever knows the URL is believed." },
            {
                "type": "object",
                "required": ["provider"],
                "patternProperties": other_spellings(&settings),
                "properties": settings,
                "additionalProperties": false,
            },
            { "type": "object", "properties": forms, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 },
        ]
    })
}

/// The names of a provider, those with hyphens in the file's own way of writing, too.
fn names_of(provider: &Provider) -> Vec<String> {
    let mut names: Vec<String> = provider
        .aliases
        .iter()
        .chain([&provider.name])
        .map(|name| (*name).to_owned())
        .collect();
    let written: Vec<String> = names
        .iter()
        .filter(|name| name.contains('-'))
        .map(|name| name.replace('-', "_"))
        .collect();
    names.extend(written);
    names
}

/// The settings of a form or provider, or its key alone.
fn form(provider: &Provider) -> Json {
    let properties: Map<String, Json> = provider
        .settings
        .iter()
        .map(|setting| (snake(setting.name), value(setting)))
        .collect();
    json!({
        "description": format!("{}: {}.", provider.title, provider.about),
        "anyOf": [
            one_or_more(scalar()),
            {
                "type": "object",
                "patternProperties": other_spellings(&properties),
                "properties": properties,
                "additionalProperties": false,
            },
            { "type": "null" },
        ]
    })
}

/// Every setting that a provider has, the first of a name.
fn all_settings() -> BTreeMap<String, &'static Setting> {
    let mut all = BTreeMap::new();
    for setting in providers::all().flat_map(|provider| provider.settings) {
        all.entry(snake(setting.name)).or_insert(setting);
    }
    all
}

fn value(setting: &Setting) -> Json {
    // A JSON Web Key may be written out.
    let one = match setting.form {
        bellwire_listen::Form::Jwk => json!({ "type": ["string", "object"] }),
        _ => scalar(),
    };
    let mut value = one_or_more(one);
    value["description"] = setting.about.into();
    value
}
