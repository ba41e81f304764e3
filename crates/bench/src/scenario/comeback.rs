//! L3: an endpoint comes back to a long queue. It must not be flooded, and the others must not notice.
//!
//! Five applications with nine endpoints each at 40 % of the capacity, and one endpoint of another application at 5 %: that is the rate
//! which the server can learn. Then its receiver goes down, the queue is filled as fast as it goes, and the receiver comes back.

use std::time::{Duration, Instant};

use super::Context;
use super::fill::fill;
use super::group::{Group, Layout, publish_to_both, whole};
use super::stage::{Stage, figures};
use crate::publish::{Extent, Pace};
use crate::report::Figures;
use crate::sink::{Behaviour, Ledger};
use crate::verdict::{Aim, ratio};

const APPS: usize = 5;
const EACH: usize = 9;
const OTHERS_LOAD: f64 = 0.4;
const ITS_LOAD: f64 = 0.05;
/// A server looks after a parked endpoint once a minute, perhaps: for so long the first arrival is waited for.
const FIRST_LIMIT: Duration = Duration::from_secs(180);
/// Rates are those of the busiest stretch of so many seconds.
const STRETCH: usize = 5;
const GLANCE: Duration = Duration::from_millis(5);

/// Measures the rate before, and the arrivals after.
pub(super) async fn run(context: &Context<'_>) -> anyhow::Result<Figures> {
    let mut stage = Stage::open(context).await?;
    let apps = stage.empty_apps(APPS + 1).await?;
    let layout = |name, each| Layout {
        name,
        each,
        connections: context.args.connections,
        order: None,
    };
    let (its_app, other_apps) = apps.split_at(1);
    let mut others = Group::open(context, &stage, other_apps, &layout("other", EACH)).await?;
    let mut returning = Group::open(context, &stage, its_app, &layout("returning", 1)).await?;

    let capacity = others.capacity(context).await?;
    let load = whole(capacity * OTHERS_LOAD);
    let its_load = whole(capacity * ITS_LOAD);
    let time = Duration::from_secs_f64(context.args.seconds());
    let limit = context.drain_limit();
    let [run, its_run] = publish_to_both((&mut others, load), (&mut returning, its_load), time).await?;
    let baseline = others.gather(run, limit).await;
    let learned = returning.gather(its_run, limit).await.per_second();

    returning.sink.set(context.args.down.behaviour()).await?;
    let waiting = context.args.load.pending(1_000_000);
    fill(&stage, &mut returning.publisher, waiting).await?;
    let ledger = returning.sink.ledger().clone();
    let arrived = ledger.arrived();
    returning.sink.set(Behaviour::Accept).await?;
    let back = Instant::now();
    let first = first_arrival(&ledger, arrived, back).await;

    let watched = context.args.load.watch_after_return();
    let before = stage.read();
    others.sink.begin_window(others.sink.ledger().seq_end());
    let (run, seconds) = tokio::join!(
        others.publisher.run(Pace::PerSecond(load), Extent::For(watched)),
        arrivals(&ledger, arrived, watched)
    );
    let disturbed = others.gather(run?, limit).await;

    let mut figures = figures(&disturbed);
    stage.finish(&before, &mut figures).await;
    // Most of the work was for the endpoint that came back.
    figures.cpu_s_per_1000 = Default::default();
    let busiest = first.and_then(|_| busiest(&seconds));
    figures.judge(
        "first minute's busiest 5 s, to the learned rate",
        ratio(busiest, Some(learned)),
        Aim::AtMost(2.0),
    );
    figures.judge(
        "the others' p99, to baseline",
        ratio(disturbed.p99_ms(), baseline.p99_ms()),
        Aim::AtMost(1.2),
    );
    let total: u64 = seconds.iter().sum();
    figures.note_extra("capacity_per_s", Some(capacity));
    figures.note_extra("waiting", Some(waiting as f64));
    figures.note_extra("learned_per_s", Some(learned));
    figures.note_extra("baseline_p99_ms", baseline.p99_ms());
    figures.note_extra("return_to_first_arrival_s", first.map(|time| time.as_secs_f64()));
    figures.note_extra("first_second", seconds.first().map(|count| *count as f64));
    figures.note_extra("busiest_second", seconds.iter().max().map(|count| *count as f64));
    figures.note_extra("watched_s", Some(watched.as_secs_f64()));
    figures.note_extra("watched_per_s", Some(total as f64 / watched.as_secs_f64()));
    if first.is_none() {
        let text = format!("nothing arrived within {} s of the return", FIRST_LIMIT.as_secs());
        figures.notes.push(text);
    }
    stage.discard().await?;
    Ok(figures)
}

/// How long after `back` the first arrival came.
async fn first_arrival(ledger: &Ledger, arrived: u64, back: Instant) -> Option<Duration> {
    while back.elapsed() < FIRST_LIMIT {
        if ledger.arrived() > arrived {
            return Some(back.elapsed());
        }
        tokio::time::sleep(GLANCE).await;
    }
    None
}

/// New arrivals in each second of `time`.
async fn arrivals(ledger: &Ledger, mut arrived: u64, time: Duration) -> Vec<u64> {
    let mut seconds = Vec::new();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.tick().await;
    while seconds.len() < time.as_secs_f64().ceil() as usize {
        every.tick().await;
        let now = ledger.arrived();
        seconds.push(now - arrived);
        arrived = now;
    }
    seconds
}

/// Arrivals per second in the busiest stretch; over all of it when it is shorter than a stretch.
fn busiest(seconds: &[u64]) -> Option<f64> {
    let stretch = STRETCH.min(seconds.len()).max(1);
    let sums = seconds.windows(stretch).map(|part| part.iter().sum::<u64>());
    sums.max().map(|most| most as f64 / stretch as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stretch_counts_not_the_average() {
        assert_eq!(busiest(&[0, 0, 10, 10, 10, 10, 10, 0, 0, 0]), Some(10.0));
        assert_eq!(busiest(&[4, 2]), Some(3.0));
        assert_eq!(busiest(&[]), None);
    }
}
