//! Publishers of an ordered run: each waits for the answer to a message before it publishes the next one, so that the order
//! of its acknowledged messages is known.
//!
//! A message with an idempotency key is published until it is acknowledged; the others once, and when the answer is lost,
//! nobody can say whether they were accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderValue, Method};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::course::Course;
use crate::client::{APP, Conn, Server};
use crate::payload::Key;
use crate::publish::Reply;
use crate::violation::Kind;

/// The wait before a server that is gone is tried again.
const GONE: Duration = Duration::from_millis(15);
/// With more deliveries than this promised and not done, publishers wait. Enough that lines grow.
const BACKLOG_MAX: u64 = 4_000;
/// The longest that a publisher respects `Retry-After`; the run has a time to keep.
const RESPECT_MAX: Duration = Duration::from_secs(1);

/// Where there are several servers, one that does not answer for so long is left for the next one.
const FAILOVER: Duration = Duration::from_secs(4);

/// Starts the script's publishers. They share `rate` messages a second (0: as fast as they can) until enough is promised. Of several
/// servers each begins with another one, and goes on to the next when one does not answer or refuses.
pub(crate) fn start(course: &Arc<Course>, servers: &[Server], rate: u32) -> JoinSet<()> {
    let publishers = course.script.publishers;
    let pace = (rate > 0).then(|| Duration::from_secs(1) * publishers / rate);
    let mut tasks = JoinSet::new();
    for number in 0..publishers {
        let publisher = Publisher {
            number,
            course: Arc::clone(course),
            servers: servers.to_vec(),
            at: number as usize,
            conn: None,
        };
        tasks.spawn(publisher.run(pace));
    }
    tasks
}

struct Publisher {
    number: u32,
    course: Arc<Course>,
    servers: Vec<Server>,
    /// Which of them is asked: of as many as there are.
    at: usize,
    conn: Option<Conn>,
}

impl Publisher {
    async fn run(mut self, pace: Option<Duration>) {
        let mut ticks = pace.map(tokio::time::interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        while !self.course.is_enough() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let opened = {
                let mut ledger = self.course.ledger();
                if ledger.totals().ordered_due >= self.course.deliveries {
                    return;
                }
                (ledger.outstanding() < BACKLOG_MAX).then(|| ledger.open(self.number))
            };
            match opened {
                Some((seq, key)) => self.publish(seq, key).await,
                None => tokio::time::sleep(GONE).await,
            }
        }
    }

    /// Publishes a message, as often as its idempotency key allows and needs.
    async fn publish(&mut self, seq: u64, key: Option<u32>) {
        let repeatable = self.course.script.messages.key(seq) != Key::None;
        loop {
            let wait = match self.once(seq, key).await {
                Some(Reply::Acknowledged(id)) => return self.course.ledger().acknowledged(seq, &id),
                Some(Reply::Wrong(what)) => {
                    let what = format!("message {seq} was answered {what}");
                    return self.course.ledger().violation(Kind::Answer, what);
                }
                Some(Reply::Refused(wait)) => {
                    self.course.refusals.fetch_add(1, Relaxed);
                    // Another server may well take it.
                    match self.servers.len() {
                        1 => wait.min(RESPECT_MAX),
                        _ => GONE,
                    }
                }
                Some(Reply::InFlight) | None => GONE,
            };
            tokio::time::sleep(wait).await;
            if !repeatable {
                return;
            }
        }
    }

    /// One try; `None` when there was no answer.
    async fn once(&mut self, seq: u64, key: Option<u32>) -> Option<Reply> {
        let reply = if self.servers.len() == 1 {
            self.ask(seq, key).await
        } else {
            let asked = tokio::time::timeout(FAILOVER, self.ask(seq, key)).await;
            asked.unwrap_or_else(|_| {
                self.course.answers_lost.fetch_add(1, Relaxed);
                None
            })
        };
        if matches!(reply, None | Some(Reply::Refused(_))) && self.servers.len() > 1 {
            self.at += 1;
            self.conn = None;
        }
        reply
    }

    async fn ask(&mut self, seq: u64, key: Option<u32>) -> Option<Reply> {
        let server = self.servers.get(self.at % self.servers.len())?.clone();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::open(server.address).await.ok()?,
        };
        let messages = self.course.script.messages;
        let path = format!("/api/v1/app/{APP}/msg");
        let body = self.course.script.request(seq, key);
        let mut request = server.request(Method::POST, &path, body).ok()?;
        let idempotency = messages.key(seq);
        if idempotency.header()
            && let Ok(value) = HeaderValue::from_str(&messages.key_text(seq))
        {
            request.headers_mut().insert("idempotency-key", value);
        }
        self.course.publishing.bump();
        match conn.send(request).await {
            Ok(answer) => {
                self.conn = Some(conn);
                Some(Reply::read(&answer, idempotency))
            }
            Err(_) => {
                self.course.answers_lost.fetch_add(1, Relaxed);
                None
            }
        }
    }
}
