//! Invariant 5: how long an attempt waited, held against the schedule and against what stood in its way.

use std::time::Duration;

use bellwire_core::retry::{JITTER_MAX, RETRY_AFTER_MAX};
use bellwire_testkit::Begun;

use super::{Book, Oracle};

/// How late an attempt may begin when nothing at all stands in its way.
const LATE: Duration = Duration::from_secs(3);
/// The clock is read in microseconds, waits are made in milliseconds.
pub(super) const ROUNDING: Duration = Duration::from_millis(2);

impl Oracle {
    /// The waits before this trial, told by the ones before it. `started` is when the scheduler began it.
    pub(super) fn judge_wait(&self, book: &Book, begun: &Begun, started: Duration) -> Option<String> {
        let (run, number) = (begun.progress.run, begun.progress.tries + 1);
        let name = format!("attempt {number} of {} at {}", begun.key.message, begun.key.endpoint);
        let known = book.endpoints.get(&begun.key.endpoint)?;
        let trials = book.trials.get(&begun.key).map_or(&[][..], Vec::as_slice);
        let before = trials
            .iter()
            .rev()
            .find(|trial| trial.run == run && trial.number + 1 == number);
        let since = before.map_or(Duration::ZERO, |trial| trial.started);
        // A claim that was made in time may begin after the clock was set back.
        let was_due = book
            .jumps_back
            .iter()
            .any(|(at, wall)| *at >= since && *wall >= begun.due_at);
        if begun.started_at < begun.due_at && !was_due {
            return Some(format!(
                "{name} begins {:?} early",
                begun.due_at.since(begun.started_at)
            ));
        }
        let waited = begun.started_at.since(begun.due_at);
        let troubled = if self.faults.is_active() {
            started
        } else {
            book.disturbed
        };
        let hindered = if known.load.may_be_open(book.breaker) {
            started
        } else {
            known.hindered.max(known.slow_until)
        };
        // Whatever stood in its way had gone before it was due.
        let was_free = hindered.max(troubled) + waited + LATE < started;
        let late = || {
            (waited > LATE && was_free).then(|| format!("{name} begins {waited:?} late, and nothing stood in its way"))
        };
        if number == 1 {
            // A new run waits until the one before it has ended.
            return late().filter(|_| run == 0);
        }
        let Some((ended_at, _, asked)) = before.and_then(|trial| trial.ended) else {
            return Some(format!("{name} begins, and the one before it did not end"));
        };
        let Some(scheduled) = known.schedule.get(usize::from(number) - 2).copied() else {
            return Some(format!("{name} begins behind the schedule's end"));
        };
        let least = scheduled.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
        let most = scheduled.mul_f64(1.0 + JITTER_MAX).max(least);
        if begun.due_at < ended_at.plus(least) {
            return Some(format!(
                "{name} is due {:?} before its wait ends",
                ended_at.plus(least).since(begun.due_at)
            ));
        }
        // What was given back without an attempt is due when it was given back.
        let given_back = hindered >= since || trials.iter().any(|trial| trial.life != book.life);
        if begun.due_at > ended_at.plus(most + ROUNDING) && !given_back {
            return Some(format!(
                "{name} is due {:?} behind its band",
                begun.due_at.since(ended_at.plus(most))
            ));
        }
        late()
    }
}
