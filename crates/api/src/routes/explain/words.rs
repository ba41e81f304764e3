//! The explanation, pure: from the message, the endpoint as it is now, the delivery and the last attempt.
//!
//! What an endpoint was like when the message was accepted is not kept; where that matters, the words say so.

use bellwire_core::{
    attempt::Attempt,
    delivery::DeliveryState,
    endpoint::{Disabled, DisabledReason, Endpoint},
    message::Message,
    route::{self, Verdict},
    time::Timestamp,
};
use bellwire_store::{
    directory::{Filtered, LaneStatus},
    query::{DeliveryRow, LineRow},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::held;

/// The kinds of action that ask somebody who answers.
const ANSWERED: [&str; 3] = ["http", "forward", "chat"];

/// Why a delivery is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ExplanationReason")]
pub(super) enum Reason {
    /// The receiver has it.
    Delivered,
    /// It is due at a later time that the publisher chose.
    Scheduled,
    /// It waits for its first attempt.
    Waiting,
    /// It waits because the endpoint is paused.
    Paused,
    /// It waits for those before it in its line.
    InLine,
    /// Its line waits for a person.
    LineBlocked,
    /// It waits because the endpoint failed too often in a row: only probes are sent.
    Parked,
    /// It waits because the receiver asked for a rest.
    Resting,
    /// It waits because of a rate limit.
    Throttled,
    /// It waits for others, to be sent with them in one request.
    Batching,
    /// It waits because the endpoint is given more step by step after an outage.
    Recovering,
    /// An attempt failed; it will be tried again.
    Retrying,
    /// Every attempt failed.
    Exhausted,
    /// It was stopped before it succeeded.
    Cancelled,
    /// The endpoint is disabled.
    EndpointDisabled,
    /// The endpoint wants other event types.
    EventTypeFilter,
    /// The endpoint listens on other channels.
    ChannelFilter,
    /// The endpoint's filter does not hold, or cannot be evaluated.
    Filter,
    /// It was cancelled, because another message of its kind was acted upon shortly before (`throttle`).
    HeldBack,
    /// The endpoint was made after the message.
    EndpointNewer,
    /// The endpoint was changed after the message, and matches it only now.
    EndpointChanged,
    /// It matches now but was not sent: it did not match when the message was accepted, or its delivery is not kept any more.
    NotRouted,
}

/// Whether an endpoint is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// It is.
    There,
    /// It was deleted; only its deliveries are left.
    Deleted,
}

/// What is known.
pub(super) struct Found<'a> {
    pub message: &'a Message,
    pub endpoint: &'a Endpoint,
    pub is: Is,
    pub delivery: Option<DeliveryRow>,
    pub last: Option<&'a Attempt>,
    /// The line it is in.
    pub line: Option<&'a LineRow>,
    /// What the endpoint's lane is doing; `None` when the endpoint was deleted.
    pub lane: Option<&'a LaneStatus>,
    /// What the endpoint's filter says of the message; `None` when it has none.
    pub filtered: Option<&'a Filtered>,
    pub now: Timestamp,
}

/// Reason, what happened, what to do.
pub(super) type Words = (Reason, String, Option<String>);

impl Found<'_> {
    /// Whether the endpoint would get such a message now.
    pub fn verdict(&self) -> Verdict {
        let verdict = route::verdict(self.endpoint, &self.message.event_type, &self.message.channels);
        match (verdict, self.filtered) {
            (Verdict::Matched, Some(filtered)) => filtered.verdict(),
            (verdict, _) => verdict,
        }
    }

    /// Why the delivery is where it is.
    pub fn explain(&self) -> Words {
        match self.delivery {
            Some(delivery) if self.is == Is::Deleted => self.of_deleted(delivery),
            Some(delivery) => self.with_delivery(delivery),
            None => self.without_delivery(),
        }
    }

    /// Nothing can be sent to it any more, so there is nothing to advise.
    fn of_deleted(&self, delivery: DeliveryRow) -> Words {
        match delivery.state {
            DeliveryState::Succeeded | DeliveryState::Failed => {
                let (reason, summary, _) = self.with_delivery(delivery);
                (reason, format!("{summary}; the endpoint was deleted since"), None)
            }
            DeliveryState::Sending => {
                let summary = "an attempt is under way; the endpoint was deleted meanwhile";
                (Reason::Waiting, summary.to_owned(), None)
            }
            DeliveryState::Pending | DeliveryState::Cancelled => {
                let last = self.last_words();
                let summary = format!("cancelled: the endpoint was deleted before it had the message{last}");
                (Reason::Cancelled, summary, None)
            }
        }
    }

    fn with_delivery(&self, delivery: DeliveryRow) -> Words {
        let tries = delivery.progress.tries;
        let last = self.last_words();
        match delivery.state {
            DeliveryState::Succeeded => {
                let summary = match self.last {
                    Some(last) if last.status_code == 0 => format!("done at {}", last.at),
                    Some(last) => format!("delivered: the receiver answered {} at {}", last.status_code, last.at),
                    None => "delivered".to_owned(),
                };
                (Reason::Delivered, summary, None)
            }
            DeliveryState::Pending | DeliveryState::Sending if self.endpoint.paused => {
                let advice = "resume the endpoint: `bellwire endpoint resume`, or POST …/endpoint/{endpoint_id}/resume";
                (
                    Reason::Paused,
                    "waits: the endpoint is paused".to_owned(),
                    Some(advice.to_owned()),
                )
            }
            DeliveryState::Pending | DeliveryState::Sending => self.waits(&delivery),
            DeliveryState::Failed => {
                let plural = if tries == 1 { "" } else { "s" };
                let summary = format!("given up after {tries} attempt{plural}{last}");
                let advice = format!("{}, then resend the message or recover the endpoint", self.mend());
                match held::blocks(&delivery, self.line) {
                    Some((so, advice)) => (Reason::LineBlocked, format!("{summary}{so}"), Some(advice.to_owned())),
                    None => (Reason::Exhausted, summary, Some(advice)),
                }
            }
            DeliveryState::Cancelled if self.last.is_some_and(was_held_back) => {
                let why = self
                    .last
                    .map(|last| String::from_utf8_lossy(&last.response).into_owned());
                let summary = format!("cancelled: {}", why.unwrap_or_default());
                let advice = "nothing is wrong; lengthen or shorten `every` of the endpoint's `throttle`, or resend once it is over";
                (Reason::HeldBack, summary, Some(advice.to_owned()))
            }
            DeliveryState::Cancelled => {
                // Which of the two it was is not kept.
                let in_line = delivery.sequence.is_some();
                let summary = match self.endpoint.disabled {
                    Some(disabled) if in_line => {
                        format!(
                            "cancelled: {}; or its line was discarded before",
                            disabled_words(disabled)
                        )
                    }
                    Some(disabled) => format!("cancelled: {}", disabled_words(disabled)),
                    None if in_line => {
                        "cancelled while it waited: the endpoint was disabled meanwhile, or its line was discarded"
                            .to_owned()
                    }
                    None => "cancelled: the endpoint was disabled while the message waited".to_owned(),
                };
                let enable = if self.endpoint.disabled.is_some() {
                    "enable the endpoint, then "
                } else {
                    ""
                };
                (
                    Reason::Cancelled,
                    summary,
                    Some(format!("{enable}resend the message or recover the endpoint")),
                )
            }
        }
    }

    /// Whether there is somebody who answers: a command, a file or a letter has no receiver.
    fn is_answered(&self) -> bool {
        ANSWERED.contains(&&*self.endpoint.action.kind)
    }

    /// What to do about its failures.
    fn mend(&self) -> &'static str {
        match self.is_answered() {
            true => "correct the receiver",
            false => "mend the cause",
        }
    }

    /// The last attempt, to follow what is said.
    fn last_words(&self) -> String {
        let Some(last) = self.last else { return String::new() };
        let (at, why) = (last.at, last.failure.as_deref().unwrap_or("success"));
        match last.status_code {
            0 if self.is_answered() => format!("; the last attempt, at {at}, got no answer ({why})"),
            0 => format!("; the last attempt, at {at}, ended with {why}"),
            code => format!("; the last attempt, at {at}, was answered {code}"),
        }
    }

    /// What a delivery of an endpoint that is not paused waits for.
    fn waits(&self, delivery: &DeliveryRow) -> Words {
        if let Some(held) = held::held(delivery, self.line, self.lane, self.now) {
            return held;
        }
        let tries = delivery.progress.tries;
        let next = delivery
            .next_at
            .map(|at| at.to_string())
            .unwrap_or_else(|| "soon".to_owned());
        if tries > 0 {
            let last = self.last_words();
            let times = if tries == 1 {
                "once".to_owned()
            } else {
                format!("{tries} times")
            };
            let summary = format!("failed {times} so far{last}; tried again at {next}");
            let advice = format!("{}; resend to try at once", self.mend());
            return (Reason::Retrying, summary, Some(advice));
        }
        match self.message.deliver_at {
            Some(at) if at > self.now => {
                let summary = format!("waits: the publisher asked for delivery at {at}");
                (Reason::Scheduled, summary, None)
            }
            _ => {
                let summary = format!("waits for its first attempt, due at {next}");
                let advice = "if it waits for long, the endpoint is slow, failing or at its rate limit; look at its status and attempts";
                (Reason::Waiting, summary, Some(advice.to_owned()))
            }
        }
    }

    fn without_delivery(&self) -> Words {
        let Message {
            event_type,
            channels,
            created_at,
            ..
        } = self.message;
        let advice = |text: &str| Some(text.to_owned());
        match self.verdict() {
            Verdict::Disabled => {
                let why = self.endpoint.disabled.map(disabled_words).unwrap_or_default();
                let what = advice("enable the endpoint, then replay what is missing");
                (Reason::EndpointDisabled, format!("not sent: {why}"), what)
            }
            Verdict::EventType { wanted } => {
                let summary = format!(
                    "not sent: the endpoint wants {}, and this is `{event_type}`",
                    list(&wanted)
                );
                (
                    Reason::EventTypeFilter,
                    summary,
                    advice("add the event type to the endpoint's `eventTypes`, or resend"),
                )
            }
            Verdict::Channel { wanted } => {
                let on = if channels.is_empty() {
                    "no channel".to_owned()
                } else {
                    list(channels)
                };
                let summary = format!(
                    "not sent: the endpoint listens on {}, and this is on {on}",
                    list(&wanted)
                );
                (
                    Reason::ChannelFilter,
                    summary,
                    advice("publish on one of those channels, or change the endpoint's `channels`"),
                )
            }
            Verdict::Filter { expression, read } => {
                let summary = format!("not sent: the filter `{expression}` does not hold{}", found(&read));
                (
                    Reason::Filter,
                    summary,
                    advice("change the endpoint's `filter`, or resend"),
                )
            }
            Verdict::FilterFailed { expression, error } => {
                let summary = format!(
                    "not sent: the filter `{expression}` cannot be evaluated, which counts as not holding: {error}"
                );
                (
                    Reason::Filter,
                    summary,
                    advice("correct the endpoint's `filter`, or resend"),
                )
            }
            Verdict::Matched => {
                let what = advice("replay what is missing to send it now");
                let Endpoint {
                    created_at: made,
                    updated_at: changed,
                    ..
                } = self.endpoint;
                if made > created_at {
                    let summary =
                        format!("not sent: the endpoint was made at {made}, after the message at {created_at}");
                    (Reason::EndpointNewer, summary, what)
                } else if changed > created_at {
                    let summary = format!(
                        "not sent: the endpoint matches now, but was changed at {changed}, after the message at {created_at}"
                    );
                    (Reason::EndpointChanged, summary, what)
                } else {
                    let summary =
                        "no delivery is kept: it was sent to particular endpoints only, or its records expired";
                    (Reason::NotRouted, summary.to_owned(), what)
                }
            }
        }
    }
}

/// Whether the attempt was none: the endpoint's throttle held the message back.
fn was_held_back(last: &Attempt) -> bool {
    last.failure.as_deref() == Some("throttled")
}

/// What an expression looked at, to follow what it says.
fn found(read: &[(String, Option<String>)]) -> String {
    let each = |(path, value): &(String, Option<String>)| match value {
        Some(value) => format!("`{path}` is {value}"),
        None => format!("`{path}` is missing"),
    };
    match read {
        [] => String::new(),
        read => format!(": {}", read.iter().map(each).collect::<Vec<_>>().join(", ")),
    }
}

fn disabled_words(disabled: Disabled) -> String {
    let why = match disabled.reason {
        DisabledReason::Requested => "somebody asked for it",
        DisabledReason::Gone => "its receiver answered 410 Gone",
        DisabledReason::Failing => "nothing but failures came back for too long",
    };
    format!("the endpoint is disabled since {}, because {why}", disabled.since)
}

/// `a`, `b` or `c`; a long list is cut.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN {
        format!(" and {} more", names.len() - SHOWN)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests;
