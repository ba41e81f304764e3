//! Healthy receivers: saturation, fan-out, a steady pace, and the floor without a server.

use http::{HeaderMap, HeaderValue, header};

use super::Context;
use super::stage::{Measured, Reading, Stage, cpu, figures, measure};
use crate::clock::us_to_seconds;
use crate::mark::Template;
use crate::publish::{Pace, Publisher, Slot, Target, Turns};
use crate::report::Figures;
use crate::sink::Sink;
use crate::verdict::Aim;

/// A backlog that takes longer than this share of the run to deliver says that publishing outran delivering.
const BACKLOG_WORTH_NOTING: f64 = 0.05;
/// A generator later than this (p99) makes the latencies of a steady pace doubtful.
const LATENESS_WORTH_NOTING_MS: f64 = 0.5;

/// Generator straight to receiver.
pub(super) async fn floor(context: &Context<'_>) -> anyhow::Result<Figures> {
    let sink = Sink::bind(context.clock, 1).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(&sink.address().to_string())?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let slot = Slot {
        uri: "/r/0".parse()?,
        template: Template::payload(context.args.payload_bytes),
        id: None,
    };
    let target = Target {
        addresses: vec![sink.address()],
        headers,
        slots: vec![slot],
        turns: Turns::Any,
    };
    let ledger = sink.ledger().clone();
    let mut publisher = Publisher::connect(target, context.args.connections, ledger, context.clock).await?;
    if let Some(warm_up) = context.warm_up() {
        publisher.run(Pace::Full, warm_up).await?;
    }
    let before = Reading::bench();
    let measured = measure(context, &mut publisher, &sink, Pace::Full, context.extent()).await?;
    let mut figures = figures(&measured);
    figures.cpu_s_per_1000 = cpu(&before, &Reading::bench(), figures.deliveries);
    Ok(figures)
}

/// As fast as it goes.
pub(super) async fn saturate(context: &Context<'_>, endpoints: usize) -> anyhow::Result<Figures> {
    let (mut figures, measured) = load(context, endpoints, Pace::Full, context.args.connections).await?;
    let published_s = us_to_seconds(measured.run.ended_us.saturating_sub(measured.run.started_us));
    let backlog_s = us_to_seconds(measured.window.last_us.saturating_sub(measured.run.ended_us));
    if backlog_s > published_s * BACKLOG_WORTH_NOTING {
        figures.extra.insert("backlog_s", backlog_s);
    }
    // Aims for two cores; with --quick nothing absolute is judged.
    let aim = match endpoints {
        1 => Some(24_000.0),
        5 => Some(45_000.0),
        _ => None,
    };
    if let Some(aim) = aim.filter(|_| !context.args.load.quick) {
        figures.judge("deliveries per second", figures.deliveries_per_s, Aim::AtLeast(aim));
    }
    Ok(figures)
}

/// A fixed pace.
pub(super) async fn steady(context: &Context<'_>, per_second: u32) -> anyhow::Result<Figures> {
    let pace = Pace::PerSecond(per_second);
    let (mut figures, measured) = load(context, 1, pace, context.args.connections.min(16)).await?;
    if matches!(per_second, 100 | 500) && !context.args.load.quick {
        let arrival = figures.arrival_ms;
        figures.judge("arrival p50, ms", arrival.map(|p| p.p50), Aim::AtMost(0.7));
        figures.judge("arrival p99, ms", arrival.map(|p| p.p99), Aim::AtMost(1.5));
    }
    if let Some(late) = measured.run.lateness.percentiles() {
        figures.extra.insert("generator_late_p50_ms", late.p50);
        if late.p99 > LATENESS_WORTH_NOTING_MS {
            figures.notes.push(format!(
                "the generator itself was up to {:.2} ms late (p99); this is part of the latencies",
                late.p99
            ));
        }
    }
    Ok(figures)
}

async fn load(
    context: &Context<'_>,
    endpoints: usize,
    pace: Pace,
    connections: usize,
) -> anyhow::Result<(Figures, Measured)> {
    let sink = Sink::bind(context.clock, endpoints).await?;
    let mut stage = Stage::open(context).await?;
    let app = stage.app(&sink).await?;
    let mut publisher = stage.publisher(&app, &sink, connections).await?;
    if let Some(warm_up) = context.warm_up() {
        measure(context, &mut publisher, &sink, pace, warm_up).await?;
    }
    let before = stage.read();
    let measured = measure(context, &mut publisher, &sink, pace, context.extent()).await?;
    let mut figures = figures(&measured);
    stage.finish(&before, &mut figures).await;
    stage.close().await?;
    Ok((figures, measured))
}
