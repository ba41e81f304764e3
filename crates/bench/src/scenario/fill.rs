//! Filling the queue of an endpoint that is down.

use super::stage::Stage;
use crate::publish::{Extent, Pace, Publisher};

/// The share of the messages over which the first and the last publish rates are taken, and its limit.
const SHARE: u64 = 20;
const SHARE_MAX: u64 = 100_000;

/// How the filling went.
pub(super) struct Fill {
    pub(super) first_rate: f64,
    pub(super) last_rate: f64,
    pub(super) rss_first_mib: Option<f64>,
    pub(super) refused: u64,
    pub(super) errors: u64,
}

/// Publishes `total` messages in shares, so that the first and last can be compared and progress shows.
pub(super) async fn fill(stage: &Stage<'_>, publisher: &mut Publisher, total: u64) -> anyhow::Result<Fill> {
    let share = (total / SHARE).clamp(1, SHARE_MAX);
    let mut fill = Fill {
        first_rate: 0.0,
        last_rate: 0.0,
        rss_first_mib: None,
        refused: 0,
        errors: 0,
    };
    let mut published = 0;
    while published < total {
        let left = total - published;
        // The last share is a whole one.
        let next = if left >= 2 * share { share } else { left };
        let run = publisher.run(Pace::Full, Extent::Messages(next)).await?;
        if published == 0 {
            fill.first_rate = run.per_second();
            fill.rss_first_mib = stage.usage().map(|usage| usage.rss_mib);
        }
        fill.last_rate = run.per_second();
        fill.refused += run.refused;
        fill.errors += run.errors;
        published += next;
        eprintln!("waiting: {published} of {total}, {:.0} publishes/s", fill.last_rate);
    }
    Ok(fill)
}
