//! Very many deliveries wait for an endpoint that is down: does publishing slow, does memory grow, how long until a restarted server
//! delivers?
//!
//! A second, healthy application runs beside it. Its latency, with all that waiting next door, is what the latency columns show.

use std::time::{Duration, Instant};

use super::Context;
use super::stage::{Stage, figures, measure};
use crate::api::Api;
use crate::publish::{Extent, Pace, Publisher};
use crate::report::Figures;
use crate::sink::{Behaviour, Sink};

/// The share of the messages over which the first and the last publish rates are taken, and its limit.
const SHARE: u64 = 20;
const SHARE_MAX: u64 = 100_000;
/// Messages of the healthy application while the others wait.
const HEALTHY_PER_SECOND: u32 = 100;
/// How often a restarted server is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// Fills the store with waiting deliveries and measures at both ends.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let waiting = Sink::bind(context.clock, 1).await?;
    let healthy = Sink::bind(context.clock, 1).await?;
    let mut stage = Stage::open(context).await?;
    let waiting_app = stage.app(&waiting).await?;
    let healthy_app = stage.app(&healthy).await?;
    waiting.set(context.args.down.behaviour()).await?;

    let mut publisher = stage
        .publisher(&waiting_app, &waiting, context.args.connections)
        .await?;
    let before = stage.read();
    let fill = fill(context, &stage, &mut publisher).await?;
    drop(publisher);

    let mut beside = stage.publisher(&healthy_app, &healthy, 4).await?;
    let pace = Pace::PerSecond(HEALTHY_PER_SECOND);
    let measured = measure(context, &mut beside, &healthy, pace, context.extent()).await?;
    drop(beside);

    let mut figures = figures(&measured);
    let account = waiting.ledger().account(0..waiting.ledger().seq_end());
    figures.published = account.acknowledged;
    figures.publishes_per_s = fill.last_rate;
    figures.deliveries_per_s = None;
    figures.refused += fill.refused;
    figures.errors += fill.errors;
    figures
        .notes
        .push("latencies and deliveries are those of a healthy application beside the waiting one".to_owned());
    stage.finish(&before, &mut figures).await;
    // Most of the work had nothing to do with deliveries that arrived.
    figures.cpu_s_per_1000 = Default::default();
    let extra = &mut figures.extra;
    extra.insert("waiting", account.missing as f64);
    extra.insert("publishes_per_s_first", fill.first_rate);
    extra.insert(
        "publish_rate_last_to_first",
        if fill.first_rate > 0.0 {
            fill.last_rate / fill.first_rate
        } else {
            0.0
        },
    );
    if let Some(mib) = fill.rss_first_mib {
        extra.insert("rss_first_mib", mib);
    }
    waiting.set(Behaviour::Accept).await?;
    if stage.own_server().is_some() {
        restart(context, &mut stage, &waiting, (&healthy_app, &healthy), &mut figures).await?;
    } else {
        figures
            .notes
            .push("no restart: the server is not the benchmark's own".to_owned());
    }
    stage.close().await?;
    Ok(figures)
}

struct Fill {
    first_rate: f64,
    last_rate: f64,
    rss_first_mib: Option<f64>,
    refused: u64,
    errors: u64,
}

/// Publishes all of `--pending`, in shares, so that the first and last can be compared and progress shows.
async fn fill(context: &Context<'_>, stage: &Stage<'_>, publisher: &mut Publisher) -> anyhow::Result<Fill> {
    let total = context.args.pending;
    let share = (total / SHARE).clamp(1, SHARE_MAX);
    let mut fill = Fill {
        first_rate: 0.0,
        last_rate: 0.0,
        rss_first_mib: None,
        refused: 0,
        errors: 0,
    };
    let mut published = 0;
    while published < total {
        let left = total - published;
        // The last share is a whole one.
        let next = if left >= 2 * share { share } else { left };
        let run = publisher.run(Pace::Full, Extent::Messages(next)).await?;
        if published == 0 {
            fill.first_rate = run.per_second();
            fill.rss_first_mib = stage.usage().map(|usage| usage.rss_mib);
        }
        fill.last_rate = run.per_second();
        fill.refused += run.refused;
        fill.errors += run.errors;
        published += next;
        eprintln!("pending: {published} of {total}, {:.0} publishes/s", fill.last_rate);
    }
    Ok(fill)
}

/// Stops and starts the server and waits for what was pending, and for a message published after the start.
async fn restart(
    context: &Context<'_>,
    stage: &mut Stage<'_>,
    waiting: &Sink,
    healthy: (&str, &Sink),
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (app, sink) = healthy;
    let Some(server) = stage.own_server() else {
        return Ok(());
    };
    let stopped = server.stop().await?;
    let arrived = waiting.ledger().arrived();
    let started = Instant::now();
    let url = server.start().await?;
    let listening = started.elapsed();
    let api = Api::new(&url, server.token()).await?;
    stage.api = api;
    let fresh_before = sink.ledger().arrived();
    let mut publisher = stage.publisher(app, sink, 1).await?;
    publisher.run(Pace::Full, Extent::Messages(1)).await?;

    let (mut fresh, mut first) = (None, None);
    while started.elapsed() < context.drain_limit() && (fresh.is_none() || first.is_none()) {
        if fresh.is_none() && sink.ledger().arrived() > fresh_before {
            fresh = Some(started.elapsed());
        }
        if first.is_none() && waiting.ledger().arrived() > arrived {
            first = Some(started.elapsed());
        }
        tokio::time::sleep(GLANCE).await;
    }
    let extra = &mut figures.extra;
    extra.insert("stop_s", stopped.as_secs_f64());
    extra.insert("restart_to_listening_s", listening.as_secs_f64());
    if let Some(fresh) = fresh {
        extra.insert("restart_to_new_message_s", fresh.as_secs_f64());
    }
    match first {
        Some(first) => {
            extra.insert("restart_to_first_waiting_s", first.as_secs_f64());
            let (count, at) = (waiting.ledger().arrived(), Instant::now());
            tokio::time::sleep(Duration::from_secs_f64(context.args.seconds)).await;
            let rate = (waiting.ledger().arrived() - count) as f64 / at.elapsed().as_secs_f64();
            extra.insert("waiting_deliveries_per_s_after_restart", rate);
        }
        None => figures
            .notes
            .push("no waiting delivery arrived in the time allowed after the restart".to_owned()),
    }
    if let Some(usage) = stage.usage() {
        figures.extra.insert("restart_rss_peak_mib", usage.rss_peak_mib);
    }
    Ok(())
}
