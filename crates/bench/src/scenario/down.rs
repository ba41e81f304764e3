//! The receiver is down while messages are published, then comes back: publishing must not notice, and nothing may be lost.

use super::Context;
use super::stage::{Measured, Stage, figures, measure};
use crate::publish::{Extent, Pace};
use crate::report::Figures;
use crate::sink::{Behaviour, Sink};
use crate::verdict::{Aim, ratio};

const MESSAGES: u64 = 30_000;

/// Publishes the same number of messages with the receiver up and with it down, in one run of the server, and compares.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let extent = Extent::Messages(context.args.messages.unwrap_or(MESSAGES));
    let sink = Sink::bind(context.clock, 1).await?;
    let mut stage = Stage::open(context).await?;
    let app = stage.app(&sink).await?;
    let mut publisher = stage.publisher(&app, &sink, context.args.connections).await?;
    if let Some(warm_up) = context.warm_up() {
        measure(context, &mut publisher, &sink, Pace::Full, warm_up).await?;
    }
    let up = measure(context, &mut publisher, &sink, Pace::Full, extent).await?;

    let before = stage.read();
    sink.begin_window(sink.ledger().seq_end());
    sink.set(context.args.down.behaviour()).await?;
    let run = publisher.run(Pace::Full, extent).await?;
    sink.set(Behaviour::Accept).await?;
    let back_us = context.clock.now_us();
    let limit = context.drain_limit();
    let account = sink.drain(run.first_seq..run.end_seq, limit, limit).await;
    let down = Measured {
        run,
        account,
        window: sink.window(),
    };

    let mut figures = figures(&down);
    let up_rate = up.run.per_second();
    figures.extra.insert("publishes_per_s_up", up_rate);
    let unchanged = ratio(Some(down.run.per_second()), Some(up_rate));
    if let Some(unchanged) = unchanged {
        figures.extra.insert("ack_rate_down_to_up", unchanged);
    }
    // "Unchanged", as far as a shared machine can tell.
    figures.judge("acknowledgements, down to up", unchanged, Aim::AtLeast(0.95));
    let last_s = crate::clock::us_to_seconds(down.window.last_us.saturating_sub(back_us));
    figures.extra.insert("return_to_last_arrival_s", last_s);
    stage.finish(&before, &mut figures).await;
    stage.close().await?;
    Ok(figures)
}
