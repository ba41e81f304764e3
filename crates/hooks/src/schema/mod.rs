//! The file's JSON Schema, for editors, and the tables of docs/hooks.md: both are made of the tables in [`members`].
//!
//! What a provider or a kind of action takes comes from their own tables. A schema cannot tell everything: `hooks check` does.

mod action;
mod members;
mod verify;

use serde_json::{Map, Value as Json, json};

use self::members::Member;
pub use self::members::{TABLES, Table};
use crate::{read::OWN, reading::camel};

/// The schema.
pub fn schema() -> Json {
    let mut root = object(members::TOP);
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "Bellwire's hooks file".into();
    root["description"] = "Where webhooks come in, how they are trusted, and what is done with them.".into();
    root["required"] = json!(["hooks"]);
    root["patternProperties"] =
        json!({ (format!("^{OWN}")): { "description": "The file's own: a place for anchors." } });
    root["$defs"] = json!({
        "connection": open(object(members::CONNECTION)),
        "monitor": one_of(object(members::MONITOR), crate::read::monitor::WATCHES),
        "hook": hook(),
        "verify": verify::schema(),
        "cron": { "anyOf": [scalar(), required(object(members::CRON), &["schedule"])] },
        "order": required(object(members::ORDER), &["by"]),
        "throttle": { "anyOf": [span(), required(object(members::THROTTLE), &["every"])] },
        "action": action::schema(),
    });
    root
}

/// A map with these members and no others.
fn object(members: &[Member]) -> Json {
    let mut properties = Map::new();
    for member in members {
        let mut value = (member.schema)();
        value["description"] = member.about.into();
        properties.insert(member.name.to_owned(), value);
    }
    json!({
        "type": "object",
        "patternProperties": other_spellings(&properties),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The same members under the names that JSON has (`maxInFlight`). As patterns, because editors offer `properties`.
fn other_spellings(properties: &Map<String, Json>) -> Map<String, Json> {
    let several = properties.iter().filter(|(name, _)| name.contains('_'));
    several
        .map(|(name, value)| (format!("^{}$", camel(name)), value.clone()))
        .collect()
}

/// With exactly one of these members.
fn one_of(mut schema: Json, names: &[&str]) -> Json {
    let each = names.iter().map(|name| json!({ "required": [name] }));
    schema["oneOf"] = each.collect();
    schema
}

/// With further members: those of the actions that go by it.
fn open(mut schema: Json) -> Json {
    schema["additionalProperties"] = json!(true);
    schema
}

fn required(mut schema: Json, names: &[&str]) -> Json {
    schema["required"] = json!(names);
    schema
}

fn hook() -> Json {
    required(one_of(object(members::HOOK), crate::read::hook::ORIGINS), &["do"])
}

/// How a length of time is written.
const SPAN: &str = r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|m|h|d)?\s*$";

/// What a reference is replaced by may be anything.
const REFERENCE: &str = r"\$\{.+\}";

fn or_reference(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "type": "string", "pattern": REFERENCE }] })
}

/// A text, or what is written as one.
fn scalar() -> Json {
    json!({ "type": ["string", "number", "boolean"] })
}

fn one_or_more(one: Json) -> Json {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

fn span() -> Json {
    or_reference(json!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": SPAN }] }))
}

/// Also in quotes, as a reference brings it.
fn truth() -> Json {
    or_reference(json!({ "enum": [true, false, "true", "false"] }))
}

fn whole(least: u64, most: Option<u64>) -> Json {
    let mut schema = json!({ "type": "integer", "minimum": least });
    if let Some(most) = most {
        schema["maximum"] = most.into();
    }
    or_reference(json!({ "anyOf": [schema, { "type": "string", "pattern": "^[0-9]+$" }] }))
}

fn reference_to(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn map_of(name: &str) -> Json {
    json!({ "type": "object", "additionalProperties": reference_to(name) })
}

#[cfg(test)]
mod tests;
