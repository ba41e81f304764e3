//! L2: one application publishes a hundred times its share. The others must not notice.
//!
//! Ten applications with five endpoints each. With the noisy one at a hundred shares and the others at one each, the load is 70 % of the
//! capacity. The baseline is the same total load, evenly spread: so what is seen is what the noise adds beyond what any load costs. How it
//! is when the noisy one keeps to its share, and the machine is nearly idle, is shown beside it.

use std::time::Duration;

use super::Context;
use super::group::{Group, Layout, publish_to_both, whole};
use super::stage::{Stage, figures};
use crate::report::Figures;
use crate::verdict::{Aim, ratio};

const OTHERS: usize = 9;
const EACH: usize = 5;
const NOISE: f64 = 100.0;
/// Of the capacity.
const LOAD: f64 = 0.7;

/// Measures the others evenly loaded, quiet, and beside the noise.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let mut stage = Stage::open(context).await?;
    let apps = stage.empty_apps(OTHERS + 1).await?;
    let layout = |name| Layout {
        name,
        each: EACH,
        connections: context.args.connections,
        order: None,
    };
    let (noisy_app, other_apps) = apps.split_at(1);
    let mut others = Group::open(context, &stage, other_apps, &layout("other")).await?;
    let mut noisy = Group::open(context, &stage, noisy_app, &layout("noisy")).await?;

    let capacity = others.capacity(context).await?;
    let load = capacity * LOAD;
    let even = load / (OTHERS + 1) as f64;
    let share = load / (OTHERS as f64 + NOISE);
    let time = Duration::from_secs_f64(context.args.seconds());
    let limit = context.drain_limit();

    let pairs = [(even, even), (share, share), (share, share * NOISE)];
    let mut phases = Vec::with_capacity(pairs.len());
    let mut before = stage.read();
    for (each_other, noise) in pairs {
        before = stage.read();
        let rate = whole(each_other * OTHERS as f64);
        let [run, noise_run] = publish_to_both((&mut others, rate), (&mut noisy, whole(noise)), time).await?;
        let measured = others.gather(run, limit).await;
        phases.push((measured, noisy.gather(noise_run, limit).await));
    }
    let [(even, _), (quiet, _), (beside, noise)] = phases.as_slice() else {
        anyhow::bail!("a phase is missing")
    };

    let mut figures = figures(beside);
    // CPU is the whole server's: it is divided by all deliveries of this phase.
    let own = figures.deliveries;
    figures.deliveries += noise.account.arrived;
    stage.finish(&before, &mut figures).await;
    figures.deliveries = own;
    figures.missing = figures.missing.map(|missing| missing + noise.account.missing);
    figures.judge(
        "the others' p99, to an even load",
        ratio(beside.p99_ms(), even.p99_ms()),
        Aim::AtMost(1.2),
    );
    figures.judge(
        "the others' throughput, to what was due",
        ratio(Some(beside.per_second()), Some(share * OTHERS as f64)),
        Aim::AtLeast(0.98),
    );
    figures.note_extra("capacity_per_s", Some(capacity));
    figures.note_extra("even_p99_ms", even.p99_ms());
    figures.note_extra("quiet_p99_ms", quiet.p99_ms());
    figures.note_extra("p99_to_quiet", ratio(beside.p99_ms(), quiet.p99_ms()));
    figures.note_extra("noisy_deliveries_per_s", Some(noise.per_second()));
    figures.note_extra("noisy_p99_ms", noise.p99_ms());
    figures.note_extra("noisy_refused", Some(noise.run.refused as f64));
    stage.discard().await?;
    Ok(figures)
}
