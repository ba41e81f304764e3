//! Parts `sdk-postgres`, `crash-postgres` and `nodes`: what runs on the embedded store runs unchanged on PostgreSQL, and several
//! servers share one.

use anyhow::Result;

use super::outcome::{Counts, Outcome};
use super::sdk::Kept;
use super::{Run, crash, node, python, rust, system};
use crate::{crash as program, postgres};

/// One SDK's suite, on a server that keeps everything somewhere.
type Suite = fn(&Run<'_>, Kept) -> Result<Outcome>;

const SUITES: [(&str, Suite); 3] = [
    ("sdk-python", python::suite),
    ("sdk-node", node::suite),
    ("sdk-rust", rust::suite),
];

/// Kills of the crash loop here; on the embedded store there are more.
const CYCLES: u32 = 8;
/// Faults of the run with several servers.
const FAULTS: u32 = 6;

pub(super) fn run_sdks(run: &Run<'_>) -> Result<Outcome> {
    if !has_postgres()? {
        return Ok(missing());
    }
    let ends = SUITES.map(|(name, suite)| {
        let outcome = suite(run, Kept::InPostgres);
        (
            name,
            outcome.unwrap_or_else(|error| Outcome::broken(format!("{error:#}"))),
        )
    });
    Ok(together(&ends))
}

pub(super) fn run_crash(run: &Run<'_>) -> Result<Outcome> {
    if !has_postgres()? {
        return Ok(missing());
    }
    let database = postgres::start()?;
    let mut program = program::program(run.repo, run.binary()?, CYCLES);
    program.envs(postgres::environment(&database, "crash"));
    crash::judge(&mut program)
}

pub(super) fn run_nodes(run: &Run<'_>) -> Result<Outcome> {
    if !has_postgres()? {
        return Ok(missing());
    }
    let database = postgres::start()?;
    let mut program = program::nodes(run.repo, run.binary()?, &database, program::NODES, FAULTS);
    crash::judge(&mut program)
}

fn has_postgres() -> Result<bool> {
    Ok(system::find_or_install(&["initdb"], &["postgresql"], system::has_program)?.is_some())
}

fn missing() -> Outcome {
    Outcome::Skipped("there is no PostgreSQL".into())
}

/// Several suites as one part.
fn together(ends: &[(&str, Outcome)]) -> Outcome {
    let (mut counts, mut problems) = (Counts::default(), Vec::new());
    for (name, outcome) in ends {
        counts += outcome.counts();
        problems.extend(outcome.problems().iter().map(|problem| format!("{name}: {problem}")));
    }
    Outcome::Ran { counts, problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_counted_together_and_name_their_problems() {
        let passed = Outcome::Ran {
            counts: Counts {
                passed: 3,
                ..Counts::default()
            },
            problems: Vec::new(),
        };
        let ends = [("a", passed), ("b", Outcome::broken("no")), ("c", missing())];
        let outcome = together(&ends);
        let counts = outcome.counts();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (3, 1, 1));
        assert_eq!(outcome.problems(), ["b: no"]);
    }
}
