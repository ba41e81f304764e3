//! Retention: what is past its time is forgotten, a bounded piece at a time.

use std::{sync::Arc, time::Duration};

use bellwire_core::time::Timestamp;
use bellwire_store::{Directory, Store, query::Cutoffs};
use tokio_util::sync::CancellationToken;

/// How long after the start the first clean-up begins: what is due to be delivered comes first.
const FIRST: Duration = Duration::from_secs(10);
/// The wait between clean-ups.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// The wait between two pieces of one clean-up: publishers go first.
const BREATH: Duration = Duration::from_millis(20);

/// How long things are kept; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Messages, with all about them.
    pub messages: Option<Duration>,
    /// Attempts.
    pub attempts: Option<Duration>,
}

/// Before which times things are forgotten. A payload carries its own time, given when its message was accepted.
fn cutoffs(kept: Retention, now: Timestamp) -> Cutoffs {
    let before = |kept: Option<Duration>| kept.map_or(Timestamp::MIN, |kept| now.minus(kept));
    Cutoffs {
        messages: before(kept.messages),
        attempts: before(kept.attempts),
        payloads: now,
    }
}

/// Forgets what is past its time, soon after the start and every few minutes, until stopped. Of servers that share a store one
/// does it.
pub async fn keep(store: Arc<dyn Store>, directory: Arc<Directory>, kept: Retention, stop: CancellationToken) {
    let mut wait = FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let Some(_lead) = store.lead() else {
            wait = FIRST;
            continue;
        };
        wait = match store.retain(cutoffs(kept, directory.now())).await {
            Ok(removed) => {
                if removed.partitions > 0 {
                    tracing::info!(partitions = removed.partitions, "forgot what was past its retention");
                }
                if removed.more { BREATH } else { EVERY }
            }
            Err(error) => {
                tracing::warn!(%error, "what is past its retention could not be removed; tried again later");
                EVERY
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_has_no_cut_off() {
        let now = Timestamp::from_secs(1_000_000);
        let kept = Retention {
            messages: None,
            attempts: Some(Duration::from_secs(10)),
        };
        let cutoffs = cutoffs(kept, now);
        assert_eq!(cutoffs.messages, Timestamp::MIN);
        assert_eq!(cutoffs.attempts, Timestamp::from_secs(999_990));
        assert_eq!(cutoffs.payloads, now);
    }
}
