//! What an action may be: made of the table of kinds.

use bellwire_action::{KINDS, Kind};
use serde_json::{Map, Value as Json, json};

use super::{members, object, text};
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
    let mut properties: Map<String, Json> = own.iter().map(|(name, value)| (snake(name), value.clone())).collect();
    let common = object(members::ACTION);
    for (name, value) in common["properties"].as_object().into_iter().flatten() {
        if !own.contains_key(&camel(name)) {
            properties.insert(name.clone(), value.clone());
        }
    }
    let mut via = text();
    via["description"] = "The connection that it goes by: its members are among the settings.".into();
    properties.insert(VIA.to_owned(), via);
    if own.contains_key(HTML) && !own.contains_key(TEMPLATE) {
        let mut template = text();
        template["description"] =
            "A file with the letter's HTML (or its text, when it ends in .txt or .md), beginning in the hooks file's folder.".into();
        properties.insert(TEMPLATE.to_owned(), template);
    }
    schema["type"] = "object".into();
    schema["description"] = format!("It {}.", kind.summary).into();
    schema["properties"] = properties.into();
    schema["additionalProperties"] = false.into();
    if let Some(members) = schema.as_object_mut() {
        // A connection may bring what is needed, and a reference may be a number.
        members.remove("required");
        members.remove("title");
    }
    schema
}
