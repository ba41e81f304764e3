//! The scenarios about load (L1–L7) and order against the real server, small enough for every test run.
//!
//! `cargo xtask test load` starts it, one test after the other. Nothing here depends on how fast the machine is: what is asserted are
//! ratios within one run, with room for a machine that others use as well, and counts that must be what they are. The figures that are
//! published come from the full sizes, on a quiet machine (docs/benchmarks.md).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use bellwire_bench::{BenchArgs, Figures, run};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,

    /// The server; set by `cargo xtask test load`. Not `BELLWIRE_…`: the server inherits it and refuses settings that it does not know.
    #[arg(long, env = "LOAD_TEST_BINARY")]
    load_binary: std::path::PathBuf,
}

/// Runs one scenario, prints its table, and answers its figures.
async fn measure(scenario: &str) -> Figures {
    let mut cli = Cli::try_parse_from(["load", "--quick", "--scenario", scenario]).unwrap();
    cli.bench.binary = Some(cli.load_binary);
    let report = run(cli.bench).await.unwrap();
    report.scenarios.into_iter().next().unwrap().median
}

/// The figure that a verdict is about.
#[track_caller]
fn value(figures: &Figures, what: &str) -> f64 {
    let verdict = figures.verdicts.iter().find(|verdict| verdict.what.starts_with(what));
    let verdict = verdict.unwrap_or_else(|| panic!("no verdict about {what}"));
    verdict.value.unwrap_or_else(|| panic!("{what}: nothing was measured"))
}

#[track_caller]
fn at_most(figures: &Figures, what: &str, bound: f64) {
    let value = value(figures, what);
    assert!(value <= bound, "{what}: {value:.3} is more than {bound}");
}

#[track_caller]
fn at_least(figures: &Figures, what: &str, bound: f64) {
    let value = value(figures, what);
    assert!(value >= bound, "{what}: {value:.3} is less than {bound}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_hang_do_not_hold_up_the_others() {
    let figures = measure("hang").await;
    assert!(figures.extra["hanging_at_once_peak"] > 0.0, "some did hang");
    assert_eq!(figures.missing, Some(0));
    at_least(&figures, "healthy throughput", 0.8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_noisy_application_does_not_hold_up_the_others() {
    let figures = measure("noisy").await;
    assert_eq!(figures.missing, Some(0));
    at_least(&figures, "the others' throughput", 0.8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_comes_back_is_not_flooded() {
    let figures = measure("return").await;
    assert_eq!(figures.missing, Some(0));
    assert!(figures.extra["watched_per_s"] > 0.0, "it is delivered to again");
    at_most(&figures, "first minute's busiest", 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overload_is_refused_politely_and_loses_nothing() {
    let figures = measure("overload").await;
    assert!(figures.refused > 0, "three times the capacity cannot all be taken");
    at_most(&figures, "acknowledged and lost", 0.0);
    at_most(&figures, "refusals without Retry-After", 0.0);
    // Capacity and overload are measured seconds apart, and refusing costs a debug build more than accepting: only a collapse is
    // told from a busy machine here.
    at_least(&figures, "goodput", 0.25);
    at_most(&figures, "memory", 1.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_endpoint_costs_little() {
    let figures = measure("idle-endpoints").await;
    // Two thousand endpoints are few: whatever else the server's memory does counts as theirs.
    at_most(&figures, "KiB for each idle endpoint", 16.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_drip_give_their_slots_back_at_the_timeout() {
    let figures = measure("drip").await;
    assert_eq!(figures.missing, Some(0));
    at_most(&figures, "slot held", 1.5);
    at_least(&figures, "healthy throughput", 0.8);
    at_most(&figures, "more memory", 256.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_delivers_what_waited() {
    let figures = measure("restart").await;
    assert_eq!((figures.extra["waiting"], figures.missing), (20_000.0, Some(0)));
    at_least(&figures, "restart to first waiting delivery", 0.0);
    assert!(figures.extra["restart_to_new_message_s"] > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_at_full_speed() {
    for scenario in ["order-key", "order-endpoint"] {
        let figures = measure(scenario).await;
        assert!(figures.deliveries > 0, "{scenario}");
        at_most(&figures, "inversions", 0.0);
        at_most(&figures, "acknowledged and lost", 0.0);
    }
}
