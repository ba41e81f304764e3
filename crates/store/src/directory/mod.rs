//! The configuration in memory: who may do what, and what goes where.
//!
//! Authorisation and routing read it on every request, so it never waits for the store. Every change goes through
//! [`Directory::commit`], which writes to the store first and then changes the view: what a reader sees is durable. Lists of
//! applications, endpoints and event types are answered from here as well.
//!
//! It deliberately holds no messages and no deliveries.

mod entry;
mod lane;
mod view;
mod workflow;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    app::{App, AppKind, Environment, Token},
    decide::Health,
    event_type::EventType,
    id::{AppId, EndpointId, EnvironmentId, Id, IdGenerator, SourceId, TokenId},
    message::Route,
    source::Source,
    time::Timestamp,
};
use tokio::sync::broadcast;

pub use self::entry::{EndpointEntry, Incoming};
pub use self::lane::{BreakerState, LaneGauge, LaneState, LaneStatus, LimitStatus, WaitsFor};
use self::view::View;
pub use self::workflow::{Begun, Filtered, HeldBack, Reservation, Workflow, json};
use crate::{
    clock::Clock,
    contract::{Change, Store, StoredAnswer},
    error::StoreError,
    query::{Order, Page, Rows, Start},
};

/// How many changes a listener may lag behind before it must look at everything anew.
const CHANGES_BUFFER: usize = 1_024;
/// The wait after changes could not be read.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a change is tried that another process was ahead of.
const TRIES: usize = 4;

/// The in-memory view of the configuration, kept coherent with the store.
pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    view: RwLock<View>,
    /// One writer at a time: uniqueness is judged on the view that the change is then made to.
    writing: Arc<tokio::sync::Mutex<()>>,
    ids: Mutex<IdGenerator>,
    changed: broadcast::Sender<EndpointId>,
    waiting: AtomicU64,
    /// The version of what the view shows.
    version: AtomicU64,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// Reads the configuration from the store.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let configuration = store.configuration().await?;
        let ids = Mutex::new(IdGenerator::new(store.node(), configuration.largest_number));
        let version = configuration.version;
        let view = View::new(configuration);
        store.in_force(version);
        Ok(Self {
            store,
            clock,
            view: RwLock::new(view),
            writing: Arc::new(tokio::sync::Mutex::new(())),
            ids,
            changed: broadcast::Sender::new(CHANGES_BUFFER),
            waiting: AtomicU64::new(0),
            version: AtomicU64::new(version),
        })
    }

    /// Takes over what other processes change, for ever. Where the store is this one's alone nothing ever comes.
    pub async fn follow(&self) {
        loop {
            self.store.newer(self.version.load(Ordering::Acquire)).await;
            let _edit = self.edit_as_it_is().await;
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "a change of the configuration by another node could not be read; tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Takes over what other processes have changed until now, for whoever is about to do something that cannot be undone because of
    /// what the view does not show. Nothing is asked where the store is this one's alone.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        if self.store.is_shared() {
            let _edit = self.edit_as_it_is().await;
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Whether other processes change it as well.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Whether attempts may be begun by what the view shows (see [`Store::may_attempt`]).
    pub fn may_attempt(&self) -> bool {
        self.store.may_attempt()
    }

    /// Takes over what other processes changed. Answers what that was. To be called by whoever edits.
    async fn catch_up(&self) -> Result<Vec<Change>, StoreError> {
        let since = self.version.load(Ordering::Acquire);
        let mut news = self.store.news(since).await?;
        if news.version <= since {
            return Ok(Vec::new());
        }
        if news.whole {
            let gone = self.view().missing_in(&news.changes);
            news.changes.extend(gone);
        }
        self.make(news.changes.clone());
        self.now_in_force(news.version);
        Ok(news.changes)
    }

    fn now_in_force(&self, version: u64) {
        self.version.store(version, Ordering::Release);
        self.store.in_force(version);
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock that everything around this directory goes by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id for an application, endpoint, token or task.
    pub fn new_id<T: Id>(&self) -> T {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(self.clock.now())
    }

    /// Tells the endpoints whose settings changed, were added or removed. A listener that lagged must look at all of them.
    pub fn changes(&self) -> broadcast::Receiver<EndpointId> {
        self.changed.subscribe()
    }

    /// Makes changes, all or none: in the store first, then in the view. `answer` is kept with them (idempotency).
    ///
    /// # Errors
    /// `Conflict` when a uid or name is taken, `NotFound` when what it belongs to is gone, `Unavailable` from the store.
    /// Nothing is changed then.
    pub async fn commit(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<(), StoreError> {
        self.commit_with(answer, || Ok(changes)).await
    }

    /// Like [`Self::commit`], with changes that are made from what the view shows at that moment: nobody else changes
    /// anything between reading and writing. `build` runs while the writers' lock is held.
    ///
    /// # Errors
    /// Those of `build`, and those of [`Self::commit`].
    pub async fn commit_with<E: From<StoreError>>(
        &self,
        answer: Option<StoredAnswer>,
        build: impl FnOnce() -> Result<Vec<Change>, E>,
    ) -> Result<(), E> {
        let edit = self.edit().await;
        self.commit_edit(edit, build()?, answer).await?;
        Ok(())
    }

    /// Keeps everybody else from changing anything until it is committed or dropped: for changes that are made, over
    /// several steps, from what the view shows. Whoever holds it must not commit in another way.
    pub async fn edit(&self) -> Edit {
        let edit = self.edit_as_it_is().await;
        if self.store.is_shared()
            && let Err(error) = self.catch_up().await
        {
            // What cannot be read cannot be changed, either: whoever commits is told.
            tracing::debug!(%error, "changes of the configuration could not be read");
        }
        edit
    }

    async fn edit_as_it_is(&self) -> Edit {
        Edit(Arc::clone(&self.writing).lock_owned().await)
    }

    /// As [`Self::commit`], with the lock held already.
    ///
    /// # Errors
    /// Those of [`Self::commit`].
    pub async fn commit_edit(
        &self,
        edit: Edit,
        changes: Vec<Change>,
        answer: Option<StoredAnswer>,
    ) -> Result<(), StoreError> {
        let version = self.write(&changes, answer).await?;
        self.make(changes);
        if let Some(version) = version {
            self.now_in_force(version);
            drop(edit);
            self.store.in_force_everywhere(version).await;
        }
        Ok(())
    }

    /// Writes changes to the store. Another process may be ahead of us: where it changed other things, ours are made after it.
    /// Answers the version that they made.
    async fn write(&self, changes: &[Change], answer: Option<StoredAnswer>) -> Result<Option<u64>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.view().judge(changes)?;
            let error = match self.store.apply(changes.to_vec(), answer.clone()).await {
                Ok(version) => return Ok(version),
                Err(error @ StoreError::Unavailable(_)) if self.store.is_shared() && tries < TRIES => error,
                Err(error) => return Err(error),
            };
            let Ok(others) = self.catch_up().await else {
                return Err(error);
            };
            let ours: Vec<u64> = changes.iter().filter_map(Change::number).collect();
            let is_ours = |other: &Change| other.number().is_none_or(|number| ours.contains(&number));
            if others.is_empty() || others.iter().any(is_ours) {
                return Err(error);
            }
        }
    }

    /// Changes the view, and tells of the endpoints that it touched.
    fn make(&self, changes: Vec<Change>) {
        let touched = {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            let lanes = view.lanes_removed_by(&changes);
            // What waits for endpoints that are gone is nobody's any more; nothing is noted for them from now on.
            let gone: u64 = lanes.iter().map(|lane| lane.set_waiting(0)).sum();
            self.waiting.fetch_sub(gone, Ordering::Relaxed);
            changes
                .into_iter()
                .flat_map(|change| view.make(change))
                .collect::<Vec<_>>()
        };
        for endpoint in touched {
            let _ = self.changed.send(endpoint);
        }
    }

    /// Notes how endpoints are doing that another process served until now (what the store tells by
    /// [`Handoff::gained`](crate::Handoff::gained)): those that are not named are fine.
    pub fn note_gained(&self, which: &dyn Fn(EndpointId) -> bool, failing: &[(EndpointId, Health)]) {
        let failing: HashMap<EndpointId, Health> = failing.iter().copied().collect();
        let view = self.view();
        for (id, entry) in view.endpoints.iter().filter(|(id, _)| which(**id)) {
            entry.lane.set_health(failing.get(id).copied().unwrap_or_default());
        }
    }

    // -- environments and tokens -----------------------------------------------------------------------------------

    /// An environment.
    pub fn environment(&self, id: EnvironmentId) -> Option<Arc<Environment>> {
        self.view().environments.get(&id).cloned()
    }

    /// All environments, oldest first.
    pub fn environments(&self) -> Vec<Arc<Environment>> {
        self.view().environments.values().cloned().collect()
    }

    /// A token, expired ones included.
    pub fn token(&self, id: TokenId) -> Option<Arc<Token>> {
        self.view().tokens.get(&id).cloned()
    }

    /// The tokens of an environment.
    pub fn tokens(&self, environment: EnvironmentId, page: Page) -> Rows<Arc<Token>> {
        let view = self.view();
        let all = view.tokens.values().filter(|token| token.environment == environment);
        page_of(all.cloned(), |token| token.id.number(), page)
    }

    // -- applications ----------------------------------------------------------------------------------------------

    /// An application of the environment by its id or uid.
    pub fn app(&self, environment: EnvironmentId, id_or_uid: &str) -> Option<Arc<App>> {
        let view = self.view();
        let id = match id_or_uid.parse::<AppId>() {
            Ok(id) => id,
            Err(_) => *view.app_uids.get(&(environment, id_or_uid.to_owned()))?,
        };
        view.apps.get(&id).filter(|app| app.environment == environment).cloned()
    }

    /// An application by its id, whatever its environment.
    pub fn app_by_id(&self, id: AppId) -> Option<Arc<App>> {
        self.view().apps.get(&id).cloned()
    }

    /// The tenants of an environment.
    pub fn apps(&self, environment: EnvironmentId, page: Page) -> Rows<Arc<App>> {
        let view = self.view();
        let tenants = view
            .apps
            .values()
            .filter(|app| app.environment == environment && app.kind == AppKind::Tenant);
        page_of(tenants.cloned(), |app| app.id.number(), page)
    }

    /// The application that carries an environment's operational events, once it has one.
    pub fn operational_app(&self, environment: EnvironmentId) -> Option<Arc<App>> {
        let view = self.view();
        view.operational
            .get(&environment)
            .and_then(|id| view.apps.get(id))
            .cloned()
    }

    // -- endpoints -------------------------------------------------------------------------------------------------

    /// An endpoint of the application by its id or uid.
    pub fn endpoint(&self, app: AppId, id_or_uid: &str) -> Option<Arc<EndpointEntry>> {
        let view = self.view();
        let id = match id_or_uid.parse::<EndpointId>() {
            Ok(id) => id,
            Err(_) => *view.endpoint_uids.get(&(app, id_or_uid.to_owned()))?,
        };
        view.endpoints
            .get(&id)
            .filter(|entry| entry.endpoint.app == app)
            .cloned()
    }

    /// An endpoint by its id, whatever its application.
    pub fn endpoint_by_id(&self, id: EndpointId) -> Option<Arc<EndpointEntry>> {
        self.view().endpoints.get(&id).cloned()
    }

    /// The endpoints of an application.
    pub fn endpoints(&self, app: AppId, page: Page) -> Rows<Arc<EndpointEntry>> {
        let view = self.view();
        let all = view
            .endpoints_of
            .get(&app)
            .into_iter()
            .flat_map(|endpoints| endpoints.values());
        page_of(all.cloned(), |entry| entry.endpoint.id.number(), page)
    }

    /// How many endpoints there are.
    pub fn endpoint_count(&self) -> usize {
        self.view().endpoints.len()
    }

    /// Where a message goes. The hot path's look-up: one lock, no allocation but the answer. Where endpoints have expressions,
    /// the payload is read, once, and they are evaluated after the lock is gone.
    pub fn routes(&self, app: AppId, message: &Incoming<'_>) -> Vec<Route> {
        let scope = message.scope();
        let mut looking = Vec::new();
        let mut routes: Vec<Route> = {
            let view = self.view();
            let Some(endpoints) = view.endpoints_of.get(&app) else {
                return Vec::new();
            };
            endpoints
                .values()
                .filter(|entry| entry.takes_kind(message.event_type, message.channels))
                .filter_map(|entry| {
                    if entry.looks_into_messages() {
                        looking.push(Arc::clone(entry));
                        return None;
                    }
                    Some(entry.route(message, &scope))
                })
                .collect()
        };
        if looking.is_empty() {
            return routes;
        }
        let admitting = looking.iter().filter(|entry| entry.admits(&scope));
        routes.extend(admitting.map(|entry| entry.route(message, &scope)));
        routes.sort_unstable_by_key(|route| route.endpoint);
        routes
    }

    /// Whether a message of this type on these channels may go anywhere: to an endpoint with a filter only if that lets it.
    pub fn listens(&self, app: AppId, event_type: &str, channels: &[String]) -> bool {
        let view = self.view();
        let endpoints = view.endpoints_of.get(&app).into_iter().flat_map(|all| all.values());
        endpoints
            .into_iter()
            .any(|entry| entry.takes_kind(event_type, channels))
    }

    /// Notes how many deliveries wait in the store for these endpoints now (what the store tells by
    /// [`Handoff::waiting`](crate::Handoff::waiting)). Endpoints that are gone are passed over.
    pub fn note_waiting(&self, counts: &[(EndpointId, u64)]) {
        let view = self.view();
        for (endpoint, waiting) in counts {
            let Some(entry) = view.endpoints.get(endpoint) else {
                continue;
            };
            let before = entry.lane.set_waiting(*waiting);
            self.waiting.fetch_add(waiting.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// How many deliveries wait in the store, as far as it was told.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many deliveries wait in the store for the endpoints of an application.
    pub fn waiting_of(&self, app: AppId) -> u64 {
        let view = self.view();
        let endpoints = view.endpoints_of.get(&app).into_iter().flat_map(|all| all.values());
        endpoints.map(|entry| entry.lane.waiting()).sum()
    }

    // -- sources ---------------------------------------------------------------------------------------------------

    /// A source of the environment by its id or uid.
    pub fn source(&self, environment: EnvironmentId, id_or_uid: &str) -> Option<Arc<Source>> {
        let view = self.view();
        let id = match id_or_uid.parse::<SourceId>() {
            Ok(id) => id,
            Err(_) => *view.source_uids.get(&(environment, id_or_uid.to_owned()))?,
        };
        let found = view.sources.get(&id);
        found.filter(|source| source.environment == environment).cloned()
    }

    /// A source by its id, whatever its environment.
    pub fn source_by_id(&self, id: SourceId) -> Option<Arc<Source>> {
        self.view().sources.get(&id).cloned()
    }

    /// A source by the unguessable part of its URL, as it is or as it was before a rotation, while that one is good.
    pub fn source_by_token(&self, token: &str) -> Option<Arc<Source>> {
        let view = self.view();
        let source = view.sources.get(view.source_tokens.get(token)?)?;
        source.is_opened_by(token, self.now()).then(|| Arc::clone(source))
    }

    /// The source whose application this is.
    pub fn source_of(&self, app: AppId) -> Option<Arc<Source>> {
        let view = self.view();
        view.source_apps.get(&app).and_then(|id| view.sources.get(id)).cloned()
    }

    /// The sources of an environment.
    pub fn sources(&self, environment: EnvironmentId, page: Page) -> Rows<Arc<Source>> {
        let view = self.view();
        let all = view.sources.values().filter(|source| source.environment == environment);
        page_of(all.cloned(), |source| source.id.number(), page)
    }

    /// The applications of the environment's sources, oldest first; those whose source is gone as well.
    pub fn source_apps(&self, environment: EnvironmentId) -> Vec<Arc<App>> {
        let view = self.view();
        let of_sources = |app: &&Arc<App>| app.environment == environment && app.kind == AppKind::Source;
        view.apps.values().filter(of_sources).cloned().collect()
    }

    /// All sources of all environments, oldest first.
    pub fn all_sources(&self) -> Vec<Arc<Source>> {
        self.view().sources.values().cloned().collect()
    }

    // -- event types -----------------------------------------------------------------------------------------------

    /// An event type by its name.
    pub fn event_type(&self, environment: EnvironmentId, name: &str) -> Option<Arc<EventType>> {
        self.view().event_types.get(&(environment, name.to_owned())).cloned()
    }

    /// Event types by name; `start` names the one to begin behind (or, walking back, before).
    pub fn event_types(
        &self,
        environment: EnvironmentId,
        include_archived: bool,
        start: NamedStart<'_>,
        order: Order,
        limit: usize,
    ) -> Rows<Arc<EventType>> {
        let view = self.view();
        let all: Vec<_> = view
            .event_types
            .range((environment, String::new())..)
            .take_while(|((owner, _), _)| *owner == environment)
            .filter(|(_, event_type)| include_archived || !event_type.archived)
            .map(|(_, event_type)| Arc::clone(event_type))
            .collect();
        let lies_behind = |name: &str, mark: &str| match order {
            Order::Ascending => name > mark,
            Order::Descending => name < mark,
        };
        let listed: Vec<_> = match order {
            Order::Ascending => all,
            Order::Descending => all.into_iter().rev().collect(),
        };
        match start {
            NamedStart::First => take(listed.into_iter(), limit),
            NamedStart::After(mark) => take(listed.into_iter().filter(|e| lies_behind(&e.name, mark)), limit),
            NamedStart::Before(mark) => {
                let before = listed
                    .into_iter()
                    .rev()
                    .filter(|e| e.name != mark && !lies_behind(&e.name, mark));
                let mut rows = take(before, limit);
                rows.items.reverse();
                rows
            }
        }
    }
}

/// The right to change the configuration: one at a time.
#[derive(Debug)]
pub struct Edit(#[expect(dead_code, reason = "held, not looked at")] tokio::sync::OwnedMutexGuard<()>);

/// Where a page of named things begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedStart<'a> {
    /// At the list's beginning.
    First,
    /// Behind this name, in the list's order.
    After(&'a str),
    /// So that it ends just before this name.
    Before(&'a str),
}

fn take<T>(mut rows: impl Iterator<Item = T>, limit: usize) -> Rows<T> {
    let items: Vec<_> = rows.by_ref().take(limit).collect();
    let more = rows.next().is_some();
    Rows { items, more }
}

/// The page of rows that come in ascending order of their number.
fn page_of<T>(rows: impl DoubleEndedIterator<Item = T>, number: impl Fn(&T) -> u64, page: Page) -> Rows<T> {
    let ascending = page.order == Order::Ascending;
    match (page.start, ascending) {
        (Start::First, true) => take(rows, page.limit),
        (Start::First, false) => take(rows.rev(), page.limit),
        (Start::After(mark), true) => take(rows.filter(|row| number(row) > mark), page.limit),
        (Start::After(mark), false) => take(rows.rev().filter(|row| number(row) < mark), page.limit),
        (Start::Before(mark), ascending) => {
            let mut found = if ascending {
                take(rows.rev().filter(|row| number(row) < mark), page.limit)
            } else {
                take(rows.filter(|row| number(row) > mark), page.limit)
            };
            found.items.reverse();
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_walk_forth_and_back_in_both_orders() {
        let rows = || (1..=5u64).map(|n| n * 10);
        let page = |start, order| page_of(rows(), |n| *n, Page { limit: 2, start, order });
        assert_eq!(
            page(Start::First, Order::Ascending),
            Rows {
                items: vec![10, 20],
                more: true
            }
        );
        assert_eq!(
            page(Start::After(40), Order::Ascending),
            Rows {
                items: vec![50],
                more: false
            }
        );
        assert_eq!(
            page(Start::Before(40), Order::Ascending),
            Rows {
                items: vec![20, 30],
                more: true
            }
        );
        assert_eq!(
            page(Start::First, Order::Descending),
            Rows {
                items: vec![50, 40],
                more: true
            }
        );
        assert_eq!(
            page(Start::After(40), Order::Descending),
            Rows {
                items: vec![30, 20],
                more: true
            }
        );
        assert_eq!(
            page(Start::Before(20), Order::Descending),
            Rows {
                items: vec![40, 30],
                more: true
            }
        );
        assert_eq!(
            page(Start::Before(40), Order::Descending),
            Rows {
                items: vec![50],
                more: false
            }
        );
    }
}
