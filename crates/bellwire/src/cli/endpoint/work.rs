//! The options that say which messages come to an endpoint, in which shape, and what is done with them.

use std::time::Duration;

use bellwire_core::time::format_span;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::cli::{exit::Failure, input, when};

/// Filter, shape and action of an endpoint.
#[derive(Args, Default)]
#[command(next_help_heading = "Filter, shape and action")]
pub struct Work {
    /// Only messages for which this expression holds; '' for all
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// A template of JSON whose output is sent in the place of the payload: the text, @file, or - for standard input; ''
    /// for none
    #[arg(long, value_name = "TEMPLATE")]
    transformation: Option<String>,
    /// What the payload is written as
    #[arg(long)]
    format: Option<Format>,
    /// At most one message of a kind in this span; 0s for all
    #[arg(long, value_name = "SPAN", value_parser = when::span)]
    throttle: Option<Duration>,
    /// A template that says what is of a kind; without it all messages are
    #[arg(long, value_name = "TEMPLATE", requires = "throttle")]
    throttle_key: Option<String>,
    /// What is done with a message, such as http, forward, chat, email or sql
    #[arg(long)]
    kind: Option<String>,
    /// The settings of that kind as a JSON object: the text, @file, or - for standard input; '' for none
    #[arg(long, value_name = "JSON")]
    action: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The bytes as they came.
    Json,
    /// An XML document.
    Xml,
    /// application/x-www-form-urlencoded.
    Form,
    /// A CloudEvent whose attributes are headers.
    CloudeventsBinary,
    /// A CloudEvent as one JSON document.
    CloudeventsStructured,
}

impl Work {
    /// Puts the fields that were named into a body.
    ///
    /// # Errors
    /// When a file cannot be read, or the action is not a JSON object.
    pub fn put(&self, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let or_null = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let transformation = match self.transformation.as_deref() {
            Some(given) => Some(or_null(input::text(given)?)),
            None => None,
        };
        let action = match self.action.as_deref() {
            Some("") => Some(Value::Null),
            Some(given) => Some(Value::Object(input::object(Some(given))?)),
            None => None,
        };
        let format = self
            .format
            .and_then(|format| Some(format.to_possible_value()?.get_name().into()));
        for (member, value) in [
            ("filter", self.filter.clone().map(or_null)),
            ("transformation", transformation),
            ("format", format),
            ("throttle", self.throttle.map(|every| self.throttling(every))),
            ("kind", self.kind.clone().map(Value::from)),
            ("action", action),
        ] {
            if let Some(value) = value {
                body.insert(member.to_owned(), value);
            }
        }
        Ok(())
    }

    fn throttling(&self, every: Duration) -> Value {
        if every.is_zero() {
            return Value::Null;
        }
        let mut throttle = json!({ "every": format_span(every) });
        if let Some(key) = &self.throttle_key {
            throttle["key"] = key.as_str().into();
        }
        throttle
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;

    #[test]
    fn filter_shape_and_action_become_the_fields_of_the_api() {
        let line = [
            "create",
            "--app",
            "a",
            "--filter",
            "amount > 100",
            "--transformation",
            "{\"id\": \"{{ id }}\"}",
            "--throttle",
            "15m",
            "--throttle-key",
            "{{ host }}",
            "--kind",
            "chat",
            "--action",
            "{\"text\": \"up\"}",
        ];
        let (_, seen) = run(&line, vec![(201, "{}")]);
        let expected = r#"{"action":{"text":"up"},"filter":"amount > 100","kind":"chat","throttle":{"every":"15m","key":"{{ host }}"},"transformation":"{\"id\": \"{{ id }}\"}"}"#;
        assert_eq!(seen[0].body, expected);
    }

    #[test]
    fn what_was_set_can_be_taken_back() {
        let line = [
            "update",
            "ep_1",
            "--app",
            "a",
            "--filter",
            "",
            "--transformation",
            "",
            "--format",
            "cloudevents-binary",
            "--throttle",
            "0s",
            "--action",
            "",
        ];
        let (_, seen) = run(&line, vec![(200, "{}")]);
        let expected =
            r#"{"action":null,"filter":null,"format":"cloudevents-binary","throttle":null,"transformation":null}"#;
        assert_eq!(seen[0].body, expected);
    }
}
