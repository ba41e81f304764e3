//! Pieces of settings with templates in them: compiled as they are read, so that settings that can be read can be used.

use std::{borrow::Cow, fmt, time::Duration};

use bellwire_core::time::span::Span;
pub use bellwire_template::is_template;
use bellwire_template::{Escape, Expression, JsonTemplate, MessageScope, Missing, Template};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::PlanError;

/// A text with templates in it. What a template asks for and the message does not have is an error.
#[derive(Debug)]
pub struct Text(Form);

#[derive(Debug)]
enum Form {
    Constant(String),
    Template(Box<Template>),
}

impl Text {
    /// Compiles a text; values are written into it as `escape` says.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn compile(text: &str, escape: Escape) -> Result<Self, String> {
        let form = if is_template(text) {
            let compiled = Template::compile(text, escape, Missing::Error);
            Form::Template(Box::new(compiled.map_err(|error| error.to_string())?))
        } else {
            Form::Constant(text.to_owned())
        };
        Ok(Self(form))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        match &self.0 {
            Form::Constant(text) => text,
            Form::Template(template) => template.text(),
        }
    }

    /// Whether it is the same for all messages.
    pub fn is_constant(&self) -> bool {
        matches!(self.0, Form::Constant(_))
    }

    /// What it says for a message. `setting` names it in errors.
    ///
    /// # Errors
    /// The message lacks something, or the text grows too long.
    pub fn render(&self, setting: &str, scope: &MessageScope<'_>) -> Result<Cow<'_, str>, PlanError> {
        match &self.0 {
            Form::Constant(text) => Ok(Cow::Borrowed(text)),
            Form::Template(template) => match template.render(scope) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(error) => Err(PlanError::new(setting, error)),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::compile(&text, Escape::None).map_err(D::Error::custom)
    }
}

/// A text whose values are percent-encoded: a part of a URL.
#[derive(Debug)]
pub struct UrlText(pub Text);

impl<'de> Deserialize<'de> for UrlText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Text::compile(&text, Escape::Url).map(Self).map_err(D::Error::custom)
    }
}

/// A text for HTML: values are escaped.
#[derive(Debug)]
pub struct HtmlText(pub Text);

impl<'de> Deserialize<'de> for HtmlText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Text::compile(&text, Escape::Html).map(Self).map_err(D::Error::custom)
    }
}

/// A JSON value whose strings are templates; one that is exactly one `{{ expression }}` becomes its value, with its type.
#[derive(Debug)]
pub struct JsonText(JsonTemplate);

impl JsonText {
    /// The value for a message. `setting` names it in errors.
    ///
    /// # Errors
    /// The message lacks something, or the value grows too large.
    pub fn render(&self, setting: &str, scope: &MessageScope<'_>) -> Result<Value, PlanError> {
        self.0.render(scope).map_err(|error| PlanError::new(setting, error))
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        JsonTemplate::compile(&value, Missing::Error)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// An expression: a value made of a message.
#[derive(Debug)]
pub struct Formula(pub Expression);

impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Expression::compile(&text, Missing::Error)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// A text that must not be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for what needs it. Never for a log, an error or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::settings::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A length of time: `30s`, `5m`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Span::deserialize(deserializer).map(|span| Self(span.0))
    }
}

/// The schema of each: inline, with what it is in its description.
macro_rules! schema {
    ($($name:ident: $schema:tt,)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schema! {
    Text: { "type": "string", "format": "template" },
    UrlText: { "type": "string", "format": "template" },
    HtmlText: { "type": "string", "format": "template" },
    JsonText: { "description": "JSON whose strings are templates." },
    Formula: { "type": "string", "format": "expression" },
    Secret: { "type": "string", "format": "password" },
    Time: { "type": ["string", "number"], "examples": ["500ms", "30s", "5m"] },
}
