//! Where callers leave their work for the writer, and where the writer waits for it.
//!
//! Settlements linger for a moment, unless others wait in line for the end of one.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bellwire_core::message::NewMessage;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{acknowledge::Reply, fault::Fault, lease::IN_LINE, tx::Tx};
use crate::{
    contract::{Appended, Settlement},
    error::{AppendError, StoreError},
};

/// So many settlements that wait are worth a commit of their own.
const SETTLEMENTS_WORTH_A_COMMIT: usize = 512;

/// A publication and who waits for it.
pub(super) struct AppendJob {
    pub message: NewMessage,
    pub reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// A batch of settlements and who waits for it.
pub(super) struct SettleJob {
    pub batch: Arc<Vec<Settlement>>,
    pub reply: oneshot::Sender<Result<(), StoreError>>,
}

/// Runs in a transaction of its own.
pub(super) type Operation = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<(), Fault>> + Send>;

/// Any other write.
pub(super) struct AdminJob {
    pub run: Operation,
    pub reply: Reply,
}

/// What the writer found.
#[derive(Default)]
pub(super) struct Gathered {
    pub appends: Vec<AppendJob>,
    pub settles: VecDeque<SettleJob>,
    pub admins: VecDeque<AdminJob>,
    /// Nothing more will come.
    pub stop: bool,
}

/// The store is closed.
#[derive(Debug)]
pub(super) struct Closed;

#[derive(Default)]
struct State {
    gathered: Gathered,
    settlements: usize,
    first_settle: Option<Instant>,
    /// Others wait in line for the end of one of the settlements.
    awaited: bool,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    linger: Duration,
}

impl Queue {
    /// A queue whose settlements wait so long for company.
    pub fn new(linger: Duration) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            linger,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut State)) -> Result<(), Closed> {
        let mut state = self.state();
        if state.gathered.stop {
            return Err(Closed);
        }
        put(&mut state);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub fn append(&self, job: AppendJob) -> Result<(), Closed> {
        self.put(|state| state.gathered.appends.push(job))
    }

    pub fn settle(&self, job: SettleJob) -> Result<(), Closed> {
        self.put(|state| {
            state.settlements += job.batch.len();
            state.awaited |= job.batch.iter().any(|settlement| settlement.lease == IN_LINE);
            state.gathered.settles.push_back(job);
            state.first_settle.get_or_insert_with(Instant::now);
        })
    }

    pub fn admin(&self, job: AdminJob) -> Result<(), Closed> {
        self.put(|state| state.gathered.admins.push_back(job))
    }

    /// Nothing is taken any more; what is left is written.
    pub fn stop(&self) {
        self.state().gathered.stop = true;
        self.wake.notify_one();
    }

    /// Whether nothing more will come.
    pub fn is_stopped(&self) -> bool {
        self.state().gathered.stop
    }

    /// Takes what is there, at once.
    pub fn take(&self, into: &mut Gathered) {
        take(&mut self.state(), into);
    }

    /// Waits for work, for so long at most, and takes it. Settlements that the writer left are taken at once.
    pub async fn gather(&self, into: &mut Gathered, idle_max: Option<Duration>) {
        let begun = Instant::now();
        let mut is_over = !into.settles.is_empty();
        loop {
            let until = {
                let mut state = self.state();
                let lingers = self.lingers(&state);
                if is_over || lingers.is_some_and(|span| span.is_zero()) {
                    take(&mut state, into);
                    return;
                }
                let idle = idle_max.map(|span| span.saturating_sub(begun.elapsed()));
                [lingers, idle].into_iter().flatten().min()
            };
            match until {
                None => self.wake.notified().await,
                Some(span) => {
                    let is_woken = timeout(span, self.wake.notified()).await.is_ok();
                    is_over = !is_woken && idle_max.is_some_and(|span| begun.elapsed() >= span);
                }
            }
        }
    }

    /// For how long what is there may wait for company; `None` when nothing is there.
    fn lingers(&self, state: &State) -> Option<Duration> {
        let gathered = &state.gathered;
        let presses = !gathered.appends.is_empty() || !gathered.admins.is_empty() || gathered.stop;
        if presses || state.awaited || state.settlements >= SETTLEMENTS_WORTH_A_COMMIT {
            return Some(Duration::ZERO);
        }
        state
            .first_settle
            .map(|since| self.linger.saturating_sub(since.elapsed()))
    }
}

fn take(state: &mut State, into: &mut Gathered) {
    into.appends.append(&mut state.gathered.appends);
    into.admins.append(&mut state.gathered.admins);
    into.settles.extend(mem::take(&mut state.gathered.settles));
    into.stop = state.gathered.stop;
    state.settlements = 0;
    state.first_settle = None;
    state.awaited = false;
}
