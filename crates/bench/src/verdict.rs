//! What a figure should be, and whether it was.
//!
//! Most aims are ratios between two measurements of one run, because absolute figures are the machine's as much as the server's. The aims
//! themselves come from the scenarios.

use std::fmt;

use serde::Serialize;

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// A figure held against its aim.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Which figure.
    pub what: &'static str,
    /// The figure; `None` when there was nothing to measure, which never counts as reached.
    pub value: Option<f64>,
    /// What it should be.
    #[serde(flatten)]
    pub aim: Aim,
    /// Whether it is.
    pub reached: bool,
}

impl Verdict {
    /// Judges.
    #[must_use]
    pub fn of(what: &'static str, value: Option<f64>, aim: Aim) -> Self {
        let value = value.filter(|value| value.is_finite());
        let reached = value.is_some_and(|value| match aim {
            Aim::AtMost(bound) => value <= bound,
            Aim::AtLeast(bound) => value >= bound,
        });
        Self {
            what,
            value,
            aim,
            reached,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self
            .value
            .map_or("not measured".to_owned(), |value| format!("{value:.3}"));
        let (words, bound) = match self.aim {
            Aim::AtMost(bound) => ("at most", bound),
            Aim::AtLeast(bound) => ("at least", bound),
        };
        let end = if self.reached { "reached" } else { "MISSED" };
        write!(f, "{}: {value}, aim {words} {bound}: {end}", self.what)
    }
}

/// One figure over another; `None` when either is missing or there is nothing to divide by.
pub(crate) fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    let (one, other) = (one?, other?);
    (other > 0.0).then(|| one / other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_its_bound_reaches_the_aim_and_none_does_not() {
        let reached = |value, aim| Verdict::of("x", value, aim).reached;
        assert!(reached(Some(1.2), Aim::AtMost(1.2)) && !reached(Some(1.21), Aim::AtMost(1.2)));
        assert!(reached(Some(0.98), Aim::AtLeast(0.98)) && !reached(Some(0.97), Aim::AtLeast(0.98)));
        assert!(!reached(None, Aim::AtMost(1.0)) && !reached(Some(f64::NAN), Aim::AtLeast(0.0)));
    }

    #[test]
    fn verdicts_are_read_by_people_and_programs() {
        let verdict = Verdict::of("p99 to baseline", Some(1.3), Aim::AtMost(1.2));
        assert_eq!(verdict.to_string(), "p99 to baseline: 1.300, aim at most 1.2: MISSED");
        let json = serde_json::to_value(verdict).unwrap();
        assert_eq!((&json["at_most"], &json["reached"]), (&1.2.into(), &false.into()));
    }

    #[test]
    fn a_ratio_needs_both_figures() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), Some(1.5));
        assert_eq!(ratio(None, Some(2.0)).or(ratio(Some(1.0), Some(0.0))), None);
    }
}
