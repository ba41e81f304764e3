//! When to kill: drawn from the seed, so that every phase of the server's life is hit again and again.
//!
//! The draw is repeatable; what the server is doing at that moment is not, since it depends on the machine. A seed brings back
//! the same messages and the same intentions, not the same run.

use std::time::Duration;

use fastrand::Rng;

use crate::world::Signal;

/// How long a moment that waits for traffic waits at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// A moment to kill at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    /// Some time under load.
    Load { after: Duration },
    /// So many requests to publish from now, while one is on its way to the commit.
    Publish { requests: u64, after: Duration },
    /// So many answers of receivers from now, while the outcomes gather to be written.
    Settle { answers: u64, after: Duration },
    /// Around one of the checkpoints that come every half second.
    Checkpoint { after: Duration },
    /// While what the last kill left behind is taken up.
    Resume { after: Duration },
    /// Under load, and then once or more during the start that follows, at this part of its usual length.
    Start { after: Duration, parts: [f32; 2] },
}

/// The names of the phases, in the order of [`Moment::phase`].
pub(crate) const PHASES: [&str; 6] = ["load", "publish", "settle", "checkpoint", "resume", "start"];

impl Moment {
    /// Draws one.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut ms = |range: std::ops::Range<u64>| Duration::from_millis(rng.u64(range));
        let us = |rng: &mut Rng, max: u64| Duration::from_micros(rng.u64(..max));
        let load = ms(50..1_500);
        let checkpoints = ms(1..5) * 500 + ms(0..60);
        match rng.u8(0..12) {
            0 | 1 => Moment::Load { after: load },
            2 | 3 => Moment::Publish {
                requests: rng.u64(1..200),
                after: us(rng, 4_000),
            },
            4..=6 => Moment::Settle {
                answers: rng.u64(1..600),
                after: us(rng, 15_000),
            },
            7 => Moment::Checkpoint {
                after: checkpoints.saturating_sub(Duration::from_millis(30)),
            },
            8 | 9 => Moment::Resume { after: us(rng, 40_000) },
            _ => Moment::Start {
                after: load / 2,
                parts: [rng.f32(), rng.f32()],
            },
        }
    }

    /// Waits until it has come. `publishing` counts requests to publish that leave, `answering` requests that the receiver is
    /// about to answer.
    pub(crate) async fn come(self, publishing: &Signal, answering: &Signal) {
        let after = match self {
            Moment::Publish { requests, after } => {
                publishing.grow(requests, PATIENCE).await;
                after
            }
            Moment::Settle { answers, after } => {
                answering.grow(answers, PATIENCE).await;
                after
            }
            Moment::Load { after }
            | Moment::Checkpoint { after }
            | Moment::Resume { after }
            | Moment::Start { after, .. } => after,
        };
        tokio::time::sleep(after).await;
    }

    /// Index of its name in [`PHASES`].
    pub(crate) fn phase(self) -> usize {
        match self {
            Moment::Load { .. } => 0,
            Moment::Publish { .. } => 1,
            Moment::Settle { .. } => 2,
            Moment::Checkpoint { .. } => 3,
            Moment::Resume { .. } => 4,
            Moment::Start { .. } => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_drawn_and_a_seed_draws_the_same_again() {
        let draw = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..60).map(|_| Moment::draw(&mut rng)).collect::<Vec<_>>()
        };
        let moments = draw(1);
        for (phase, name) in PHASES.iter().enumerate() {
            assert!(moments.iter().any(|moment| moment.phase() == phase), "{name}");
        }
        assert_eq!(moments, draw(1));
        assert_ne!(moments, draw(2));
    }
}
