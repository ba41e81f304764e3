//! What a search found.

use serde::Deserialize;

use super::{attempt::Attempt, message::Message};

/// A page of finds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    #[serde(default)]
    pub understood: Vec<Understood>,
    pub hits: Vec<Hit>,
    pub looked: Option<Looked>,
    pub iterator: Option<String>,
    #[serde(default)]
    pub done: bool,
}

/// What the words were taken for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Understood {
    pub words: String,
}

/// How far it looked.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Looked {
    pub words: String,
}

/// One find. Which members are there follows from the kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hit {
    pub kind: String,
    pub app_id: Option<String>,
    pub message: Option<Message>,
    pub attempt: Option<Attempt>,
    pub endpoint_id: Option<String>,
    pub source_id: Option<String>,
    pub task_id: Option<String>,
    pub url: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    #[serde(default, rename = "where")]
    pub places: Vec<Place>,
}

/// Where in it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Place {
    #[serde(rename = "in")]
    pub part: String,
    #[serde(default)]
    pub excerpt: String,
    #[serde(default)]
    pub from: usize,
    #[serde(default)]
    pub to: usize,
}

impl Place {
    pub fn part(&self) -> String {
        self.part.replace('_', " ")
    }

    /// The excerpt before, in and after the find.
    pub fn pieces(&self) -> (&str, &str, &str) {
        let text = self.excerpt.as_str();
        let find = text
            .get(..self.from)
            .zip(text.get(self.from..self.to))
            .zip(text.get(self.to..));
        match find {
            Some(((before, find), after)) => (before, find, after),
            None => (text, "", ""),
        }
    }

    pub fn before(&self) -> &str {
        self.pieces().0
    }

    pub fn find(&self) -> &str {
        self.pieces().1
    }

    pub fn after(&self) -> &str {
        self.pieces().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_find_outside_its_excerpt_marks_nothing() {
        let place = |from, to| Place {
            part: "payload".to_owned(),
            excerpt: "né A-17".to_owned(),
            from,
            to,
        };
        assert_eq!(place(4, 8).pieces(), ("né ", "A-17", ""));
        assert_eq!(place(2, 3).pieces(), ("né A-17", "", ""));
        assert_eq!(place(9, 4).pieces(), ("né A-17", "", ""));
    }
}
