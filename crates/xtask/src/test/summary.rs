//! The table at the end of a run, and the verdict.

use std::fmt::Write as _;

use super::Done;
use super::outcome::{Counts, Outcome};

/// The table, what was skipped or went wrong, and last the line `N passed, N failed, N skipped`.
///
/// `strict`: a skip is a failure, and the text says so.
pub(super) fn format(done: &[Done], strict: bool) -> String {
    let mut text = String::from("\n");
    let width = done.iter().map(|part| part.name.len()).chain([4]).max().unwrap_or(4);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:<width$}  {:>7}  {:>7}  {:>7}  {:>8}",
        "part", "passed", "failed", "skipped", "seconds"
    );
    for part in done {
        let Counts {
            passed,
            failed,
            skipped,
        } = part.outcome.counts();
        let seconds = part.took.as_secs_f64();
        let _ = writeln!(
            text,
            "{:<width$}  {passed:>7}  {failed:>7}  {skipped:>7}  {seconds:>8.1}",
            part.name
        );
    }
    text.push('\n');
    for part in done {
        match &part.outcome {
            Outcome::Skipped(why) => drop(writeln!(text, "skipped: {}: {}", part.name, one_line(why))),
            Outcome::Ran {
                counts: Counts { skipped: 0, .. },
                ..
            } => {}
            Outcome::Ran { counts, .. } => {
                let _ = writeln!(
                    text,
                    "skipped: {}: {} of its tests, see its output",
                    part.name, counts.skipped
                );
            }
        }
        for problem in part.outcome.problems() {
            let _ = writeln!(text, "failed: {}: {}", part.name, one_line(problem));
        }
    }
    let Counts {
        passed,
        failed,
        skipped,
    } = total(done);
    if strict && skipped > 0 {
        text.push_str("CI=true: a skip is a failure\n");
    }
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

/// Whether nothing failed and, when `strict`, nothing was skipped.
pub(super) fn is_good(done: &[Done], strict: bool) -> bool {
    let total = total(done);
    total.failed == 0 && (total.skipped == 0 || !strict)
}

fn total(done: &[Done]) -> Counts {
    let mut total = Counts::default();
    for part in done {
        total += part.outcome.counts();
    }
    total
}

fn one_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ran(name: &'static str, passed: u32, failed: u32) -> Done {
        let counts = Counts {
            passed,
            failed,
            skipped: 0,
        };
        Done {
            name,
            outcome: Outcome::Ran {
                counts,
                problems: Vec::new(),
            },
            took: Duration::from_millis(1_250),
        }
    }

    fn skipped() -> Done {
        Done {
            name: "sdk-node",
            outcome: Outcome::Skipped("node is not installed".into()),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn the_summary_is_a_table_and_a_closing_line() {
        let broken = Done {
            name: "crash",
            outcome: Outcome::broken("exit status: 1\ndetails"),
            took: Duration::ZERO,
        };
        let text = format(&[ran("unit", 120, 0), skipped(), broken], false);
        let expected = "
part       passed   failed  skipped   seconds
unit          120        0        0       1.2
sdk-node        0        0        1       0.0
crash           0        1        0       0.0

skipped: sdk-node: node is not installed
failed: crash: exit status: 1
120 passed, 1 failed, 1 skipped
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_skip_is_a_failure_only_when_strict() {
        let done = [ran("unit", 1, 0), skipped()];
        assert!(is_good(&done, false));
        assert!(!is_good(&done, true));
        assert!(format(&done, true).contains("a skip is a failure\n1 passed, 0 failed, 1 skipped\n"));
    }

    #[test]
    fn tests_that_skip_themselves_are_named_by_their_part() {
        let counts = Counts {
            passed: 4,
            failed: 0,
            skipped: 2,
        };
        let done = Done {
            name: "unit",
            outcome: Outcome::judge(counts, true),
            took: Duration::ZERO,
        };
        assert!(format(&[done], false).contains("\nskipped: unit: 2 of its tests, see its output\n"));
    }

    #[test]
    fn a_failure_is_always_one() {
        assert!(!is_good(&[ran("unit", 5, 1)], false));
        assert!(is_good(&[ran("unit", 5, 0)], true));
    }
}
