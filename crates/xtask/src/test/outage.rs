//! Part `outage`: the crash program's scenarios in which the store cannot be written. They take the right to mount a small
//! disk and to make files immutable.

use anyhow::Result;

use super::Run;
use super::outcome::{Counts, Outcome};
use crate::{crash, process};

const SCENARIOS: [&str; 2] = ["disk-full", "unwritable"];

pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let binary = run.binary()?;
    let mut ends = Vec::new();
    for scenario in SCENARIOS {
        let done = process::stream(&mut crash::outage(run.repo, binary, scenario))?;
        ends.push((scenario, done.status.code()));
    }
    Ok(judge(&ends))
}

/// The outcome from how each scenario ended. When none could run, the part is skipped.
fn judge(ends: &[(&str, Option<i32>)]) -> Outcome {
    let mut counts = Counts::default();
    let mut problems = Vec::new();
    let mut skipped = Vec::new();
    for (scenario, code) in ends {
        match code {
            Some(0) => counts.passed += 1,
            Some(crash::CANNOT_RUN) => {
                counts.skipped += 1;
                skipped.push(*scenario);
            }
            code => {
                counts.failed += 1;
                let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
                problems.push(format!("{scenario} ended with {code}"));
            }
        }
    }
    if skipped.len() == ends.len() {
        return Outcome::Skipped(format!(
            "this machine cannot run {} (are you root?)",
            skipped.join(" and ")
        ));
    }
    Outcome::Ran { counts, problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_counts_as_what_it_is() {
        let outcome = judge(&[("a", Some(0)), ("b", Some(3)), ("c", Some(1)), ("d", None)]);
        let counts = outcome.counts();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (1, 2, 1));
        assert_eq!(
            outcome.problems(),
            ["c ended with exit code 1", "d ended with a signal"]
        );
    }

    #[test]
    fn a_machine_that_can_run_none_skips_the_part_by_name() {
        let outcome = judge(&[("a", Some(3)), ("b", Some(3))]);
        assert_eq!(
            outcome,
            Outcome::Skipped("this machine cannot run a and b (are you root?)".to_owned())
        );
    }
}
