//! What a settlement means for a delivery's row and for its attempt's.

use bellwire_core::{attempt::Outcome, delivery::Progress, time::Timestamp};

use super::columns::{CANCELLED, FAILED, PENDING, SUCCEEDED};
use crate::contract::{Settlement, Verdict};

/// The beginning of the answer; what went wrong in words when there is no answer to show.
pub(crate) fn shown_response(outcome: &Outcome) -> Option<&[u8]> {
    let failed_without_saying = outcome.status_code == 0 || (200..300).contains(&outcome.status_code);
    match &outcome.failure {
        _ if !outcome.response.is_empty() => Some(&outcome.response),
        Some(failure) if failed_without_saying => Some(failure.detail.as_bytes()),
        _ => None,
    }
}

/// State and next time after a verdict.
pub(crate) fn standing(verdict: Verdict) -> (i64, Option<Timestamp>) {
    match verdict {
        Verdict::Succeeded => (SUCCEEDED, None),
        Verdict::RetryAt(at) | Verdict::Park(at) => (PENDING, Some(at)),
        Verdict::Failed | Verdict::Blocked => (FAILED, None),
        Verdict::Cancelled => (CANCELLED, None),
    }
}

/// How far a delivery has come with a settlement.
pub(crate) fn progress_after(settlement: &Settlement) -> Progress {
    let tried = u16::from(settlement.outcome.is_some());
    Progress {
        tries: settlement.progress.tries.saturating_add(tried),
        ..settlement.progress
    }
}
