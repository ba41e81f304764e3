//! The benchmark that releases publish: `bellwire bench`.
//!
//! It drives any server that speaks the Svix-shaped API, purely over HTTP, and answers with deliveries per second, latency from
//! publishing to arrival, CPU seconds per 1,000 deliveries and memory. Either a running server is named (`--target`), or it starts one of
//! its own on an empty temporary directory for every round.
//!
//! Load generator and receiver live in this process, on the same cores as the server, because that is what a reader can repeat; so both are
//! written to cost little, their CPU is shown beside the server's, and the `floor` scenario says what the machine does without any server.
//!
//! Called by the binary (`bellwire bench`); [`sink`] also serves tests that want a fast receiver with a ledger of what arrived. It knows no
//! store and no delivery code. Where a figure has an aim, the report says whether it was reached; what follows from that is the reader's.

mod api;
mod args;
mod clock;
mod comparison;
mod latency;
mod machine;
mod mark;
mod postgres;
mod process;
mod publish;
mod report;
mod scenario;
mod server;
pub mod sink;
mod verdict;
mod wire;

pub use args::{BenchArgs, Down, LoadArgs, Scenario};
pub use clock::Clock;
pub use comparison::Comparison;
pub use latency::{Latency, Percentiles};
pub use machine::Machine;
pub use mark::{Mark, Template};
pub use process::CpuPer1000;
pub use publish::{Extent, IdHeader, Pace, Publisher, Run, Slot, Target, Turns};
pub use report::{Figures, Report, ScenarioReport, Settings};
pub use verdict::{Aim, Verdict};

use std::io::Write;

/// Runs the scenarios that `args` names, prints the table (and the JSON form, when asked for) and returns the report.
///
/// Progress goes to stderr; the table goes to stdout, or to stderr when the JSON form claims stdout (`--json -`). The caller provides the
/// runtime; two worker threads are what the published figures use.
///
/// # Errors
/// When a server cannot be started or reached, refuses the set-up calls, or stops acknowledging for half a minute. Lost messages are not an
/// error here: they are counted in the report.
pub async fn run(args: BenchArgs) -> anyhow::Result<Report> {
    args.check()?;
    let report = scenario::run_all(&args).await?;
    match args.json.as_deref() {
        Some(path) if path.as_os_str() == "-" => {
            eprintln!("{report}");
            println!("{}", report.to_json()?);
        }
        Some(path) => {
            println!("{report}");
            let mut file =
                std::fs::File::create(path).map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
            writeln!(file, "{}", report.to_json()?)?;
        }
        None => println!("{report}"),
    }
    Ok(report)
}
