//! L4: three times as much is published as can be delivered. Memory stays flat, what is acknowledged is delivered, what is not is refused
//! at once and says when to come again, and as much is delivered as without the overload.
//!
//! The publishers are an open loop over very many connections: who is refused does not wait, as if somebody else had come. What the
//! generator could not send, because every connection was waiting for its answer, is counted and shown: the server had delayed instead of
//! refusing.
//!
//! Beside the crowd a few publishers do as they are told and come back after `Retry-After`. How soon they are refused is judged; how soon
//! the crowd is, which asks again at once, is shown.

use std::time::Duration;

use super::Context;
use super::group::{Group, Layout, whole};
use super::samples::{Sample, flatness, sample_while, slope_mib_per_minute};
use super::stage::{Setting, Stage, figures};
use crate::clock::us_to_seconds;
use crate::publish::{Extent, Pace};
use crate::report::Figures;
use crate::sink::Ledger;
use crate::verdict::{Aim, ratio};

const APPS: usize = 5;
const EACH: usize = 10;
const TIMES: f64 = 3.0;
/// Connections of those who wait as they are told.
const PATIENT: usize = 16;
/// A first part of the overload fills queues and caches; goodput and memory are those of the rest.
const SETTLED_AFTER: f64 = 0.25;
/// With --quick there are few connections, and a server that takes thousands of publishes at once would never have to refuse.
const QUICK_AT_ONCE: usize = 64;

/// Measures the capacity, then the overload, then waits for everything that was acknowledged.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let load = &context.args.load;
    let few = load.quick.then(|| Setting {
        name: "publish_max_in_flight",
        value: QUICK_AT_ONCE.to_string(),
    });
    let mut stage = Stage::open_with(context, few.as_slice()).await?;
    let apps = stage.empty_apps(APPS).await?;
    let layout = Layout {
        name: "any",
        each: EACH,
        connections: context.args.connections,
        order: None,
    };
    let mut group = Group::open(context, &stage, &apps, &layout).await?;
    let capacity = group.capacity(context).await?;
    let mut crowd = group.publisher.another(load.overload_connections()).await?;
    let mut patient = group.publisher.another(PATIENT).await?;

    let time = load.overload();
    let pace = Pace::Flood(whole(capacity * TIMES));
    let ledger = group.sink.ledger().clone();
    let before = stage.read();
    group.sink.begin_window(ledger.seq_end());
    let every = Duration::from_secs_f64((time.as_secs_f64() / 60.0).clamp(0.1, 1.0));
    let publishing = async {
        tokio::join!(
            crowd.run(pace, Extent::For(time)),
            patient.run(Pace::Full, Extent::For(time)),
            rate_after(&ledger, time.mul_f64(SETTLED_AFTER), time)
        )
    };
    let ((run, told, goodput), samples) = sample_while(&stage, every, publishing).await;
    let told = told?;
    let measured = group.gather(run?, context.drain_limit()).await;

    let run = &measured.run;
    let seconds = us_to_seconds(run.ended_us.saturating_sub(run.started_us));
    let sent = run.acknowledged + run.refused + run.errors;
    let mut figures = figures(&measured);
    stage.finish(&before, &mut figures).await;
    let (refusal, told) = (run.refusal.percentiles(), told.refusal.percentiles());
    let settled: Vec<Sample> = samples.iter().skip(samples.len() / 4).copied().collect();
    figures.judge(
        "goodput, to capacity",
        ratio(Some(goodput), Some(capacity)),
        Aim::AtLeast(0.95),
    );
    figures.judge(
        "acknowledged and lost",
        Some(measured.account.missing as f64),
        Aim::AtMost(0.0),
    );
    figures.judge(
        "refusals without Retry-After",
        refusal.map(|_| run.refused_bare as f64),
        Aim::AtMost(0.0),
    );
    if !load.quick {
        let p99 = told.map(|p| p.p99);
        figures.judge("refusal p99 of those who wait as told, ms", p99, Aim::AtMost(5.0));
    }
    figures.judge("memory, last third to first", flatness(&settled), Aim::AtMost(1.1));
    figures.note_extra("capacity_per_s", Some(capacity));
    figures.note_extra("goodput_per_s", Some(goodput));
    figures.note_extra("sent_to_capacity", ratio(Some(sent as f64 / seconds), Some(capacity)));
    figures.note_extra("unsent", Some(run.unsent as f64));
    figures.note_extra("refused_per_s", Some(run.refused as f64 / seconds));
    figures.note_extra("patient_refusal_p50_ms", told.map(|p| p.p50));
    figures.note_extra("crowd_refusal_p50_ms", refusal.map(|p| p.p50));
    figures.note_extra("crowd_refusal_p99_ms", refusal.map(|p| p.p99));
    let cores =
        |cpu_s_per_1000: Option<f64>| cpu_s_per_1000.map(|cpu| cpu * figures.deliveries as f64 / 1_000.0 / seconds);
    let (server, bench) = (
        cores(figures.cpu_s_per_1000.server),
        cores(figures.cpu_s_per_1000.bench),
    );
    figures.note_extra("cores_of_server", server);
    figures.note_extra("cores_of_generator_and_receiver", bench);
    figures.note_extra("memory_mib_per_minute", slope_mib_per_minute(&settled));
    if run.refused == 0 {
        figures
            .notes
            .push("nothing was refused: publishers were made to wait instead".to_owned());
    }
    stage.discard().await?;
    Ok(figures)
}

/// Arrivals per second from `from` to `to`.
async fn rate_after(ledger: &Ledger, from: Duration, to: Duration) -> f64 {
    tokio::time::sleep(from).await;
    let (arrived, at) = (ledger.arrived(), std::time::Instant::now());
    tokio::time::sleep(to.saturating_sub(from)).await;
    (ledger.arrived() - arrived) as f64 / at.elapsed().as_secs_f64()
}
