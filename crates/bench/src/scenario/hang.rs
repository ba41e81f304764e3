//! L1: a tenth of the endpoints hang, at 70 % of what the server can do. The others must not notice.
//!
//! Fifty endpoints in five applications; in each application one of ten hangs. What the others had just before, on the same server and
//! under the same load, is the baseline.

use std::time::Duration;

use super::Context;
use super::group::{Group, Layout, publish_to_both, whole};
use super::stage::{Setting, Stage, figures};
use crate::report::Figures;
use crate::sink::Behaviour;
use crate::verdict::{Aim, ratio};

const APPS: usize = 5;
const HEALTHY_EACH: usize = 9;
const HANGING_EACH: usize = 1;
/// Of the capacity.
const LOAD: f64 = 0.7;
/// How long a receiver that hangs takes: longer than any server waits.
const HANG_MS: u32 = 30_000;

/// Measures once with all healthy and once with some that hang.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let timeout = Setting::attempt_timeout(context.args.load.attempt_timeout());
    let mut stage = Stage::open_with(context, &[timeout]).await?;
    let apps = stage.empty_apps(APPS).await?;
    let layout = |name, each, connections| Layout {
        name,
        each,
        connections,
        order: None,
    };
    let connections = context.args.connections;
    let mut healthy = Group::open(context, &stage, &apps, &layout("healthy", HEALTHY_EACH, connections)).await?;
    let few = (connections / 4).max(1);
    let mut hanging = Group::open(context, &stage, &apps, &layout("hanging", HANGING_EACH, few)).await?;

    let capacity = healthy.capacity(context).await?;
    let share = HANGING_EACH as f64 / (HANGING_EACH + HEALTHY_EACH) as f64;
    let (load, odd_load) = (whole(capacity * LOAD * (1.0 - share)), whole(capacity * LOAD * share));
    let time = Duration::from_secs_f64(context.args.seconds_or(30.0));
    let limit = context.drain_limit();

    let [run, odd] = publish_to_both((&mut healthy, load), (&mut hanging, odd_load), time).await?;
    let baseline = healthy.gather(run, limit).await;
    hanging.gather(odd, limit).await;

    hanging.sink.set(Behaviour::Slow(HANG_MS)).await?;
    let before = stage.read();
    let [run, odd] = publish_to_both((&mut healthy, load), (&mut hanging, odd_load), time).await?;
    let disturbed = healthy.gather(run, limit).await;
    let held = hanging.sink.held();

    let mut figures = figures(&disturbed);
    stage.finish(&before, &mut figures).await;
    figures.judge(
        "healthy p99, to baseline",
        ratio(disturbed.p99_ms(), baseline.p99_ms()),
        Aim::AtMost(1.2),
    );
    figures.judge(
        "healthy throughput, to baseline",
        ratio(Some(disturbed.per_second()), Some(baseline.per_second())),
        Aim::AtLeast(0.98),
    );
    figures.note_extra("capacity_per_s", Some(capacity));
    figures.note_extra("baseline_p50_ms", baseline.p50_ms());
    figures.note_extra("baseline_p99_ms", baseline.p99_ms());
    figures.note_extra("baseline_deliveries_per_s", Some(baseline.per_second()));
    figures.note_extra("hanging_published", Some(odd.acknowledged as f64));
    figures.note_extra("hanging_at_once_peak", Some(held.peak as f64));
    stage.discard().await?;
    Ok(figures)
}
