//! The receiver: a fast HTTP/1.1 server on loopback that counts what arrives and can be told to misbehave.
//!
//! Each endpoint of the server under test is a *lane*, told apart by its path (`/r/0`, `/r/1`, …). An accepted arrival is entered in the
//! [`Ledger`] and its latency is recorded from the mark in the payload. It checks no signature and keeps no bodies: it must cost as little as
//! a receiver can. Used by the scenarios, and by tests that want to account for every message at full speed.

mod answer;
mod behaviour;
mod body;
mod held;
mod ledger;
mod listen;
mod order;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::latency::Latency;

use behaviour::{Dice, Switch};
use held::Holding;
use order::OrderBook;

pub use behaviour::Behaviour;
pub use held::Held;
pub use ledger::{Account, Ledger, Routing};

/// Latencies are recorded in so many places, so that connections seldom wait for each other and thousands of them cost no memory.
const RECORDERS: usize = 8;

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
    lanes: Box<[Switch]>,
    dice: Dice,
    holding: Arc<Holding>,
    order: Option<OrderBook>,
    changed: Notify,
    window_from: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    unmarked: AtomicU64,
    recorders: [Arc<Mutex<Window>>; RECORDERS],
    empty: Window,
}

impl Sink {
    /// Listens on a free loopback port, with `lanes` lanes that accept.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn bind(clock: Clock, lanes: usize) -> io::Result<Self> {
        Self::bind_routed(clock, lanes, Routing::ToEvery, false).await
    }

    /// The same with another routing; `ordered` watches the order in which messages of each slot arrive.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn bind_routed(clock: Clock, lanes: usize, routing: Routing, ordered: bool) -> io::Result<Self> {
        let empty = Window {
            latency: Latency::new().map_err(io::Error::other)?,
            last_us: 0,
        };
        let listener = listen::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            clock,
            ledger: Arc::new(Ledger::new(lanes, routing)),
            lanes: (0..lanes).map(|_| Switch::new(Behaviour::Accept)).collect(),
            dice: Dice::default(),
            holding: Holding::new(clock, empty.latency.clone()),
            order: match (ordered, routing) {
                (true, Routing::ToOne { slots }) => Some(OrderBook::new(slots)),
                _ => None,
            },
            changed: Notify::new(),
            window_from: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            unmarked: AtomicU64::new(0),
            recorders: std::array::from_fn(|_| Arc::new(Mutex::new(empty.clone()))),
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
            lane.set(behaviour);
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
        if let Some(switch) = self.shared.lanes.get(lane) {
            switch.set(behaviour);
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

    /// Requests whose answer was or is held back: those of lanes that hang, drip or are slow.
    #[must_use]
    pub fn held(&self) -> Held {
        self.shared.holding.read()
    }

    /// How often a message arrived after a later one of its slot, when the sink watches order.
    #[must_use]
    pub fn inversions(&self) -> Option<u64> {
        self.shared.order.as_ref().map(OrderBook::inversions)
    }

    /// Forgets recorded latencies; from now on those of messages numbered `from` and above are recorded.
    pub fn begin_window(&self, from: u64) {
        self.shared.window_from.store(from, Relaxed);
        for recorder in &self.shared.recorders {
            lock(recorder).clone_from(&self.shared.empty);
        }
    }

    /// What was recorded since [`Sink::begin_window`], over all connections.
    #[must_use]
    pub fn window(&self) -> Window {
        let mut all = self.shared.empty.clone();
        for recorder in &self.shared.recorders {
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
    /// The recorder of a new connection.
    fn open_recorder(&self) -> Arc<Mutex<Window>> {
        let number = self.connections.fetch_add(1, Relaxed) as usize;
        let [first, ..] = &self.recorders;
        Arc::clone(self.recorders.get(number % RECORDERS).unwrap_or(first))
    }
}

/// Locks; a panic elsewhere while it was held does not matter to counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
