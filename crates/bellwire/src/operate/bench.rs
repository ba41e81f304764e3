//! `bellwire bench`: the benchmark, with options of its own.
//!
//! Its `--json FILE` and `--token` are not the ones that the other commands share, so its part of the command line is read by a
//! parser of its own.

use std::{ffi::OsString, process::ExitCode};

use bellwire_bench::BenchArgs;
use clap::{Args, Parser};

use crate::cli::Failure;

/// `bench`, as the list of commands shows it.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct BenchCommand {
    /// Options of the benchmark; `bellwire bench --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

#[derive(Parser)]
#[command(name = "bellwire bench", version, max_term_width = 110)]
struct BenchLine {
    #[command(flatten)]
    args: BenchArgs,
}

/// The benchmark's part of the command line, when the first word says that it is one.
pub fn line(words: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut words = words.skip(1);
    (words.next()? == "bench").then(|| words.collect())
}

/// Measures, and ends the way the other commands do.
pub fn main(options: Vec<OsString>) -> ExitCode {
    match (BenchCommand { options }).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bellwire: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

impl BenchCommand {
    /// Measures.
    ///
    /// # Errors
    /// When a server cannot be started or reached, or stops answering.
    pub fn run(self) -> Result<(), Failure> {
        let words = std::iter::once("bellwire bench".into()).chain(self.options);
        let args = BenchLine::parse_from(words).args;
        // Two threads are what the published figures use.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let report = runtime.block_on(bellwire_bench::run(args));
        report.map(drop).map_err(|error| Failure::Failed(format!("{error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_description_of_the_options_is_consistent() {
        BenchLine::command().debug_assert();
    }

    #[test]
    fn only_the_first_word_makes_it_a_benchmark() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>().into_iter();
        assert_eq!(line(words("bellwire bench --json -")).unwrap(), ["--json", "-"]);
        assert_eq!(line(words("bellwire send bench")), None);
        assert_eq!(line(words("bellwire")), None);
    }
}
