//! What can be wrong with a configuration, in words that say where and what to write instead.

use std::{fmt, io, path::PathBuf};

/// A configuration that is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {error}", file = .0.display(), error = .1)]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is not TOML.
    #[error("{file}, line {line}: {problem}", file = .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, without what stands there: it may be a secret.
        problem: String,
    },
    /// No setting has this name.
    #[error("{origin} is no setting{hint}", hint = Hint(.nearest))]
    Unknown {
        /// The name and where it stands.
        origin: String,
        /// A setting with a similar name.
        nearest: Option<String>,
    },
    /// A value that the setting cannot have.
    #[error("{setting} from {origin}{given}: {problem}", given = Given(.value))]
    Value {
        /// The setting's name.
        setting: &'static str,
        /// Where the value comes from.
        origin: String,
        /// The value; `None` when it is a secret.
        value: Option<String>,
        /// What is wrong with it and what to write.
        problem: String,
    },
    /// Two settings, or two sources, that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

struct Hint<'a>(&'a Option<String>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => f.write_str("; `bellwire config` lists them all"),
        }
    }
}

struct Given<'a>(&'a Option<String>);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, " is `{value}`"),
            None => Ok(()),
        }
    }
}
