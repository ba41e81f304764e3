//! What is wrong with a hooks file, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Mark {
    /// The beginning of the file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The end of a text, whose lines end as those of YAML do (1.2, section 5.4).
    pub(crate) fn end_of(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let mut lines = text.split(['\n', '\r']);
        let last = lines.next_back().unwrap_or_default();
        Self {
            line: lines.count() + 1,
            column: last.chars().count() + 1,
        }
    }
}

/// One thing that is wrong. Its texts never hold what a reference such as `${NAME}` was replaced by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Where in the file.
    #[serde(flatten)]
    pub at: Mark,
    /// What it is about, such as `hooks.signup.do[0].email.to`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it; empty where that is said already.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl fmt::Display for Finding {
    /// Begins with line and column, so that the file's name and a colon before it make what editors jump to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.at.line, self.at.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// The way to a value of the file: `hooks.signup.do[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    /// A member of what lies here.
    pub fn member(&self, name: &str) -> Self {
        match self.0.is_empty() {
            true => Self(name.to_owned()),
            false => Self(format!("{}.{name}", self.0)),
        }
    }

    /// An item of the list that lies here.
    pub fn item(&self, at: usize) -> Self {
        Self(format!("{}[{at}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
