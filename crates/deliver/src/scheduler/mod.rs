//! Wakes, claims, admits and dispatches: due deliveries in, settlements out.
//!
//! What `append` has just made durable arrives through [`Handoff`] in memory; the store is asked only for what waits there
//! (after a start, a full lane, a retry that came due). The decisions are in [`state`]; this is the thin part around them.

mod alerts;
mod lane;
mod state;
mod worker;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use bellwire_core::{
    alert, breaker,
    decide::Health,
    delivery::Work,
    id::{AppId, EndpointId},
    time::Timestamp,
};
use bellwire_store::{ClaimRequest, Directory, Handoff, LaneHead, Store, StoreError, Verdict, feed::Feed};
use tokio::sync::{Notify, broadcast::error::RecvError, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::state::{Bounds, Figures};
use self::state::{Effects, LaneSettings, State};
use crate::{action::Action, config::DeliverConfig, metrics::DeliverMetrics, run, settler::Settler};

/// The longest sleep between looks at the clock, so that a clock that was set is noticed.
const LOOK: Duration = Duration::from_secs(1);
/// The wait after a claim failed.
const CLAIM_AGAIN: Duration = Duration::from_millis(500);
/// Deliveries cancelled per call.
const CANCEL_CHUNK: usize = 2_000;

/// How the scheduler treats an endpoint that does badly, and what people are told of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// When nothing but probes is attempted at an endpoint (`breaker_failures`, `breaker_probe_min`, `breaker_probe_max`).
    pub breaker: breaker::Settings,
    /// Down to so many attempts at once an endpoint that is overloaded is given (`in_flight_min`), at least 1. Its upper limit
    /// (`maxInFlight`, or [`Bounds::in_flight_per_endpoint`]) counts when that is lower.
    pub in_flight_min: u16,
    /// When people are told about an endpoint (`alert_queue_age`, `alert_failure_rate`, `alert_failure_attempts`, `alert_spike`,
    /// `alert_spike_messages`).
    pub alerts: alert::Settings,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            breaker: breaker::Settings::default(),
            in_flight_min: 1,
            alerts: alert::Settings::default(),
        }
    }
}

/// What the scheduler works with.
pub struct SchedulerParts {
    /// Where deliveries are kept.
    pub store: Arc<dyn Store>,
    /// Where endpoints are looked up.
    pub directory: Arc<Directory>,
    /// How they are attempted.
    pub action: Arc<dyn Action>,
    /// Who watches.
    pub feed: Arc<Feed>,
    /// What is in force.
    pub config: DeliverConfig,
}

/// The scheduler of a node.
pub struct Scheduler {
    parts: SchedulerParts,
    state: Mutex<State>,
    settler: Arc<Settler>,
    metrics: Arc<DeliverMetrics>,
    timer: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Nothing new is begun.
    ending: CancellationToken,
    /// The grace of a stop is over.
    cut_off: CancellationToken,
    /// The part that died, once one has.
    died: watch::Sender<Option<&'static str>>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Attaches to the store, takes up what waits there, and delivers until [`Self::stop`].
    ///
    /// # Errors
    /// When the store cannot say what waits.
    pub async fn start(parts: SchedulerParts) -> Result<Arc<Self>, StoreError> {
        let now = parts.directory.now();
        let state = Mutex::new(State::new(parts.config.bounds, parts.config.rules, now));
        let scheduler = Arc::new(Self {
            parts,
            state,
            settler: Arc::default(),
            metrics: Arc::default(),
            timer: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            ending: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            died: watch::Sender::default(),
        });
        let changes = scheduler.parts.directory.changes();
        scheduler.parts.store.attach(Arc::new(Entrance(Arc::clone(&scheduler))));
        scheduler.spawn_essential("timer", Arc::clone(&scheduler).keep_time());
        scheduler.spawn_essential("follower", Arc::clone(&scheduler).follow(changes));
        let (settler, store) = (Arc::clone(&scheduler.settler), Arc::clone(&scheduler.parts.store));
        // Cancelled by `stop` only after everything that was under way has left its outcome.
        scheduler.spawn_essential("settler", settler.write(store, scheduler.stop.clone()));
        let heads = scheduler.parts.store.lanes().await?;
        scheduler.stored(&heads);
        Ok(scheduler)
    }

    /// What it has done since the start.
    pub fn metrics(&self) -> &Arc<DeliverMetrics> {
        &self.metrics
    }

    /// Attempts under way, and deliveries that wait in memory.
    pub fn load(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.in_flight(), state.in_memory())
    }

    /// Lanes by their state, breakers, probes, batches.
    pub fn figures(&self) -> Figures {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).figures()
    }

    /// When the delivery that waits longest was due, in memory or in the store; what waits for a paused endpoint does not count.
    pub fn oldest_due(&self) -> Option<Timestamp> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).oldest_due()
    }

    /// Waits until a part that it cannot do without has died: a panic, or an end that nobody asked for. Answers the part's name;
    /// deliveries stall then, and the process should end. Waits for ever while all is well.
    pub async fn failed(&self) -> String {
        let mut died = self.died.subscribe();
        match died.wait_for(Option::is_some).await.map(|died| *died) {
            Ok(Some(name)) => name.to_owned(),
            // The sender lives as long as we do.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Starts a part that the scheduler cannot do without, and notices its death.
    fn spawn_essential(self: &Arc<Self>, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let (scheduler, part) = (Arc::clone(self), self.tasks.spawn(part));
        self.tasks.spawn(async move {
            let ended = part.await;
            if ended.is_err() || !scheduler.stop.is_cancelled() {
                let how = if ended.is_err() {
                    "panicked"
                } else {
                    "ended without being asked to"
                };
                tracing::error!(part = name, "{how}; the scheduler cannot go on without it");
                scheduler.died.send_replace(Some(name));
            }
        });
    }

    /// Begins nothing new, lets what is under way end for at most `grace`, and writes the outcomes. What could not end is
    /// taken up again at the next start.
    pub async fn stop(&self, grace: Duration) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop();
        self.ending.cancel();
        let ended = async {
            while self.load().0 > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!(
                attempts = self.load().0,
                "attempts that did not end in time were cut off; they are made again at the next start"
            );
            self.cut_off.cancel();
        }
        self.stop.cancel();
        self.timer.notify_one();
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await;
    }

    fn now(&self) -> Timestamp {
        self.parts.directory.now()
    }

    fn settings(&self, endpoint: EndpointId) -> Option<LaneSettings> {
        let entry = self.parts.directory.endpoint_by_id(endpoint)?;
        let endpoint = &entry.endpoint;
        endpoint.disabled.is_none().then(|| LaneSettings {
            gauge: Arc::clone(&entry.lane),
            app: endpoint.app,
            app_per_second: self.app_rate(endpoint.app),
            in_flight: endpoint.max_in_flight.map(usize::from),
            per_second: endpoint.throttle_rate.filter(|rate| *rate > 0),
            batch: endpoint.batch,
            held: endpoint.paused,
            made_at: endpoint.created_at,
        })
    }

    /// What an application's settings say of its rate.
    fn app_rate(&self, app: AppId) -> Option<u16> {
        let app = self.parts.directory.app_by_id(app)?;
        app.throttle_rate.filter(|rate| *rate > 0)
    }

    /// Changes the state and does what follows.
    fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, Timestamp, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let now = self.now();
        let result = change(
            &mut self.state.lock().unwrap_or_else(PoisonError::into_inner),
            now,
            &mut effects,
        );
        self.carry_out(effects);
        result
    }

    fn carry_out(self: &Arc<Self>, effects: Effects) {
        let Effects {
            start,
            claim,
            park,
            cancel,
            alerts,
            wake_at,
        } = effects;
        for endpoint in start {
            self.tasks.spawn(Arc::clone(self).work(endpoint));
        }
        for (endpoint, limit) in claim {
            self.tasks.spawn(Arc::clone(self).claim(endpoint, limit));
        }
        if !park.is_empty() || !cancel.is_empty() {
            let returned = u64::try_from(park.len()).unwrap_or(u64::MAX);
            self.metrics.returned.fetch_add(returned, Ordering::Relaxed);
            let parked = park
                .iter()
                .map(|work| run::without_attempt(work, Verdict::Park(work.due_at)));
            let cancelled = cancel.iter().map(|work| run::without_attempt(work, Verdict::Cancelled));
            self.settler.put(parked.chain(cancelled));
        }
        for (endpoint, alert, raised) in alerts {
            self.alert(endpoint, alert, raised);
        }
        if wake_at.is_some() {
            self.timer.notify_one();
        }
    }

    fn stored(self: &Arc<Self>, heads: &[LaneHead]) {
        for head in heads.iter().filter(|head| self.parts.store.serves(head.endpoint)) {
            let Some(settings) = self.settings(head.endpoint) else {
                // Disabled or deleted while it was on its way to the store: nobody else would cancel it.
                self.cancel_stored(head.endpoint);
                continue;
            };
            self.with(|state, now, effects| state.stored(*head, now, || Some(settings), effects));
        }
    }

    async fn claim(self: Arc<Self>, endpoint: EndpointId, limit: usize) {
        let request = ClaimRequest {
            endpoint,
            now: self.now(),
            limit,
        };
        match self.parts.store.claim(request).await {
            Ok(claimed) => {
                let n = u64::try_from(claimed.work.len()).unwrap_or(u64::MAX);
                DeliverMetrics::up(&self.metrics.claims);
                self.metrics.claimed.fetch_add(n, Ordering::Relaxed);
                self.with(|state, now, effects| state.claimed(endpoint, claimed, now, effects));
            }
            Err(error) => {
                tracing::error!(%endpoint, %error, "due deliveries could not be read; they are tried again");
                self.with(|state, now, effects| state.claim_failed(endpoint, now.plus(CLAIM_AGAIN), effects));
            }
        }
    }

    fn cancel_stored(self: &Arc<Self>, endpoint: EndpointId) {
        let scheduler = Arc::clone(self);
        self.tasks.spawn(async move {
            let directory = &scheduler.parts.directory;
            // Another process may have made or enabled it a moment ago.
            while let Err(error) = directory.refresh().await {
                tracing::warn!(%endpoint, %error, "waiting deliveries are cancelled when it is certain that they are to be");
                if scheduler.stop.run_until_cancelled(tokio::time::sleep(CLAIM_AGAIN)).await.is_none() {
                    return;
                }
            }
            if directory.is_shared() && scheduler.settings(endpoint).is_some() {
                scheduler.endpoint_changed(endpoint);
                return;
            }
            loop {
                // Enabled again meanwhile: what is left goes on. Another process's endpoint is that one's to empty.
                let is_ours = scheduler.parts.store.serves(endpoint);
                if !is_ours || scheduler.settings(endpoint).is_some() || scheduler.stop.is_cancelled() {
                    return;
                }
                match scheduler.parts.store.cancel(endpoint, CANCEL_CHUNK).await {
                    Ok(0) => return,
                    Ok(n) => drop(scheduler.metrics.cancelled.fetch_add(n, Ordering::Relaxed)),
                    Err(error) => {
                        tracing::error!(%endpoint, %error, "waiting deliveries could not be cancelled; they are tried again");
                        tokio::time::sleep(CLAIM_AGAIN).await;
                    }
                }
            }
        });
    }

    /// Follows changes of endpoints.
    async fn follow(self: Arc<Self>, mut changes: tokio::sync::broadcast::Receiver<EndpointId>) {
        loop {
            let changed = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                changed = changes.recv() => changed,
            };
            match changed {
                Ok(endpoint) => self.endpoint_changed(endpoint),
                Err(RecvError::Lagged(_)) => {
                    let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).endpoints();
                    for endpoint in known {
                        self.endpoint_changed(endpoint);
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn endpoint_changed(self: &Arc<Self>, endpoint: EndpointId) {
        self.parts.action.forget(endpoint);
        if !self.parts.store.serves(endpoint) {
            return;
        }
        let settings = self.settings(endpoint);
        if settings.is_none() {
            self.cancel_stored(endpoint);
        }
        self.with(|state, now, effects| state.changed(endpoint, settings, now, effects));
    }

    /// Looks at the state whenever something in it falls due, and sweeps it now and then.
    async fn keep_time(self: Arc<Self>) {
        let mut swept = self.now();
        loop {
            if self.now() < swept {
                swept = self.now();
                self.with(|state, now, effects| state.clock_went_back(now, effects));
            }
            let wake_at = self.with(|state, now, effects| {
                state.tick(now, effects);
                state.next_timer()
            });
            let now = self.now();
            if now.since(swept) >= LOOK {
                swept = now;
                while self.with(|state, now, effects| state.sweep(now, |app| self.app_rate(app), effects)) {
                    tokio::task::yield_now().await;
                }
            }
            let sleep = wake_at.map_or(LOOK, |at| at.since(now)).min(LOOK);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.timer.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }
}

/// The scheduler's door for the store.
struct Entrance(Arc<Scheduler>);

impl Handoff for Entrance {
    fn fresh(&self, mut work: Vec<Work>) {
        let scheduler = &self.0;
        let store = &scheduler.parts.store;
        if store.is_shared() && !work.iter().all(|work| store.serves(work.endpoint)) {
            // Given up between the commit and now: whoever has it next finds it in the store.
            let (ours, others) = work.into_iter().partition(|work| store.serves(work.endpoint));
            let parked = |work: &Work| run::without_attempt(work, Verdict::Park(work.due_at));
            let others: Vec<Work> = others;
            scheduler.settler.put(others.iter().map(parked));
            work = ours;
        }
        scheduler.with(|state, now, effects| state.fresh(work, now, |id| scheduler.settings(id), effects));
    }

    fn stored(&self, head: LaneHead) {
        self.0.stored(&[head]);
    }

    fn waiting(&self, counts: &[(EndpointId, u64)]) {
        self.0.parts.directory.note_waiting(counts);
    }

    fn gained(&self, which: &dyn Fn(EndpointId) -> bool, failing: &[(EndpointId, Health)]) {
        let scheduler = &self.0;
        scheduler.parts.directory.note_gained(which, failing);
        // Lanes of which an attempt was still under way when they were given up.
        let known = scheduler.state.lock().unwrap_or_else(PoisonError::into_inner).endpoints();
        for endpoint in known.into_iter().filter(|endpoint| which(*endpoint)) {
            scheduler.endpoint_changed(endpoint);
        }
    }

    fn lost(&self) {
        let scheduler = &self.0;
        let known = scheduler.state.lock().unwrap_or_else(PoisonError::into_inner).endpoints();
        for endpoint in known {
            if !scheduler.parts.store.serves(endpoint) {
                scheduler.parts.action.forget(endpoint);
                scheduler.with(|state, now, effects| state.left(endpoint, now, effects));
            }
        }
    }
}
