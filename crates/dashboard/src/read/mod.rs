//! What the API answers, as far as pages show it. One file per resource; members that pages do not show are left out.

pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod endpoint;
pub(crate) mod explanation;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod node;
pub(crate) mod problem;
pub(crate) mod search;
pub(crate) mod series;
pub(crate) mod source;
pub(crate) mod state;

use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    pub data: Vec<T>,
    pub iterator: Option<String>,
    #[serde(default)]
    pub done: bool,
}

impl<T> List<T> {
    /// Where the next page begins, if there is one.
    pub fn next(&self) -> Option<&str> {
        self.iterator.as_deref().filter(|_| !self.done)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            iterator: None,
            done: true,
        }
    }
}
