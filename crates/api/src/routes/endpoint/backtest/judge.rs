//! What a changed endpoint does with a message that the endpoint as it is does not. Pure.

use bellwire_core::{message::Message, route::Verdict};
use bellwire_store::directory::{EndpointEntry, Incoming, json};

/// What two versions of an endpoint say of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compared {
    /// `None` when the payload is gone and somebody would have to look into it.
    pub judged: Option<Judged>,
}

/// What both say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// Whether the endpoint as it is wants it.
    pub before: bool,
    /// Whether the changed one wants it.
    pub after: bool,
    /// Why they differ; empty when they do not.
    pub because: String,
    /// What both send, when both want it and it differs. In the place of the second, why there is none when it fails.
    pub bodies: Option<(String, String)>,
    /// The changed one's transformation fails.
    pub failed: bool,
}

/// Judges a message, which comes with its payload if that is still kept.
pub(super) fn compare(before: &EndpointEntry, after: &EndpointEntry, message: &Message) -> Compared {
    let looks_into = |entry: &EndpointEntry| entry.filter().is_some() || entry.workflow().is_some();
    let Some(payload) = &message.payload else {
        let judged = (!looks_into(before) && !looks_into(after)).then(|| judge(before, after, message, b"{}"));
        return Compared { judged };
    };
    Compared {
        judged: json(message, payload)
            .ok()
            .map(|payload| judge(before, after, message, &payload)),
    }
}

fn judge(before: &EndpointEntry, after: &EndpointEntry, message: &Message, payload: &[u8]) -> Judged {
    let incoming = Incoming::again(message, payload);
    let (old, new) = (before.verdict(&incoming), after.verdict(&incoming));
    let (matched_before, matched_after) = (old == Verdict::Matched, new == Verdict::Matched);
    let mut judged = Judged {
        before: matched_before,
        after: matched_after,
        because: match (matched_before, matched_after) {
            (true, false) => words(&new),
            (false, true) => format!("no longer: {}", words(&old)),
            _ => String::new(),
        },
        bodies: None,
        failed: false,
    };
    if !matched_after {
        return judged;
    }
    let sent = |entry: &EndpointEntry| match entry
        .workflow()
        .and_then(|workflow| workflow.transform(&incoming.scope()))
    {
        None => Ok(String::from_utf8_lossy(payload).into_owned()),
        Some(made) => made.map_err(|error| error.to_string()),
    };
    let after = sent(after);
    judged.failed = after.is_err();
    if let Err(error) = &after {
        judged.because = format!("the transformation fails: {error}");
    }
    let before = if matched_before {
        sent(before)
    } else {
        Ok(String::new())
    };
    let (before, after) = (
        before.unwrap_or_else(|error| error),
        after.unwrap_or_else(|error| error),
    );
    if (matched_before || judged.failed) && before != after {
        if judged.because.is_empty() {
            "what is sent differs".clone_into(&mut judged.because);
        }
        judged.bodies = Some((before, after));
    }
    judged
}

/// Why a message does not go to an endpoint.
fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Matched => "it matches".to_owned(),
        Verdict::Disabled => "the endpoint is disabled".to_owned(),
        Verdict::EventType { wanted } => format!("it wants other event types: {}", wanted.join(", ")),
        Verdict::Channel { wanted } => format!("it listens on other channels: {}", wanted.join(", ")),
        Verdict::Filter { expression, read } => {
            let value = |(path, value): &(String, Option<String>)| match value {
                Some(value) => format!(", {path} is {value}"),
                None => format!(", {path} is missing"),
            };
            let read: String = read.iter().map(value).collect();
            format!("the filter `{expression}` does not hold{read}")
        }
        Verdict::FilterFailed { expression, error } => {
            format!("the filter `{expression}` cannot be evaluated: {error}")
        }
    }
}
