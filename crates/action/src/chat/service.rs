//! What each service wants to be told, how much of it, and what its answers mean.

use std::time::Duration;

use bellwire_template::Escape;
use serde_json::{Value, json};

/// A service that people chat on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Incoming webhooks of Slack.
    Slack,
    /// Webhooks of Discord.
    Discord,
    /// Workflows of Microsoft Teams that take adaptive cards.
    Teams,
    /// Incoming webhooks of Mattermost.
    Mattermost,
    /// Bots of Telegram.
    Telegram,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Why it is no success, in the service's words.
    pub refused: Option<String>,
    /// How long the service asks us to wait, where its answer's body says so.
    pub retry_after: Option<Duration>,
}

/// How what was cut off ends.
const CUT: &str = " […]";

impl Service {
    /// All of them, in the order of documentation.
    pub const ALL: [Self; 5] = [
        Self::Slack,
        Self::Discord,
        Self::Teams,
        Self::Mattermost,
        Self::Telegram,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::Mattermost => "mattermost",
            Self::Telegram => "telegram",
        }
    }

    /// What keeps a value of a message from calling people or making links. Slack reads marks between `<` and `>` ("Escaping text"),
    /// Mattermost those, names behind an `@`, and Markdown, an adaptive card the links of Markdown alone, which backslashes end
    /// in not all of its readers. Discord is told with each message to call nobody; Telegram needs nothing.
    pub(super) fn escape(self) -> Escape {
        match self {
            Self::Slack => Escape::Entities,
            Self::Mattermost => Escape::Mentions,
            Self::Teams => Escape::Links,
            Self::Discord | Self::Telegram => Escape::None,
        }
    }

    /// The longest text, and what it is counted in.
    fn limit(self) -> (usize, fn(char) -> usize) {
        match self {
            // Slack cuts longer ones without a word.
            Self::Slack => (40_000, |_| 1),
            Self::Discord => (2_000, |_| 1),
            // 28 KB for all of the request.
            Self::Teams => (20_000, char::len_utf8),
            Self::Mattermost => (16_383, |_| 1),
            Self::Telegram => (4_096, char::len_utf16),
        }
    }

    /// The body of a request.
    pub(super) fn body(self, title: Option<&str>, text: Option<&str>, blocks: Option<Value>) -> Value {
        let titled = |before: &str, after: &str| {
            let title = title.map(|title| format!("{before}{title}{after}"));
            let parts: Vec<_> = title.as_deref().into_iter().chain(text).collect();
            self.cut(&parts.join("\n"))
        };
        let with = |mut body: Value, member: &str, blocks: Option<Value>| {
            if let Some(blocks) = blocks {
                body[member] = blocks;
            }
            body
        };
        match self {
            Self::Slack => with(json!({"text": titled("*", "*")}), "blocks", blocks),
            Self::Discord => {
                let body = json!({"content": titled("**", "**"), "allowed_mentions": {"parse": []}});
                with(body, "embeds", blocks)
            }
            Self::Mattermost => with(json!({"text": titled("#### ", "")}), "attachments", blocks),
            Self::Telegram => json!({"text": titled("", "\n")}),
            Self::Teams => {
                let title = title.map(|title| {
                    json!({"type": "TextBlock", "text": self.cut(title), "weight": "Bolder", "size": "Medium", "wrap": true})
                });
                let text = text.map(|text| json!({"type": "TextBlock", "text": self.cut(text), "wrap": true}));
                let more = match blocks {
                    Some(Value::Array(all)) => all,
                    other => other.into_iter().collect(),
                };
                let elements: Vec<_> = title.into_iter().chain(text).chain(more).collect();
                json!({
                    "type": "message",
                    "attachments": [{
                        "contentType": "application/vnd.microsoft.card.adaptive",
                        "contentUrl": null,
                        "content": {
                            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                            "type": "AdaptiveCard",
                            "version": "1.4",
                            "body": elements,
                        },
                    }],
                })
            }
        }
    }

    /// The text, or as much of it as the service takes with a sign that there was more.
    fn cut(self, text: &str) -> String {
        let (max, size) = self.limit();
        if text.chars().map(size).sum::<usize>() <= max {
            return text.to_owned();
        }
        let mut room = max - CUT.chars().map(size).sum::<usize>();
        let fits = text.chars().take_while(|letter| {
            let left = room.checked_sub(size(*letter));
            room = left.unwrap_or_default();
            left.is_some()
        });
        let mut cut: String = fits.collect();
        cut.push_str(CUT);
        cut
    }

    /// Judges an answer by its status and its body. Some of them say 200 and mean no.
    pub fn judge(self, status: u16, body: &[u8]) -> Verdict {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let seconds = |value: &Value| {
            value
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        };
        let retry_after = match self {
            Self::Telegram => seconds(&json["parameters"]["retry_after"]),
            Self::Discord => seconds(&json["retry_after"]),
            Self::Slack | Self::Teams | Self::Mattermost => None,
        };
        let ok = match self {
            Self::Slack | Self::Mattermost => text.is_empty() || text == "ok",
            Self::Telegram => json["ok"] == true,
            // The connectors before workflows said 200 and put what went wrong into the body.
            Self::Teams => !text.to_ascii_lowercase().contains("message delivery failed"),
            Self::Discord => true,
        };
        let said = json["description"]
            .as_str()
            .or_else(|| json["message"].as_str())
            .unwrap_or(text);
        let said: String = said.chars().take(300).collect();
        Verdict {
            refused: (!(200..300).contains(&status) || !ok).then_some(said),
            retry_after,
        }
    }
}
