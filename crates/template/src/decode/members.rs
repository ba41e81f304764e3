//! What is made of a body that is not JSON: texts, and objects whose members keep their order.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

/// Objects with more members than this are looked up by a table.
const SCAN_MAX: usize = 16;

/// A value of a decoded body.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Number(usize),
    Object(Members),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

/// The members of an object, in the order in which their names came. A name that comes again makes a list.
#[derive(Debug, Default)]
pub(super) struct Members {
    entries: Vec<(String, Vec<Value>)>,
    /// Where a name is; empty while scanning is as quick.
    table: HashMap<String, usize>,
}

impl Members {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub fn add(&mut self, name: &str, value: Value) {
        if let Some((_, values)) = self.find(name).and_then(|at| self.entries.get_mut(at)) {
            values.push(value);
            return;
        }
        self.entries.push((name.to_owned(), vec![value]));
        if self.entries.len() > SCAN_MAX {
            let known = self.table.len();
            let new = self.entries.iter().enumerate().skip(known);
            self.table.extend(new.map(|(at, (name, _))| (name.clone(), at)));
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        if self.table.is_empty() {
            return self.entries.iter().position(|(known, _)| known == name);
        }
        self.table.get(name).copied()
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, values) in &self.entries {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                many => map.serialize_entry(name, many)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_repeated_ones_become_lists_among_few_and_many() {
        for others in [0, 3, 40] {
            let mut members = Members::default();
            members.add("z", Value::Text("1".to_owned()));
            for number in 0..others {
                members.add(&format!("k{number}"), Value::Number(number));
            }
            members.add("z", Value::Text("2".to_owned()));
            let made = serde_json::to_string(&members).unwrap();
            assert!(made.starts_with(r#"{"z":["1","2"]"#), "{made}");
            assert_eq!(members.entries.len(), others + 1);
            assert!(members.contains("z") && !members.contains("y"));
        }
    }
}
