//! Lives: each is a process with a runtime of its own, dropped whole when it crashes. What outlives them is the ground.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    app::{App, AppKind, Environment},
    breaker,
    delivery::DeliveryState,
    endpoint::{DisabledReason, Endpoint},
    id::{AppId, EndpointId, EnvironmentId, Id as _},
    time::Timestamp,
};
use bellwire_deliver::{
    DeliverConfig, Scheduler, SchedulerParts,
    scheduler::{Bounds, Rules},
};
use bellwire_store::{Change, Clock, Directory, feed::Feed};
use bellwire_testkit::{FaultPlan, MemoryStore, ScriptedAction, SimClock, Witness};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    changes,
    oracle::Oracle,
    steps::{self, Busy, Unanswered},
};

/// Noon, some day.
const BEGINNING: Timestamp = Timestamp::from_secs(1_766_059_200);
/// An endpoint that only fails for so long is disabled.
pub const DISABLE_AFTER: Duration = Duration::from_secs(15 * 60);

/// What outlives a process.
pub struct Ground {
    pub random: fastrand::Rng,
    pub clock: Arc<SimClock>,
    pub faults: Arc<FaultPlan>,
    pub store: Arc<MemoryStore>,
    pub action: Arc<ScriptedAction>,
    pub oracle: Arc<Oracle>,
    pub config: DeliverConfig,
    pub environment: EnvironmentId,
    pub apps: Vec<AppId>,
    /// Endpoints that were answered to be there, and how they were last answered to stand.
    pub endpoints: Vec<Standing>,
    /// Publications whose answer was never heard: a client asks again with the same key.
    pub unanswered: Unanswered,
    /// Endpoints with a change whose answer was never heard.
    pub uncertain: Vec<EndpointId>,
    /// Much is published at once, and the order changes often: lines are long, of several eras.
    pub crowded: bool,
    /// The clock was set.
    pub jumped: bool,
    /// A process ended without having written all it knew.
    pub unclean: bool,
    /// Steps that are left.
    pub steps: u32,
}

/// How an endpoint was last answered to stand.
#[derive(Debug, Clone)]
pub struct Standing {
    pub id: EndpointId,
    pub disabled: bool,
    pub paused: bool,
    pub deleted: bool,
}

/// How a life ended.
enum End {
    Crashed,
    Stopped { lossless: bool },
    Finished,
}

/// A running process.
pub struct Life<'a> {
    pub ground: &'a mut Ground,
    pub directory: Arc<Directory>,
    pub scheduler: Arc<Scheduler>,
    /// Requests under way.
    pub requests: JoinSet<()>,
    /// Endpoints with a change under way.
    pub busy: Busy,
}

/// Runs a seed to its end and answers what stands for its history.
pub fn run(seed: u64, prints: bool) -> Result<u64, String> {
    fastrand::seed(seed);
    let mut ground = Ground::new(seed, prints);
    let mut first = true;
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let end = runtime.block_on(async {
            let end = live(&mut ground, first).await;
            ground.clock.leave();
            end
        });
        first = false;
        // A crash: whatever was under way is gone.
        drop(runtime);
        ground.oracle.verdict()?;
        match end? {
            End::Finished => return Ok(ground.oracle.digest()),
            End::Crashed => {
                ground.oracle.note("crash");
                ground.unclean = true;
                ground.oracle.life_ended(&ground.store, false);
            }
            End::Stopped { lossless } => {
                ground.oracle.note("stopped");
                ground.unclean |= !lossless;
                ground.oracle.life_ended(&ground.store, lossless);
            }
        }
        ground.store = Arc::new(ground.store.reopen());
        ground.oracle.reopened(&ground.store);
        if ground.random.bool() {
            ground.faults.heal();
        }
        ground.oracle.check(&ground.store);
        ground.oracle.verdict()?;
    }
}

impl Ground {
    fn new(seed: u64, prints: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = Arc::new(SimClock::new(BEGINNING));
        let faults = Arc::new(FaultPlan::new(random.u64(..)));
        let store = MemoryStore::with_faults(Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&faults));
        let store = Arc::new(store);
        let oracle = Oracle::new(Arc::clone(&clock), Arc::clone(&faults), Arc::clone(&store), prints);
        let oracle = Arc::new(oracle);
        let bounds = Bounds {
            in_flight: *pick(&mut random, &[2, 8, 64]),
            in_flight_per_endpoint: *pick(&mut random, &[1, 2, 8]),
            commands_per_endpoint: 2,
            window: *pick(&mut random, &[2, 4, 16, 64]),
            in_memory: *pick(&mut random, &[4, 32, 1_000]),
            payload_bytes: 1 << 20,
            patience: Duration::from_secs(5),
        };
        let schedules: [&[u64]; 4] = [&[5, 30, 120, 600], &[1, 2, 3], &[5], &[]];
        let waits = *pick(&mut random, &schedules);
        let config = DeliverConfig {
            retry_schedule: waits.iter().copied().map(Duration::from_secs).collect(),
            disable_after: Some(DISABLE_AFTER),
            bounds,
            rules: Rules {
                breaker: breaker::Settings {
                    failures: *pick(&mut random, &[0, 3, 10, 100]),
                    ..breaker::Settings::default()
                },
                ..Rules::default()
            },
            ..DeliverConfig::default()
        };
        oracle.rules(bounds.in_flight, config.rules.breaker, DISABLE_AFTER);
        oracle.note(&format!("{bounds:?}, {waits:?}, {:?}", config.rules.breaker));
        Self {
            action: Arc::new(ScriptedAction::new(
                random.u64(..),
                Arc::clone(&oracle) as Arc<dyn Witness>,
            )),
            steps: random.u32(15..60),
            crowded: random.u32(0..4) == 0,
            random,
            clock,
            faults,
            store,
            oracle,
            config,
            environment: EnvironmentId::from_number(1),
            apps: Vec::new(),
            endpoints: Vec::new(),
            unanswered: Unanswered::default(),
            uncertain: Vec::new(),
            jumped: false,
            unclean: false,
        }
    }

    pub fn schedule_of(&self, endpoint: &Endpoint) -> Vec<Duration> {
        endpoint
            .retry_schedule
            .clone()
            .unwrap_or_else(|| self.config.retry_schedule.clone())
    }

    /// From how many attempts at once on an endpoint may make others wait. One that is throttled always may.
    pub fn limit_of(&self, endpoint: &Endpoint) -> usize {
        if endpoint.throttle_rate.is_some() {
            return 0;
        }
        endpoint
            .max_in_flight
            .map_or(self.config.bounds.in_flight_per_endpoint, usize::from)
    }
}

/// One of these.
pub fn pick<'a, T>(random: &mut fastrand::Rng, of: &'a [T]) -> &'a T {
    &of[random.usize(0..of.len())]
}

async fn live(ground: &mut Ground, first: bool) -> Result<End, String> {
    ground.clock.enter();
    let store = Arc::clone(&ground.store) as Arc<dyn bellwire_store::Store>;
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let Ok(directory) = Directory::open(Arc::clone(&store), clock).await else {
        ground.faults.heal();
        return Ok(End::Crashed);
    };
    let directory = Arc::new(directory);
    if first {
        found(ground, &directory).await?;
    }
    compare(ground, &directory);
    let parts = SchedulerParts {
        store,
        directory: Arc::clone(&directory),
        action: Arc::clone(&ground.action) as Arc<dyn bellwire_deliver::action::Action>,
        feed: Arc::new(Feed::default()),
        config: ground.config.clone(),
    };
    let Ok(scheduler) = Scheduler::start(parts).await else {
        ground.faults.heal();
        return Ok(End::Crashed);
    };
    let mut life = Life {
        ground,
        directory,
        scheduler,
        requests: JoinSet::new(),
        busy: Busy::default(),
    };
    if first {
        changes::create_endpoints(&mut life).await?;
    }
    while life.ground.steps > 0 {
        life.ground.steps -= 1;
        let die = steps::step(&mut life).await;
        life.after_step();
        life.ground.oracle.verdict()?;
        match die {
            steps::Die::No => {}
            steps::Die::Crash => {
                life.busy.abandon(life.ground);
                return Ok(End::Crashed);
            }
            steps::Die::Stop(grace) => return Ok(stop(life, grace).await),
        }
    }
    finish(life).await.map(|()| End::Finished)
}

/// The environment, its applications, and one that carries operational events.
async fn found(ground: &mut Ground, directory: &Directory) -> Result<(), String> {
    let now = directory.now();
    let environment = directory.new_id();
    ground.environment = environment;
    let mut changes = vec![Change::PutEnvironment(Environment {
        id: environment,
        name: "simulated".to_owned(),
        validate_payloads: false,
        created_at: now,
        updated_at: now,
    })];
    for kind in [AppKind::Tenant, AppKind::Tenant, AppKind::Operational] {
        let id = directory.new_id();
        ground.apps.push(id);
        changes.push(Change::PutApp(App {
            id,
            environment,
            uid: None,
            name: String::new(),
            throttle_rate: None,
            publish_rate: None,
            metadata: std::collections::BTreeMap::new(),
            kind,
            validate_payloads: None,
            created_at: now,
            updated_at: now,
        }));
    }
    directory.commit(changes, None).await.map_err(|error| error.to_string())
}

/// What was answered is what a new process finds; where nothing was answered, it is what the process finds.
fn compare(ground: &mut Ground, directory: &Directory) {
    let uncertain = std::mem::take(&mut ground.uncertain);
    for standing in &mut ground.endpoints {
        let found = directory.endpoint_by_id(standing.id);
        let mut now = Standing {
            deleted: found.is_none(),
            ..standing.clone()
        };
        if let Some(found) = &found {
            now.paused = found.endpoint.paused;
            now.disabled = found.endpoint.disabled.is_some();
        }
        if uncertain.contains(&standing.id) {
            *standing = now;
        } else if standing.deleted != now.deleted
            || (!standing.deleted && (standing.paused != now.paused || standing.disabled && !now.disabled))
        {
            ground
                .oracle
                .broken(format!("{standing:?} was answered, and {now:?} was found"));
        }
        let blocked = standing.disabled || standing.paused || standing.deleted;
        ground
            .oracle
            .settings(standing.id, blocked, standing.disabled || standing.deleted);
    }
    for id in uncertain {
        let known = ground.endpoints.iter().any(|standing| standing.id == id);
        if directory.endpoint_by_id(id).is_some() && !known {
            ground.endpoints.push(Standing {
                id,
                disabled: false,
                paused: false,
                deleted: false,
            });
        }
    }
}

impl Life<'_> {
    /// The invariants, and what the scheduler did to endpoints by itself.
    pub fn after_step(&mut self) {
        for standing in &mut self.ground.endpoints {
            if self.busy.contains(standing.id) || standing.deleted || standing.disabled {
                continue;
            }
            let Some(entry) = self.directory.endpoint_by_id(standing.id) else {
                continue;
            };
            if let Some(disabled) = entry.endpoint.disabled {
                standing.disabled = true;
                let excused = self.ground.jumped || self.ground.unclean;
                let gone = disabled.reason == DisabledReason::Gone;
                self.ground
                    .oracle
                    .note(&format!("{} is disabled: {:?}", standing.id, disabled.reason));
                self.ground
                    .oracle
                    .disabled_by_itself(standing.id, gone, DISABLE_AFTER, excused);
                self.ground.oracle.settings(standing.id, true, true);
            }
        }
        self.ground.oracle.check(&self.ground.store);
    }

    /// Waits for the requests under way.
    pub async fn answered(&mut self) {
        while self.requests.join_next().await.is_some() {}
        self.busy.take_in(self.ground);
    }
}

async fn stop(mut life: Life<'_>, grace: Duration) -> End {
    life.answered().await;
    life.ground.oracle.note(&format!("stopping within {grace:?}"));
    let faultless = !life.ground.faults.is_active();
    life.scheduler.stop(grace).await;
    // What the grace was too short for keeps its slot to the end.
    let in_time = life.scheduler.load().0 == 0;
    bellwire_store::Store::close(&*life.ground.store).await;
    End::Stopped {
        lossless: faultless && in_time,
    }
}

/// Everything heals, time passes, and nothing may be left undecided.
async fn finish(mut life: Life<'_>) -> Result<(), String> {
    life.ground.oracle.note("healing");
    life.answered().await;
    life.ground.faults.heal();
    life.ground.action.heal();
    life.ground.oracle.disturb();
    changes::resume_all(&mut life).await?;
    // Whatever was under way or held up goes its way, without the clock's help.
    calm_down(&mut life).await?;
    for _ in 0..200 {
        let pending = pending(&life.ground.store);
        let Some((_, one)) = pending.first() else {
            return life.ground.oracle.verdict();
        };
        let now = life.ground.clock.now();
        match pending.iter().filter_map(|(due_at, _)| *due_at).min() {
            Some(first) if first > now => {
                life.ground.clock.jump_forth(first.since(now));
                life.ground.jumped = true;
                life.ground.oracle.disturb();
            }
            Some(_) => {}
            // All of them wait for a turn: the lines ahead are blocked.
            None if steps::tend_all(&mut life).await? == 0 => {
                return Err(format!("nobody has the turn, and nobody is blocked: {one}"));
            }
            None => {}
        }
        calm_down(&mut life).await?;
    }
    Err("after 200 waits, deliveries are still pending".to_owned())
}

/// What is pending, and when it is due, if it is not waiting for its turn.
fn pending(store: &MemoryStore) -> Vec<(Option<Timestamp>, String)> {
    let rows = store.all_deliveries();
    let pending = rows.iter().filter(|row| row.state == DeliveryState::Pending);
    pending.map(|row| (row.next_at, format!("{row:?}"))).collect()
}

/// Waits until nothing that is due is pending; that must come within the longest attempt and the longest rest.
async fn calm_down(life: &mut Life<'_>) -> Result<(), String> {
    let mut last = (0, 0);
    let mut unchanged = 0;
    loop {
        sleep(Duration::from_secs(2)).await;
        life.after_step();
        life.ground.oracle.verdict()?;
        let now = life.ground.clock.now();
        let due: Vec<_> = pending(&life.ground.store)
            .into_iter()
            .filter(|(due_at, _)| due_at.is_some_and(|due_at| due_at <= now))
            .collect();
        let Some((_, first)) = due.first() else { return Ok(()) };
        let state = (due.len(), life.ground.oracle.attempts());
        unchanged = if state == last { unchanged + 1 } else { 0 };
        last = state;
        if unchanged > 60 {
            return Err(format!(
                "nothing happens any more, and {} deliveries are due: {first}",
                due.len()
            ));
        }
    }
}
