//! What is wrong with settings, and why no plan could be made.

/// Settings that are not usable, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at(path))]
pub struct Problem {
    /// Where in the settings, outermost first; empty for all of them.
    pub path: Vec<String>,
    /// What is wrong, and what to do. Never repeats a secret.
    pub message: String,
}

fn at(path: &[String]) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("`{}`: ", path.join("."))
    }
}

impl Problem {
    /// A problem of one setting.
    pub fn at<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&step| step.to_owned()).collect(),
            message: message.into(),
        }
    }
}

/// Why a message makes no plan: a template did not render, or rendered something that cannot be used. The delivery fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`: {message}")]
pub struct PlanError {
    /// Which setting.
    pub setting: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl PlanError {
    /// An error of one setting.
    pub fn new(setting: impl Into<String>, message: impl ToString) -> Self {
        Self {
            setting: setting.into(),
            message: message.to_string(),
        }
    }
}
