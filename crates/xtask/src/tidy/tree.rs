//! The files that the rules look at, loaded once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::repo::{Repo, glob};
use crate::rust_source::RustSource;

/// Files by their path from the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    texts: BTreeMap<String, String>,
    rust: BTreeMap<String, RustSource>,
    /// Files of every sort, and their folders.
    paths: BTreeSet<String>,
}

impl Tree {
    /// Everything that belongs to the repository.
    pub(crate) fn load(repo: &Repo) -> Result<Self> {
        let mut tree = Self::default();
        for path in repo.files()? {
            let text = repo.text(&path)?;
            tree.add(&path, text);
        }
        Ok(tree)
    }

    /// A tree made up by a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, Some((*text).to_owned()));
        }
        tree
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        for (at, _) in path.match_indices('/') {
            self.paths.insert(path[..at].to_owned());
        }
        self.paths.insert(path.to_owned());
        if let Some(text) = text {
            if path.ends_with(".rs") {
                self.rust.insert(path.to_owned(), RustSource::parse(&text));
            }
            self.texts.insert(path.to_owned(), text);
        }
    }

    /// Whether a file or folder of that name belongs to the repository.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The text files whose path matches, with their text.
    pub(crate) fn matching<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| glob(pattern, path))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files, taken apart.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &RustSource)> {
        self.rust.iter().map(|(path, source)| (path.as_str(), source))
    }
}
