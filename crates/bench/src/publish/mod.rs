//! The load generator: connections that publish, as fast as they can or to a fixed schedule.
//!
//! One task for each connection; the request bodies are prebuilt and stamped. A refusal (429, 503) is respected: the connection waits as told
//! and goes on. Any other refusal of ours (401, 404, 422 …) ends the run with the server's words, since the set-up is then wrong.

mod schedule;
mod worker;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Uri};
use tokio::task::JoinSet;

use crate::clock::{Clock, us_to_seconds};
use crate::latency::Latency;
use crate::mark::Template;
use crate::sink::Ledger;
use crate::wire::Conn;
use schedule::Tickets;
use worker::{Seat, Tally, Worker};

/// A run without any acknowledgement for this long is given up.
const STALL: Duration = Duration::from_secs(30);
/// Opening hundreds of connections at once overflows listen queues: they are opened one after the other, with this pause after each few.
const RAMP_PAUSE: Duration = Duration::from_millis(1);

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Target {
    /// The servers, at least one: each connection is to one of them, in turn.
    pub addresses: Vec<SocketAddr>,
    /// Host, authorization, content type.
    pub headers: HeaderMap,
    /// What is posted where; at least one. Message number `n` goes to slot `n % slots`.
    pub slots: Vec<Slot>,
    /// Whether a slot's messages are published one after the other.
    pub turns: Turns,
}

impl Target {
    /// Where the connection of this number goes.
    fn address(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let at = number % self.addresses.len().max(1);
        self.addresses
            .get(at)
            .copied()
            .ok_or_else(|| anyhow::anyhow!("there is no server to publish to"))
    }
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Path of the POST.
    pub uri: Uri,
    /// The request body.
    pub template: Template,
    /// A header that makes each request one of its own, where the body does not.
    pub id: Option<IdHeader>,
}

/// A header that says which message a request is: a prefix and the message's number.
#[derive(Clone, Debug)]
pub struct IdHeader {
    /// Its name.
    pub name: HeaderName,
    /// What stands before the number: no two runs have the same.
    pub prefix: String,
}

/// Who publishes to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Every connection to all of them in turn.
    Any,
    /// One connection alone, which waits for each answer: so the order of acceptance is known. Only at full speed.
    Owned,
}

/// How fast messages are published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection publishes again as soon as it is answered (closed loop); latency counts from the sending.
    Full,
    /// Messages are due at fixed times, whatever the server does (open loop); latency counts from when a message was due, so that a server
    /// that stalls is charged for those who waited.
    PerSecond(u32),
    /// The same, by publishers who do not wait when they are refused, as if others had come in their place. A message that finds no
    /// connection free, because the server is slow to answer, is given up and counted.
    Flood(u32),
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// This much time.
    For(Duration),
    /// This many acknowledged messages (at a fixed pace: this many published).
    Messages(u64),
}

/// What a run did. Its messages are numbered `first_seq..end_seq` in the ledger.
#[derive(Clone, Debug)]
pub struct Run {
    /// The first message's number.
    pub first_seq: u64,
    /// One past the last message's number.
    pub end_seq: u64,
    /// When it began, in microseconds on the clock.
    pub started_us: u64,
    /// When the last publisher had its last answer.
    pub ended_us: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Answers 429 and 503.
    pub refused: u64,
    /// Those of them without `Retry-After`.
    pub refused_bare: u64,
    /// Messages that were never sent, because no connection was free (only [`Pace::Flood`]).
    pub unsent: u64,
    /// Broken connections and other answers of 500 and above; the messages may or may not be delivered.
    pub errors: u64,
    /// What the last of those errors said.
    pub last_error: Option<String>,
    /// Publish → acknowledgement.
    pub ack: Latency,
    /// Sending → refusal.
    pub refusal: Latency,
    /// How late the generator itself was, with a fixed pace.
    pub lateness: Latency,
}

impl Run {
    /// Acknowledged messages per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let seconds = us_to_seconds(self.ended_us.saturating_sub(self.started_us));
        if seconds > 0.0 {
            self.acknowledged as f64 / seconds
        } else {
            0.0
        }
    }
}

/// Open connections to one target.
pub struct Publisher {
    shared: Arc<Common>,
    connections: Vec<Option<Conn>>,
}

/// What workers of all runs share.
struct Common {
    target: Target,
    ledger: Arc<Ledger>,
    clock: Clock,
    blank: Latency,
}

/// What workers of one run share.
struct Job {
    common: Arc<Common>,
    until_us: u64,
    /// Messages still to be published, for a closed loop.
    left: AtomicI64,
    /// Whether publishers wait when they are refused.
    patient: bool,
    tickets: Tickets,
    failure: OnceLock<String>,
    last_error: Mutex<Option<String>>,
}

impl Job {
    /// Ends the run with an error; the first one counts.
    fn fail(&self, why: String) {
        let _ = self.failure.set(why);
        self.tickets.close();
    }

    /// Remembers what a publisher that will try again was told.
    fn note_error(&self, what: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn over(&self) -> bool {
        self.failure.get().is_some() || self.common.clock.now_us() >= self.until_us
    }
}

impl Publisher {
    /// Opens the connections, gently.
    ///
    /// # Errors
    /// When the server does not accept one.
    pub async fn connect(
        target: Target,
        connections: usize,
        ledger: Arc<Ledger>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut open = Vec::with_capacity(connections);
        for number in 0..connections {
            open.push(Some(Conn::open(target.address(number)?).await?));
            if number % 8 == 7 {
                tokio::time::sleep(RAMP_PAUSE).await;
            }
        }
        let shared = Arc::new(Common {
            target,
            ledger,
            clock,
            blank: Latency::new()?,
        });
        Ok(Self {
            shared,
            connections: open,
        })
    }

    /// The same with connections of its own.
    ///
    /// # Errors
    /// When the server does not accept one.
    pub async fn another(&self, connections: usize) -> anyhow::Result<Self> {
        let Common {
            target, ledger, clock, ..
        } = &*self.shared;
        Self::connect(target.clone(), connections, ledger.clone(), *clock).await
    }

    /// Publishes at `pace` for `extent`; returns when every publisher has its last answer.
    ///
    /// # Errors
    /// When the server refuses what is published for good, or acknowledges nothing for half a minute.
    pub async fn run(&mut self, pace: Pace, extent: Extent) -> anyhow::Result<Run> {
        let common = &self.shared;
        let started_us = common.clock.now_us();
        let (until_us, messages) = match extent {
            Extent::For(time) => (
                started_us + u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2),
                i64::MAX,
            ),
            Extent::Messages(n) => (u64::MAX, i64::try_from(n).unwrap_or(i64::MAX)),
        };
        let tickets = Tickets::new(match pace {
            Pace::Flood(_) => self.connections.len(),
            _ => usize::MAX,
        });
        if common.target.turns == Turns::Owned {
            common.ledger.align();
        }
        let job = Arc::new(Job {
            common: Arc::clone(common),
            // With a fixed pace the schedule ends the run, and every message that was due is published.
            until_us: if pace == Pace::Full { until_us } else { u64::MAX },
            left: AtomicI64::new(messages),
            tickets,
            patient: !matches!(pace, Pace::Flood(_)),
            failure: OnceLock::new(),
            last_error: Mutex::new(None),
        });
        let mut run = Run {
            first_seq: common.ledger.seq_end(),
            end_seq: 0,
            started_us,
            ended_us: 0,
            acknowledged: 0,
            refused: 0,
            refused_bare: 0,
            unsent: 0,
            errors: 0,
            last_error: None,
            ack: common.blank.clone(),
            refusal: common.blank.clone(),
            lateness: common.blank.clone(),
        };
        let mut workers = JoinSet::new();
        let count = self.connections.len();
        for (number, conn) in self.connections.iter_mut().enumerate() {
            let seat = Seat { number, of: count };
            let worker = Worker::new(Arc::clone(&job), seat, conn.take());
            match pace {
                Pace::Full => workers.spawn(worker.at_full_speed()),
                Pace::PerSecond(_) | Pace::Flood(_) => workers.spawn(worker.on_schedule()),
            };
        }
        if let Pace::PerSecond(rate) | Pace::Flood(rate) = pace {
            schedule::start(Arc::clone(&job), rate, extent)?;
        }
        self.connections.clear();
        self.gather(&job, &mut workers, &mut run).await?;
        run.end_seq = self.shared.ledger.seq_end();
        run.ended_us = self.shared.clock.now_us();
        run.last_error = job.last_error();
        run.unsent = job.tickets.shed();
        match job.failure.get() {
            Some(why) => Err(anyhow::anyhow!("publishing failed: {why}")),
            None => Ok(run),
        }
    }

    /// Waits for the workers and adds up what they did, watching that acknowledgements keep coming.
    async fn gather(
        &mut self,
        job: &Job,
        workers: &mut JoinSet<(Option<Conn>, Tally)>,
        run: &mut Run,
    ) -> anyhow::Result<()> {
        let mut acknowledged = self.shared.ledger.acknowledged();
        loop {
            let (conn, tally) = match tokio::time::timeout(STALL, workers.join_next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(done)) => done?,
                Err(_) => {
                    let now = self.shared.ledger.acknowledged();
                    if now == acknowledged {
                        let last = job
                            .last_error()
                            .map_or(String::new(), |error| format!("; the last error: {error}"));
                        job.fail("the run was given up".to_owned());
                        anyhow::bail!("nothing was acknowledged for {} s{last}", STALL.as_secs());
                    }
                    acknowledged = now;
                    continue;
                }
            };
            self.connections.push(conn);
            run.acknowledged += tally.acknowledged;
            run.refused += tally.refused;
            run.refused_bare += tally.refused_bare;
            run.refusal.merge(&tally.refusal);
            run.errors += tally.errors;
            run.ack.merge(&tally.ack);
            run.lateness.merge(&tally.lateness);
        }
    }
}

/// Takes one message from what is left; false when none is.
fn take(left: &AtomicI64) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| (left > 0).then(|| left - 1))
        .is_ok()
}
