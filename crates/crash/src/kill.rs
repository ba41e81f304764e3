//! The crash loop: load, kill, restart, again; then the account.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::args::Args;
use crate::moment::Moment;
use crate::rig::{Ending, Rig};
use crate::world::World;

/// After how many cycles a line says how it goes.
const PROGRESS: u32 = 10;

/// What only this scenario knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Starts {
    /// How long each start took until the server was ready.
    pub(crate) took: Vec<Duration>,
}

impl Starts {
    /// The usual length of a start.
    pub(crate) fn median(&self) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() / 2).copied().unwrap_or_default()
    }

    /// Median and longest; nothing when none was measured.
    pub(crate) fn summary(&self) -> Option<[Duration; 2]> {
        (!self.took.is_empty()).then(|| [self.median(), self.longest()])
    }

    fn longest(&self) -> Duration {
        self.took.iter().max().copied().unwrap_or_default()
    }
}

/// Runs the loop.
///
/// # Errors
/// When the server cannot be set up, ends by itself, or does not come back.
pub(crate) async fn run(args: &Args, rig: &mut Rig, seed: u64, starts: &mut Starts) -> anyhow::Result<Ending> {
    let mut rng = Rng::with_seed(seed);
    starts.took.push(rig.set_up().await?);
    rig.publish(args);
    for cycle in 1..=args.cycles {
        let moment = Moment::draw(&mut rng);
        moment.come(&rig.world.publishing, &rig.world.answering).await;
        rig.kill(moment.phase()).await?;
        if let Moment::Start { parts, .. } = moment {
            for part in parts {
                kill_while_starting(rig, starts.median().mul_f32(part), moment.phase()).await?;
            }
        }
        starts.took.push(rig.start().await?);
        if cycle % PROGRESS == 0 || cycle == args.cycles {
            progress(cycle, args.cycles, &rig.world);
        }
    }
    rig.drain().await;
    Ok(rig.finish().await)
}

/// A start that never becomes one.
async fn kill_while_starting(rig: &mut Rig, after: Duration, phase: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    rig.world.account().runs().started();
    rig.process.spawn()?;
    tokio::time::sleep(after.saturating_sub(began.elapsed())).await;
    rig.kill(phase).await
}

fn progress(cycle: u32, cycles: u32, world: &World) {
    let account = world.account();
    let totals = account.totals();
    let most = account.kills().map(|kill| kill.repeated).max().unwrap_or(0);
    let state = match account.violations().is_empty() {
        true => "no violation".to_owned(),
        false => format!("violations {:?}", account.violations().counts()),
    };
    eprintln!(
        "cycle {cycle}/{cycles} after {:.0} s: {} acknowledged, {} delivered, {} on their way, {} repeated (most at one kill {most}), {state}",
        world.elapsed().as_secs_f64(),
        totals.acknowledged,
        totals.delivered,
        account.outstanding(),
        totals.repeated,
    );
}
