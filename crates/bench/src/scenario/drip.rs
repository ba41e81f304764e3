//! L6: very many receivers say 200 and then send a byte each second, for ever. Their slots must be free when the time of an attempt is over,
//! the others are delivered to meanwhile, and memory is bounded.
//!
//! The drips are in applications of their own. Each is published to at once, and again through the whole measurement, so that there is
//! always something to be attempted at every one of them.

use std::time::Duration;

use super::Context;
use super::group::{Group, Layout, publish_to_both, whole};
use super::stage::{Setting, Stage, figures, measure};
use crate::publish::{Extent, Pace};
use crate::report::Figures;
use crate::sink::Behaviour;
use crate::verdict::{Aim, ratio};

const HEALTHY_APPS: usize = 5;
const HEALTHY_EACH: usize = 9;
const DRIP_APPS: usize = 10;
/// Of the capacity.
const LOAD: f64 = 0.5;
/// The measurement lasts so many attempts.
const ATTEMPTS: f64 = 2.5;

/// Measures the healthy ones alone, then beside the drips.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let timeout = context.args.load.attempt_timeout();
    let mut stage = Stage::open_with(context, &[Setting::attempt_timeout(timeout)]).await?;
    let apps = stage.empty_apps(HEALTHY_APPS + DRIP_APPS).await?;
    let layout = |name, each, connections| Layout {
        name,
        each,
        connections,
        order: None,
    };
    let (healthy_apps, drip_apps) = apps.split_at(HEALTHY_APPS);
    let drips = context.args.load.drips();
    let connections = context.args.connections;
    let mut healthy = Group::open(
        context,
        &stage,
        healthy_apps,
        &layout("healthy", HEALTHY_EACH, connections),
    )
    .await?;
    let mut dripping = Group::open(context, &stage, drip_apps, &layout("drip", drips / DRIP_APPS, 8)).await?;

    let capacity = healthy.capacity(context).await?;
    let load = whole(capacity * LOAD);
    let time = Duration::from_secs_f64((timeout.as_secs_f64() * ATTEMPTS).max(context.args.seconds()));
    let pace = Pace::PerSecond(load);
    let baseline = measure(context, &mut healthy.publisher, &healthy.sink, pace, Extent::For(time)).await?;
    let base = stage.usage();

    dripping.sink.set(Behaviour::Drip).await?;
    let before = stage.read();
    let all = Extent::Messages(drips as u64);
    dripping.publisher.run(Pace::Full, all).await?;
    let drip_load = whole(2.0 * drips as f64 / timeout.as_secs_f64());
    let [run, _] = publish_to_both((&mut healthy, load), (&mut dripping, drip_load), time).await?;
    let beside = healthy.gather(run, context.drain_limit()).await;
    let held = dripping.sink.held();

    let mut figures = figures(&beside);
    stage.finish(&before, &mut figures).await;
    let held_ms = held.times.percentiles();
    let timeout_ms = timeout.as_secs_f64() * 1e3;
    figures.judge(
        "slot held (p99), to the timeout",
        ratio(held_ms.map(|p| p.p99), Some(timeout_ms)),
        Aim::AtMost(1.1),
    );
    figures.judge(
        "healthy throughput, to baseline",
        ratio(Some(beside.per_second()), Some(baseline.per_second())),
        Aim::AtLeast(0.98),
    );
    let more = figures.rss_peak_mib.zip(base).map(|(peak, base)| peak - base.rss_mib);
    figures.judge("more memory, MiB", more, Aim::AtMost(256.0));
    figures.note_extra("capacity_per_s", Some(capacity));
    figures.note_extra("drips", Some(drips as f64));
    figures.note_extra("drips_at_once_peak", Some(held.peak as f64));
    figures.note_extra("drips_ended", Some(held.times.count() as f64));
    figures.note_extra("held_p50_ms", held_ms.map(|p| p.p50));
    figures.note_extra("held_max_ms", held_ms.map(|p| p.max));
    figures.note_extra("baseline_p99_ms", baseline.p99_ms());
    figures.note_extra("p99_to_baseline", ratio(beside.p99_ms(), baseline.p99_ms()));
    stage.discard().await?;
    Ok(figures)
}
