//! Sources and what they refused.

use std::collections::BTreeMap;

use bellwire_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Where messages come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    pub id: String,
    pub uid: Option<String>,
    pub name: String,
    #[serde(rename = "type")]
    pub provider: String,
    pub ingest_url: Option<String>,
    pub managed: bool,
    /// Settings that may be shown.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// How many values each secret setting has.
    #[serde(default)]
    pub secrets: BTreeMap<String, u64>,
    #[serde(default)]
    pub rules: Value,
    pub updated_at: Timestamp,
}

impl Source {
    /// Its rules, laid out; nothing when there are none.
    pub fn shown_rules(&self) -> Option<String> {
        let rules = self.rules.as_object()?;
        let said: serde_json::Map<_, _> = rules
            .iter()
            .filter(|(_, rule)| !rule.is_null())
            .map(|(name, rule)| (name.clone(), rule.clone()))
            .collect();
        (!said.is_empty()).then(|| format!("{:#}", Value::Object(said)))
    }
}

/// A request that was refused. The API writes its members with underscores.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refusal {
    pub created_at: Timestamp,
    pub method: String,
    pub target: String,
    pub peer: Option<String>,
    pub reason: String,
    pub error_text: String,
    pub status_code: u64,
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub payload: String,
    #[serde(default)]
    pub skipped: u64,
}

impl Refusal {
    /// Its headers, a line each.
    pub fn shown_headers(&self) -> String {
        lines(&self.headers)
    }
}

/// Headers, a line each.
pub(crate) fn lines(headers: &BTreeMap<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        let values: Vec<_> = match value {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect(),
        };
        for value in values {
            text += &format!("{name}: {value}\n");
        }
    }
    text
}

/// What the signature doctor says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    pub verdict: String,
    pub words: String,
    pub reason: Option<String>,
    pub scheme: Option<String>,
    pub signed_at: Option<Timestamp>,
}

impl Verdict {
    pub fn is_valid(&self) -> bool {
        self.verdict == "valid"
    }
}
