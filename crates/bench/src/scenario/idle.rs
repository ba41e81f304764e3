//! L5: very many endpoints, of which one in a hundred is active. What does an idle one cost?
//!
//! The active ones are made first and published to; the server's memory, once it stands still, is the base. Then the idle ones are made,
//! and the same is published to the active ones again. What the memory has grown by is the cost of the idle ones: their rows, their places
//! in the directory, and whatever else the server keeps of them.

use std::time::{Duration, Instant};

use super::Context;
use super::group::{Group, Layout};
use super::samples::settled_mib;
use super::stage::{Stage, figures, measure};
use crate::publish::Pace;
use crate::report::Figures;
use crate::verdict::Aim;

const APPS: usize = 100;
/// One in so many is active.
const ACTIVE: usize = 100;
const PER_SECOND: u32 = 1_000;
const SETTLING_LIMIT: Duration = Duration::from_secs(30);
const KIB_PER_MIB: f64 = 1_024.0;

/// Measures with the active ones alone, then with all.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let mut stage = Stage::open(context).await?;
    // Every application has an active endpoint at least.
    let total = context.args.load.endpoints();
    let active_each = (total / ACTIVE / APPS).max(1);
    let apps = stage.empty_apps(APPS.min(total / ACTIVE)).await?;
    let idle_each = (total / apps.len()).saturating_sub(active_each);
    let layout = |name, each, connections| Layout {
        name,
        each,
        connections,
        order: None,
    };
    let connections = context.args.connections.min(16);
    let mut active = Group::open(context, &stage, &apps, &layout("active", active_each, connections)).await?;
    let pace = Pace::PerSecond(PER_SECOND);
    let alone = measure(context, &mut active.publisher, &active.sink, pace, context.extent()).await?;
    let base_mib = settled_mib(&stage, SETTLING_LIMIT).await;

    let started = Instant::now();
    let idle = Group::open(context, &stage, &apps, &layout("idle", idle_each, 1)).await?;
    let made_s = started.elapsed().as_secs_f64();
    let made_mib = settled_mib(&stage, SETTLING_LIMIT).await;
    let before = stage.read();
    let beside = measure(context, &mut active.publisher, &active.sink, pace, context.extent()).await?;

    let mut figures = figures(&beside);
    stage.finish(&before, &mut figures).await;
    let end_mib = settled_mib(&stage, SETTLING_LIMIT).await;
    let idle_count = (apps.len() * idle_each) as f64;
    let growth = |mib: Option<f64>| Some((mib? - base_mib?).max(0.0) * KIB_PER_MIB / idle_count);
    figures.judge("KiB for each idle endpoint", growth(end_mib), Aim::AtMost(2.0));
    figures.note_extra("idle_endpoints", Some(idle_count));
    figures.note_extra("active_endpoints", Some((apps.len() * active_each) as f64));
    figures.note_extra("base_mib", base_mib);
    figures.note_extra("made_mib", made_mib);
    figures.note_extra("end_mib", end_mib);
    figures.note_extra("kib_each_before_load", growth(made_mib));
    figures.note_extra("made_per_s", Some(idle_count / made_s));
    figures.note_extra("alone_p99_ms", alone.p99_ms());
    if idle.sink.seen().requests > 0 {
        figures.notes.push("idle endpoints were sent something".to_owned());
    }
    stage.discard().await?;
    Ok(figures)
}
