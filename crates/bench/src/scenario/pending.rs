//! Very many deliveries wait for an endpoint that is down: does publishing slow, does memory grow, how long until a restarted server
//! delivers?
//!
//! A second, healthy application runs beside it. Its latency, with all that waiting next door, is what the latency columns show.
//! The scenario `restart` (L7) is the same with a server that is killed instead of stopped.

use std::time::{Duration, Instant};

use super::Context;
use super::fill::fill;
use super::stage::{Stage, figures, measure};
use crate::api::Api;
use crate::publish::{Extent, Pace};
use crate::report::Figures;
use crate::sink::{Behaviour, Sink};
use crate::verdict::{Aim, ratio};

/// Messages of the healthy application while the others wait.
const HEALTHY_PER_SECOND: u32 = 100;
/// How often a restarted server is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// How the server ends before it is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Asked,
    Killed,
}

/// What tells the two scenarios apart.
struct Plan {
    waiting: u64,
    ending: Ending,
    /// The aim, from the start of the process to the first delivery of what waited.
    first_s: f64,
}

/// `pending`: the server is asked to stop.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let plan = Plan {
        waiting: context.args.load.pending(2_000_000),
        ending: Ending::Asked,
        first_s: 3.0,
    };
    measured(context, &plan).await
}

/// `restart`: the server is killed.
pub(super) async fn killed(context: &Context<'_>) -> anyhow::Result<Figures> {
    let plan = Plan {
        waiting: context.args.load.pending(1_000_000),
        ending: Ending::Killed,
        first_s: 10.0,
    };
    measured(context, &plan).await
}

/// Fills the store with waiting deliveries and measures at both ends.
async fn measured(context: &Context<'_>, plan: &Plan) -> anyhow::Result<Figures> {
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
    let fill = fill(&stage, &mut publisher, plan.waiting).await?;
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
    let slowed = ratio(Some(fill.last_rate), Some(fill.first_rate));
    if plan.ending == Ending::Asked {
        figures.judge("publish rate, last to first", slowed, Aim::AtLeast(0.8));
    }
    let extra = &mut figures.extra;
    extra.insert("waiting", account.missing as f64);
    extra.insert("publishes_per_s_first", fill.first_rate);
    extra.insert("publish_rate_last_to_first", slowed.unwrap_or(0.0));
    if let Some(mib) = fill.rss_first_mib {
        extra.insert("rss_first_mib", mib);
    }
    if stage.own_server().is_some() {
        restart(
            context,
            plan,
            &mut stage,
            &waiting,
            (&healthy_app, &healthy),
            &mut figures,
        )
        .await?;
    } else {
        figures
            .notes
            .push("no restart: the server is not the benchmark's own".to_owned());
    }
    stage.discard().await?;
    Ok(figures)
}

/// Stops and starts the server and waits for what was pending, and for a message published after the start.
async fn restart(
    context: &Context<'_>,
    plan: &Plan,
    stage: &mut Stage<'_>,
    waiting: &Sink,
    healthy: (&str, &Sink),
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (app, sink) = healthy;
    let Some(server) = stage.own_server() else {
        return Ok(());
    };
    let ending = Instant::now();
    match plan.ending {
        Ending::Asked => {
            // A stop would wait for receivers that hang.
            waiting.set(Behaviour::Accept).await?;
            server.stop().await?;
        }
        Ending::Killed => {
            server.kill()?;
            waiting.set(Behaviour::Accept).await?;
        }
    }
    let stopped = ending.elapsed();
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
    let first_s = first.map(|first| first.as_secs_f64());
    figures.judge(
        "restart to first waiting delivery, s",
        first_s,
        Aim::AtMost(plan.first_s),
    );
    let extra = &mut figures.extra;
    match first {
        Some(first) => {
            extra.insert("restart_to_first_waiting_s", first.as_secs_f64());
            let (count, at) = (waiting.ledger().arrived(), Instant::now());
            tokio::time::sleep(Duration::from_secs_f64(context.args.seconds())).await;
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
