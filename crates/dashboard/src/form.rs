//! What a form or a query says.

/// Names and values, in order (WHATWG URL, section 5).
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`, which takes any bytes.
    pub fn read(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// A value, without space around it; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// A value as it was written.
    pub fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// A value, unless it is empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Whether a box is ticked, or a button of this name was pressed.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// What stands in a list written with commas, spaces or lines between.
    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.raw(name).split(|c: char| c == ',' || c.is_whitespace());
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_lists_taken_apart() {
        let form = Form::read(b"a=+x%26y+&list=a.b%2C+c.d%0Ae&empty=&on");
        assert_eq!((form.get("a"), form.raw("a")), ("x&y", " x&y "));
        assert_eq!(form.list("list"), ["a.b", "c.d", "e"]);
        assert_eq!((form.some("empty"), form.some("none")), (None, None));
        assert!(form.has("on") && !form.has("off"));
    }
}
