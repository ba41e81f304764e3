//! The scenarios end to end, against a small server of the tests' own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod fake;

use std::path::{Path, PathBuf};

use bellwire_bench::{BenchArgs, Figures, Report, run};
use clap::Parser;
use fake::{Fake, Faults, TOKEN};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn args(line: &[&str]) -> BenchArgs {
    let short = [
        "bench",
        "--warmup-seconds",
        "0",
        "--rounds",
        "1",
        "--connections",
        "4",
        "--drain-seconds",
        "10",
    ];
    Cli::try_parse_from(short.iter().chain(line)).unwrap().bench
}

async fn bench(fake: &Fake, line: &[&str]) -> anyhow::Result<Report> {
    run(args(&[&["--target", &fake.url, "--token", TOKEN], line].concat())).await
}

fn only(report: &Report) -> &Figures {
    assert_eq!(report.scenarios.len(), 1);
    &report.scenarios[0].median
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floor_needs_no_server_and_loses_nothing() {
    let report = run(args(&["--scenario", "floor", "--messages", "500"])).await.unwrap();
    let figures = only(&report);
    assert_eq!(
        (figures.published, figures.deliveries, figures.missing),
        (500, 500, Some(0))
    );
    assert!(figures.deliveries_per_s.unwrap() > 0.0);
    assert_eq!(figures.cpu_s_per_1000.server, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_accounted_for_at_every_endpoint() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let report = bench(
        &fake,
        &["--scenario", "saturate,fanout-3", "--messages", "300", "--rounds", "3"],
    )
    .await
    .unwrap();
    let [one, three] = report.scenarios.as_slice() else {
        panic!("two scenarios")
    };
    assert_eq!(
        (one.median.published, one.median.deliveries, one.median.missing),
        (300, 300, Some(0))
    );
    assert_eq!(
        (three.median.published, three.median.deliveries, three.median.missing),
        (300, 900, Some(0))
    );
    assert_eq!(three.rounds.len(), 3);
    assert!(one.median.arrival_ms.unwrap().p50 > 0.0);
    assert_eq!(fake.apps(), 0, "what was made on the target is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_up_is_not_counted() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let line = ["--scenario", "saturate", "--messages", "50", "--warmup-seconds", "0.05"];
    let report = bench(&fake, &line).await.unwrap();
    assert_eq!((only(&report).published, only(&report).deliveries), (50, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_pace_publishes_what_was_due() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let report = bench(&fake, &["--scenario", "steady-500", "--seconds", "0.2"])
        .await
        .unwrap();
    let figures = only(&report);
    assert_eq!((figures.published, figures.deliveries), (100, 100));
    assert!(figures.publishes_per_s <= 600.0, "{}", figures.publishes_per_s);
    assert!(figures.extra.contains_key("generator_late_p50_ms"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_come_in_signed_and_each_with_an_id_of_its_own() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let report = bench(&fake, &["--scenario", "hook,hook-500", "--messages", "100"])
        .await
        .unwrap();
    for scenario in &report.scenarios {
        let figures = &scenario.median;
        assert_eq!((figures.published, figures.errors, figures.deliveries), (100, 0, 0));
        assert!(figures.ack_ms.is_some());
    }
    assert_eq!((fake.taken_in(), fake.sources()), (200, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_programs_hook_is_posted_to_as_it_is() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    fake.make_source("deploy", "theirs");
    let url = format!("{}/in/deploy", fake.url);
    let line = ["--scenario", "hook", "--messages", "50", "--hook-url", &url];
    let right = run(args(&[&line[..], &["--hook-secret", "theirs"]].concat())).await;
    assert_eq!(only(&right.unwrap()).published, 50);
    let wrong = run(args(&[&line[..], &["--hook-secret", "another"]].concat())).await;
    assert!(wrong.unwrap_err().to_string().contains("wrong signature"));
    let none = run(args(&line)).await.unwrap_err().to_string();
    assert!(none.contains("--hook-secret"), "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_and_repeated_deliveries_are_counted() {
    let fake = Fake::start(
        Faults {
            lose_every: 100,
            repeat_every: 30,
            ..Faults::default()
        },
        Some(TOKEN),
    )
    .await;
    let line = ["--scenario", "saturate", "--messages", "200", "--drain-seconds", "5"];
    let report = bench(&fake, &line).await.unwrap();
    let figures = only(&report);
    assert_eq!(
        (figures.published, figures.missing, figures.deliveries),
        (200, Some(2), 198)
    );
    assert_eq!(figures.duplicates, 6);
    assert!(
        figures.notes.iter().any(|note| note.contains("missing")),
        "{:?}",
        figures.notes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_and_made_up_for() {
    let fake = Fake::start(
        Faults {
            refuse_every: 40,
            ..Faults::default()
        },
        Some(TOKEN),
    )
    .await;
    let report = bench(&fake, &["--scenario", "saturate", "--messages", "100"])
        .await
        .unwrap();
    let figures = only(&report);
    assert_eq!((figures.published, figures.deliveries, figures.refused), (100, 100, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_arrive_after_receivers_were_down_in_any_way() {
    for way in ["refuse", "error", "hang"] {
        let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
        let report = bench(&fake, &["--scenario", "down", "--messages", "200", "--down", way])
            .await
            .unwrap();
        let figures = only(&report);
        assert_eq!(
            (figures.published, figures.deliveries, figures.missing),
            (200, 200, Some(0)),
            "{way}"
        );
        assert!(figures.extra["ack_rate_down_to_up"] > 0.0, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_reported_in_the_servers_words() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let line = [
        "--target",
        &fake.url,
        "--token",
        "other",
        "--scenario",
        "saturate",
        "--messages",
        "1",
    ];
    let error = format!("{:#}", run(args(&line)).await.unwrap_err());
    assert!(error.contains("401") && error.contains("wrong token"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_on_a_server_of_its_own_is_restarted_and_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(Faults::default(), None).await;
    let binary = announce(folder.path(), &fake.url);
    let json = folder.path().join("report.json");
    let line = [
        "--scenario",
        "pending",
        "--pending",
        "400",
        "--seconds",
        "0.1",
        "--binary",
        binary.to_str().unwrap(),
        "--data-parent",
        folder.path().to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
    ];
    let report = run(args(&line)).await.unwrap();
    let figures = only(&report);
    assert_eq!((figures.published, figures.extra["waiting"]), (400, 400.0));
    for name in [
        "publish_rate_last_to_first",
        "restart_to_first_waiting_s",
        "restart_to_new_message_s",
    ] {
        assert!(figures.extra[name] > 0.0, "{name}");
    }
    assert!(figures.rss_peak_mib.unwrap() > 0.0);
    assert_eq!(figures.missing, Some(0));
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(written["scenarios"][0]["median"]["published"], 400);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "only the script and the report are left");
}

/// The value of the verdict whose name begins so.
fn value(figures: &Figures, what: &str) -> Option<f64> {
    let verdict = figures.verdicts.iter().find(|verdict| verdict.what.starts_with(what));
    verdict.unwrap().value
}

const SHORT: [&str; 6] = ["--quick", "--seconds", "0.4", "--warmup-seconds", "0", "--scenario"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_endpoints_are_told_from_the_healthy_ones_beside_them() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let report = bench(&fake, &[&SHORT[..], &["hang"]].concat()).await.unwrap();
    let figures = only(&report);
    assert!(figures.published > 0, "the healthy ones are published to");
    assert_eq!(figures.missing, Some(0));
    assert!(value(figures, "healthy p99").unwrap() > 0.0);
    assert!(value(figures, "healthy throughput").unwrap() > 0.0);
    // The fake waits for each answer: five endpoints hang, each with one request.
    assert_eq!(figures.extra["hanging_at_once_peak"], 5.0);
    assert_eq!(fake.apps(), 0, "what was made on the target is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_noisy_application_publishes_a_hundred_times_as_much() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let report = bench(&fake, &[&SHORT[..], &["noisy"]].concat()).await.unwrap();
    let figures = only(&report);
    let noise = figures.extra["noisy_deliveries_per_s"] / (figures.deliveries_per_s.unwrap() / 9.0);
    assert!((20.0..500.0).contains(&noise), "{noise}");
    assert_eq!(figures.missing, Some(0));
    assert!(value(figures, "the others' p99").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_floods_after_its_return_is_caught() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let line = [&SHORT[..], &["return", "--pending", "6000", "--return-seconds", "1"]].concat();
    let report = bench(&fake, &line).await.unwrap();
    let figures = only(&report);
    assert_eq!(figures.extra["waiting"], 6_000.0);
    // It learned a twentieth of the capacity and then delivered as fast as it could.
    let flood = value(figures, "first minute").unwrap();
    assert!(flood > 3.0, "{flood}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overload_shows_losses_and_bare_refusals() {
    for retry_after in [false, true] {
        let faults = Faults {
            lose_every: 100,
            refuse_every: 3,
            retry_after,
            ..Faults::default()
        };
        let fake = Fake::start(faults, Some(TOKEN)).await;
        let few = ["overload", "--overload-seconds", "0.5", "--overload-connections", "8"];
        let line = [&SHORT[..], &few, &["--drain-seconds", "5"]].concat();
        let report = bench(&fake, &line).await.unwrap();
        let figures = only(&report);
        assert!(value(figures, "acknowledged and lost").unwrap() > 0.0);
        assert_eq!(value(figures, "refusals without").unwrap() > 0.0, !retry_after);
        assert!(figures.refused > 0 && figures.extra["sent_to_capacity"] > 0.0);
        // The fake's process is not known: its memory is not measured, and that is not passed off as flat.
        assert!(
            !figures
                .verdicts
                .iter()
                .any(|v| v.what.starts_with("memory") && v.reached)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_that_holds_is_told_from_order_that_does_not() {
    for (scenario, swap_every) in [("order-key-40", 0), ("order-endpoint", 0), ("order-endpoint", 50)] {
        let faults = Faults {
            swap_every,
            ..Faults::default()
        };
        let fake = Fake::start(faults, Some(TOKEN)).await;
        let line = [&SHORT[..], &[scenario, "--drain-seconds", "5"]].concat();
        let report = bench(&fake, &line).await.unwrap();
        let figures = only(&report);
        assert!(figures.deliveries > 0 && figures.extra["ordered_to_unordered"] > 0.0);
        assert_eq!(
            value(figures, "inversions").unwrap() > 0.0,
            swap_every > 0,
            "{scenario}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_endpoints_are_made_and_left_alone() {
    let fake = Fake::start(Faults::default(), Some(TOKEN)).await;
    let line = [&SHORT[..], &["idle-endpoints", "--endpoints", "200"]].concat();
    let report = bench(&fake, &line).await.unwrap();
    let figures = only(&report);
    assert_eq!(
        (figures.extra["idle_endpoints"], figures.extra["active_endpoints"]),
        (198.0, 2.0)
    );
    assert!(figures.notes.is_empty(), "{:?}", figures.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_restarted_and_delivers_what_waited() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(Faults::default(), None).await;
    let binary = announce(folder.path(), &fake.url);
    let line = [
        "--scenario",
        "restart",
        "--pending",
        "400",
        "--seconds",
        "0.1",
        "--binary",
        binary.to_str().unwrap(),
        "--data-parent",
        folder.path().to_str().unwrap(),
    ];
    let report = run(args(&line)).await.unwrap();
    let figures = only(&report);
    assert_eq!(figures.extra["waiting"], 400.0);
    assert!(value(figures, "restart to first").unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_binaries_are_measured_in_turn_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(Faults::default(), None).await;
    let binary = announce(folder.path(), &fake.url);
    let binary = binary.to_str().unwrap();
    let line = [
        "--scenario",
        "floor,saturate",
        "--messages",
        "100",
        "--rounds",
        "3",
        "--binary",
        binary,
        "--against",
        binary,
        "--data-parent",
        folder.path().to_str().unwrap(),
    ];
    let report = run(args(&line)).await.unwrap();
    let measured: Vec<_> = report.scenarios.iter().map(|s| (s.against, s.rounds.len())).collect();
    assert_eq!(measured, [(false, 3), (false, 3), (true, 3)], "the floor has no server");
    let rate = report.comparisons.iter().find(|c| c.figure == "deliveries/s").unwrap();
    assert!(rate.ratio > 0.0 && rate.verdict.is_some());
    assert!(report.to_string().contains("saturate (against)"));
}

/// A program that says it listens where the fake server does, and stays until it is stopped.
fn announce(folder: &Path, url: &str) -> PathBuf {
    let path = folder.join("server.sh");
    // Written by another process: were it open for writing here, a fork of a neighbouring test could keep it from being started.
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod +x \"$2\"";
    let body = format!("echo 'listening on {url}'; exec sleep 600");
    let mut shell = std::process::Command::new("sh");
    assert!(
        shell
            .args(["-c", write, "sh", &body])
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}
