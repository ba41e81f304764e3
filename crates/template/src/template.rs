//! Templates: text with `{{ expressions }}`, `{% if %}` and `{% for %}` in it.

use std::{fmt, io};

use crate::{
    Escape, MessageScope, Missing, OUTPUT_BYTES_MAX, Reason, TEMPLATE_BYTES_MAX, TemplateError, engine,
    language::{self, Shape},
    program::Program,
};

/// A compiled template. Compile once, render for each message.
pub struct Template(Program);

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// `Syntax` and `Refused`; and nothing that only a message can show.
    pub fn compile(text: &str, escape: Escape, missing: Missing) -> Result<Self, TemplateError> {
        judge(text)?;
        Self::judged(text, escape, missing)
    }

    /// Compiles a text that was judged already.
    pub(crate) fn judged(text: &str, escape: Escape, missing: Missing) -> Result<Self, TemplateError> {
        Program::compile(text, engine::for_template(missing, escape)).map(Self)
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// Its text for this message, at most [`OUTPUT_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// `Missing` with [`Missing::Error`]; `Exhausted`, also when the templates that were rendered with the same scope did
    /// together more than they may; `TooLong`, `Value`. Nothing is half done then.
    pub fn render(&self, scope: &MessageScope<'_>) -> Result<String, TemplateError> {
        let mut page = Page::default();
        let ran = self.0.run(scope, &mut page).map(drop);
        if page.is_full {
            let what = format!("writes more than {OUTPUT_BYTES_MAX} bytes: take less of the message");
            return Err(TemplateError::whole(self.text(), Reason::TooLong, what));
        }
        ran?;
        String::from_utf8(page.text)
            .map_err(|_| TemplateError::whole(self.text(), Reason::Value, "the output is not UTF-8"))
    }
}

/// Whether a text may be compiled, and what it is.
pub(crate) fn judge(text: &str) -> Result<Shape, TemplateError> {
    if text.len() > TEMPLATE_BYTES_MAX {
        let what = format!(
            "a template has at most {TEMPLATE_BYTES_MAX} bytes, and this one has {}",
            text.len()
        );
        return Err(TemplateError::whole(text, Reason::Refused, what));
    }
    language::template(text)
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text()).finish()
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
