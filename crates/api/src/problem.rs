//! What exactly is wrong with a request: the items of a 422.

use serde::Serialize;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ValidationErrorItem")]
pub struct Problem {
    /// Where: `body` or `query`, then member names and list positions.
    pub loc: Vec<String>,
    /// What is wrong and what would be right.
    pub msg: String,
    /// Which kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Problem {
    /// A problem with a value in the body.
    pub fn body<'a>(path: impl IntoIterator<Item = &'a str>, msg: impl Into<String>) -> Self {
        Self::at("body", path, "value_error", msg)
    }

    /// A problem with a query parameter.
    pub fn query(name: &str, msg: impl Into<String>) -> Self {
        Self::at("query", [name], "value_error", msg)
    }

    /// A problem with a header.
    pub fn header(name: &str, msg: impl Into<String>) -> Self {
        Self::at("header", [name], "value_error", msg)
    }

    /// A problem anywhere.
    pub fn at<'a>(root: &'a str, path: impl IntoIterator<Item = &'a str>, kind: &str, msg: impl Into<String>) -> Self {
        let loc = std::iter::once(root).chain(path).map(str::to_owned).collect();
        Self {
            loc,
            msg: msg.into(),
            kind: kind.to_owned(),
        }
    }
}
