//! The receiver: a fast HTTP/1.1 server on loopback that counts what arrives and can be told to misbehave.
//!
//! Each endpoint of the server under test is a *lane*, told apart by its path (`/r/0`, `/r/1`, …). An accepted arrival is entered in the
//! [`Ledger`] and its latency is recorded from the mark in the payload. It checks no signature and keeps no bodies: it must cost as little as
//! a receiver can. Used by the scenarios, and by tests that want to account for every message at full speed.

mod answer;
mod ledger;
mod listen;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::latency::Latency;

pub use ledger::{Account, Ledger};

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 at once; the arrival counts.
    Accept,
    /// This status at once (100–999); the arrival does not count, unless it is a success.
    Status(u16),
    /// No answer until the behaviour changes, then as the new one says.
    Hang,
    /// The port refuses connections and open ones are closed. For a single lane, where the port is shared: the connection is closed without
    /// an answer.
    Refuse,
}

impl Behaviour {
    fn code(self) -> u32 {
        match self {
            Behaviour::Accept => 200,
            Behaviour::Status(status) => u32::from(status),
            Behaviour::Hang => 0,
            Behaviour::Refuse => 1,
        }
    }
}

/// What a receiver has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections accepted.
    pub connections: u64,
    /// Requests read to the end of their body, however they were answered.
    pub requests: u64,
    /// Accepted requests without a mark of ours, or for a lane that does not exist.
    pub unmarked: u64,
}

/// What was recorded of the accepted arrivals of a window (see [`Sink::begin_window`]).
#[derive(Clone, Debug)]
pub struct Window {
    /// Publish → arrival, one sample for each first arrival.
    pub latency: Latency,
    /// When the last of them arrived, in microseconds on the clock; 0 when none did.
    pub last_us: u64,
}

/// The receiver. Dropping it closes its port.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    control: mpsc::Sender<(bool, oneshot::Sender<io::Result<()>>)>,
    /// The accepting task; it ends with the handle.
    _task: JoinSet<()>,
}

/// What connections share with the handle.
pub(crate) struct Shared {
    clock: Clock,
    ledger: Arc<Ledger>,
    lanes: Box<[AtomicU32]>,
    changed: Notify,
    window_from: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    unmarked: AtomicU64,
    recorders: Mutex<Vec<Arc<Mutex<Window>>>>,
    empty: Window,
}

impl Sink {
    /// Listens on a free loopback port, with `lanes` lanes that accept.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn bind(clock: Clock, lanes: usize) -> io::Result<Self> {
        let empty = Window {
            latency: Latency::new().map_err(io::Error::other)?,
            last_us: 0,
        };
        let listener = listen::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            clock,
            ledger: Arc::new(Ledger::new(lanes)),
            lanes: (0..lanes).map(|_| AtomicU32::new(Behaviour::Accept.code())).collect(),
            changed: Notify::new(),
            window_from: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            unmarked: AtomicU64::new(0),
            recorders: Mutex::new(Vec::new()),
            empty,
        });
        let (control, commands) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(listen::serve(listener, address, Arc::clone(&shared), commands));
        Ok(Self {
            address,
            shared,
            control,
            _task: task,
        })
    }

    /// Where it listens (or refuses).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a lane.
    #[must_use]
    pub fn url(&self, lane: usize) -> String {
        format!("http://{}/r/{lane}", self.address)
    }

    /// The account of what was published and what arrived.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// Changes how every lane answers; in force when this returns.
    ///
    /// # Errors
    /// When the port cannot be taken back after [`Behaviour::Refuse`].
    pub async fn set(&self, behaviour: Behaviour) -> io::Result<()> {
        for lane in &self.shared.lanes {
            lane.store(behaviour.code(), Relaxed);
        }
        self.shared.changed.notify_waiters();
        let (done, answer) = oneshot::channel();
        let closed = |_| io::Error::other("the receiver has stopped");
        self.control
            .send((behaviour == Behaviour::Refuse, done))
            .await
            .map_err(|_| io::Error::other("the receiver has stopped"))?;
        answer.await.map_err(closed)?
    }

    /// Changes how one lane answers; unknown lanes are ignored.
    pub fn set_lane(&self, lane: usize, behaviour: Behaviour) {
        if let Some(cell) = self.shared.lanes.get(lane) {
            cell.store(behaviour.code(), Relaxed);
            self.shared.changed.notify_waiters();
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            connections: self.shared.connections.load(Relaxed),
            requests: self.shared.requests.load(Relaxed),
            unmarked: self.shared.unmarked.load(Relaxed),
        }
    }

    /// Forgets recorded latencies; from now on those of messages numbered `from` and above are recorded.
    pub fn begin_window(&self, from: u64) {
        self.shared.window_from.store(from, Relaxed);
        for recorder in lock(&self.shared.recorders).iter() {
            lock(recorder).clone_from(&self.shared.empty);
        }
    }

    /// What was recorded since [`Sink::begin_window`], over all connections.
    #[must_use]
    pub fn window(&self) -> Window {
        let mut all = self.shared.empty.clone();
        for recorder in lock(&self.shared.recorders).iter() {
            all.merge(&lock(recorder));
        }
        all
    }

    /// Waits until every acknowledged message of `seqs` has arrived at every lane, or `limit` is over, or nothing new has arrived for
    /// `quiet`. Returns the account as it then stands. Call it when publishing has ended.
    pub async fn drain(&self, seqs: Range<u64>, limit: Duration, quiet: Duration) -> Account {
        let started_us = self.shared.clock.now_us();
        let since = |us: u64| Duration::from_micros(self.shared.clock.now_us().saturating_sub(us));
        let (mut arrived, mut arrived_us) = (self.ledger().arrived(), started_us);
        loop {
            let account = self.ledger().account(seqs.clone());
            if account.missing == 0 || since(started_us) >= limit || since(arrived_us) >= quiet {
                return account;
            }
            tokio::time::sleep(Duration::from_millis(if account.missing > 10_000 { 50 } else { 5 })).await;
            let now = self.ledger().arrived();
            if now != arrived {
                (arrived, arrived_us) = (now, self.shared.clock.now_us());
            }
        }
    }
}

impl Window {
    fn merge(&mut self, other: &Window) {
        self.latency.merge(&other.latency);
        self.last_us = self.last_us.max(other.last_us);
    }
}

impl Shared {
    /// A recorder for a new connection.
    fn open_recorder(&self) -> Arc<Mutex<Window>> {
        self.connections.fetch_add(1, Relaxed);
        let recorder = Arc::new(Mutex::new(self.empty.clone()));
        let mut recorders = lock(&self.recorders);
        // Connections come and go when a receiver misbehaves: what an ended one recorded is folded into the first.
        if recorders.len() >= 64 {
            let (live, ended): (Vec<_>, Vec<_>) = recorders.drain(..).partition(|r| Arc::strong_count(r) > 1);
            let mut folded = self.empty.clone();
            ended.iter().for_each(|r| folded.merge(&lock(r)));
            *recorders = live;
            recorders.push(Arc::new(Mutex::new(folded)));
        }
        recorders.push(Arc::clone(&recorder));
        recorder
    }
}

/// Locks; a panic elsewhere while it was held does not matter to counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
