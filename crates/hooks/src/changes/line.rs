//! A plan in words: `+ source github (POST /in/github)`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is made.
    Added,
    /// It changes.
    Changed,
    /// It is removed.
    Removed,
}

/// One change, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What becomes of it.
    pub what: What,
    /// Which thing, and what about it. Nothing secret.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.what {
            What::Added => '+',
            What::Changed => '~',
            What::Removed => '-',
        };
        write!(f, "{sign} {}", self.text)
    }
}
