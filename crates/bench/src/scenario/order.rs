//! Ordered delivery, as fast as it goes, and whether the order holds.
//!
//! Each connection owns its keys (or endpoints) and publishes to them one message after the other, so the order of acceptance is known
//! without asking the server; the receiver sees whether a message comes after a later one of its key. What the same endpoints do without
//! order, measured just before, is shown beside it.

use super::Context;
use super::group::{Group, Layout};
use super::stage::{Measured, Stage, figures, measure};
use crate::publish::Pace;
use crate::report::Figures;
use crate::verdict::{Aim, ratio};

const KEYED_ENDPOINTS: usize = 8;

/// `ordering: key`, over a few endpoints.
pub(super) async fn by_key(context: &Context<'_>, keys: usize) -> anyhow::Result<Figures> {
    run(context, "key", KEYED_ENDPOINTS, keys).await
}

/// `ordering: endpoint`, with an endpoint for each connection.
pub(super) async fn by_endpoint(context: &Context<'_>) -> anyhow::Result<Figures> {
    let endpoints = context.args.connections;
    run(context, "endpoint", endpoints, endpoints).await
}

async fn run(context: &Context<'_>, ordering: &'static str, each: usize, keys: usize) -> anyhow::Result<Figures> {
    let mut stage = Stage::open(context).await?;
    let apps = stage.empty_apps(2).await?;
    let layout = |ordering| Layout {
        name: "line",
        each,
        connections: context.args.connections,
        order: Some((ordering, keys)),
    };
    let (one, other) = apps.split_at(1);
    let mut free = Group::open(context, &stage, one, &layout("none")).await?;
    let mut ordered = Group::open(context, &stage, other, &layout(ordering)).await?;
    let unordered = saturate(context, &mut free).await?;
    drop(free);
    let before = stage.read();
    let measured = saturate(context, &mut ordered).await?;

    let mut figures = figures(&measured);
    stage.finish(&before, &mut figures).await;
    let inversions = ordered.sink.inversions().map(|count| count as f64);
    figures.judge("inversions", inversions, Aim::AtMost(0.0));
    figures.judge(
        "acknowledged and lost",
        Some(measured.account.missing as f64),
        Aim::AtMost(0.0),
    );
    figures.note_extra("unordered_per_s", Some(unordered.per_second()));
    figures.note_extra(
        "ordered_to_unordered",
        ratio(Some(measured.per_second()), Some(unordered.per_second())),
    );
    stage.discard().await?;
    Ok(figures)
}

async fn saturate(context: &Context<'_>, group: &mut Group) -> anyhow::Result<Measured> {
    if let Some(warm_up) = context.warm_up() {
        measure(context, &mut group.publisher, &group.sink, Pace::Full, warm_up).await?;
    }
    measure(context, &mut group.publisher, &group.sink, Pace::Full, context.extent()).await
}
