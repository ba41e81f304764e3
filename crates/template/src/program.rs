//! What a template is compiled to, and the one place where it is run.

use std::{fmt, io, sync::Arc};

use minijinja::{Captured, Environment};

use crate::{MessageScope, TemplateError, engine, expression::exhausted};

/// A text that the language allows, compiled.
pub(crate) struct Program {
    text: Arc<str>,
    environment: Environment<'static>,
}

impl Program {
    /// Compiles a text that was judged, in an environment of its own.
    pub(crate) fn compile(text: &str, mut environment: Environment<'static>) -> Result<Self, TemplateError> {
        environment
            .add_template_owned(engine::NAME, text.to_owned())
            .map_err(|error| TemplateError::of_engine(text, &error))?;
        Ok(Self {
            text: text.into(),
            environment,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Runs it for a message. What it does counts with what other programs did for the same message; what fails does not, as
    /// it ends what it was a part of.
    pub(crate) fn run(&self, scope: &MessageScope<'_>, out: impl io::Write) -> Result<Captured<'_>, TemplateError> {
        let work = scope.work();
        if work.is_burnt() {
            return Err(exhausted(&self.text));
        }
        let before = work.bytes_left();
        let ran = self
            .environment
            .get_template(engine::NAME)
            .and_then(|template| template.render_captured_to(scope.shared_context(), out));
        let captured = ran.map_err(|error| TemplateError::of_engine(&self.text, &error));
        let captured = captured.and_then(|captured| match work.is_exhausted() {
            true => Err(exhausted(&self.text)),
            false => Ok(captured),
        });
        match &captured {
            Ok(captured) => work.burn(captured.state().fuel_levels().map_or(0, |(burnt, _)| burnt)),
            Err(_) => work.restore(before),
        }
        captured
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
