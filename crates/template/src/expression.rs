//! Expressions: `data.amount > 100 and type == "invoice.paid"`.

use std::{fmt, sync::Arc};

use minijinja::Value;
use serde_json::Value as JsonValue;

use crate::{
    EXPRESSION_BYTES_MAX, MessageScope, Missing, Reason, TemplateError, engine, language,
    output::{self, Room},
    path::Path,
};

/// A compiled expression. Compile once, evaluate for each message.
pub struct Expression {
    text: Arc<str>,
    missing: Missing,
    compiled: minijinja::Expression<'static, 'static>,
    path: Option<Path>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `Syntax` and `Refused`; and nothing that only a message can show.
    pub fn compile(text: &str, missing: Missing) -> Result<Self, TemplateError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let what = format!(
                "an expression has at most {EXPRESSION_BYTES_MAX} bytes, and this one has {}",
                text.len()
            );
            return Err(TemplateError::whole(text, Reason::Refused, what));
        }
        let path = language::expression(text)?;
        let compiled = engine::for_expressions(missing)
            .compile_expression_owned(text.to_owned())
            .map_err(|error| TemplateError::of_engine(text, &error))?;
        Ok(Self {
            text: text.into(),
            missing,
            compiled,
            path,
        })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value. A missing member is null with [`Missing::Empty`].
    ///
    /// # Errors
    /// `Missing` with [`Missing::Error`]; `Exhausted`, `TooLong`, `Value`.
    pub fn evaluate(&self, scope: &MessageScope<'_>) -> Result<JsonValue, TemplateError> {
        let value = self.value(scope)?;
        self.to_json(&value, &mut Room::default())
    }

    /// Whether it is true: not false, null, missing, 0 or empty.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn holds(&self, scope: &MessageScope<'_>) -> Result<bool, TemplateError> {
        Ok(self.value(scope)?.is_true())
    }

    pub(crate) fn to_json(&self, value: &Value, room: &mut Room) -> Result<JsonValue, TemplateError> {
        output::json(value, room).map_err(|error| TemplateError::of_engine(&self.text, &error))
    }

    pub(crate) fn value(&self, scope: &MessageScope<'_>) -> Result<Value, TemplateError> {
        let value = self
            .compiled
            .eval(scope.context())
            .map_err(|error| TemplateError::of_engine(&self.text, &error))?;
        if scope.is_exhausted() {
            return Err(exhausted(&self.text));
        }
        if value.is_undefined() && self.missing == Missing::Error {
            let what = format!(
                "`{}` is missing in the message; add `|default(…)` if that may be",
                self.text.trim()
            );
            return Err(TemplateError::whole(&self.text, Reason::Missing, what));
        }
        Ok(value)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }
}

pub(crate) fn exhausted(text: &str) -> TemplateError {
    let what = "too much work: compares or writes large parts of the message too often";
    TemplateError::whole(text, Reason::Exhausted, what)
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}
