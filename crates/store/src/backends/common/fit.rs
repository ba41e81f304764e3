//! Whether messages and attempts fit the conditions of a list, and in which ids they can be found.

use std::time::Duration;

use bellwire_core::{
    attempt::Attempt, delivery::DeliveryState, id::first_number_at, message::Message, time::Timestamp,
};

use super::paging::Span;
use crate::query::{AttemptFilter, MessageFilter};

/// An attempt's id is given when it is settled: so long after its beginning at most, except for a server that hung.
const SETTLED_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// The ids that messages accepted in the filter's span of time have.
pub(crate) fn accepted(filter: &MessageFilter) -> Span {
    Span {
        first: filter.after.map_or(0, first_number_at),
        // Up to the end of that millisecond; the rest is judged by `fits`.
        end: filter.before.map_or(u64::MAX, |before| {
            first_number_at(Timestamp::from_millis(before.millis() + 1))
        }),
    }
}

/// Whether a message fits.
pub(crate) fn fits(filter: &MessageFilter, message: &Message) -> bool {
    filter.before.is_none_or(|before| message.created_at < before)
        && filter.after.is_none_or(|after| message.created_at >= after)
        && fits_but_for_time(filter, message)
}

/// Whether a message fits, whatever its time.
pub(crate) fn fits_but_for_time(filter: &MessageFilter, message: &Message) -> bool {
    filter
        .channel
        .as_ref()
        .is_none_or(|channel| message.channels.contains(channel))
        && filter.tag.as_ref().is_none_or(|tag| message.tags.contains(tag))
        && (filter.event_types.is_empty() || filter.event_types.contains(&message.event_type))
}

/// The ids that attempts begun in the filter's span of time have.
pub(crate) fn begun(filter: &MessageFilter) -> Span {
    Span {
        first: filter.after.map_or(0, first_number_at),
        end: filter
            .before
            .map_or(u64::MAX, |before| first_number_at(before.plus(SETTLED_WITHIN))),
    }
}

/// Whether an attempt fits, whatever its message.
pub(crate) fn fits_attempt(filter: &AttemptFilter, attempt: &Attempt) -> bool {
    let succeeded = attempt.failure.is_none();
    filter.message.before.is_none_or(|before| attempt.at < before)
        && filter.message.after.is_none_or(|after| attempt.at >= after)
        && filter.endpoint.is_none_or(|endpoint| attempt.endpoint == endpoint)
        && filter.state.is_none_or(|state| match state {
            DeliveryState::Succeeded => succeeded,
            DeliveryState::Failed => !succeeded,
            _ => false,
        })
        && filter.status_class.is_none_or(|class| match class {
            0 => attempt.status_code == 0,
            class => attempt.status_code / 100 == class / 100,
        })
}

/// Whether a message has to be looked at.
pub(crate) fn asks_about_message(filter: &MessageFilter) -> bool {
    filter.channel.is_some() || filter.tag.is_some() || !filter.event_types.is_empty()
}
