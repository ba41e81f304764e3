//! `for_each`: one request, several messages.
//!
//! Where the list lies at a plain path of the body (`body.alerts`), its items are pieces of the body as it was written, and
//! what lies around the list is kept as each item's rest. Any other expression is evaluated, and its items are written anew.

use std::collections::BTreeMap;

use bellwire_template::{Expression, MessageScope};
use bytes::Bytes;
use serde_json::{Value, value::RawValue};

/// A compiled `for_each`.
#[derive(Debug)]
pub(super) struct ForEach {
    expression: Expression,
    /// The members to walk through, where that is all the expression does; empty for the whole body.
    path: Option<Vec<String>>,
}

/// The items of a list.
#[derive(Debug)]
pub(super) struct Split {
    pub items: Vec<Bytes>,
    /// The body without the list.
    pub rest: Option<String>,
}

/// What became of a body that should hold a list.
#[derive(Debug)]
pub(super) enum Found {
    List(Split),
    /// There is none, and why.
    NoList(String),
    /// The rule cannot be applied to it, and why.
    Failed(String),
}

impl ForEach {
    pub fn new(expression: Expression) -> Self {
        Self {
            path: plain(expression.text()),
            expression,
        }
    }

    pub fn text(&self) -> &str {
        self.expression.text()
    }

    /// Whether it does nothing but take the list at that pointer (RFC 6901).
    pub fn takes(&self, pointer: &str) -> bool {
        let steps = pointer.split('/').skip(1);
        self.path.as_ref().is_some_and(|path| path.iter().eq(steps))
    }

    /// The items, or why there are none.
    pub fn split(&self, json: &Bytes, scope: &MessageScope<'_>) -> Found {
        let no_list = |found: &str| {
            Found::NoList(format!(
                "for_each {}: {found}, no list; no message comes of it",
                self.text()
            ))
        };
        if let Some(path) = &self.path {
            return match lift(json, path) {
                Some(Ok(split)) => Found::List(split),
                Some(Err(other)) => no_list(kind(other)),
                None => no_list("nothing is there"),
            };
        }
        match self.expression.evaluate(scope) {
            Ok(Value::Array(items)) => Found::List(Split {
                items: items.iter().map(|item| item.to_string().into()).collect(),
                rest: std::str::from_utf8(json).ok().map(str::to_owned),
            }),
            Ok(Value::Null) => no_list("nothing is there"),
            Ok(other) => no_list(kind(&other.to_string())),
            Err(error) => Found::Failed(format!("`for_each` cannot be applied to it: {error}")),
        }
    }
}

/// The members of `body.a.b` or `a.b`; nothing for what is more than that, or names something that is not in the body.
fn plain(text: &str) -> Option<Vec<String>> {
    let mut steps: Vec<&str> = text.trim().split('.').collect();
    let is_name = |step: &&str| {
        !step.is_empty()
            && !step.starts_with(|c: char| c.is_ascii_digit())
            && step.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !steps.iter().all(is_name) {
        return None;
    }
    match steps[0] {
        "body" => drop(steps.remove(0)),
        "type" | "channels" | "message_id" | "headers" | "item" | "true" | "false" | "none" | "True" | "False"
        | "None" => {
            return None;
        }
        _ => {}
    }
    Some(steps.into_iter().map(str::to_owned).collect())
}

/// The list at that path and what is left without it; the text of what lies there when it is no list.
fn lift<'a>(json: &'a Bytes, path: &[String]) -> Option<Result<Split, &'a str>> {
    let whole: &RawValue = serde_json::from_slice(json).ok()?;
    let (list, rest) = without(whole, path)?;
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        return Some(Err(list.get()));
    };
    let items = items.into_iter().map(|item| json.slice_ref(item.get().as_bytes()));
    Some(Ok(Split {
        items: items.collect(),
        rest,
    }))
}

/// What lies at the path, and the text of the value without it; nothing is left of a value that is it.
fn without<'a>(value: &'a RawValue, path: &[String]) -> Option<(&'a RawValue, Option<String>)> {
    let Some((step, path)) = path.split_first() else {
        return Some((value, None));
    };
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
    let (found, rest) = without(members.remove(step)?, path)?;
    let mut text = "{".to_owned();
    let rest = rest.as_deref().map(|rest| (step.as_str(), rest));
    let others = members.iter().map(|(name, value)| (name.as_str(), value.get()));
    for (name, value) in others.chain(rest) {
        if text.len() > 1 {
            text.push(',');
        }
        text += &Value::from(name).to_string();
        text.push(':');
        text += value;
    }
    text.push('}');
    Some((found, Some(text)))
}

fn kind(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "it is an object",
        Some(b'"') => "it is a text",
        Some(b'n') => "it is null",
        Some(b't' | b'f') => "it is a truth value",
        _ => "it is a number",
    }
}

#[cfg(test)]
mod tests {
    use bellwire_template::Missing;

    use super::*;

    fn split(text: &str, json: &'static str) -> Result<(Vec<String>, Option<String>), String> {
        let for_each = ForEach::new(Expression::compile(text, Missing::Empty).unwrap());
        let json = Bytes::from_static(json.as_bytes());
        let scope = MessageScope::new("t", &[], &json);
        let split = match for_each.split(&json, &scope) {
            Found::List(split) => split,
            Found::NoList(why) | Found::Failed(why) => return Err(why),
        };
        let items = split
            .items
            .iter()
            .map(|item| String::from_utf8_lossy(item).into_owned());
        Ok((items.collect(), split.rest))
    }

    #[test]
    fn items_are_as_they_were_written_and_the_rest_has_everything_else() {
        let (items, rest) = split(
            "body.a.list",
            r#"{"n": 1.50, "a": {"list": [ {"x": 1.0} , 2 ], "b": "ü"}}"#,
        )
        .unwrap();
        assert_eq!(items, [r#"{"x": 1.0}"#, "2"]);
        assert_eq!(rest.as_deref(), Some(r#"{"n":1.50,"a":{"b":"ü"}}"#));
        assert_eq!(split("body", "[1, [2]]"), Ok((vec!["1".into(), "[2]".into()], None)));
        assert_eq!(split("list", r#"{"list": []}"#), Ok((vec![], Some("{}".into()))));
    }

    #[test]
    fn any_expression_may_make_the_list() {
        let (items, rest) = split("body.list|select(\"gt\", 1)|list", r#"{"list": [1, 2, 3]}"#).unwrap();
        assert_eq!(items, ["2", "3"]);
        assert_eq!(rest.as_deref(), Some(r#"{"list": [1, 2, 3]}"#));
    }

    #[test]
    fn what_is_no_list_is_said() {
        for (json, words) in [
            ("{}", "nothing is there"),
            (r#"{"list":{}}"#, "an object"),
            (r#"{"list":null}"#, "null"),
        ] {
            let said = split("body.list", json).unwrap_err();
            assert!(said.contains(words) && said.contains("body.list"), "{said}");
        }
    }

    #[test]
    fn only_what_walks_through_members_is_plain() {
        assert_eq!(plain(" body.a.b "), Some(vec!["a".into(), "b".into()]));
        assert_eq!(plain("body"), Some(vec![]));
        for other in ["headers", "a[0]", "a|list", "item.x", "[1]", "a..b", "1"] {
            assert_eq!(plain(other), None, "{other}");
        }
    }
}
