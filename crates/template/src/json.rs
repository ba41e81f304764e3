//! The payload as values of the engine: taken apart only where somebody looks.
//!
//! A container knows its text; its members are found when one is asked for, and kept. So the payload is read once however
//! many expressions look at it, what nobody looks at is only skipped, and a number can still be had as it was written.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use minijinja::{
    ErrorKind, Value,
    value::{DynObject, Enumerator, Object, ObjectRepr},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{path::Step, work::Work};

/// How deep containers may lie in each other; serde_json's own bound.
const DEPTH_MAX: usize = 128;

/// Objects with more members than this are looked up by a table.
const SCAN_MAX: usize = 16;

/// A JSON value by its text, and as a value of the engine once somebody asked.
pub(crate) struct Part {
    text: Bytes,
    value: OnceLock<Value>,
}

impl Part {
    pub(crate) fn new(text: Bytes) -> Self {
        Self {
            text,
            value: OnceLock::new(),
        }
    }

    /// The text, as the publisher wrote it.
    pub(crate) fn text(&self) -> Bytes {
        self.text.slice_ref(self.text.trim_ascii())
    }

    /// The value; an invalid one, which fails where it is used, when the text is no JSON.
    pub(crate) fn value(&self, depth: usize, work: &Arc<Work>) -> &Value {
        self.value.get_or_init(|| match read(&self.text, depth, work) {
            Ok(value) => value,
            Err(what) => Value::from(minijinja::Error::new(ErrorKind::InvalidOperation, what)),
        })
    }
}

fn read(text: &Bytes, depth: usize, work: &Arc<Work>) -> Result<Value, Cow<'static, str>> {
    let trimmed = text.trim_ascii();
    let broken = |error: serde_json::Error| Cow::from(format!("the payload is no JSON: {error}"));
    match trimmed.first() {
        Some(b'{' | b'[') if depth >= DEPTH_MAX => Err(format!("the payload is nested deeper than {DEPTH_MAX}").into()),
        Some(b'{' | b'[') => Ok(Value::from_object(Json {
            text: text.slice_ref(trimmed),
            depth,
            work: Arc::clone(work),
            members: OnceLock::new(),
        })),
        Some(b'"') => Ok(Value::from(serde_json::from_slice::<String>(trimmed).map_err(broken)?)),
        Some(b'-' | b'0'..=b'9') => number(trimmed),
        _ => match trimmed {
            b"true" => Ok(Value::from(true)),
            b"false" => Ok(Value::from(false)),
            b"null" => Ok(Value::from(())),
            _ => Err("the payload is no JSON".into()),
        },
    }
}

/// Integers are exact up to 128 bits; what is larger, and what has a fraction, is the nearest double.
fn number(text: &[u8]) -> Result<Value, Cow<'static, str>> {
    let text = std::str::from_utf8(text).map_err(|_| "the payload is no JSON")?;
    if let Ok(small) = text.parse::<i64>() {
        return Ok(Value::from(small));
    }
    if let Ok(large) = text.parse::<i128>() {
        return Ok(Value::from(large));
    }
    if let Ok(large) = text.parse::<u128>() {
        return Ok(Value::from(large));
    }
    match text.parse::<f64>() {
        Ok(double) if double.is_finite() => Ok(Value::from(double)),
        Ok(_) => Err(format!("the number {} is too large", &text[..text.len().min(40)]).into()),
        Err(_) => Err("the payload is no JSON".into()),
    }
}

/// A list or an object of the payload.
pub(crate) struct Json {
    text: Bytes,
    depth: usize,
    work: Arc<Work>,
    members: OnceLock<Members>,
}

enum Members {
    List(Vec<Part>),
    Object {
        entries: Vec<(Arc<str>, Part)>,
        /// Where a name is; empty while scanning is as quick.
        table: HashMap<Arc<str>, usize>,
    },
    /// No JSON: as empty, and an error where a value is asked for.
    Broken,
}

impl Json {
    fn members(&self) -> &Members {
        self.members.get_or_init(|| match self.text.first() {
            Some(b'[') => match serde_json::from_slice::<Vec<&RawValue>>(&self.text) {
                Ok(items) => Members::List(items.into_iter().map(|item| self.part(item)).collect()),
                Err(_) => Members::Broken,
            },
            _ => match serde_json::from_slice::<Entries<'_>>(&self.text) {
                Ok(entries) => self.object(entries),
                Err(_) => Members::Broken,
            },
        })
    }

    fn part(&self, raw: &RawValue) -> Part {
        Part::new(self.text.slice_ref(raw.get().as_bytes()))
    }

    fn object(&self, read: Entries<'_>) -> Members {
        let mut entries: Vec<(Arc<str>, Part)> = Vec::with_capacity(read.0.len());
        let mut table = HashMap::new();
        let many = read.0.len() > SCAN_MAX;
        for (name, raw) in read.0 {
            let part = self.part(raw);
            // Of members with the same name the last one counts, as everywhere.
            let known = match many {
                true => table.get(name.as_str()).copied(),
                false => entries.iter().position(|(known, _)| **known == *name),
            };
            if let Some((_, old)) = known.and_then(|at| entries.get_mut(at)) {
                *old = part;
                continue;
            }
            let name: Arc<str> = name.into();
            if many {
                table.insert(Arc::clone(&name), entries.len());
            }
            entries.push((name, part));
        }
        Members::Object { entries, table }
    }

    /// The member or item that a step leads to.
    pub(crate) fn step(&self, step: &Step) -> Option<&Part> {
        match step {
            Step::Member(name) => self.member(name),
            Step::Item(at) => self.item(*at),
        }
    }

    fn item(&self, at: usize) -> Option<&Part> {
        match self.members() {
            Members::List(items) => items.get(at),
            Members::Object { .. } | Members::Broken => None,
        }
    }

    fn member(&self, name: &str) -> Option<&Part> {
        let Members::Object { entries, table } = self.members() else {
            return None;
        };
        if table.is_empty() {
            return entries.iter().find(|(known, _)| **known == *name).map(|(_, part)| part);
        }
        table.get(name).and_then(|at| entries.get(*at)).map(|(_, part)| part)
    }

    /// The value of one of its parts.
    pub(crate) fn value(&self, part: &Part) -> Value {
        self.work.fetch(part.value(self.depth + 1, &self.work))
    }

    fn broken(&self) -> Option<Value> {
        matches!(self.members(), Members::Broken).then(|| {
            Value::from(minijinja::Error::new(
                ErrorKind::InvalidOperation,
                "the payload is no JSON",
            ))
        })
    }

    /// The text without white space between its parts.
    fn letters(&self) -> impl Iterator<Item = u8> {
        let (mut in_string, mut escaped) = (false, false);
        self.text.iter().copied().filter(move |byte| {
            if !in_string {
                in_string = *byte == b'"';
                return !byte.is_ascii_whitespace();
            }
            match (*byte, escaped) {
                (_, true) => escaped = false,
                (b'\\', false) => escaped = true,
                (b'"', false) => in_string = false,
                _ => {}
            }
            true
        })
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the payload: this ends in logs.
        write!(f, "Json({} bytes)", self.text.len())
    }
}

impl Object for Json {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.text.first() {
            Some(b'[') => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(name) = key.as_str() {
            return self.get_value_by_str(name);
        }
        match self.item(key.as_usize()?) {
            Some(part) => Some(self.value(part)),
            None => self.broken(),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match self.member(name) {
            Some(part) => Some(self.value(part)),
            None => self.broken(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.members() {
            Members::List(items) => Enumerator::Seq(items.len()),
            Members::Object { entries, .. } => {
                Enumerator::Values(entries.iter().map(|(name, _)| Value::from(Arc::clone(name))).collect())
            }
            Members::Broken => Enumerator::Values(self.broken().into_iter().collect()),
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(match self.members() {
            Members::List(items) => items.len(),
            Members::Object { entries, .. } => entries.len(),
            Members::Broken => 1,
        })
    }

    /// Containers of a payload are the same when their text is, white space aside: quick, and without recursion.
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        if !self.work.spend(self.text.len().min(other.text.len())) {
            return Some(Ordering::Less);
        }
        if self.text == other.text {
            return Some(Ordering::Equal);
        }
        Some(self.letters().cmp(other.letters()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.work.spend(self.text.len()) {
            true => f.write_str(&String::from_utf8_lossy(&self.text)),
            false => Ok(()),
        }
    }
}

/// The members of an object, not yet read.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Part::new(Bytes::copy_from_slice(text.as_bytes()))
            .value(0, &Work::new())
            .clone()
    }

    #[test]
    fn members_are_found_in_small_and_large_objects_and_the_last_of_a_name_counts() {
        let small = value(r#" {"a": 1, "b": {"c": "x"}, "a": 2} "#);
        assert_eq!(small.get_attr("a").unwrap(), Value::from(2));
        assert_eq!(small.len(), Some(2));
        let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        let large = value(&format!("{{{},\"k7\":\"last\"}}", many.join(",")));
        assert_eq!(large.get_attr("k7").unwrap(), Value::from("last"));
        assert_eq!(large.get_attr("k39").unwrap(), Value::from(39));
        assert_eq!(large.len(), Some(40));
        assert!(large.get_attr("k40").unwrap().is_undefined());
    }

    #[test]
    fn integers_are_exact_up_to_128_bits() {
        for text in [
            "12345678901234567890",
            "-170141183460469231731687303715884105728",
            "340282366920938463463374607431768211455",
        ] {
            assert_eq!(value(text).to_string(), text);
        }
        assert_eq!(value("1.50"), Value::from(1.5));
        assert_eq!(value("1e400").kind(), minijinja::value::ValueKind::Invalid);
    }

    #[test]
    fn containers_are_the_same_by_their_text_without_white_space() {
        assert_eq!(
            value(r#"{"a": [1, 2], "b": " \" x"}"#),
            value(r#"{"a":[1,2],"b":" \" x"}"#)
        );
        assert_ne!(value(r#"["a b"]"#), value(r#"["ab"]"#));
        assert_ne!(value(r#"["\" a"]"#), value(r#"["\"a"]"#));
        assert_eq!(value("[1, 2]"), Value::from(vec![1, 2]));
    }

    #[test]
    fn what_is_no_json_and_what_is_too_deep_is_an_error_where_it_is_used() {
        for text in ["", "nul", "{", "[1,", "\"\\ud800\"", "-", "{\"a\" 1}"] {
            let value = value(text);
            let used = match value.as_object() {
                Some(_) => value.get_attr("a").unwrap(),
                None => value,
            };
            assert_eq!(used.kind(), minijinja::value::ValueKind::Invalid, "{text}");
        }
        let mut deep = value(&format!("{}{}", "[".repeat(200), "]".repeat(200)));
        let mut levels = 0;
        while deep.kind() == minijinja::value::ValueKind::Seq {
            deep = deep.get_item_by_index(0).unwrap();
            levels += 1;
        }
        assert_eq!(levels, DEPTH_MAX);
        assert_eq!(deep.kind(), minijinja::value::ValueKind::Invalid);
    }
}
