//! What a hooks file may refer to besides itself: `${NAME}`, `${NAME:-default}` and `${file:/path}` in any text.
//!
//! References are replaced when the file is loaded. What they were replaced by is remembered as a [`Veil`], through which every
//! text goes that people see.

use std::{collections::BTreeMap, io};

use crate::{
    finding::{Finding, Path},
    veil::Veil,
    yaml::{Node, Value},
};

/// The longest file that a reference reads, in bytes.
const FILE_BYTES_MAX: usize = 64 << 10;
/// How deep references may lie in each other's defaults.
const NESTED_MAX: usize = 8;

/// Whether the settings of a source of this kind (`cron`, `monitor`) are usable: which one is not, and why.
pub type SourceCheck<'a> = &'a dyn Fn(&str, &BTreeMap<String, Vec<String>>) -> Result<(), (String, String)>;

/// Where references lead, and what else only others know.
pub struct Surroundings<'a> {
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// What a file holds.
    pub file: &'a dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
    /// Where relative paths begin: the folder of the hooks file.
    pub folder: &'a std::path::Path,
    /// Whether what brings messages by itself can do so.
    pub source: SourceCheck<'a>,
}

/// Replaces the references of one document.
pub(crate) struct Resolver<'a> {
    around: &'a Surroundings<'a>,
    pub findings: Vec<Finding>,
    pub veil: Veil,
}

impl<'a> Resolver<'a> {
    pub fn new(around: &'a Surroundings<'a>) -> Self {
        Self {
            around,
            findings: Vec::new(),
            veil: Veil::default(),
        }
    }

    /// Replaces all references in the texts of a value.
    pub fn resolve(&mut self, node: &mut Node, path: &Path) {
        match &mut node.value {
            Value::Text(text) if text.text.contains("${") => match self.fill(&text.text) {
                Ok((filled, references)) => (text.text, text.references) = (filled, references),
                Err((what, advice)) => {
                    self.findings.push(Finding {
                        at: node.at,
                        path: path.to_string(),
                        what,
                        advice,
                    });
                    node.value = Value::Unknown;
                }
            },
            Value::List(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.resolve(item, &path.item(at));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.resolve(&mut entry.value, &path.member(&entry.key));
                }
            }
            Value::Unknown | Value::Null | Value::Bool(..) | Value::Number(..) | Value::Text(_) => {}
        }
    }

    /// The text with its references replaced, and what they were.
    fn fill(&mut self, text: &str) -> Result<(String, Vec<String>), (String, String)> {
        let mut filled = String::with_capacity(text.len());
        let mut references = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let before = &rest[..at];
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            filled.push_str(before);
            let inside = &rest[at + 2..];
            let Some((reference, after)) = end(inside) else {
                let advice = "close it; a `${` that is meant as it stands is written `$${`";
                return Err(("a reference `${` has no end".to_owned(), advice.to_owned()));
            };
            let value = self.value(reference)?;
            self.veil.hide(reference, &value);
            filled.push_str(&value);
            references.push(reference.to_owned());
            rest = after;
        }
        filled.push_str(rest);
        Ok((filled, references))
    }

    fn value(&mut self, reference: &str) -> Result<String, (String, String)> {
        for prefix in ["file:", "FILE:"] {
            if let Some(path) = reference.strip_prefix(prefix) {
                return self.file(path.trim());
            }
        }
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            let what = format!("`${{{}}}` is no reference", shorten(reference));
            let advice = "write `${NAME}`, `${NAME:-default}` or `${file:/path}`; a `${` that is meant as it stands is written `$${`";
            return Err((what, advice.to_owned()));
        }
        match ((self.around.variable)(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            // A default may hold references.
            (_, Some(default)) => self.fill(default).map(|(value, _)| value),
            (None, None) => Err((
                format!("the variable {name} is not set"),
                format!("set it where this is run, or write `${{{name}:-default}}`"),
            )),
        }
    }

    fn file(&mut self, path: &str) -> Result<String, (String, String)> {
        if path.is_empty() {
            return Err((
                "a reference names no file".to_owned(),
                "write `${file:/path}`".to_owned(),
            ));
        }
        let full = self.around.folder.join(path);
        let cannot = |why: String| (format!("cannot read the file {path}: {why}"), String::new());
        let bytes = (self.around.file)(&full).map_err(|error| cannot(error.to_string()))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(cannot(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| cannot("it is no UTF-8 text".to_owned()))?;
        // The line break that editors and `echo` leave at the end is no part of a secret.
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A reference and what comes behind it, when it has an end.
fn end(inside: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' if inside[..at].ends_with('$') => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&inside[..at], &inside[at + 1..]));
        }
        if open > NESTED_MAX {
            return None;
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::compose;

    fn resolved(text: &str) -> (String, Vec<String>) {
        let around = Surroundings {
            variable: &|name| match name {
                "SET" => Some("value".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            },
            file: &|path| match path.to_str() {
                Some("/run/secrets/x") => Ok(b"from a file\n".to_vec()),
                Some("/etc/hooks/near") => Ok(b"near".to_vec()),
                Some("/big") => Ok(vec![b'x'; FILE_BYTES_MAX + 1]),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            folder: std::path::Path::new("/etc/hooks"),
            source: &|_, _| Ok(()),
        };
        let mut node = compose(text).unwrap().unwrap();
        let mut resolver = Resolver::new(&around);
        resolver.resolve(&mut node, &Path::default());
        let findings = resolver.findings.iter().map(ToString::to_string).collect();
        (node.to_json().to_string(), findings)
    }

    #[test]
    fn references_are_replaced_wherever_a_text_stands() {
        for (text, filled) in [
            ("a: [\"x${SET}y${SET}\"]", r#"{"a":["xvaluey"#.to_owned() + "value\"]}"),
            ("a: ${SET}", r#"{"a":"value"}"#.to_owned()),
            ("a: ${NOT:-b:-c}", r#"{"a":"b:-c"}"#.to_owned()),
            ("a: ${EMPTY:-d}", r#"{"a":"d"}"#.to_owned()),
            ("a: ${NOT:-<${NEITHER:-${SET}}>}!", r#"{"a":"<value>!"}"#.to_owned()),
            ("a: ${EMPTY}", r#"{"a":""}"#.to_owned()),
            ("a: ${NOT:-}", r#"{"a":""}"#.to_owned()),
            ("a: ${file:/run/secrets/x}", r#"{"a":"from a file"}"#.to_owned()),
            ("a: \"${FILE:near}\"", r#"{"a":"near"}"#.to_owned()),
            ("a: $${SET} $ $x", r#"{"a":"${SET} $ $x"}"#.to_owned()),
            ("${SET}: 1", r#"{"${SET}":1}"#.to_owned()),
        ] {
            assert_eq!(resolved(text), (filled, vec![]), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_named_with_its_place_and_never_by_a_value() {
        for (text, says) in [
            (
                "a: {b: [x, \"${NOT}\"]}",
                "1:12: a.b[1]: the variable NOT is not set; set it where this is run, or write `${NOT:-default}`",
            ),
            ("a: ${SET", "1:4: a: a reference `${` has no end; close it"),
            ("a: ${NOT:-${NEITHER}}", "1:4: a: the variable NEITHER is not set"),
            ("a: ${a-b}", "1:4: a: `${a-b}` is no reference; write"),
            ("a: ${file:}", "names no file"),
            ("a: ${file:/nowhere}", "1:4: a: cannot read the file /nowhere: "),
            ("a: ${file:/big}", "it has more than 65536 bytes"),
        ] {
            let (_, findings) = resolved(text);
            assert_eq!(findings.len(), 1, "{text}");
            assert!(findings[0].contains(says), "{findings:?}");
        }
    }
}
