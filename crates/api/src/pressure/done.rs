//! How many publications the server gets done, and so how many it takes on at once: a second's worth. Who is refused is told to come
//! back in a second; waiting in line for no longer than that is never worse for anybody, and costs the server less.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// So many are taken on however few were done lately: nobody may have asked for more.
const AT_LEAST: usize = 1_024;
/// How often it is counted anew.
const EVERY: Duration = Duration::from_millis(250);

/// What was done lately.
#[derive(Debug)]
pub(super) struct Done {
    /// Since it was counted last.
    count: AtomicUsize,
    /// How many are taken on at once.
    room: AtomicUsize,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    at: Instant,
    /// Smoothed.
    per_second: f64,
}

impl Done {
    /// Of a server that begins.
    pub fn new(now: Instant) -> Self {
        Self {
            count: AtomicUsize::new(0),
            room: AtomicUsize::new(AT_LEAST),
            counted: Mutex::new(Counted {
                at: now,
                per_second: 0.0,
            }),
        }
    }

    /// One more is done.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many are taken on at once, `most` at most.
    pub fn room(&self, most: usize, now: Instant) -> usize {
        // Whoever comes while another one counts goes by what was so a moment ago.
        if let Ok(mut counted) = self.counted.try_lock() {
            let span = now.saturating_duration_since(counted.at);
            if span >= EVERY {
                let per_second = self.count.swap(0, Ordering::Relaxed) as f64 / span.as_secs_f64();
                *counted = Counted {
                    at: now,
                    per_second: f64::midpoint(counted.per_second, per_second),
                };
                self.room
                    .store((counted.per_second as usize).max(AT_LEAST), Ordering::Relaxed);
            }
        }
        self.room.load(Ordering::Relaxed).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_is_taken_on_within_bounds() {
        let start = Instant::now();
        let after = |quarters: u32| start + EVERY * quarters;
        let done = Done::new(start);
        assert_eq!(done.room(8_192, start), AT_LEAST);
        assert_eq!(done.room(10, start), 10);
        for quarter in 1..=8 {
            (0..1_500).for_each(|_| done.add());
            done.room(8_192, after(quarter));
        }
        let room = done.room(8_192, after(8));
        assert!((5_900..=6_000).contains(&room), "{room}");
        assert_eq!(done.room(4_096, after(8)), 4_096);
        // When little is asked for, it begins anew.
        for quarter in 9..=20 {
            done.room(8_192, after(quarter));
        }
        assert_eq!(done.room(8_192, after(20)), AT_LEAST);
    }
}
