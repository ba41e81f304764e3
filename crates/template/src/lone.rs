//! A text that is nothing but one `{{ expression }}`: its value, with its type.

use minijinja::Value;

use crate::{
    MessageScope, Missing, Reason, TemplateError,
    engine::{self, Kept},
    output,
    output::Room,
    program::Program,
};

/// Such a text, compiled.
#[derive(Debug)]
pub(crate) struct Lone {
    program: Program,
    missing: Missing,
}

impl Lone {
    /// Compiles a text that was judged already.
    pub(crate) fn judged(text: &str, missing: Missing) -> Result<Self, TemplateError> {
        Ok(Self {
            program: Program::compile(text, engine::for_value(missing))?,
            missing,
        })
    }

    /// Its value as JSON text.
    ///
    /// # Errors
    /// Those of [`Template::render`](crate::Template::render).
    pub(crate) fn json(&self, scope: &MessageScope<'_>, room: &mut Room) -> Result<String, TemplateError> {
        let text = self.program.text();
        let value = self.value(scope)?;
        if value.is_undefined() && self.missing == Missing::Error {
            let name = text.trim_matches(['{', '}', '-', '+', ' ']);
            let what = format!("`{name}` is missing in the message; add `|default(…)` if that may be");
            return Err(TemplateError::whole(text, Reason::Missing, what));
        }
        let json = output::json(&value, room).map_err(|error| TemplateError::of_engine(text, &error))?;
        let json = json.to_string();
        scope.work().burn(engine::fuel_for_json(json.len()));
        Ok(json)
    }

    fn value(&self, scope: &MessageScope<'_>) -> Result<Value, TemplateError> {
        let mut captured = self.program.run(scope, std::io::sink())?;
        Ok(captured.with_state_mut(|state| std::mem::take(&mut state.get_or_insert_extension(Kept::default()).0)))
    }
}
