//! The open loop's timetable.
//!
//! A thread of its own keeps it: the runtime's timers tick in milliseconds, which is more than a delivery takes. It hands each due time to
//! whichever connection is free; when none is, the message waits and its latency grows, as it would for a real publisher.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Extent, Job};

/// Due times that wait for a connection.
pub(super) struct Tickets {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    due_us: VecDeque<u64>,
    closed: bool,
}

impl Tickets {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, due_us: u64) {
        self.lock().due_us.push_back(due_us);
        self.wake.notify_one();
    }

    /// No more will come; those that wait are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_waiters();
    }

    fn closed(&self) -> bool {
        self.lock().closed
    }

    /// The next due time; `None` when the timetable has ended.
    pub(super) async fn next(&self) -> Option<u64> {
        loop {
            // Made before looking: a close in between is not missed.
            let woken = self.wake.notified();
            {
                let mut queue = self.lock();
                if let Some(due_us) = queue.due_us.pop_front() {
                    return Some(due_us);
                }
                if queue.closed {
                    return None;
                }
            }
            woken.await;
        }
    }
}

/// Starts the thread that keeps the timetable of `job`.
pub(super) fn start(job: Arc<Job>, per_second: u32, extent: Extent) -> anyhow::Result<()> {
    let total = match extent {
        Extent::For(time) => (time.as_secs_f64() * f64::from(per_second)).ceil() as u64,
        Extent::Messages(n) => n,
    };
    std::thread::Builder::new()
        .name("bench-schedule".to_owned())
        .spawn(move || {
            wake_punctually();
            let start_us = job.common.clock.now_us();
            for number in 0..total {
                if job.tickets.closed() {
                    return;
                }
                let due_us = start_us + due_after_us(number, per_second);
                std::thread::sleep(Duration::from_micros(due_us.saturating_sub(job.common.clock.now_us())));
                job.tickets.push(due_us);
            }
            job.tickets.close();
        })?;
    Ok(())
}

/// When message `number` is due, in microseconds after the start; computed from the number, so that rounding does not add up.
fn due_after_us(number: u64, per_second: u32) -> u64 {
    let us = u128::from(number) * 1_000_000 / u128::from(per_second.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// Linux wakes sleepers up to 50 µs late unless told otherwise (proc(5), timerslack_ns). Where this fails, nothing is lost but precision,
/// which the report shows.
fn wake_punctually() {
    let Ok(link) = fs::read_link("/proc/thread-self") else {
        return;
    };
    if let Some(thread) = link.file_name().and_then(|name| name.to_str()) {
        let _ = fs::write(format!("/proc/{thread}/timerslack_ns"), "1000");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_do_not_drift() {
        assert_eq!(due_after_us(0, 3), 0);
        assert_eq!(due_after_us(1, 3), 333_333);
        assert_eq!(due_after_us(3_000_000, 3), 1_000_000_000_000);
    }

    #[tokio::test]
    async fn tickets_left_at_the_close_are_handed_out_and_then_everybody_is_released() {
        let tickets = Arc::new(Tickets::new());
        let waiting = Arc::clone(&tickets);
        let mut waiter = tokio::task::JoinSet::new();
        waiter.spawn(async move { (waiting.next().await, waiting.next().await, waiting.next().await) });
        tokio::task::yield_now().await;
        tickets.push(1);
        tickets.push(2);
        tickets.close();
        assert_eq!(waiter.join_next().await.unwrap().unwrap(), (Some(1), Some(2), None));
    }
}
