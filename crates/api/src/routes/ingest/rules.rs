//! `rules`: what is done with a trusted request before it becomes messages. Expressions are compiled when they are saved.

use std::time::Duration;

use bellwire_core::{
    source::{SourceOrder, SourceRules},
    time::span::Span,
};
use bellwire_template::{Expression, KeyExpression, Missing, TemplateError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    error::ApiError,
    field::{Patch, SpanText},
    problem::Problem,
};

/// What is done with a trusted request before it becomes messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SourceRules")]
pub struct RulesIn {
    /// An expression whose value is a list: each item becomes a message of its own.
    for_each: Option<String>,
    /// An expression for the event type; the provider's own when left out.
    event_type: Option<String>,
    /// An expression for the id by which repetitions are recognised; the provider's own when left out.
    dedupe: Option<String>,
    /// In which order messages are accepted; as they come when left out.
    order: Option<OrderIn>,
}

/// How what comes in is put in order: by a number without gaps, or by a version or time of which only the newest counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SourceOrder")]
struct OrderIn {
    /// An expression for what the message is about: messages of different keys do not wait for each other.
    by: String,
    /// An expression for the message's number; numbers of one key follow each other without gaps.
    sequence: Option<String>,
    /// The first number of each key; without it the least that comes within the wait is the first.
    start: Option<u64>,
    /// How long a message waits for those before it, at most 1h; 5s when left out.
    wait: Option<SpanText>,
    /// An expression for a version or time: nothing is done with a message that is older than the newest of its key.
    version: Option<String>,
}

impl RulesIn {
    /// The rules it asks for.
    ///
    /// # Errors
    /// `validation_failed`, with the expression that cannot be used and the place in it.
    pub fn check(self) -> Result<SourceRules, ApiError> {
        let for_each = self.for_each.map(|text| list(&["forEach"], text)).transpose()?;
        Ok(SourceRules {
            for_each,
            event_type: self.event_type.map(|text| value(&["eventType"], text)).transpose()?,
            dedupe: self.dedupe.map(|text| value(&["dedupe"], text)).transpose()?,
            order: self.order.map(OrderIn::check).transpose()?,
        })
    }

    /// Puts a change of rules into a source's.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn apply(change: Patch<Self>, rules: &mut SourceRules) -> Result<(), ApiError> {
        match change {
            Patch::Keep => {}
            Patch::Clear => *rules = SourceRules::default(),
            Patch::Set(wanted) => *rules = wanted.check()?,
        }
        Ok(())
    }
}

impl OrderIn {
    fn check(self) -> Result<SourceOrder, ApiError> {
        let refuse = |name, msg: &str| Err(problem(&["order", name], msg));
        if self.sequence.is_some() && self.version.is_some() {
            return refuse("version", "give `sequence` or `version`, not both");
        }
        if self.sequence.is_none() {
            if self.start.is_some() {
                return refuse("start", "is for `sequence`, which is not given");
            }
            if self.wait.is_some() {
                return refuse("wait", "is for `sequence`, which is not given");
            }
        }
        let wait = self.wait.map(|SpanText(wait)| wait);
        if wait.is_some_and(|wait| wait < Duration::from_millis(1) || wait > SourceOrder::WAIT_MAX) {
            return refuse("wait", "is out of bounds; give 1ms to 1h");
        }
        Ok(SourceOrder {
            by: value(&["order", "by"], self.by)?,
            sequence: self
                .sequence
                .map(|text| value(&["order", "sequence"], text))
                .transpose()?,
            start: self.start,
            wait: wait.map(Span),
            version: self
                .version
                .map(|text| value(&["order", "version"], text))
                .transpose()?,
        })
    }
}

fn problem(path: &[&str], msg: impl Into<String>) -> ApiError {
    ApiError::invalid(Problem::body(std::iter::once("rules").chain(path.iter().copied()), msg))
}

/// An expression for a list.
fn list(path: &[&str], text: String) -> Result<String, ApiError> {
    compiled(path, Expression::compile(&text, Missing::Empty).map(drop), text)
}

/// An expression for a text or number.
fn value(path: &[&str], text: String) -> Result<String, ApiError> {
    compiled(path, KeyExpression::compile(&text).map(drop), text)
}

fn compiled(path: &[&str], done: Result<(), TemplateError>, text: String) -> Result<String, ApiError> {
    done.map(|()| text).map_err(|error| problem(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn read(rules: Value) -> Result<SourceRules, String> {
        let rules: RulesIn = from_value(rules).map_err(|error| error.to_string())?;
        rules.check().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn rules_are_kept_as_they_are_written() {
        let written = json!({
            "forEach": "body.alerts", "eventType": "item.status", "dedupe": "item.id",
            "order": { "by": "item.id", "sequence": "item.seq", "start": 1, "wait": "2s" },
        });
        let rules = read(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(rules).unwrap(), written);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (rules, place, words) in [
            (
                json!({ "forEach": "body.|" }),
                r#""rules", "forEach""#,
                "line 1, column",
            ),
            (
                json!({ "order": { "by": "a b" } }),
                r#""rules", "order", "by""#,
                "line 1, column",
            ),
            (
                json!({ "order": { "by": "a", "sequence": "b", "version": "c" } }),
                r#""rules", "order", "version""#,
                "not both",
            ),
            (
                json!({ "order": { "by": "a", "wait": "2s" } }),
                r#""rules", "order", "wait""#,
                "sequence",
            ),
            (
                json!({ "order": { "by": "a", "sequence": "b", "wait": "2h" } }),
                r#""rules", "order", "wait""#,
                "1ms to 1h",
            ),
        ] {
            let error = read(rules).unwrap_err();
            assert!(error.contains(place) && error.contains(words), "{error}");
        }
        assert!(read(json!({ "foreach": "a" })).unwrap_err().contains("unknown field"));
    }
}
