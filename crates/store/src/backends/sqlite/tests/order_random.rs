//! Whatever is done to lines, in whatever order: they add up, and whoever sees the attempts sees each line ascend.

use bellwire_core::delivery::Trigger;

use super::*;
use crate::query::{Requeue, Tending};

/// A small generator: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What the receiver saw, and what it can be sure of.
#[derive(Default)]
struct Seen {
    /// The largest number of each line that came in its turn.
    in_turn: HashMap<String, u64>,
    /// Those out, by line: never two.
    out: HashMap<String, MessageId>,
}

impl Seen {
    fn begin(&mut self, work: &Work) {
        let (key, sequence, previous) = place(work);
        let Some(previous) = previous else { return };
        let largest = self.in_turn.entry(key.to_owned()).or_default();
        assert!(
            sequence >= *largest && previous < sequence,
            "{key}: {sequence} after {largest}"
        );
        *largest = sequence;
        assert_eq!(
            self.out.insert(key.to_owned(), work.message.id),
            None,
            "{key}: two are out"
        );
    }

    fn end(&mut self, work: &Work) {
        let (key, _, previous) = place(work);
        if previous.is_some() {
            self.out.remove(key);
        }
    }
}

async fn run(seed: u64) {
    let mut random = Random(seed);
    let mut f = Fixture::new().await;
    let (mut seen, mut out, mut ids) = (Seen::default(), Vec::<Work>::new(), Vec::<MessageId>::new());
    let (mut era, keys) = (0, ["a", "b", "c"]);
    for step in 0..250 {
        f.clock.advance(Duration::from_millis(random.below(2_000)));
        let now = f.clock.now();
        let key = keys[random.below(3) as usize];
        match random.below(20) {
            0..6 => {
                // Now and then with an era that others have left behind.
                let mut one = in_line(10, key, era - (random.below(2) as u32).min(era));
                one.routes[0].stored = random.below(3) == 0;
                one.deliver_at = (random.below(8) == 0).then_some(now.plus(Duration::from_secs(3)));
                ids.push(f.store.append(one).await.unwrap().id);
            }
            6..9 => out.extend(f.claim(10).await.into_iter().inspect(|work| seen.begin(work))),
            9..15 if !out.is_empty() => {
                let work = out.swap_remove(random.below(out.len() as u64) as usize);
                let verdict = match random.below(8) {
                    0 => Verdict::RetryAt(now.plus(Duration::from_secs(1))),
                    1 => Verdict::Failed,
                    2 => Verdict::Blocked,
                    3 => Verdict::Park(now),
                    4 => Verdict::Cancelled,
                    _ => Verdict::Succeeded,
                };
                f.settle(&work, verdict).await;
                seen.end(&work);
            }
            15 if !ids.is_empty() => {
                let wish = Requeue {
                    message: ids[random.below(ids.len() as u64) as usize],
                    endpoint: ep(10),
                    due_at: now,
                    trigger: Trigger::Manual,
                };
                f.store.requeue(vec![wish]).await.unwrap();
            }
            16 => {
                let tending = [Tending::Unblock(now), Tending::Skip, Tending::Discard][random.below(3) as usize];
                let of = (random.below(2) == 0).then(|| key.to_owned());
                f.store.tend_line(ep(10), of, tending).await.unwrap();
            }
            17 if random.below(4) == 0 => drop(f.store.cancel(ep(10), random.below(5) as usize).await.unwrap()),
            18 if random.below(3) == 0 => era += 1,
            19 if random.below(3) == 0 => {
                let received = Arc::new(Received::default());
                f = f.after_crash().await;
                f.store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
                f.received = received;
                out.clear();
                seen.out.clear();
            }
            _ => {}
        }
        out.extend(f.received.take().into_iter().inspect(|work| seen.begin(work)));
        if step % 5 == 0 {
            f.proven().await;
        }
    }
    // Everybody gets through in the end.
    for work in out {
        f.settle(&work, Verdict::Succeeded).await;
        seen.end(&work);
    }
    f.clock.advance(DAY);
    loop {
        f.store.tend_line(ep(10), None, Tending::Unblock(NOON)).await.unwrap();
        let claimed = f.claim(10).await;
        if claimed.is_empty() {
            break;
        }
        for work in claimed {
            seen.begin(&work);
            f.settle(&work, Verdict::Succeeded).await;
            seen.end(&work);
        }
    }
    let (_, pending, _, _) = f.proven().await;
    assert_eq!((pending, f.store.health().await.waiting), (0, 0));
    assert_eq!(f.store.shared.leases.len(), 0);
}

#[tokio::test]
async fn lines_add_up_whatever_is_done_to_them() {
    for seed in 1..=8 {
        println!("seed {seed}");
        run(seed).await;
    }
}
