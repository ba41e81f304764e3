//! The summary of a run with several servers, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::faults::Woe;
use crate::order::Report as Ordered;
use crate::order::course::Course;
use crate::order::ledger::Said;
use crate::violation::Kind;

/// What faults of one kind did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Kinds {
    /// How many there were.
    pub(crate) faults: usize,
    /// The usual longest silence at an endpoint.
    pub(crate) silence_median_ms: u64,
    /// And the longest of all.
    pub(crate) silence_longest_ms: u64,
    /// The most deliveries that arrived again after one of them …
    pub(crate) repeated_most: u64,
    /// … and how many can have been in flight then.
    pub(crate) bound_there: u64,
}

/// What a run showed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    ordered: Ordered,
    /// By what was done to a server.
    faults: BTreeMap<&'static str, Kinds>,
    /// Servers that had to be started again although they had not been killed.
    restarted: u64,
    stale_writes: u64,
}

impl Report {
    /// Closes the account.
    pub(crate) fn new(course: &Course, said: &[Said], restarted: u64, notes: Vec<String>) -> Self {
        let mut ledger = course.ledger();
        let stale_writes = ledger.violations().count(Kind::Stale);
        let now_us = course.now_us();
        let mut faults = BTreeMap::new();
        if let Some(all) = ledger.runs().faults() {
            for woe in Woe::ALL {
                let mine = all.all().iter().filter(|fault| fault.woe == woe);
                let mut silences: Vec<u64> = mine.clone().map(|fault| fault.silence_us(now_us) / 1_000).collect();
                silences.sort_unstable();
                let most = mine.max_by_key(|fault| fault.repeated);
                let kinds = Kinds {
                    faults: silences.len(),
                    silence_median_ms: silences.get(silences.len() / 2).copied().unwrap_or(0),
                    silence_longest_ms: silences.last().copied().unwrap_or(0),
                    repeated_most: most.map_or(0, |fault| fault.repeated),
                    bound_there: most.map_or(0, |fault| all.bound(fault)),
                };
                if kinds.faults > 0 {
                    faults.insert(woe.name(), kinds);
                }
            }
        }
        let closed = ledger.close(said);
        drop(ledger);
        Self {
            ordered: Ordered::new(course, closed, None, notes),
            faults,
            restarted,
            stale_writes,
        }
    }

    /// Whether everything is in order and accounted for.
    pub(crate) fn is_clean(&self) -> bool {
        self.ordered.is_clean()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, kinds) in &self.faults {
            let Kinds {
                faults,
                silence_median_ms,
                silence_longest_ms,
                repeated_most,
                bound_there,
            } = kinds;
            writeln!(
                f,
                "{name:<8} {faults:>4} times: an endpoint was silent for {silence_median_ms} ms (median), {silence_longest_ms} ms (longest); \
                 at most {repeated_most} repeated, of {bound_there} in flight"
            )?;
        }
        writeln!(
            f,
            "{} stale writes; {} servers started again that had not been killed",
            self.stale_writes, self.restarted
        )?;
        write!(f, "{}", self.ordered)
    }
}
