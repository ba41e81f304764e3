//! Applications, event types, tokens, tasks: what is little more than a name.

use bellwire_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::state::{State, of_task};

/// An application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    pub id: String,
    pub uid: Option<String>,
    pub name: String,
    pub created_at: Timestamp,
}

/// An event type.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventType {
    pub name: String,
    pub description: String,
    pub archived: bool,
    pub deprecated: bool,
    pub group_name: Option<String>,
    #[serde(default)]
    pub feature_flags: Vec<String>,
    pub schemas: Option<Map<String, Value>>,
    pub updated_at: Timestamp,
}

impl EventType {
    /// Its schemas, by version, laid out.
    pub fn shown_schemas(&self) -> Vec<(&str, String)> {
        let schemas = self.schemas.iter().flatten();
        schemas
            .map(|(version, schema)| (version.as_str(), format!("{schema:#}")))
            .collect()
    }

    /// The examples of its schemas, laid out.
    pub fn examples(&self) -> Vec<String> {
        let schemas = self.schemas.iter().flatten();
        let examples = schemas.filter_map(|(_, schema)| schema.get("examples")?.as_array());
        examples.flatten().map(|example| format!("{example:#}")).collect()
    }
}

/// A token's record.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    pub id: String,
    pub name: String,
    pub scope: String,
    pub app_id: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// A token that was made now.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewToken {
    pub name: String,
    pub scope: String,
    pub token: String,
}

/// Work in the background.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    pub id: String,
    pub task: String,
    pub status: String,
    #[serde(default)]
    pub data: Value,
    pub updated_at: Timestamp,
}

impl Task {
    pub fn state(&self) -> State {
        of_task(&self.status)
    }

    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// What it does, in words.
    pub fn words(&self) -> &str {
        match self.task.as_str() {
            "endpoint.recover" => "Recover: what failed is sent again",
            "endpoint.replay" => "Replay: what was never sent is sent",
            "endpoint.bulk-replay" => "Replay: chosen messages are sent again",
            "application.purge_content" => "Payloads are erased",
            "application.stats" => "Messages are counted",
            "event-type.aggregate" => "Event types are counted",
            other => other,
        }
    }

    /// What it says of itself: names and values.
    pub fn facts(&self) -> Vec<(String, String)> {
        let members = self.data.as_object().into_iter().flatten();
        let fact = |(name, value): (&String, &Value)| {
            let shown = match value {
                Value::String(text) => text.clone(),
                Value::Null => "–".to_owned(),
                other => other.to_string(),
            };
            (split_name(name), shown)
        };
        members.map(fact).collect()
    }
}

/// `messagesSeen` as words: `messages seen`.
fn split_name(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        match c {
            '_' => words.push(' '),
            c if c.is_ascii_uppercase() => {
                words.push(' ');
                words.push(c.to_ascii_lowercase());
            }
            c => words.push(c),
        }
    }
    words
}

/// Something that a task was begun for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Begun {
    pub id: String,
}

/// What a replay would do.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DryRun {
    pub count: u64,
    #[serde(default)]
    pub messages_seen: u64,
    #[serde(default)]
    pub done: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_facts_are_words() {
        assert_eq!(split_name("messagesSeen"), "messages seen");
        assert_eq!(split_name("app_id"), "app id");
    }
}
