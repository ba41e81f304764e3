//! What was done with a request, in words, for those who ask.

/// Collects lines, or lets them be: then none is written.
#[derive(Debug)]
pub(super) struct Steps(Option<Vec<String>>);

impl Steps {
    pub fn watched() -> Self {
        Self(Some(Vec::new()))
    }

    pub fn unwatched() -> Self {
        Self(None)
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(line());
        }
    }

    pub fn into_lines(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}
