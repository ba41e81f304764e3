//! Failures by endpoint and reason.

use bellwire_core::time::Timestamp;
use serde::Deserialize;

use super::{
    attempt::Attempt,
    state::{State, of_endpoint},
};

/// All of them, over a span.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Problems {
    pub since: Timestamp,
    #[serde(default)]
    pub exact: bool,
    pub data: Vec<Problem>,
}

/// What fails at one endpoint for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    pub app_id: String,
    pub app_name: Option<String>,
    pub endpoint_id: String,
    pub endpoint_uid: Option<String>,
    pub url: String,
    pub reason: String,
    #[serde(default)]
    pub explanation: String,
    #[serde(default)]
    pub advice: String,
    pub attempts: u64,
    #[serde(default)]
    pub given_up: u64,
    #[serde(default)]
    pub exact: bool,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub failing_since: Option<Timestamp>,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default)]
    pub paused: bool,
    pub example: Option<Attempt>,
}

impl Problem {
    pub fn state(&self) -> State {
        of_endpoint(self.disabled, self.paused, self.failing_since.is_some())
    }

    pub fn label(&self) -> &str {
        self.endpoint_uid
            .as_deref()
            .filter(|uid| !uid.is_empty())
            .unwrap_or(&self.url)
    }

    /// The explanation in plain words: what is Markdown in it stays readable without its marks.
    pub fn words(&self) -> String {
        plain(&self.explanation)
    }

    /// What to do about it.
    pub fn todo(&self) -> String {
        plain(&self.advice)
    }
}

/// Markdown of one paragraph without its marks: links become their words.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let link = after.split_once("](").and_then(|(words, after)| {
            let (_, after) = after.split_once(')')?;
            (!words.contains('[')).then_some((words, after))
        });
        match link {
            Some((words, after)) => {
                out.push_str(words);
                rest = after;
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.replace(['`', '*'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_left_out_and_links_become_their_words() {
        assert_eq!(
            plain("see [the schedule](sending.md#retries) of `dns`, *Do:* [x"),
            "see the schedule of dns, Do: [x"
        );
    }
}
