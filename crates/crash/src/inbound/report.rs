//! The summary of a run of what comes in, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use super::send::Course;
use crate::report::{in_millis, write_end};
use crate::violation::Violations;

/// What a run showed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) kills: u32,
    pub(crate) stops: u32,
    /// Requests acknowledged.
    pub(crate) acknowledged: u64,
    /// Those of them that repeated an event.
    pub(crate) repetitions: u64,
    /// Events that must take effect once.
    pub(crate) events: u32,
    /// Events that must take effect once and in order.
    pub(crate) numbered: u32,
    /// Effects found.
    pub(crate) effects: u64,
    /// Requests whose answer a kill took.
    pub(crate) answers_lost: u64,
    /// Answers 429 and 503.
    pub(crate) refusals: u64,
    /// From starting the process to readiness 200: median and longest.
    pub(crate) ready_ms: Option<[u64; 2]>,
    pub(crate) notes: Vec<String>,
    pub(crate) violations: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    pub(super) details: Violations,
}

/// What only the run knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Ran {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) kills: u32,
    pub(super) stops: u32,
    pub(super) events: u32,
    pub(super) numbered: u32,
    pub(super) effects: u64,
    pub(super) ready: Option<[Duration; 2]>,
    pub(super) notes: Vec<String>,
}

impl Report {
    pub(super) fn new(course: &Course, ran: Ran) -> Self {
        let details = course.violations().clone();
        let acknowledged = course.acknowledged.load(Relaxed);
        Self {
            seed: ran.seed,
            seconds: (ran.took.as_secs_f64() * 10.0).round() / 10.0,
            kills: ran.kills,
            stops: ran.stops,
            acknowledged,
            repetitions: acknowledged.saturating_sub(u64::from(ran.events) + u64::from(ran.numbered)),
            events: ran.events,
            numbered: ran.numbered,
            effects: ran.effects,
            answers_lost: course.answers_lost.load(Relaxed),
            refusals: course.refusals.load(Relaxed),
            ready_ms: in_millis(ran.ready),
            notes: ran.notes,
            violations: details.counts(),
            details,
        }
    }

    /// Whether everything took effect once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "inbound: {} requests acknowledged in {:.1} s, {} kills, {} stops, seed {}",
            self.acknowledged, self.seconds, self.kills, self.stops, self.seed
        )?;
        writeln!(
            f,
            "  coming in   {} events and {} numbered ones, {} repetitions of them; {} answers lost, {} refusals",
            self.events, self.numbered, self.repetitions, self.answers_lost, self.refusals
        )?;
        writeln!(f, "  effects     {}", self.effects)?;
        write_end(
            f,
            self.ready_ms,
            &self.notes,
            &self.details,
            "each took effect once, and in order",
        )
    }
}
