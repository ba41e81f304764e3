//! What this node knows of the others, and what its parts share of it: small things that are read often.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bellwire_core::time::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    connection::Connection,
    gate::Gate,
    node::Ownership,
    shard::{LEADING, Owned},
    word::{Unsaid, Word},
};
use crate::contract::Lead;

/// No configuration is kept in memory.
const NONE: u64 = u64::MAX;
/// What this node says itself it hears within so long, where it hears anything.
const HEARS: Duration = Duration::from_secs(4);

/// Shared state. Nothing in it is held across a wait.
pub(super) struct Cluster {
    pub own: Ownership,
    pub owned: Arc<Owned>,
    pub gate: Gate,
    /// Something is to be said.
    pub speaks: Notify,
    /// Who serves what is to be looked at.
    pub moves: Notify,
    /// What waits in our shards is to be looked at.
    pub looks: Notify,
    /// Somebody wishes something, or it was done.
    pub wishes: Notify,
    /// Another version is in force here: the others are to know.
    pub reports: Notify,
    /// Another node has a version in force.
    pub confirms: Notify,
    unsaid: Mutex<Unsaid>,
    newest: watch::Sender<u64>,
    in_force: AtomicU64,
    ousted: watch::Sender<bool>,
    members: AtomicUsize,
    pub counted: Counted,
    leading: Arc<()>,
    session: Mutex<Session>,
}

/// What is counted for whoever watches.
#[derive(Default)]
pub(super) struct Counted {
    /// Nodes that went without a word and were buried by this one.
    pub takeovers: AtomicU64,
    /// Words that were said.
    pub said: AtomicU64,
    /// Words that were heard.
    pub heard: AtomicU64,
}

/// The connection that is this node's own, and since when it has it.
#[derive(Default)]
struct Session {
    connection: Option<(Arc<Connection>, Instant)>,
    heard_at: Option<Instant>,
}

impl Cluster {
    pub fn new(own: Ownership, owned: Arc<Owned>) -> Self {
        Self {
            own,
            owned,
            gate: Gate::default(),
            speaks: Notify::new(),
            moves: Notify::new(),
            looks: Notify::new(),
            wishes: Notify::new(),
            reports: Notify::new(),
            confirms: Notify::new(),
            unsaid: Mutex::default(),
            newest: watch::Sender::new(0),
            in_force: AtomicU64::new(NONE),
            ousted: watch::Sender::new(false),
            members: AtomicUsize::new(1),
            counted: Counted::default(),
            leading: Arc::default(),
            session: Mutex::default(),
        }
    }

    // -- words -----------------------------------------------------------------------------------------------------

    fn unsaid(&self) -> MutexGuard<'_, Unsaid> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to the others.
    pub fn say(&self, word: Word) {
        self.unsaid().say(word);
        self.speaks.notify_one();
    }

    /// Says that something waits for others' endpoints.
    pub fn say_waits(&self, heads: &[(u64, Timestamp)]) {
        if heads.is_empty() {
            return;
        }
        let mut unsaid = self.unsaid();
        for (endpoint, due_at) in heads {
            unsaid.waits(*endpoint, *due_at);
        }
        drop(unsaid);
        self.speaks.notify_one();
    }

    /// What is to be said now.
    pub fn take_unsaid(&self) -> Vec<String> {
        self.unsaid().take()
    }

    /// This node heard itself.
    pub fn heard(&self) {
        self.session().heard_at = Some(Instant::now());
    }

    /// Whether words arrive: behind some poolers they do not.
    pub fn hears(&self) -> bool {
        self.session().heard_at.is_some_and(|at| at.elapsed() < HEARS)
    }

    // -- the session -----------------------------------------------------------------------------------------------

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that is this node's own, where it has one.
    pub fn connection(&self) -> Option<Arc<Connection>> {
        let kept = self.session().connection.as_ref().map(|(kept, _)| Arc::clone(kept));
        kept.filter(|kept| !kept.is_closed())
    }

    pub fn set_connection(&self, connection: Option<Arc<Connection>>) {
        self.session().connection = connection.map(|kept| (kept, Instant::now()));
    }

    /// For how long it has had it: for so long it has known how the others are.
    pub fn connected_for(&self) -> Duration {
        let since = self.session().connection.as_ref().map(|(_, since)| *since);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    // -- the configuration -----------------------------------------------------------------------------------------

    /// The configuration has this version, or a later one.
    pub fn has_version(&self, version: u64) {
        self.newest.send_if_modified(|newest| {
            let is_news = version > *newest;
            *newest = version.max(*newest);
            is_news
        });
    }

    /// Waits until it has another version than this one.
    pub async fn newer(&self, than: u64) {
        let mut newest = self.newest.subscribe();
        let _ = newest.wait_for(|newest| *newest > than).await;
    }

    /// The version that is in force here; `None` while none is kept in memory.
    pub fn in_force(&self) -> Option<u64> {
        Some(self.in_force.load(Ordering::Acquire)).filter(|version| *version != NONE)
    }

    pub fn set_in_force(&self, version: u64) {
        self.in_force.store(version, Ordering::Release);
        self.gate.follow();
        self.reports.notify_one();
    }

    // -- the others ------------------------------------------------------------------------------------------------

    /// Whether nobody else takes part, as far as is known.
    pub fn is_alone(&self) -> bool {
        self.members() <= 1
    }

    /// How many take part, this one among them, as far as is known.
    pub fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    pub fn set_members(&self, members: usize) {
        self.members.store(members, Ordering::Relaxed);
    }

    /// Another process has this node's place.
    pub fn oust(&self) {
        self.gate.close();
        self.ousted.send_replace(true);
    }

    pub async fn ousted(&self) {
        let mut ousted = self.ousted.subscribe();
        let _ = ousted.wait_for(|ousted| *ousted).await;
    }

    /// The right to do what one node does for all.
    pub fn lead(&self) -> Option<Lead> {
        // First counted, then looked: whoever gives it up looks first and counts then.
        let lead = Lead::counted(&self.leading);
        (self.owned.has(LEADING) && self.gate.is_open()).then_some(lead)
    }

    /// Whether somebody is about something that one node does for all.
    pub fn is_led(&self) -> bool {
        Arc::strong_count(&self.leading) > 1
    }
}
