//! What became of a part.

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The end of a part: its tests were run, or this machine cannot run it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ran {
        counts: Counts,
        /// What went wrong beside tests that say so themselves.
        problems: Vec<String>,
    },
    /// Why this machine cannot run the part.
    Skipped(String),
}

impl Outcome {
    /// A part that broke before or beside its tests: counts as one failure.
    pub(super) fn broken(problem: impl Into<String>) -> Self {
        Self::Ran {
            counts: Counts {
                failed: 1,
                ..Counts::default()
            },
            problems: vec![problem.into()],
        }
    }

    /// The outcome of a test program from its own counts and its exit status, neither of which is believed alone: a
    /// program that failed without a failed test, or passed without a passed one, counts as one failure.
    pub(super) fn judge(counts: Counts, succeeded: bool) -> Self {
        let mut outcome = Self::Ran {
            counts,
            problems: Vec::new(),
        };
        if !succeeded && counts.failed == 0 {
            outcome.add_failure("the test program failed although none of its tests did (does it build?)");
        } else if succeeded && counts.passed == 0 {
            outcome.add_failure("no test passed: did it find them?");
        } else if succeeded && counts.failed > 0 {
            outcome.add_failure("the test program reported success although tests failed");
        }
        outcome
    }

    /// Notes one more failure. A part that was skipped stays skipped no longer.
    pub(super) fn add_failure(&mut self, problem: impl Into<String>) {
        match self {
            Self::Ran { counts, problems } => {
                counts.failed += 1;
                problems.push(problem.into());
            }
            Self::Skipped(_) => *self = Self::broken(problem),
        }
    }

    /// A part that was skipped counts as one skip.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Ran { counts, .. } => *counts,
            Self::Skipped(_) => Counts {
                skipped: 1,
                ..Counts::default()
            },
        }
    }

    pub(super) fn problems(&self) -> &[String] {
        match self {
            Self::Ran { problems, .. } => problems,
            Self::Skipped(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(passed: u32, failed: u32, succeeded: bool) -> u32 {
        Outcome::judge(
            Counts {
                passed,
                failed,
                skipped: 0,
            },
            succeeded,
        )
        .counts()
        .failed
    }

    #[test]
    fn neither_counts_nor_exit_status_are_believed_alone() {
        assert_eq!(judged(3, 0, true), 0);
        assert_eq!(judged(3, 2, false), 2);
        assert_eq!(judged(3, 0, false), 1);
        assert_eq!(judged(0, 0, true), 1);
        assert_eq!(judged(3, 2, true), 3);
    }

    #[test]
    fn a_failure_is_not_hidden_by_a_skip() {
        let mut outcome = Outcome::Skipped("no node".into());
        outcome.add_failure("the server did not stop");
        assert_eq!(
            outcome.counts(),
            Counts {
                passed: 0,
                failed: 1,
                skipped: 0
            }
        );
    }
}
