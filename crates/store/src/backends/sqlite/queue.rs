//! Where callers leave their work for the writer, and where the writer waits for it.
//!
//! Settlements linger for a moment, unless others wait in line for the end of one.
//!
//! One mutex, held for a push or a swap only. The writer is woken only when it sleeps: under load nobody makes a system
//! call to hand work over.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bellwire_core::message::NewMessage;
use tokio::sync::oneshot;

use super::{acknowledge::Reply, settle::IN_LINE, tx::Tx};
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

/// Runs in the writer's transaction, below a savepoint of its own.
pub(super) type Operation = Box<dyn FnOnce(&mut Tx<'_>) -> rusqlite::Result<()> + Send>;

/// Any other write.
pub(super) struct AdminJob {
    pub run: Operation,
    pub reply: Reply,
    /// What it deletes is overwritten, in the file and in the log.
    pub erases: bool,
}

/// What the writer found.
#[derive(Default)]
pub(super) struct Gathered {
    pub appends: Vec<AppendJob>,
    pub settles: VecDeque<SettleJob>,
    pub admins: Vec<AdminJob>,
    /// Nothing more will come.
    pub stop: Option<Stop>,
}

/// How the writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// After writing what is left.
    Orderly,
    /// At once: what is left is not written.
    AtOnce,
}

/// The store is closed.
#[derive(Debug)]
pub(super) struct Closed;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    /// Only settlements wait; they may wait for company.
    Lingering,
    Idle,
}

struct State {
    gathered: Gathered,
    settlements: usize,
    first_settle: Option<Instant>,
    /// Others wait in line for the end of one of the settlements.
    awaited: bool,
    sleep: Sleep,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    linger: Duration,
}

impl Queue {
    /// A queue whose settlements wait so long for company.
    pub fn new(linger: Duration) -> Self {
        let state = State {
            gathered: Gathered::default(),
            settlements: 0,
            first_settle: None,
            awaited: false,
            sleep: Sleep::Awake,
        };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            linger,
        }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, Closed> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.gathered.stop.is_some() {
            Err(Closed)
        } else {
            Ok(state)
        }
    }

    fn wake_from(&self, mut state: MutexGuard<'_, State>, also_lingering: bool) {
        let asleep = state.sleep == Sleep::Idle || (also_lingering && state.sleep == Sleep::Lingering);
        if asleep {
            state.sleep = Sleep::Awake;
            drop(state);
            self.wake.notify_one();
        }
    }

    pub fn append(&self, job: AppendJob) -> Result<(), Closed> {
        let mut state = self.open_state()?;
        state.gathered.appends.push(job);
        self.wake_from(state, true);
        Ok(())
    }

    pub fn settle(&self, job: SettleJob) -> Result<(), Closed> {
        let mut state = self.open_state()?;
        state.settlements += job.batch.len();
        state.awaited |= job.batch.iter().any(|settlement| settlement.lease == IN_LINE);
        state.gathered.settles.push_back(job);
        if state.first_settle.is_none() {
            state.first_settle = Some(Instant::now());
        }
        let worth_it = state.awaited || state.settlements >= SETTLEMENTS_WORTH_A_COMMIT || self.linger.is_zero();
        self.wake_from(state, worth_it);
        Ok(())
    }

    pub fn admin(&self, job: AdminJob) -> Result<(), Closed> {
        let mut state = self.open_state()?;
        state.gathered.admins.push(job);
        self.wake_from(state, true);
        Ok(())
    }

    /// Nothing is taken any more.
    pub fn stop(&self, how: Stop) {
        if let Ok(mut state) = self.open_state() {
            state.gathered.stop = Some(how);
            self.wake_from(state, true);
        }
    }

    /// Waits for work and moves it into `into`, whose lists keep what they hold (settlements left over) and their memory.
    /// Returns at once when `into` holds settlements, and empty-handed after `idle_max`.
    pub fn gather(&self, into: &mut Gathered, idle_max: Option<Duration>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_until = idle_max.map(|span| Instant::now() + span);
        loop {
            let found = &state.gathered;
            let urgent = !found.appends.is_empty() || !found.admins.is_empty() || found.stop.is_some();
            let settles_at = state.first_settle.map(|first| first + self.linger);
            let now = Instant::now();
            let ripe = state.awaited
                || state.settlements >= SETTLEMENTS_WORTH_A_COMMIT
                || settles_at.is_some_and(|settles_at| settles_at <= now);
            let over = idle_until.is_some_and(|until| until <= now);
            if urgent || ripe || over || !into.settles.is_empty() {
                break;
            }
            state.sleep = if settles_at.is_some() {
                Sleep::Lingering
            } else {
                Sleep::Idle
            };
            let until = [settles_at, idle_until].into_iter().flatten().min();
            state = match until {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let span = until.saturating_duration_since(now);
                    self.wake
                        .wait_timeout(state, span)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.sleep = Sleep::Awake;
        }
        state.sleep = Sleep::Awake;
        mem::swap(&mut state.gathered.appends, &mut into.appends);
        mem::swap(&mut state.gathered.admins, &mut into.admins);
        into.settles.append(&mut state.gathered.settles);
        into.stop = state.gathered.stop;
        state.settlements = 0;
        state.first_settle = None;
        state.awaited = false;
    }
}
