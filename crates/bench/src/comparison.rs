//! Two binaries, measured in turn in one run: how many times as fast is the one?

use std::fmt;

use serde::Serialize;

use crate::args::Scenario;
use crate::report::{Figures, median, short};
use crate::verdict::{Aim, Verdict, ratio};

/// One figure of two binaries, measured in turn.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// In which scenario.
    pub scenario: Scenario,
    /// Which figure.
    pub figure: &'static str,
    /// The median of this binary's rounds.
    pub this: f64,
    /// The median of the other's.
    pub against: f64,
    /// The median of the rounds' ratios, this over the other: each round is compared with the one beside it, so that a machine that slows
    /// down over the run slows both.
    pub ratio: f64,
    /// Held against 'within 5 %', where the scenario is about this figure.
    pub verdict: Option<Verdict>,
}

/// What may be lost to the other binary.
const WITHIN: f64 = 0.95;

impl Comparison {
    /// Compares the rounds of a scenario, pair by pair.
    pub(crate) fn of(scenario: Scenario, this: &[Figures], against: &[Figures]) -> Vec<Self> {
        type Get = fn(&Figures) -> Option<f64>;
        let figures: [(&'static str, Get); 5] = [
            ("publishes/s", |f| Some(f.publishes_per_s)),
            ("deliveries/s", |f| f.deliveries_per_s),
            ("server CPU s per 1,000", |f| f.cpu_s_per_1000.server),
            ("arrival p50 ms", |f| Some(f.arrival_ms?.p50)),
            ("arrival p99 ms", |f| Some(f.arrival_ms?.p99)),
        ];
        let judged = match scenario {
            Scenario::Saturate { .. } | Scenario::OrderKey { .. } | Scenario::OrderEndpoint => "deliveries/s",
            Scenario::Down | Scenario::Pending => "publishes/s",
            _ => "",
        };
        let of = |(figure, get): (&'static str, Get)| {
            let all = |rounds: &[Figures]| median(rounds.iter().filter_map(get).collect());
            let pairs = this.iter().zip(against);
            let ratio = median(pairs.filter_map(|(one, other)| ratio(get(one), get(other))).collect())?;
            let verdict = Verdict::of("this binary to the other", Some(ratio), Aim::AtLeast(WITHIN));
            Some(Self {
                scenario,
                figure,
                this: all(this)?,
                against: all(against)?,
                ratio,
                verdict: (figure == judged).then_some(verdict),
            })
        };
        figures.into_iter().filter_map(of).collect()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (this, against) = (short(self.this), short(self.against));
        let (scenario, figure) = (self.scenario, self.figure);
        write!(
            f,
            "{scenario}: {figure} {this} against {against}: {:.3} times",
            self.ratio
        )?;
        match &self.verdict {
            Some(verdict) => write!(f, "; {verdict}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::CpuPer1000;

    fn figures(publishes_per_s: f64, server: f64) -> Figures {
        Figures {
            publishes_per_s,
            cpu_s_per_1000: CpuPer1000 {
                server: Some(server),
                ..CpuPer1000::default()
            },
            ..Figures::default()
        }
    }

    #[test]
    fn rounds_of_two_binaries_are_compared_pair_by_pair() {
        let rounds = |rates: [f64; 3]| rates.map(|rate| figures(rate, rate));
        let down = Scenario::Down;
        // The machine slowed down by half and recovered; the ratio stays.
        let all = Comparison::of(down, &rounds([96.0, 48.0, 96.0]), &rounds([100.0, 50.0, 100.0]));
        let publishes = all.iter().find(|c| c.figure == "publishes/s").unwrap();
        assert!((publishes.ratio - 0.96).abs() < 1e-9, "{publishes}");
        assert!(publishes.verdict.unwrap().reached);
        let cpu = all.iter().find(|c| c.figure.contains("CPU")).unwrap();
        assert_eq!((cpu.this, cpu.against, cpu.verdict), (96.0, 100.0, None));
        assert!(
            !all.iter().any(|c| c.figure == "deliveries/s"),
            "what was not measured is left out"
        );
        let slower = Comparison::of(down, &rounds([90.0; 3]), &rounds([100.0; 3]));
        assert!(slower[0].to_string().contains("MISSED"), "{}", slower[0]);
    }
}
