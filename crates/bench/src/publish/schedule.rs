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

/// At high rates the timetable looks at the clock only so often: a wake-up for each message would cost more than the message.
/// What falls due in between is handed out that much later, and its latency says so.
const GLANCE_US: u64 = 250;

/// Due times that wait for a connection.
pub(super) struct Tickets {
    /// No more than this many wait.
    room: usize,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    due_us: VecDeque<u64>,
    closed: bool,
    shed: u64,
}

impl Tickets {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            queue: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out what is due. What finds no room is given up.
    fn push(&self, due_us: impl ExactSizeIterator<Item = u64>) {
        let count = due_us.len();
        {
            let mut queue = self.lock();
            let taken = count.min(self.room.saturating_sub(queue.due_us.len()));
            queue.due_us.extend(due_us.take(taken));
            queue.shed += (count - taken) as u64;
        }
        (0..count).for_each(|_| self.wake.notify_one());
    }

    /// How many were given up.
    pub(super) fn shed(&self) -> u64 {
        self.lock().shed
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
            let due_us = |number: u64| start_us + due_after_us(number, per_second);
            let mut number = 0;
            while number < total && !job.tickets.closed() {
                let now_us = job.common.clock.now_us();
                let wait_us = due_us(number).saturating_sub(now_us);
                if wait_us > 0 {
                    let crowded = due_us(number + 1) - due_us(number) < GLANCE_US;
                    std::thread::sleep(Duration::from_micros(if crowded {
                        wait_us.max(GLANCE_US)
                    } else {
                        wait_us
                    }));
                    continue;
                }
                let end = (number + 1..total).find(|&next| due_us(next) > now_us).unwrap_or(total);
                let due: Vec<u64> = (number..end).map(due_us).collect();
                job.tickets.push(due.into_iter());
                number = end;
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
        let tickets = Arc::new(Tickets::new(usize::MAX));
        let waiting = Arc::clone(&tickets);
        let mut waiter = tokio::task::JoinSet::new();
        waiter.spawn(async move { (waiting.next().await, waiting.next().await, waiting.next().await) });
        tokio::task::yield_now().await;
        tickets.push([1, 2].into_iter());
        tickets.close();
        assert_eq!(waiter.join_next().await.unwrap().unwrap(), (Some(1), Some(2), None));
    }

    #[tokio::test]
    async fn tickets_that_find_no_room_are_given_up_and_counted() {
        let tickets = Tickets::new(2);
        tickets.push([1, 2, 3].into_iter());
        assert_eq!((tickets.next().await, tickets.shed()), (Some(1), 1));
        tickets.push([4, 5].into_iter());
        tickets.close();
        assert_eq!(
            (tickets.next().await, tickets.next().await, tickets.next().await),
            (Some(2), Some(4), None)
        );
        assert_eq!(tickets.shed(), 2);
    }
}
