//! `config`: what a source's kind needs, by name. Several values of one name are all live, which is what a rotation needs.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::kind::{Kind, Values};

/// Most values of one name.
const VALUES_MAX: usize = 100;

/// Settings by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ConfigIn(BTreeMap<String, ValueIn>);

impl ConfigIn {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|value| value.0.is_empty())
    }

    /// The settings in the place of all there are.
    pub fn into_values(self) -> Values {
        let mut values = Values::new();
        self.change(&mut values);
        values
    }

    /// Puts the settings it names in the place of those there are; null and an empty list remove one.
    pub fn change(self, values: &mut Values) {
        for (name, ValueIn(all)) in self.0 {
            match all.is_empty() {
                true => drop(values.remove(&name)),
                false => drop(values.insert(name, all)),
            }
        }
    }
}

/// One value, or several; numbers and truth values count as their text.
#[derive(Debug, Default)]
struct ValueIn(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Truth(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Truth(truth) => truth.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    None,
    One(Scalar),
    Several(Vec<Scalar>),
}

impl<'de> Deserialize<'de> for ValueIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Never repeats a value: it may be a secret.
        let read = OneOrSeveral::deserialize(deserializer)
            .map_err(|_| D::Error::custom("write a text, a number, true or false, or a list of them"))?;
        let all: Vec<String> = match read {
            OneOrSeveral::None => Vec::new(),
            OneOrSeveral::One(scalar) => vec![scalar.into()],
            OneOrSeveral::Several(list) => list.into_iter().map(Into::into).collect(),
        };
        if all.len() > VALUES_MAX {
            let why = format_args!("there are {} values; give at most {VALUES_MAX}", all.len());
            return Err(D::Error::custom(why));
        }
        Ok(Self(all))
    }
}

impl JsonSchema for ValueIn {
    fn schema_name() -> Cow<'static, str> {
        "SourceSettingIn".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = ["string", "number", "boolean"];
        json_schema!({
            "type": ["string", "number", "boolean", "array", "null"],
            "items": { "type": scalar },
            "maxItems": VALUES_MAX,
        })
    }
}

/// A setting as it is shown: its value, or all of them.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueOut {
    /// The only one.
    One(String),
    /// The newest first.
    Several(Vec<String>),
}

impl ValueOut {
    /// An empty text.
    pub fn nothing() -> Self {
        Self::One(String::new())
    }
}

/// The settings of a kind that may be shown, and of those that may not, how many values there are.
pub fn shown(kind: Kind, values: &Values) -> (BTreeMap<String, ValueOut>, BTreeMap<String, usize>) {
    let (mut open, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (name, all) in values {
        match (kind.is_secret(name), all.as_slice()) {
            (true, all) => drop(secrets.insert(name.clone(), all.len())),
            (false, [one]) => drop(open.insert(name.clone(), ValueOut::One(one.clone()))),
            (false, all) => drop(open.insert(name.clone(), ValueOut::Several(all.to_vec()))),
        }
    }
    (open, secrets)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn values(config: serde_json::Value) -> Values {
        from_value::<ConfigIn>(config).unwrap().into_values()
    }

    #[test]
    fn a_setting_is_one_value_or_several_of_any_scalar() {
        let read =
            values(json!({ "secret": ["new", "old"], "timestampGraceSeconds": 60, "armed": true, "gone": null }));
        assert_eq!(read["secret"], ["new", "old"]);
        assert_eq!(read["timestampGraceSeconds"], ["60"]);
        assert_eq!(read["armed"], ["true"]);
        assert!(!read.contains_key("gone"));
    }

    #[test]
    fn what_is_no_value_is_refused_without_being_repeated() {
        let error = from_value::<ConfigIn>(json!({ "secret": { "s3cret": 1 } }))
            .unwrap_err()
            .to_string();
        assert!(error.contains("a list of them") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let mut all = values(json!({ "secret": "a", "verifyToken": "t" }));
        from_value::<ConfigIn>(json!({ "secret": ["b", "a"], "verifyToken": null }))
            .unwrap()
            .change(&mut all);
        assert_eq!(all, values(json!({ "secret": ["b", "a"] })));
    }

    #[test]
    fn secrets_are_counted_and_never_shown() {
        let kind = Kind::asked("meta").unwrap();
        let (open, secrets) = shown(kind, &values(json!({ "secret": ["a", "b"], "nobodyKnows": "x" })));
        assert!(open.is_empty());
        assert_eq!((secrets["secret"], secrets["nobodyKnows"]), (2, 1));
        let (open, _) = shown(Kind::asked("orum-io").unwrap(), &values(json!({ "publicKey": "k" })));
        assert_eq!(open["publicKey"], ValueOut::One("k".to_owned()));
    }
}
