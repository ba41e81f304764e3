//! A value that is bound to a place in SQL.

use serde_json::{Number, Value as JsonValue};

/// A value of a template, as a database takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false; 1 or 0 where a database has no such type.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text. Lists and objects are their JSON.
    Text(String),
}

impl From<JsonValue> for Value {
    fn from(value: JsonValue) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(value) => Self::Bool(value),
            JsonValue::Number(number) => match (number.as_i64(), number.is_u64()) {
                (Some(integer), _) => Self::Integer(integer),
                // Too large for 64 bits with a sign: its digits say it exactly.
                (None, true) => Self::Text(number.to_string()),
                (None, false) => Self::Real(number.as_f64().unwrap_or_default()),
            },
            JsonValue::String(text) => Self::Text(text),
            container => Self::Text(container.to_string()),
        }
    }
}

impl From<Value> for JsonValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Integer(integer) => Self::from(integer),
            Value::Real(real) => Number::from_f64(real).map_or(Self::Null, Self::Number),
            Value::Text(text) => Self::String(text),
        }
    }
}

impl Value {
    /// The value as a text that a database reads by the type of the place; `None` for null.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Real(real) => Some(real.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }
}
