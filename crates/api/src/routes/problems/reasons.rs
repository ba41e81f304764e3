//! What the reasons of failures mean and what to do about them: read from `docs/failures.md`, so that page and answer are one.

use std::{collections::HashMap, sync::LazyLock};

/// The page, as it is published.
const PAGE: &str = include_str!("../../../../../docs/failures.md");

static REASONS: LazyLock<HashMap<&'static str, Reason>> = LazyLock::new(|| read(PAGE));

/// One reason; both texts are Markdown, and empty when the name is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reason {
    /// What happened.
    pub explanation: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// The reason with this name.
pub(super) fn of(name: &str) -> Reason {
    REASONS.get(name).copied().unwrap_or_default()
}

/// A section begins with its name as a heading; what stands behind `*Do:*` is the advice.
fn read(page: &'static str) -> HashMap<&'static str, Reason> {
    let sections = page.split("\n### `").skip(1);
    let section = |text: &'static str| {
        let (name, text) = text.split_once('`')?;
        let text = text.split("\n## ").next().unwrap_or(text);
        let (explanation, advice) = text.split_once("*Do:*").unwrap_or((text, ""));
        let reason = Reason {
            explanation: explanation.trim(),
            advice: advice.trim(),
        };
        Some((name, reason))
    };
    sections.filter_map(section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_on_the_page_has_an_explanation_and_an_advice() {
        assert!(REASONS.len() > 50, "{}", REASONS.len());
        for (name, reason) in &*REASONS {
            assert!(
                !reason.explanation.is_empty() && !reason.advice.is_empty(),
                "{name}: {reason:?}"
            );
            assert!(
                !reason.advice.contains("\n## ") && !reason.advice.contains("### "),
                "{name}"
            );
        }
        assert_eq!(of("of_another_version"), Reason::default());
    }
}
