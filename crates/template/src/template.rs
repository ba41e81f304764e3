//! Templates: text with `{{ expressions }}`, `{% if %}` and `{% for %}` in it.

use std::{fmt, io, sync::Arc};

use minijinja::Environment;

use crate::{
    Escape, MessageScope, Missing, OUTPUT_BYTES_MAX, Reason, TEMPLATE_BYTES_MAX, TemplateError, engine,
    expression::exhausted,
    language::{self, Shape},
};

/// A compiled template. Compile once, render for each message.
pub struct Template {
    text: Arc<str>,
    shape: Shape,
    environment: Environment<'static>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// `Syntax` and `Refused`; and nothing that only a message can show.
    pub fn compile(text: &str, escape: Escape, missing: Missing) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let what = format!(
                "a template has at most {TEMPLATE_BYTES_MAX} bytes, and this one has {}",
                text.len()
            );
            return Err(TemplateError::whole(text, Reason::Refused, what));
        }
        let shape = language::template(text)?;
        let mut environment = engine::for_template(missing, escape);
        environment
            .add_template_owned(engine::NAME, text.to_owned())
            .map_err(|error| TemplateError::of_engine(text, &error))?;
        Ok(Self {
            text: text.into(),
            shape,
            environment,
        })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text for this message, at most [`OUTPUT_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// `Missing` with [`Missing::Error`]; `Exhausted`, `TooLong`, `Value`. Nothing is half done then.
    pub fn render(&self, scope: &MessageScope<'_>) -> Result<String, TemplateError> {
        let mut page = Page::default();
        let rendered = self
            .environment
            .get_template(engine::NAME)
            .and_then(|template| template.render_captured_to(scope.context(), &mut page).map(drop));
        if page.is_full {
            let what = format!("writes more than {OUTPUT_BYTES_MAX} bytes: take less of the message");
            return Err(TemplateError::whole(&self.text, Reason::TooLong, what));
        }
        rendered.map_err(|error| TemplateError::of_engine(&self.text, &error))?;
        if scope.is_exhausted() {
            return Err(exhausted(&self.text));
        }
        String::from_utf8(page.text)
            .map_err(|_| TemplateError::whole(&self.text, Reason::Value, "the output is not UTF-8"))
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

/// Where the output goes: it takes no more than it may.
#[derive(Debug, Default)]
struct Page {
    text: Vec<u8>,
    is_full: bool,
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > OUTPUT_BYTES_MAX {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
