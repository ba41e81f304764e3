//! Keeps time: which target is looked at when, and what is said becomes messages.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bellwire_core::{id::SourceId, source::Source, time::Timestamp};
use bellwire_store::{
    Directory, Store, StoreError,
    query::{MessageFilter, Order, Page, Start},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    DOWN, KIND, Target, UP,
    probe::{Probe, Probed},
    read,
    watch::Watch,
};
use crate::{
    accept::{Acceptance, Origin},
    judge::Coming,
};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(1);
/// Looks at once, of all monitors.
const AT_ONCE: usize = 64;
/// Messages that wait for the store.
const UNSAID_MAX: usize = 1_024;
/// How far back it is looked what was last said: pages of so many messages.
const PAGE: usize = 250;
const PAGES: usize = 8;

/// Watches what sources of this kind name.
pub(crate) struct Monitors {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    acceptance: Arc<Acceptance>,
    probe: Arc<dyn Probe>,
}

/// A source that watches.
struct Watched {
    source: Arc<Source>,
    targets: Vec<Followed>,
}

struct Followed {
    target: Arc<Target>,
    watch: Watch,
    due: Timestamp,
    /// Somebody is looking.
    busy: bool,
}

/// What was seen of a target.
type Seen = (SourceId, Arc<Target>, Probed);

#[derive(Default)]
struct State {
    watched: HashMap<SourceId, Watched>,
    unsaid: VecDeque<(Arc<Source>, Coming)>,
}

impl Monitors {
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        acceptance: Arc<Acceptance>,
        probe: Arc<dyn Probe>,
    ) -> Self {
        Self {
            store,
            directory,
            acceptance,
            probe,
        }
    }

    /// Watches until stopped. Of servers that share a store one does.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut state = State::default();
        let mut looks: FuturesUnordered<BoxFuture<'_, Seen>> = FuturesUnordered::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(seen) = looks.next(), if !looks.is_empty() => self.seen(&mut state, seen),
                _ = tick.tick() => {
                    if self.store.lead().is_none() {
                        // Whoever watches meanwhile leaves messages to go on from.
                        (state, looks) = (State::default(), FuturesUnordered::new());
                        continue;
                    }
                    if let Err(error) = self.refresh(&mut state).await {
                        tracing::warn!(%error, "monitors wait for the store");
                    }
                }
            }
            self.say(&mut state).await;
            self.begin(&mut state, &mut looks);
        }
    }

    /// Takes over what changed in the configuration. What was last said about a target is known, or found in the store.
    async fn refresh(&self, state: &mut State) -> Result<(), StoreError> {
        let sources = self.directory.all_sources();
        let ours: Vec<_> = sources.into_iter().filter(|source| source.kind == KIND).collect();
        state.watched.retain(|id, _| ours.iter().any(|source| source.id == *id));
        for source in ours {
            let known = state.watched.get(&source.id);
            if known.is_some_and(|known| Arc::ptr_eq(&known.source, &source)) {
                continue;
            }
            let targets = read(&source.settings).unwrap_or_else(|error| {
                tracing::error!(source = %source.id, %error, "a monitor cannot be used; change the source's settings");
                Vec::new()
            });
            let last = if known.is_none() && !targets.is_empty() {
                self.last_said(&source).await?
            } else {
                HashMap::new()
            };
            let mut before = state
                .watched
                .remove(&source.id)
                .map_or_else(Vec::new, |known| known.targets);
            let now = self.directory.now();
            let targets = targets.into_iter().map(|target| {
                let kept = before.iter().position(|one| one.target.name == target.name);
                match kept.map(|at| before.swap_remove(at)) {
                    // The same thing is watched: how it stands is still true.
                    Some(kept) if kept.target.check == target.check => Followed {
                        target: Arc::new(target),
                        busy: false,
                        ..kept
                    },
                    // Something else is watched by that name, such as a URL that was corrected: what was said still stands.
                    Some(kept) => Followed {
                        watch: kept.watch.of_another(),
                        target: Arc::new(target),
                        due: now,
                        busy: false,
                    },
                    None => Followed {
                        watch: Watch::restored(last.get(&target.name).map(String::as_str)),
                        target: Arc::new(target),
                        due: now,
                        busy: false,
                    },
                }
            });
            let targets = targets.collect();
            state.watched.insert(source.id, Watched { source, targets });
        }
        Ok(())
    }

    /// The event id of the last message about each target.
    async fn last_said(&self, source: &Source) -> Result<HashMap<String, String>, StoreError> {
        let mut last = HashMap::new();
        let filter = MessageFilter {
            event_types: vec![DOWN.to_owned(), UP.to_owned()],
            ..MessageFilter::default()
        };
        let mut page = Page {
            limit: PAGE,
            start: Start::First,
            order: Order::Descending,
        };
        for _ in 0..PAGES {
            let rows = self.store.messages(source.app, filter.clone(), page, false).await?;
            for event_id in rows.items.iter().filter_map(|message| message.event_id.as_deref()) {
                if let Some(name) = event_id.split('/').nth(1) {
                    last.entry(name.to_owned()).or_insert_with(|| event_id.to_owned());
                }
            }
            match rows.items.last().filter(|_| rows.more) {
                Some(oldest) => page.start = Start::After(bellwire_core::id::Id::number(oldest.id)),
                None => break,
            }
        }
        Ok(last)
    }

    /// Begins the looks that are due, as many as may be made at once.
    fn begin<'a>(&'a self, state: &mut State, looks: &mut FuturesUnordered<BoxFuture<'a, Seen>>) {
        let now = self.directory.now();
        for watched in state.watched.values_mut() {
            for one in &mut watched.targets {
                // A clock that went back must not make it wait longer than it would have.
                one.due = one.due.min(now.plus(one.target.every));
                if one.busy || one.due > now || looks.len() >= AT_ONCE {
                    continue;
                }
                one.busy = true;
                one.due = now.plus(one.target.every);
                let (id, trusted, target) = (watched.source.id, watched.source.managed, Arc::clone(&one.target));
                looks.push(Box::pin(async move {
                    let probed = self.probe.look(&target.check, target.timeout, trusted).await;
                    (id, target, probed)
                }));
            }
        }
    }

    fn seen(&self, state: &mut State, (id, target, probed): Seen) {
        let Some(watched) = state.watched.get_mut(&id) else {
            return;
        };
        let same = |one: &&mut Followed| Arc::ptr_eq(&one.target, &target);
        // It may have been changed meanwhile: then this was a look at something else.
        let Some(one) = watched.targets.iter_mut().find(same) else {
            return;
        };
        one.busy = false;
        for coming in one.watch.observe(&target, &probed, self.directory.now()) {
            tracing::info!(source = %id, monitor = target.name, event = coming.event_type, "a monitor has something to say");
            if state.unsaid.len() < UNSAID_MAX {
                state.unsaid.push_back((Arc::clone(&watched.source), coming));
            }
        }
    }

    /// Makes what is to be said durable, in its order; what cannot be is tried again at the next tick.
    async fn say(&self, state: &mut State) {
        while let Some((source, coming)) = state.unsaid.front() {
            let origin = Origin {
                method: String::new(),
                target: String::new(),
                headers: Vec::new(),
                peer: None,
                verdict: "seen by the monitor".to_owned(),
            };
            match self.acceptance.all(source, origin, vec![coming.clone()]).await {
                // Its source is gone: nobody wants to know.
                Ok(()) | Err(StoreError::NotFound(_)) => drop(state.unsaid.pop_front()),
                Err(error) => {
                    tracing::warn!(%error, "what a monitor has to say waits for the store");
                    return;
                }
            }
        }
    }
}
