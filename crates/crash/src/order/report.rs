//! The summary of an ordered run, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use super::course::Course;
use super::ledger::{Closed, Totals};
use crate::report::{Repeats, in_millis, write_end};
use crate::violation::{Kind, Violations};

/// What a run showed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) kills: usize,
    pub(crate) stops: usize,
    pub(crate) keys: usize,
    pub(crate) lines: usize,
    /// The highest number in any line.
    pub(crate) longest: u32,
    pub(crate) totals: Totals,
    pub(crate) inversions: u64,
    pub(crate) gaps: u64,
    pub(crate) lost: u64,
    /// Publications whose answer was lost.
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

impl Report {
    /// From a closed account. `ready` is the median and the longest time until the server was ready.
    pub(crate) fn new(course: &Course, closed: Closed, ready: Option<[Duration; 2]>, notes: Vec<String>) -> Self {
        let count = |kind| closed.violations.count(kind);
        Self {
            seed: course.script.messages.seed,
            seconds: (course.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            kills: closed.kills.len(),
            stops: closed.stops,
            keys: closed.keys,
            lines: closed.lines,
            longest: closed.longest,
            totals: closed.totals,
            inversions: count(Kind::Inversion) + count(Kind::Overlap) + count(Kind::PublisherOrder),
            gaps: count(Kind::Gap) + count(Kind::Place),
            lost: count(Kind::Lost),
            answers_lost: course.answers_lost.load(Relaxed),
            refusals: course.refusals.load(Relaxed),
            repeats: Repeats::of(&closed.kills),
            ready_ms: in_millis(ready),
            notes,
            violations: closed.violations.counts(),
            details: closed.violations,
        }
    }

    /// Whether everything is in order and accounted for.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            published,
            acknowledged,
            ordered,
            unordered,
            tries,
            refused,
            cut,
            given_up,
            repeated,
            ..
        } = self.totals;
        writeln!(
            f,
            "order: {ordered} deliveries in order and {unordered} beside them in {:.1} s, {} kills, {} stops, seed {}",
            self.seconds, self.kills, self.stops, self.seed
        )?;
        writeln!(
            f,
            "  publishing  {published} published, {acknowledged} acknowledged; {} answers lost, {} refusals",
            self.answers_lost, self.refusals
        )?;
        writeln!(
            f,
            "  lines       {} of {} keys; the longest has {} numbers",
            self.lines, self.keys, self.longest
        )?;
        writeln!(
            f,
            "  tries       {tries}: {refused} failed by the receiver, {cut} cut off by the server or its end; {given_up} deliveries given up"
        )?;
        writeln!(
            f,
            "  order       {} inversions, {} gaps, {} lost",
            self.inversions, self.gaps, self.lost
        )?;
        writeln!(
            f,
            "  repeats     {repeated}: after {} kills, at most {} (at most {} % of what was in flight); the oldest had been answered {} ms before",
            self.repeats.kills, self.repeats.most, self.repeats.of_bound_percent, self.repeats.oldest_ms
        )?;
        let when_clean = "all in order";
        write_end(f, self.ready_ms, &self.notes, &self.details, when_clean)
    }
}
