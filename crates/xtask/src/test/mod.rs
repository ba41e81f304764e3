//! `cargo xtask test`: every part of the test suite in order, and one summary at the end.
//!
//! A part is a row in [`PARTS`] and a function that answers an [`Outcome`]. A part that fails does not stop the others.
//! What a part needs is installed below cargo's target folder; what this machine cannot run is skipped by name, and
//! where `CI=true` a skip is a failure.

mod crash;
mod examples;
mod load;
mod node;
mod on_postgres;
mod openapi;
mod outage;
mod outcome;
mod parse;
mod providers;
mod python;
mod rust;
mod scratch;
mod sdk;
mod server;
mod summary;
mod system;
mod unit;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::product::{self, Beside};
use crate::repo::Repo;
use crate::test::outcome::Outcome;

/// One part of the suite.
struct Part {
    name: &'static str,
    about: &'static str,
    run: fn(&Run<'_>) -> Result<Outcome>,
}

const PARTS: &[Part] = &[
    Part {
        name: "unit",
        about: "cargo test of every crate, documentation included",
        run: unit::run,
    },
    Part {
        name: "sdk-python",
        about: "the published Python SDK against a real server",
        run: python::run,
    },
    Part {
        name: "sdk-node",
        about: "the published Node SDK against a real server",
        run: node::run,
    },
    Part {
        name: "sdk-rust",
        about: "the published Rust SDK against a real server",
        run: rust::run,
    },
    Part {
        name: "sdk-postgres",
        about: "the same suites on a server that keeps everything in PostgreSQL",
        run: on_postgres::run_sdks,
    },
    Part {
        name: "providers",
        about: "requests signed by the providers' own libraries are trusted, and none with a changed bit",
        run: providers::run,
    },
    Part {
        name: "examples",
        about: "each example with real parts: a mail server, PostgreSQL, processes, the providers' own signatures",
        run: examples::run,
    },
    Part {
        name: "crash",
        about: "kill -9 under load, 25 times; every message accounted for",
        run: crash::run,
    },
    Part {
        name: "crash-postgres",
        about: "the same on PostgreSQL, 8 times",
        run: on_postgres::run_crash,
    },
    Part {
        name: "nodes",
        about: "three servers on one PostgreSQL: one is killed, paused or cut off, 6 times; nothing lost, inverted or stale",
        run: on_postgres::run_nodes,
    },
    Part {
        name: "order",
        about: "20,000 deliveries in order, a fifth of the tries failing, kill -9 and restarts in between",
        run: crash::run_ordered,
    },
    Part {
        name: "inbound",
        about: "6,000 webhooks of 1,000 events and 1,000 shuffled numbers, kill -9 in between: each takes effect once, in order",
        run: crash::run_inbound,
    },
    Part {
        name: "outage",
        about: "a full disk and an unwritable store; every message accounted for",
        run: outage::run,
    },
    Part {
        name: "load",
        about: "hanging, noisy, returning and dripping endpoints, overload, kill -9, order: ratios within one run",
        run: load::run,
    },
    Part {
        name: "openapi",
        about: "openapi.json says what the code says",
        run: openapi::run,
    },
];

/// What the parts of one run share.
struct Run<'a> {
    repo: &'a Repo,
    beside: Beside,
    binary: OnceCell<Result<PathBuf, String>>,
}

impl Run<'_> {
    /// The server's binary, built when the first part asks. When that fails it fails for all, without another try.
    fn binary(&self) -> Result<&Path> {
        let build = || product::build(self.repo, self.beside).map_err(|error| format!("{error:#}"));
        match self.binary.get_or_init(build) {
            Ok(path) => Ok(path),
            Err(why) => bail!("{why}"),
        }
    }
}

/// A part that has run.
struct Done {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs the parts named, or all; answers whether the run is good.
///
/// # Errors
/// When the command line is wrong; a failing part is not an error here.
pub(crate) fn command(repo: &Repo, args: &[&str]) -> Result<bool> {
    if args.contains(&"--list") {
        for part in PARTS {
            println!("{:<14} {}", part.name, part.about);
        }
        return Ok(true);
    }
    let parts = select(args)?;
    let beside = if parts.iter().any(|part| part.name == "unit") {
        Beside::Tests
    } else {
        Beside::Nothing
    };
    let run = Run {
        repo,
        beside,
        binary: OnceCell::new(),
    };
    let done: Vec<Done> = parts.into_iter().map(|part| perform(part, &run)).collect();
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    print!("{}", summary::format(&done, strict));
    Ok(summary::is_good(&done, strict))
}

/// The parts of that name, in the order of [`PARTS`]; all of them when no name is given.
fn select(names: &[&str]) -> Result<Vec<&'static Part>> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|part| part.name == **name)) {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        bail!("test: no part is called `{unknown}`; there are {}", known.join(", "));
    }
    Ok(PARTS
        .iter()
        .filter(|part| names.is_empty() || names.contains(&part.name))
        .collect())
}

fn perform(part: &'static Part, run: &Run<'_>) -> Done {
    println!("\n=== {}: {}", part.name, part.about);
    let started = Instant::now();
    let outcome = (part.run)(run).unwrap_or_else(|error| Outcome::broken(format!("{error:#}")));
    for problem in outcome.problems() {
        println!("{}: {problem}", part.name);
    }
    Done {
        name: part.name,
        outcome,
        took: started.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Vec<&'static str> {
        select(args)
            .expect("known parts")
            .iter()
            .map(|part| part.name)
            .collect()
    }

    #[test]
    fn parts_run_in_their_own_order_whatever_order_they_are_named_in() {
        assert_eq!(names(&["openapi", "unit"]), ["unit", "openapi"]);
        assert_eq!(names(&[]).len(), PARTS.len());
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_names_that_exist() {
        let error = select(&["unit", "units"]).err().expect("refused").to_string();
        assert!(error.contains("`units`") && error.contains("sdk-python"), "{error}");
    }

    #[test]
    fn a_part_that_breaks_is_a_failure_and_not_the_end() {
        fn fails(_: &Run<'_>) -> Result<Outcome> {
            bail!("no such thing")
        }
        static PART: Part = Part {
            name: "bad",
            about: "breaks",
            run: fails,
        };
        let repo = Repo::find();
        let done = perform(
            &PART,
            &Run {
                repo: &repo,
                beside: Beside::Nothing,
                binary: OnceCell::new(),
            },
        );
        assert_eq!(done.outcome.counts().failed, 1);
        assert_eq!(done.outcome.problems(), ["no such thing"]);
    }
}
