//! Does a message go to an endpoint, and if not, because of which clause.

use std::sync::Arc;

use crate::{endpoint::Endpoint, event_type::filter_covers};

/// Why a message matches an endpoint or does not: what 'why did endpoint E not get message M' answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes there.
    Matched,
    /// The endpoint is disabled.
    Disabled,
    /// The endpoint wants other event types.
    EventType {
        /// What it wants.
        wanted: Vec<String>,
    },
    /// The endpoint listens on other channels.
    Channel {
        /// Where it listens.
        wanted: Vec<String>,
    },
    /// The endpoint's filter does not hold for it.
    Filter {
        /// The expression.
        expression: Arc<str>,
        /// What the expression looked at: paths and their values as JSON, shortened; `None` where the message has none.
        read: Vec<(String, Option<String>)>,
    },
    /// The endpoint's filter cannot be evaluated for it, which counts as not holding.
    FilterFailed {
        /// The expression.
        expression: Arc<str>,
        /// Why, in words.
        error: String,
    },
}

/// Whether a message of this type on these channels goes to the endpoint, as far as its filter lets it: that one is judged by
/// whoever compiled it. Allocates only when it does not.
pub fn verdict(endpoint: &Endpoint, event_type: &str, channels: &[String]) -> Verdict {
    if endpoint.disabled.is_some() {
        return Verdict::Disabled;
    }
    if let Some(wanted) = &endpoint.event_types
        && !wanted.iter().any(|entry| filter_covers(entry, event_type))
    {
        return Verdict::EventType { wanted: wanted.clone() };
    }
    if let Some(wanted) = &endpoint.channels
        && !wanted.iter().any(|channel| channels.contains(channel))
    {
        return Verdict::Channel { wanted: wanted.clone() };
    }
    Verdict::Matched
}
