//! What a text that somebody looks for may mean. Pure.

use bellwire_core::{
    id::{AppId, AttemptId, EndpointId, MessageId, SourceId, TaskId},
    time::Timestamp,
};
use bellwire_store::scan::StatusWanted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::field::Time;

/// What a text is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Message(MessageId),
    Attempt(AttemptId),
    Endpoint(EndpointId),
    App(AppId),
    Source(SourceId),
    Task(TaskId),
    /// A number that is a status code.
    Status(StatusWanted),
    /// A time, or a whole day.
    Time {
        since: Timestamp,
        until: Timestamp,
    },
    /// A URL, or the beginning of one.
    Url,
    /// What people call things: uids, names, event ids.
    Name,
    /// Anything that stands in a payload or an answer.
    Text,
}

/// A meaning in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "SearchUnderstood")]
pub(super) struct UnderstoodOut {
    /// `message_id`, `attempt_id`, `endpoint_id`, `app_id`, `source_id`, `task_id`, `status`, `time`, `url`, `name`, `text` or
    /// `filters`.
    #[serde(rename = "as")]
    pub kind: &'static str,
    /// For people.
    pub words: String,
}

impl Meaning {
    /// In words.
    pub fn out(&self) -> UnderstoodOut {
        let (kind, words) = match self {
            Self::Message(_) => ("message_id", "the id of a message".to_owned()),
            Self::Attempt(_) => ("attempt_id", "the id of an attempt".to_owned()),
            Self::Endpoint(_) => ("endpoint_id", "the id of an endpoint".to_owned()),
            Self::App(_) => ("app_id", "the id of an application".to_owned()),
            Self::Source(_) => ("source_id", "the id of a source".to_owned()),
            Self::Task(_) => ("task_id", "the id of a background task".to_owned()),
            Self::Status(StatusWanted::Code(0)) => ("status", "attempts without an answer".to_owned()),
            Self::Status(StatusWanted::Code(code)) => ("status", format!("attempts that were answered {code}")),
            Self::Status(StatusWanted::Class(class)) => (
                "status",
                format!("attempts that were answered {} to {}", class, class + 99),
            ),
            Self::Time { since, until } => ("time", format!("messages accepted between {since} and {until}")),
            Self::Url => ("url", "a URL, or a part of one".to_owned()),
            Self::Name => ("name", "an event id, or what something is called".to_owned()),
            Self::Text => ("text", "text in payloads and answers".to_owned()),
        };
        UnderstoodOut { kind, words }
    }
}

/// What a text may mean, the likeliest first. An id means nothing else.
pub(super) fn understand(text: &str) -> Vec<Meaning> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    if let Some(id) = id(text) {
        return vec![id];
    }
    let mut meanings = Vec::new();
    meanings.extend(status(text).map(Meaning::Status));
    meanings.extend(time(text));
    if text.contains("://") {
        meanings.push(Meaning::Url);
    }
    meanings.push(Meaning::Name);
    meanings.push(Meaning::Text);
    meanings
}

fn id(text: &str) -> Option<Meaning> {
    let message = text.parse().map(Meaning::Message);
    message
        .or_else(|_| text.parse().map(Meaning::Attempt))
        .or_else(|_| text.parse().map(Meaning::Endpoint))
        .or_else(|_| text.parse().map(Meaning::App))
        .or_else(|_| text.parse().map(Meaning::Source))
        .or_else(|_| text.parse().map(Meaning::Task))
        .ok()
}

/// `503`, `5xx`, or `none` for no answer.
pub(super) fn status(text: &str) -> Option<StatusWanted> {
    if text.eq_ignore_ascii_case("none") {
        return Some(StatusWanted::Code(0));
    }
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok()?;
        return (1..=5).contains(&class).then_some(StatusWanted::Class(class * 100));
    }
    let code: u16 = text.parse().ok()?;
    (text.len() == 3 && (100..600).contains(&code)).then_some(StatusWanted::Code(code))
}

/// A time to the second means the minute around it, one to the minute that minute, a day the whole of it.
fn time(text: &str) -> Option<Meaning> {
    let seconds = |n| std::time::Duration::from_secs(n);
    if let Some(day) = Some(text).filter(|text| text.len() == 10 && text.as_bytes()[4] == b'-') {
        let Time(since) = Time::parse(&format!("{day}T00:00:00Z")).ok()?;
        let until = since.plus(seconds(86_400));
        return Some(Meaning::Time { since, until });
    }
    // Nothing else has a date and a time with a colon in it.
    let looks_so = text.len() >= 16 && text.as_bytes()[4] == b'-' && text.as_bytes()[13] == b':';
    if !looks_so {
        return None;
    }
    let whole = text.replacen(' ', "T", 1);
    if let Ok(Time(at)) = Time::parse(&whole) {
        return Some(Meaning::Time {
            since: at.minus(seconds(30)),
            until: at.plus(seconds(30)),
        });
    }
    let Time(since) = Time::parse(&format!("{whole}:00Z")).ok()?;
    let until = since.plus(seconds(60));
    Some(Meaning::Time { since, until })
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::Id as _;

    use super::*;

    fn kinds(text: &str) -> Vec<&'static str> {
        understand(text).iter().map(|meaning| meaning.out().kind).collect()
    }

    #[test]
    fn an_id_means_what_it_names_and_nothing_else() {
        assert_eq!(kinds(&MessageId::from_number(7).to_string()), ["message_id"]);
        assert_eq!(kinds(&AttemptId::from_number(7).to_string()), ["attempt_id"]);
        assert_eq!(kinds(&EndpointId::from_number(7).to_string()), ["endpoint_id"]);
        assert_eq!(kinds(&AppId::from_number(7).to_string()), ["app_id"]);
        assert_eq!(kinds(&SourceId::from_number(7).to_string()), ["source_id"]);
        assert_eq!(kinds(&TaskId::from_number(7).to_string()), ["task_id"]);
    }

    #[test]
    fn a_mistyped_id_is_looked_for_as_a_text() {
        let mut id = MessageId::from_number(7).to_string();
        id.pop();
        assert_eq!(kinds(&id), ["name", "text"]);
    }

    #[test]
    fn numbers_and_classes_are_status_codes_and_texts_as_well() {
        assert_eq!(kinds("503"), ["status", "name", "text"]);
        assert_eq!(status("5xx"), Some(StatusWanted::Class(500)));
        assert_eq!(status("none"), Some(StatusWanted::Code(0)));
        for other in ["50", "5030", "999", "0503", "6xx", "xx", "9"] {
            assert_eq!(status(other), None, "{other}");
        }
    }

    #[test]
    fn times_mean_the_minute_or_the_day_around_them() {
        let span = |text: &str| match &understand(text)[0] {
            Meaning::Time { since, until } => until.since(*since).as_secs(),
            other => panic!("{text} is no time but {other:?}"),
        };
        assert_eq!(span("2026-03-04"), 86_400);
        assert_eq!(span("2026-03-04T05:06:07Z"), 60);
        assert_eq!(span("2026-03-04 05:06:07"), 60);
        assert_eq!(span("2026-03-04T05:06"), 60);
        assert_eq!(span("2026-03-04 05:06"), 60);
        assert_eq!(kinds("order-2026-03"), ["name", "text"]);
    }

    #[test]
    fn urls_are_looked_for_among_endpoints_first() {
        assert_eq!(kinds("https://example.com/hook"), ["url", "name", "text"]);
        assert_eq!(kinds("  "), [""; 0]);
    }
}
