//! YAML 1.2 as a tree of values that know where they stand.
//!
//! The parser's events are composed here rather than by a library, because everything has bounds: the file's size, its depth,
//! and what aliases may multiply. Only what JSON can hold is taken; a key that comes twice is an error.

mod compose;
mod scalar;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value as Json};

pub(crate) use self::compose::compose;
use crate::finding::Mark;

/// A value and where it begins.
#[derive(Clone)]
pub(crate) struct Node {
    pub at: Mark,
    /// The last line it stands on.
    pub last_line: usize,
    pub value: Value,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Value {
    /// What a reference is replaced by cannot be had, which was said: nothing else is said about it.
    Unknown,
    Null,
    /// A truth value or a number, and how it was written.
    Bool(bool, String),
    Number(Number, String),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A string.
#[derive(Clone, Default)]
pub(crate) struct Text {
    /// What it says, references replaced once they were resolved.
    pub text: String,
    /// The references that were replaced in it.
    pub references: Vec<String>,
}

/// A member of a map.
#[derive(Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Mark,
    pub value: Node,
}

impl Node {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null | Value::Unknown => "nothing",
            Value::Bool(..) => "true or false",
            Value::Number(..) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// What is written where one value stands: a text, or a number or truth value as it was written.
    pub fn written(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            Value::Bool(_, written) | Value::Number(_, written) => Some(written),
            Value::Unknown | Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it, or anything in it, is unknown.
    pub fn is_unknown(&self) -> bool {
        match &self.value {
            Value::Unknown => true,
            Value::List(items) => items.iter().any(Self::is_unknown),
            Value::Map(entries) => entries.iter().any(|entry| entry.value.is_unknown()),
            Value::Null | Value::Bool(..) | Value::Number(..) | Value::Text(_) => false,
        }
    }

    /// The members, where it is a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The same value as JSON.
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The same value as the text of JSON, members in their order.
    pub fn to_json_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Unknown | Value::Null => serializer.serialize_unit(),
            Value::Bool(truth, _) => serializer.serialize_bool(*truth),
            Value::Number(number, _) => number.serialize(serializer),
            Value::Text(text) => serializer.serialize_str(&text.text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|entry| (&entry.key, &entry.value))),
        }
    }
}
