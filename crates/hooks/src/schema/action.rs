//! What an action may be: made of the table of kinds.

use bellwire_action::{KINDS, Kind};
use serde_json::{Map, Value as Json, json};

use super::{members, object, or_reference, other_spellings, scalar, span};
use crate::{
    read::settings::{HTML, TEMPLATE, VIA},
    reading::{camel, snake},
};

pub(super) fn schema() -> Json {
    let mut action = object(members::ACTION);
    let kinds: Vec<Json> = KINDS.iter().map(|kind| json!({ "required": [kind.name] })).collect();
    if let Some(properties) = action["properties"].as_object_mut() {
        for kind in KINDS {
            properties.insert(kind.name.to_owned(), settings(kind));
        }
    }
    action["oneOf"] = kinds.into();
    action
}

/// A kind's settings as they are written in the file, and what every action has, where the kind has no setting of that name.
fn settings(kind: &Kind) -> Json {
    let mut schema = (kind.schema)();
    let own = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut properties: Map<String, Json> = own
        .iter()
        .map(|(name, value)| (snake(name), referable(value)))
        .collect();
    let common = object(members::ACTION);
    for (name, value) in common["properties"].as_object().into_iter().flatten() {
        if !own.contains_key(&camel(name)) {
            properties.insert(name.clone(), value.clone());
        }
    }
    let mut via = scalar();
    via["description"] = "The connection that it goes by: its members are among the settings.".into();
    properties.insert(VIA.to_owned(), via);
    if own.contains_key(HTML) && !own.contains_key(TEMPLATE) {
        let mut template = scalar();
        template["description"] =
            "A file with the letter's HTML (or its text, when it ends in .txt or .md), beginning in the hooks file's folder.".into();
        properties.insert(TEMPLATE.to_owned(), template);
    }
    schema["type"] = "object".into();
    schema["description"] = format!("It {}.", kind.summary).into();
    schema["patternProperties"] = other_spellings(&properties).into();
    schema["properties"] = properties.into();
    schema["additionalProperties"] = false.into();
    if let Some(members) = schema.as_object_mut() {
        // A connection may bring what is needed, and a reference may be a number.
        members.remove("required");
        members.remove("title");
    }
    schema
}

/// The same schema, with a reference wherever a text must be one of some.
fn referable(schema: &Json) -> Json {
    match schema {
        Json::Array(several) => several.iter().map(referable).collect(),
        // A length of time: the API takes the same texts, and does not say which.
        Json::Object(members) if is_span(members) => {
            let mut spanning = span();
            for (name, value) in members.iter().filter(|(name, _)| *name != "type") {
                spanning[name] = value.clone();
            }
            spanning
        }
        Json::Object(members) => {
            // What a reference is replaced by may fit several.
            let renamed = |name: &str| if name == "oneOf" { "anyOf" } else { name }.to_owned();
            let inside = |(name, value): (&String, &Json)| (renamed(name), referable(value));
            let is_choice = ["enum", "pattern"].iter().any(|name| members.contains_key(*name));
            let schema: Map<String, Json> = members.iter().map(inside).collect();
            if is_choice {
                or_reference(schema.into())
            } else {
                schema.into()
            }
        }
        other => other.clone(),
    }
}

/// A text or a number, which may be left out.
fn is_span(members: &Map<String, Json>) -> bool {
    let types = members.get("type").and_then(Json::as_array);
    types.is_some_and(|types| {
        let has = |name: &str| types.iter().any(|of| of == name);
        has("string") && has("number") && !has("boolean")
    })
}
