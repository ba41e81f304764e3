//! From a source as it is kept to what judges: a verifier, and rules whose expressions are compiled.

use std::time::Duration;

use bellwire_core::source::{Source, SourceOrder, SourceRules};
use bellwire_listen::{Settings, SettingsError, Verifier, providers};
use bellwire_template::{Expression, KeyExpression, Missing, TemplateError};

use super::items::ForEach;

/// Why a source cannot take requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It brings messages by itself.
    #[error("a source of kind `{0}` takes no requests")]
    NoRequests(String),
    /// Its settings do not verify anything.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A rule does not compile.
    #[error("`{rule}`: {error}")]
    Rule {
        /// Which rule.
        rule: &'static str,
        /// What is wrong with it.
        error: TemplateError,
    },
}

/// The verifier of a source.
pub(super) fn verifier(source: &Source) -> Result<Verifier, PrepareError> {
    if [crate::cron::KIND, crate::monitor::KIND].contains(&source.kind.as_str()) {
        return Err(PrepareError::NoRequests(source.kind.clone()));
    }
    let mut settings = Settings::new();
    for (name, values) in &source.settings {
        for value in values {
            settings.add(name, value.as_str());
        }
    }
    Ok(Verifier::new(providers::by_name(&source.kind)?, settings)?)
}

/// The rules of a source.
#[derive(Debug)]
pub(super) struct Rules {
    pub for_each: Option<ForEach>,
    pub event_type: Option<Expression>,
    pub dedupe: Option<Dedupe>,
    pub order: Option<Order>,
}

/// What repetitions are recognised by.
#[derive(Debug)]
pub(super) struct Dedupe {
    pub key: KeyExpression,
    /// It looks at the item: each item has an id of its own.
    pub of_item: bool,
}

/// What messages are put in order by.
#[derive(Debug)]
pub(super) struct Order {
    pub by: KeyExpression,
    pub place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    Sequence {
        number: Expression,
        start: Option<u64>,
        wait: Duration,
    },
    Version(KeyExpression),
    /// The version is the provider's, where it has one.
    Provider,
}

impl Rules {
    pub fn compile(rules: &SourceRules) -> Result<Self, PrepareError> {
        let expression = |rule, text: &String| {
            Expression::compile(text, Missing::Empty).map_err(|error| PrepareError::Rule { rule, error })
        };
        let for_each = rules.for_each.as_ref().map(|text| expression("forEach", text));
        let event_type = rules.event_type.as_ref().map(|text| expression("eventType", text));
        Ok(Self {
            for_each: for_each.transpose()?.map(ForEach::new),
            event_type: event_type.transpose()?,
            dedupe: rules.dedupe.as_deref().map(Dedupe::compile).transpose()?,
            order: rules.order.as_ref().map(Order::compile).transpose()?,
        })
    }
}

impl Dedupe {
    fn compile(text: &str) -> Result<Self, PrepareError> {
        Ok(Self {
            key: key("dedupe", text)?,
            of_item: mentions(text, "item"),
        })
    }
}

impl Order {
    fn compile(order: &SourceOrder) -> Result<Self, PrepareError> {
        let place = match (&order.sequence, &order.version) {
            (Some(number), _) => Place::Sequence {
                number: Expression::compile(number, Missing::Empty).map_err(|error| PrepareError::Rule {
                    rule: "order.sequence",
                    error,
                })?,
                start: order.start,
                wait: order.waits(),
            },
            (None, Some(version)) => Place::Version(key("order.version", version)?),
            (None, None) => Place::Provider,
        };
        Ok(Self {
            by: key("order.by", &order.by)?,
            place,
        })
    }
}

fn key(rule: &'static str, text: &str) -> Result<KeyExpression, PrepareError> {
    KeyExpression::compile(text).map_err(|error| PrepareError::Rule { rule, error })
}

/// Whether an expression names a variable: outside of texts, and not as a member of something.
fn mentions(expression: &str, name: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    let mut word = String::new();
    let mut before = ' ';
    for c in expression.chars().chain([' ']) {
        if let Some(end) = quote {
            if !std::mem::take(&mut escaped) {
                escaped = c == '\\';
                if c == end {
                    quote = None;
                    before = c;
                }
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if word == name && before != '.' {
            return true;
        }
        if !word.is_empty() || !c.is_whitespace() {
            before = c;
        }
        word.clear();
        if c == '"' || c == '\'' {
            quote = Some(c);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_told_from_a_member_and_from_a_text() {
        for text in [
            "item.id",
            "body.id ~ item.id",
            "item",
            "item[\"a\"]",
            "(item.a)",
            "\"x\" ~ item.y",
        ] {
            assert!(mentions(text, "item"), "{text}");
        }
        for text in [
            "body.item.id",
            "\"item\"",
            "items",
            "body . item",
            "'it\\'s item'",
            "body['item']",
        ] {
            assert!(!mentions(text, "item"), "{text}");
        }
    }
}
