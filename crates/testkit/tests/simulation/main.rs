//! The simulation: the real scheduler and directory, a store in memory, receivers that follow scripts, and virtual time.
//!
//! A seed decides everything that happens: publications, changes of endpoints and of their order, resends, what people do about
//! blocked lines, what receivers answer, faults of the store, jumps of the clock, crashes and stops. After every step the
//! invariants of design/reliability.md are checked by the oracle (2, 3, 5, 6, 7 and 9). At the end everything heals, time
//! passes, and nothing may be left undecided.
//!
//! `BELLWIRE_SEED=17 cargo test -p bellwire-testkit --test simulation` runs one seed and prints what happens;
//! `BELLWIRE_SEEDS=100000` runs so many.

mod changes;
mod life;
mod oracle;
mod steps;
mod trace;

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seeds run by a plain `cargo test`.
const SEEDS: u64 = 2_000;

thread_local! {
    /// How often something panicked on this thread, also in tasks that nobody waits for.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told what to run by variables, so that a seed is replayed by one line"
)]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`")),
    )
}

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.set(PANICS.get() + 1);
        before(info);
    }));
}

fn run(seed: u64, prints: bool) -> Result<u64, String> {
    let panics = PANICS.get();
    let done = life::run(seed, prints);
    if PANICS.get() > panics {
        return Err("something panicked".to_owned());
    }
    done
}

#[test]
fn every_seed_keeps_the_invariants() {
    count_panics();
    if let Some(seed) = variable("BELLWIRE_SEED") {
        run(seed, true).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        return;
    }
    let seeds = variable("BELLWIRE_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    if let Err(violation) = run(seed, false) {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((seed, violation));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort();
    for (seed, violation) in failed.iter().take(20) {
        eprintln!("seed {seed}: {violation}");
        eprintln!("  replay: BELLWIRE_SEED={seed} cargo test -p bellwire-testkit --test simulation");
    }
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds broke an invariant",
        failed.len()
    );
}

#[test]
fn the_same_seed_makes_the_same_history() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let (first, second) = (run(seed, false), run(seed, false));
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first, run(seed + 1_000_000, false));
    }
}
