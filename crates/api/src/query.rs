//! From a query string to a typed value.
//!
//! The parameters of an operation are a plain struct: its JSON Schema says which of them are numbers, truth values and lists,
//! so what is documented and what is read cannot differ. Lists may be given comma-separated, by repeating the parameter, or
//! both. Unknown parameters are ignored, empty ones count as left out.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{error::ApiError, extract};

/// The query parameters of an operation.
pub trait Query: DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Query for T {}

/// An operation without query parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct NoQuery {}

/// What a parameter's text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    List,
}

/// How to read the query of one operation.
#[derive(Debug, Clone)]
pub struct Reader {
    kinds: Vec<(String, Kind)>,
}

impl Reader {
    /// Learns the parameters from the schema of their type.
    pub fn of<Q: Query>() -> Self {
        let schema = SchemaGenerator::default().into_root_schema_for::<Q>();
        let properties = schema.get("properties").and_then(Value::as_object);
        let kinds = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), kind_of(schema)));
        Self { kinds: kinds.collect() }
    }

    /// Reads a query string.
    ///
    /// # Errors
    /// `validation_failed`, with the parameter.
    pub fn read<Q: Query>(&self, query: &str) -> Result<Q, ApiError> {
        let mut object = Map::new();
        if !query.is_empty() && !self.kinds.is_empty() {
            for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
                let Some((_, kind)) = self.kinds.iter().find(|(known, _)| *known == name) else {
                    continue;
                };
                if !text.is_empty() {
                    put(&mut object, &name, *kind, &text);
                }
            }
        }
        serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| extract::explain("query", &error))
    }
}

fn put(object: &mut Map<String, Value>, name: &str, kind: Kind, text: &str) {
    let value = match kind {
        Kind::List => {
            let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.extend(text.split(',').filter(|part| !part.is_empty()).map(Value::from));
            }
            return;
        }
        Kind::Text => Value::from(text),
        // What does not fit stays text, and the type refuses it in its own words.
        Kind::Number => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
        Kind::Truth => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            other => Value::from(other),
        },
    };
    object.insert(name.to_owned(), value);
}

fn kind_of(schema: &Value) -> Kind {
    let is = |kind: &str| match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    };
    if is("integer") {
        Kind::Number
    } else if is("boolean") {
        Kind::Truth
    } else if is("array") {
        Kind::List
    } else {
        Kind::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{EventTypeName, Set, Time};

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Wanted {
        limit: Option<u16>,
        #[serde(default)]
        with_content: Option<bool>,
        event_types: Option<Set<EventTypeName, 1, 10>>,
        before: Option<Time>,
    }

    fn read(query: &str) -> Result<Wanted, ApiError> {
        Reader::of::<Wanted>().read(query)
    }

    #[test]
    fn parameters_are_read_by_their_types() {
        let wanted = read("limit=7&with_content=false&event_types=b,a&event_types=c&nobody=knows&before=").unwrap();
        assert_eq!((wanted.limit, wanted.with_content), (Some(7), Some(false)));
        assert_eq!(wanted.event_types.unwrap().into_texts(), ["a", "b", "c"]);
        assert!(wanted.before.is_none());
        assert_eq!(
            read("event_types=a.b%2Cc").unwrap().event_types.unwrap().into_texts(),
            ["a.b", "c"]
        );
        assert!(read("before=2026-01-02T03:04:05%2B00:00").unwrap().before.is_some());
        assert!(read("").unwrap().limit.is_none());
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (query, name) in [
            ("limit=many", "limit"),
            ("limit=-1", "limit"),
            ("with_content=maybe", "with_content"),
        ] {
            let error = format!("{:?}", read(query).unwrap_err());
            assert!(error.contains(&format!(r#"loc: ["query", "{name}"]"#)), "{error}");
        }
        assert!(format!("{:?}", read("event_types=a,b!").unwrap_err()).contains(r#"["query", "event_types", "1"]"#));
    }
}
