//! The summary, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use crate::account::{Closed, Totals};
use crate::moment::PHASES;
use crate::runs::Kill;
use crate::violation::{Kind, Violations};
use crate::world::World;

/// What a run showed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// Kills by what they aimed at.
    pub(crate) kills: BTreeMap<&'static str, u64>,
    pub(crate) totals: Totals,
    pub(crate) lost: u64,
    pub(crate) changed: u64,
    /// Publications whose answer a kill took.
    pub(crate) answers_lost: u64,
    /// Answers 429 and 503.
    pub(crate) refusals: u64,
    pub(crate) repeats: Repeats,
    /// From starting the process to readiness 200: median and longest.
    pub(crate) ready_ms: Option<[u64; 2]>,
    pub(crate) notes: Vec<String>,
    pub(crate) violations: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    details: Violations,
}

/// Deliveries that arrived more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Repeats {
    /// The most after one kill.
    pub(crate) most: u64,
    /// What may have been in flight at that kill: attempts that may be open …
    pub(crate) open_there: u64,
    /// … and outcomes that need not have been durable.
    pub(crate) settling_there: u64,
    /// The largest part of a kill's bound that was used, in percent.
    pub(crate) of_bound_percent: u64,
    /// Kills after which anything was repeated.
    pub(crate) kills: u64,
    /// The longest time from a receiver's answer to the kill that made it be repeated.
    pub(crate) oldest_ms: u64,
}

impl Repeats {
    /// From all kills of a run.
    pub(crate) fn of(kills: &[Kill]) -> Self {
        let most = kills.iter().max_by_key(|kill| kill.repeated);
        let percent = |kill: &Kill| (kill.repeated * 100).div_ceil(kill.bound().max(1));
        Self {
            most: most.map_or(0, |kill| kill.repeated),
            open_there: most.map_or(0, |kill| kill.open),
            settling_there: most.map_or(0, |kill| kill.settling),
            of_bound_percent: kills.iter().map(percent).max().unwrap_or(0),
            kills: kills.iter().filter(|kill| kill.repeated > 0).count() as u64,
            oldest_ms: kills.iter().map(|kill| kill.oldest_us / 1_000).max().unwrap_or(0),
        }
    }
}

impl Report {
    /// From a closed account. `ready` is the median and the longest time until the server was ready.
    pub(crate) fn new(
        scenario: &'static str,
        world: &World,
        closed: Closed,
        ready: Option<[Duration; 2]>,
        notes: Vec<String>,
    ) -> Self {
        let mut kills = BTreeMap::new();
        for kill in &closed.kills {
            *kills
                .entry(PHASES.get(kill.phase).copied().unwrap_or("outage"))
                .or_default() += 1;
        }
        Self {
            scenario,
            seed: world.messages.seed,
            seconds: (world.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            kills,
            totals: closed.totals,
            lost: closed.violations.count(Kind::Lost),
            changed: closed.violations.count(Kind::Changed),
            answers_lost: world.answers_lost.load(Relaxed),
            refusals: world.refusals.load(Relaxed),
            repeats: Repeats::of(&closed.kills),
            ready_ms: in_millis(ready),
            notes,
            violations: closed.violations.counts(),
            details: closed.violations,
        }
    }

    /// Whether every message is accounted for.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            published,
            acknowledged,
            due,
            delivered,
            ..
        } = self.totals;
        let kills: u64 = self.kills.values().sum();
        let by_phase: Vec<String> = self
            .kills
            .iter()
            .map(|(phase, count)| format!("{count} {phase}"))
            .collect();
        writeln!(
            f,
            "{}: {kills} kills in {:.1} s, seed {}",
            self.scenario, self.seconds, self.seed
        )?;
        if kills > 0 {
            writeln!(f, "  kills       {}", by_phase.join(", "))?;
        }
        writeln!(
            f,
            "  publishing  {published} published, {acknowledged} acknowledged; {} answers lost, {} refusals",
            self.answers_lost, self.refusals
        )?;
        writeln!(
            f,
            "  deliveries  {delivered} of {due} arrived: {} lost, {} changed",
            self.lost, self.changed
        )?;
        writeln!(
            f,
            "              besides {} of unanswered and {} of refused messages; {} tries refused by receivers",
            self.totals.unpromised, self.totals.refused_yet_delivered, self.totals.refused_tries
        )?;
        writeln!(
            f,
            "  repeats     {}: after {} kills, at most {} (in flight there: {} open and {} settling); at most {} % of what was in flight; the oldest had been answered {} ms before",
            self.totals.repeated,
            self.repeats.kills,
            self.repeats.most,
            self.repeats.open_there,
            self.repeats.settling_there,
            self.repeats.of_bound_percent,
            self.repeats.oldest_ms
        )?;
        writeln!(
            f,
            "  keys        {} acknowledged more than once, each one message",
            self.totals.published_again
        )?;
        let when_clean = "all accounted for";
        write_end(f, self.ready_ms, &self.notes, &self.details, when_clean)
    }
}

/// The median and the longest time, in milliseconds.
pub(crate) fn in_millis(times: Option<[Duration; 2]>) -> Option<[u64; 2]> {
    times.map(|times| times.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// The last lines of every report.
pub(crate) fn write_end(
    f: &mut fmt::Formatter<'_>,
    ready_ms: Option<[u64; 2]>,
    notes: &[String],
    violations: &Violations,
    when_clean: &str,
) -> fmt::Result {
    if let Some([median, longest]) = ready_ms {
        writeln!(f, "  ready       {median} ms (median), {longest} ms (longest)")?;
    }
    for note in notes {
        writeln!(f, "  {note}")?;
    }
    write!(f, "{violations}")?;
    write!(f, "  {}", if violations.is_empty() { when_clean } else { "FAILED" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_name_the_worst_kill() {
        let kill = |repeated, bound: u64, oldest_us| Kill {
            at_us: 0,
            since_us: 0,
            phase: 0,
            open: 10,
            settling: bound - 10,
            repeated,
            oldest_us,
        };
        let repeats = Repeats::of(&[kill(0, 50, 0), kill(30, 100, 9_999), kill(20, 25, 20_000)]);
        let expected = Repeats {
            most: 30,
            open_there: 10,
            settling_there: 90,
            of_bound_percent: 80,
            kills: 2,
            oldest_ms: 20,
        };
        assert_eq!(repeats, expected);
        assert_eq!(Repeats::of(&[]), Repeats::default());
    }
}
