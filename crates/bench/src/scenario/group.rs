//! Endpoints that are treated alike, over several applications: the healthy ones of a scenario, and those that misbehave.
//!
//! Each message goes to one endpoint, by a channel of its own, so that the load of each endpoint is known. Each group has a receiver, a
//! ledger and publishers of its own, so that what happens to one group is seen apart from the other.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Context;
use super::stage::{Measured, Stage, measure};
use crate::clock::us_to_seconds;
use crate::publish::{Extent, Pace, Publisher, Run, Slot, Target, Turns};
use crate::sink::{Routing, Sink};

/// Endpoints are made over so many connections.
const MAKERS: usize = 32;

/// What a group is to be.
pub(super) struct Layout {
    /// Tells the channels of groups apart that share applications.
    pub(super) name: &'static str,
    /// Endpoints in each application.
    pub(super) each: usize,
    /// Connections that publish to it.
    pub(super) connections: usize,
    /// The endpoints' `ordering`, and how many keys there are over all of them.
    pub(super) order: Option<(&'static str, usize)>,
}

/// Such endpoints, with their receiver and their publishers.
pub(super) struct Group {
    pub(super) sink: Sink,
    pub(super) publisher: Publisher,
}

impl Group {
    /// Makes the endpoints and connects the publishers.
    pub(super) async fn open(
        context: &Context<'_>,
        stage: &Stage<'_>,
        apps: &[String],
        layout: &Layout,
    ) -> anyhow::Result<Self> {
        let lanes = apps.len() * layout.each;
        let slots = layout.order.map_or(lanes, |(_, keys)| keys.max(lanes));
        let routing = Routing::ToOne { slots };
        let sink = Sink::bind_routed(context.clock, lanes, routing, layout.order.is_some()).await?;
        make_endpoints(stage, &sink, apps, layout).await?;
        let target = Target {
            addresses: stage.addresses(),
            headers: stage.api.headers().clone(),
            slots: (0..slots)
                .map(|slot| slot_of(stage, apps, layout, slot))
                .collect::<anyhow::Result<_>>()?,
            turns: match layout.order {
                Some(_) => Turns::Owned,
                None => Turns::Any,
            },
        };
        let publisher = Publisher::connect(target, layout.connections, sink.ledger().clone(), context.clock).await?;
        Ok(Self { sink, publisher })
    }

    /// Deliveries per second when it is published to as fast as it goes, for a moment.
    pub(super) async fn capacity(&mut self, context: &Context<'_>) -> anyhow::Result<f64> {
        if let Some(warm_up) = context.warm_up() {
            measure(context, &mut self.publisher, &self.sink, Pace::Full, warm_up).await?;
        }
        let moment = Extent::For(Duration::from_secs_f64((context.args.seconds() / 2.0).max(0.2)));
        let measured = measure(context, &mut self.publisher, &self.sink, Pace::Full, moment).await?;
        let rate = measured.per_second();
        anyhow::ensure!(rate > 0.0, "nothing arrived while the capacity was measured");
        Ok(rate)
    }

    /// Waits for what a run published, `limit` at most.
    pub(super) async fn gather(&self, run: Run, limit: Duration) -> Measured {
        let account = self.sink.drain(run.first_seq..run.end_seq, limit, limit).await;
        Measured {
            run,
            account,
            window: self.sink.window(),
        }
    }
}

/// Publishes to two groups at once, each at its pace. Latencies are those of this time alone.
pub(super) async fn publish_to_both(
    first: (&mut Group, u32),
    second: (&mut Group, u32),
    time: Duration,
) -> anyhow::Result<[Run; 2]> {
    let run = async |(group, per_second): (&mut Group, u32)| {
        group.sink.begin_window(group.sink.ledger().seq_end());
        group
            .publisher
            .run(Pace::PerSecond(per_second), Extent::For(time))
            .await
    };
    let (first, second) = tokio::join!(run(first), run(second));
    Ok([first?, second?])
}

impl Measured {
    /// Arrivals per second, from the first publish to the last arrival.
    pub(super) fn per_second(&self) -> f64 {
        let seconds = us_to_seconds(self.window.last_us.saturating_sub(self.run.started_us));
        match seconds > 0.0 {
            true => self.account.arrived as f64 / seconds,
            false => 0.0,
        }
    }

    /// Publish → arrival, milliseconds.
    pub(super) fn p99_ms(&self) -> Option<f64> {
        self.window.latency.percentiles().map(|p| p.p99)
    }

    pub(super) fn p50_ms(&self) -> Option<f64> {
        self.window.latency.percentiles().map(|p| p.p50)
    }
}

/// A rate for the timetable: whole, and never none.
pub(super) fn whole(per_second: f64) -> u32 {
    per_second.round().clamp(1.0, 10_000_000.0) as u32
}

/// Which application and which of its endpoints a lane is: neighbours are in different applications.
fn place(lane: usize, apps: usize) -> (usize, usize) {
    (lane % apps, lane / apps)
}

fn slot_of(stage: &Stage<'_>, apps: &[String], layout: &Layout, slot: usize) -> anyhow::Result<Slot> {
    let (app, endpoint) = place(slot % (apps.len() * layout.each), apps.len());
    let name = apps.get(app).map_or("", String::as_str);
    let key = match layout.order {
        Some(("key", _)) => format!("\"orderingKey\":\"key-{slot}\","),
        _ => String::new(),
    };
    stage.slot(name, &format!("\"channels\":[\"{}-{endpoint}\"],{key}", layout.name))
}

fn endpoint_body(sink: &Sink, layout: &Layout, lane: usize, endpoint: usize) -> Value {
    let mut body = json!({"url": sink.url(lane), "channels": [format!("{}-{endpoint}", layout.name)]});
    if let Some((ordering, _)) = layout.order {
        body["ordering"] = ordering.into();
    }
    body
}

async fn make_endpoints(stage: &Stage<'_>, sink: &Sink, apps: &[String], layout: &Layout) -> anyhow::Result<()> {
    let mut makers = JoinSet::new();
    for maker in 0..MAKERS.min(apps.len()) {
        let api = stage.api.clone();
        let mine: Vec<(String, Vec<Value>)> = (maker..apps.len())
            .step_by(MAKERS)
            .filter_map(|app| {
                let bodies = (0..layout.each).map(|endpoint| {
                    let lane = endpoint * apps.len() + app;
                    endpoint_body(sink, layout, lane, endpoint)
                });
                Some((apps.get(app)?.clone(), bodies.collect()))
            })
            .collect();
        makers.spawn(async move {
            for (app, bodies) in mine {
                api.make_endpoints(&app, bodies.into_iter()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_of_every_application_is_one_lane() {
        let places: Vec<_> = (0..6).map(|lane| place(lane, 3)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
        for (lane, (app, endpoint)) in places.into_iter().enumerate() {
            assert_eq!(endpoint * 3 + app, lane);
        }
    }

    #[test]
    fn a_rate_is_never_none() {
        assert_eq!([0.0, 0.4, 1.5, 1e12].map(whole), [1, 1, 2, 10_000_000]);
    }
}
