//! One connection's work.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use bytes::BytesMut;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;

use super::{Job, Turns, take};
use crate::latency::Latency;
use crate::mark::Mark;
use crate::wire::{Answer, Conn};

/// How long a connection waits when told to wait without a time, and after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// No refusal makes it wait longer than this: the bench has an end.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What one connection did.
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) refused_bare: u64,
    pub(super) errors: u64,
    pub(super) ack: Latency,
    pub(super) refusal: Latency,
    pub(super) lateness: Latency,
}

/// Which of the connections it is.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) number: usize,
    pub(super) of: usize,
}

/// A connection with its tally.
pub(super) struct Worker {
    job: Arc<Job>,
    seat: Seat,
    /// The slot it publishes to next, when slots are owned.
    own_slot: usize,
    conn: Option<Conn>,
    tally: Tally,
    buffer: BytesMut,
}

impl Worker {
    pub(super) fn new(job: Arc<Job>, seat: Seat, conn: Option<Conn>) -> Self {
        let blank = &job.common.blank;
        let tally = Tally {
            acknowledged: 0,
            refused: 0,
            refused_bare: 0,
            errors: 0,
            ack: blank.clone(),
            refusal: blank.clone(),
            lateness: blank.clone(),
        };
        Self {
            job,
            seat,
            own_slot: seat.number,
            conn,
            tally,
            buffer: BytesMut::new(),
        }
    }

    /// Publishes until the time is over or nothing is left. A message that was not acknowledged is made up for by another.
    pub(super) async fn at_full_speed(mut self) -> (Option<Conn>, Tally) {
        if self.job.common.target.turns == Turns::Owned && self.own_slot >= self.job.common.target.slots.len() {
            return (self.conn, self.tally);
        }
        while !self.job.over() && take(&self.job.left) {
            let now_us = self.job.common.clock.now_us();
            if !self.publish(now_us).await {
                self.job.left.fetch_add(1, Relaxed);
            }
        }
        (self.conn, self.tally)
    }

    /// Publishes what the timetable hands out.
    pub(super) async fn on_schedule(mut self) -> (Option<Conn>, Tally) {
        while let Some(due_us) = self.job.tickets.next().await {
            if self.job.over() {
                break;
            }
            let late_us = self.job.common.clock.now_us().saturating_sub(due_us);
            self.tally.lateness.record(late_us);
            self.publish(due_us).await;
        }
        (self.conn, self.tally)
    }

    /// Publishes one message whose latency counts from `t_us`; true when it was acknowledged.
    async fn publish(&mut self, t_us: u64) -> bool {
        let job = Arc::clone(&self.job);
        let common = &job.common;
        let seq = self.next_seq();
        let sent_us = common.clock.now_us();
        match self.post(Mark { t_us, seq }).await {
            Ok(answer) if answer.status.is_success() => {
                common.ledger.acknowledge(seq);
                self.tally.acknowledged += 1;
                self.tally.ack.record(common.clock.now_us().saturating_sub(t_us));
                true
            }
            Ok(answer) => {
                let after_us = common.clock.now_us().saturating_sub(sent_us);
                self.not_acknowledged(answer, after_us).await;
                false
            }
            Err(error) => {
                self.conn = None;
                self.tally.errors += 1;
                job.note_error(format!("{error:#}"));
                tokio::time::sleep(PAUSE).await;
                false
            }
        }
    }

    /// The number of the next message; it says which slot it goes to.
    fn next_seq(&mut self) -> u64 {
        let common = &self.job.common;
        match common.target.turns {
            Turns::Any => common.ledger.next_seq(),
            Turns::Owned => {
                let seq = common.ledger.next_seq_of(self.own_slot);
                self.own_slot += self.seat.of;
                if self.own_slot >= common.target.slots.len() {
                    self.own_slot = self.seat.number;
                }
                seq
            }
        }
    }

    async fn post(&mut self, mark: Mark) -> anyhow::Result<Answer> {
        let target = &self.job.common.target;
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(Conn::open(target.address(self.seat.number)?).await?),
        };
        let slot = usize::try_from(mark.seq).map_or(0, |seq| seq % target.slots.len().max(1));
        let slot = target.slots.get(slot).context("a publisher has no slots")?;
        let mut request = Request::new(Full::new(slot.template.stamp(mark, &mut self.buffer)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = slot.uri.clone();
        *request.headers_mut() = target.headers.clone();
        if let Some(id) = &slot.id {
            let value = HeaderValue::from_str(&format!("{}{}", id.prefix, mark.seq))?;
            request.headers_mut().insert(id.name.clone(), value);
        }
        conn.send(request).await
    }

    async fn not_acknowledged(&mut self, answer: Answer, after_us: u64) {
        let words = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.tally.refused += 1;
                self.tally.refused_bare += u64::from(!answer.retry_after_given);
                self.tally.refusal.record(after_us);
                self.job.note_error(words());
                if self.job.patient {
                    tokio::time::sleep(answer.retry_after.unwrap_or(PAUSE).min(PAUSE_MAX)).await;
                }
            }
            status if status.is_server_error() => {
                self.tally.errors += 1;
                self.job.note_error(words());
                tokio::time::sleep(PAUSE).await;
            }
            _ => self.job.fail(format!("the server answered {}", words())),
        }
    }
}
