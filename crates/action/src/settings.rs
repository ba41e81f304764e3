//! What all kinds do with their settings: read them, and show them without what is secret.

use bellwire_core::headers;
use bellwire_template::{TEMPLATES_MAX, is_template};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Deserialize;
use serde_json::Value;

use crate::{Problem, words};

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[redacted]";

/// Reads settings; what is wrong is said with its path.
///
/// # Errors
/// A member is missing, unknown, of a wrong type, or a template in it does not compile.
pub fn read<'a, T: Deserialize<'a>>(settings: &'a Value) -> Result<T, Problem> {
    let templates = count_templates(settings);
    if templates > TEMPLATES_MAX {
        let why =
            format!("{templates} texts have templates in them; the settings of an action have at most {TEMPLATES_MAX}");
        return Err(Problem::at([], why));
    }
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { variant } => Some(variant.clone()),
                Segment::Unknown => None,
            }
        });
        Problem {
            path: path.collect(),
            message: words::of(&error.inner().to_string()).into_owned(),
        }
    })
}

/// Without recursion: how deep settings are is judged by who reads them.
fn count_templates(settings: &Value) -> usize {
    let mut left = vec![settings];
    let mut count = 0;
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => count += usize::from(is_template(text)),
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values()),
            _ => {}
        }
    }
    count
}

/// Hides what stands at the path. A `*` stands for all members of an object or list.
pub fn hide(value: &mut Value, path: &[&str]) {
    match path {
        [] if !value.is_null() => *value = Value::from(HIDDEN),
        [] => {}
        ["*", rest @ ..] => match value {
            Value::Object(members) => members.values_mut().for_each(|member| hide(member, rest)),
            Value::Array(items) => items.iter_mut().for_each(|item| hide(item, rest)),
            _ => {}
        },
        [step, rest @ ..] => {
            if let Some(member) = value.get_mut(*step) {
                hide(member, rest);
            }
        }
    }
}

/// Hides what stands at these JSON pointers.
pub fn hide_at(shown: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        if let Some(value) = shown.pointer_mut(pointer) {
            *value = Value::from(HIDDEN);
        }
    }
}

/// Hides those members of the object `member` (headers, an environment) that are secret by their names or values.
pub fn hide_sensitive(shown: &mut Value, member: &str) {
    let Some(Value::Object(pairs)) = shown.get_mut(member) else {
        return;
    };
    for (name, value) in pairs {
        if headers::is_sensitive(name, value.as_str().unwrap_or_default()) {
            *value = Value::from(HIDDEN);
        }
    }
}

/// Hides the query of the URL in this member: keys often stand there.
pub fn hide_query(shown: &mut Value, member: &str) {
    if let Some(Value::String(url)) = shown.get_mut(member)
        && let Some(at) = url.find('?')
    {
        url.truncate(at + 1);
        url.push_str(HIDDEN);
    }
}

/// A URL without what may be secret in it: scheme, host and port.
pub fn origin(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    let end = url[rest..].find(['/', '?', '#']).map_or(url.len(), |at| rest + at);
    &url[..end]
}

/// The JSON Schema of settings, all of it in one piece.
pub fn schema<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_is_hidden_wherever_it_stands_and_nothing_appears_that_was_not_there() {
        let settings = json!({
            "a": {"b": "s", "c": "open"},
            "d": [{"e": "s"}],
            "headers": {"Authorization": "s", "x-a": "open"},
            "url": "https://e.example/?key=s",
        });
        let mut shown = settings.clone();
        for path in [&["a", "b"][..], &["d", "*", "e"], &["missing", "x"]] {
            hide(&mut shown, path);
        }
        hide_sensitive(&mut shown, "headers");
        hide_query(&mut shown, "url");
        hide_at(&mut shown, &["/a/c".to_owned(), "/gone/0".to_owned()]);
        assert_eq!(
            shown,
            json!({"a": {"b": HIDDEN, "c": HIDDEN}, "d": [{"e": HIDDEN}], "headers": {"Authorization": HIDDEN, "x-a": "open"}, "url": "https://e.example/?[redacted]"})
        );
    }

    #[test]
    fn settings_of_very_many_templates_are_refused() {
        let read = |count: usize| {
            let env: serde_json::Map<_, _> = (0..count).map(|at| (format!("V{at}"), json!("{{ id }}"))).collect();
            (crate::by_name("run").unwrap().check)(&json!({"argv": ["x"], "env": env}))
        };
        assert!(read(TEMPLATES_MAX).is_ok());
        let problem = read(TEMPLATES_MAX + 1).unwrap_err();
        assert!(problem.message.contains("at most 256"), "{problem}");
    }

    #[test]
    fn the_origin_of_a_url_is_all_before_its_path() {
        for (url, shown) in [
            ("https://hooks.example.com/T0/B0/secret", "https://hooks.example.com"),
            ("https://example.com:8443?token=s", "https://example.com:8443"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
