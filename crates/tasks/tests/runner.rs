//! The runner on a whole store: chunks, turns, cancelling, restarts and a store that goes away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    app::{App, AppKind, Environment},
    delivery::DeliveryState,
    endpoint::Endpoint,
    id::{AppId, EndpointId, EnvironmentId, Id as _, MessageId, TaskId},
    message::{NewMessage, Route},
    task::{Job, ReplayWhich, Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{Change, ClaimRequest, Directory, Settlement, Store, StoreError, Verdict};
use bellwire_tasks::Tasks;
use bellwire_testkit::{FaultPlan, ManualClock, MemoryStore, Verb};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);
const DAY: Duration = Duration::from_secs(86_400);
/// More than two chunks.
const MANY: usize = 1_100;

/// One application with one endpoint.
struct World {
    clock: Arc<ManualClock>,
    faults: Arc<FaultPlan>,
    store: Arc<MemoryStore>,
    directory: Arc<Directory>,
    wake: Arc<Notify>,
    environment: EnvironmentId,
    app: AppId,
    endpoint: EndpointId,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOON));
        let faults = Arc::new(FaultPlan::new(1));
        let store = Arc::new(MemoryStore::with_faults(clock.clone(), faults.clone()));
        let directory = Arc::new(Directory::open(store.clone(), clock.clone()).await.unwrap());
        let (environment, app, endpoint) = (directory.new_id(), directory.new_id(), directory.new_id());
        let named = Environment {
            id: environment,
            name: "default".to_owned(),
            validate_payloads: false,
            created_at: NOON,
            updated_at: NOON,
        };
        let world = Self {
            clock,
            faults,
            store,
            directory,
            wake: Arc::default(),
            environment,
            app,
            endpoint,
        };
        let changes = vec![
            Change::PutEnvironment(named),
            Change::PutApp(world.new_app()),
            world.put_endpoint(&["a.*"]),
        ];
        world.directory.commit(changes, None).await.unwrap();
        world
    }

    /// What a new process finds after a crash.
    async fn restarted(self) -> Self {
        let store = Arc::new(self.store.reopen());
        let directory = Arc::new(Directory::open(store.clone(), self.clock.clone()).await.unwrap());
        Self {
            store,
            directory,
            ..self
        }
    }

    fn new_app(&self) -> App {
        App {
            id: self.app,
            environment: self.environment,
            uid: None,
            name: "shop".to_owned(),
            throttle_rate: None,
            publish_rate: None,
            metadata: Default::default(),
            kind: AppKind::Tenant,
            validate_payloads: None,
            created_at: NOON,
            updated_at: NOON,
        }
    }

    fn put_endpoint(&self, wanted: &[&str]) -> Change {
        Change::PutEndpoint(Box::new(Endpoint {
            id: self.endpoint,
            app: self.app,
            uid: None,
            url: "https://example.com/".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: Some(wanted.iter().map(|&entry| entry.to_owned()).collect()),
            channels: None,
            throttle_rate: None,
            metadata: Default::default(),
            headers: Default::default(),
            keys: Vec::new(),
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: Default::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: NOON,
            updated_at: NOON,
        }))
    }

    /// Publishes to the endpoint, or to nobody.
    async fn publish(&self, event_type: &str, routed: bool) -> MessageId {
        let message = NewMessage {
            app: self.app,
            event_type: event_type.to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: Bytes::from_static(b"{}"),
            payload_expires_at: NOON.plus(90 * DAY),
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            routes: if routed {
                vec![Route {
                    endpoint: self.endpoint,
                    stored: false,
                    line: None,
                }]
            } else {
                Vec::new()
            },
            idempotency: None,
        };
        self.store.append(message).await.unwrap().id
    }

    /// Ends everything that is due.
    async fn end_due(&self, verdict: impl Fn(MessageId) -> Verdict) -> usize {
        let request = ClaimRequest {
            endpoint: self.endpoint,
            now: self.directory.now(),
            limit: 10_000,
        };
        let work = self.store.claim(request).await.unwrap().work;
        let settle = |work: &bellwire_core::delivery::Work| Settlement {
            key: work.key(),
            app: self.app,
            lease: work.lease,
            progress: work.progress,
            outcome: None,
            attempt_id: None,
            verdict: verdict(work.message.id),
            health: None,
            notices: Vec::new(),
        };
        self.store
            .settle(Arc::new(work.iter().map(settle).collect()))
            .await
            .unwrap();
        work.len()
    }

    async fn start(&self, job: Job) -> TaskId {
        let now = self.directory.now();
        let task = Task {
            id: self.directory.new_id(),
            environment: self.environment,
            job,
            status: TaskStatus::Running,
            seen: 0,
            done: 0,
            cursor: 0,
            error: None,
            created_at: now,
            updated_at: now,
        };
        let id = task.id;
        self.put(task).await;
        id
    }

    async fn put(&self, task: Task) {
        self.directory
            .commit(vec![Change::PutTask(Box::new(task))], None)
            .await
            .unwrap();
        self.wake.notify_one();
    }

    async fn replay(&self, which: ReplayWhich) -> TaskId {
        let until = self.clock.advance(Duration::from_secs(60));
        let job = Job::Replay {
            app: self.app,
            endpoint: self.endpoint,
            which,
            since: NOON,
            until,
        };
        self.start(job).await
    }

    async fn task(&self, id: TaskId) -> Task {
        self.store.task(id).await.unwrap().unwrap()
    }

    fn runner(&self) -> Tasks {
        Tasks::new(self.store.clone(), self.directory.clone(), self.wake.clone())
    }

    async fn round(&self) -> Result<bool, StoreError> {
        self.runner().round(&CancellationToken::new()).await
    }

    async fn to_the_end(&self) {
        while self.round().await.unwrap() {}
    }

    fn pending(&self) -> usize {
        self.store
            .all_deliveries()
            .iter()
            .filter(|delivery| delivery.state == DeliveryState::Pending)
            .count()
    }
}

#[tokio::test]
async fn recovering_starts_what_failed_and_nothing_else() {
    let world = World::new().await;
    let mut failed = 0;
    for _ in 0..MANY {
        let id = world.publish("a.b", true).await;
        failed += usize::from(id.number().is_multiple_of(3));
    }
    let third = |id: MessageId| {
        if id.number().is_multiple_of(3) {
            Verdict::Failed
        } else {
            Verdict::Succeeded
        }
    };
    assert_eq!(world.end_due(third).await, MANY);
    let id = world.replay(ReplayWhich::Failed).await;
    world.to_the_end().await;
    let task = world.task(id).await;
    assert_eq!(
        (task.status, task.seen, task.done),
        (TaskStatus::Finished, MANY as u64, failed as u64)
    );
    assert_eq!(world.pending(), failed);
    assert_eq!(
        world.end_due(|_| Verdict::Succeeded).await,
        failed,
        "they are due at once"
    );
    assert!(world.store.check_now().problems.is_empty());
}

#[tokio::test]
async fn what_is_missing_goes_only_where_it_is_wanted() {
    let world = World::new().await;
    for _ in 0..3 {
        world.publish("a.b", false).await;
        world.publish("c", false).await;
    }
    let sent = world.publish("a.b", true).await;
    world.end_due(|_| Verdict::Succeeded).await;
    let id = world.replay(ReplayWhich::Missing).await;
    world.to_the_end().await;
    assert_eq!(world.task(id).await.done, 3);
    assert!(
        world
            .store
            .all_deliveries()
            .iter()
            .any(|d| d.message == sent && d.state == DeliveryState::Succeeded)
    );
}

#[tokio::test]
async fn progress_is_stored_and_a_restart_goes_on_where_it_was() {
    let world = World::new().await;
    for _ in 0..MANY {
        world.publish("a.b", false).await;
    }
    let id = world.replay(ReplayWhich::Missing).await;
    assert!(world.round().await.unwrap());
    let begun = world.task(id).await;
    assert_eq!(begun.status, TaskStatus::Running);
    assert!(begun.seen > 0 && begun.seen < MANY as u64 && begun.cursor > 0);
    let world = world.restarted().await;
    world.to_the_end().await;
    let ended = world.task(id).await;
    assert_eq!(
        (ended.status, ended.seen, ended.done),
        (TaskStatus::Finished, MANY as u64, MANY as u64)
    );
    assert_eq!(world.pending(), MANY);
}

#[tokio::test]
async fn a_cancelled_task_stops_before_its_next_chunk_and_keeps_what_it_did() {
    let world = World::new().await;
    for _ in 0..MANY {
        world.publish("a.b", false).await;
    }
    let id = world.replay(ReplayWhich::Missing).await;
    world.round().await.unwrap();
    let begun = world.task(id).await;
    world
        .put(Task {
            status: TaskStatus::Cancelled,
            ..begun.clone()
        })
        .await;
    world.to_the_end().await;
    let ended = world.task(id).await;
    assert_eq!((ended.status, ended.done), (TaskStatus::Cancelled, begun.done));
    assert_eq!(world.pending() as u64, begun.done);
}

#[tokio::test]
async fn cancelling_waits_for_the_chunk_under_way_and_everything_it_did_is_counted() {
    let world = World::new().await;
    for _ in 0..MANY {
        world.publish("a.b", false).await;
    }
    let id = world.replay(ReplayWhich::Missing).await;
    let edit = world.directory.edit().await;
    let cancel = async {
        let task = Task {
            status: TaskStatus::Cancelled,
            ..world.task(id).await
        };
        // The round has begun, and would do a chunk that is then not counted.
        tokio::task::yield_now().await;
        world
            .directory
            .commit_edit(edit, vec![Change::PutTask(Box::new(task))], None)
            .await
    };
    let (round, cancelled) = tokio::join!(world.round(), cancel);
    round.unwrap();
    cancelled.unwrap();
    let ended = world.task(id).await;
    assert_eq!(ended.status, TaskStatus::Cancelled);
    assert_eq!(world.pending() as u64, ended.done);
}

#[tokio::test]
async fn tasks_take_turns() {
    let world = World::new().await;
    for _ in 0..MANY {
        world.publish("a.b", false).await;
    }
    let (one, other) = (
        world.replay(ReplayWhich::Missing).await,
        world.replay(ReplayWhich::Failed).await,
    );
    world.round().await.unwrap();
    assert_eq!(world.task(one).await.seen, world.task(other).await.seen);
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let world = World::new().await;
    world.publish("a.b", false).await;
    let id = world.replay(ReplayWhich::Missing).await;
    world.faults.fail_next(Verb::Requeue, 1);
    assert!(matches!(world.round().await, Err(StoreError::Unavailable(_))));
    assert_eq!(
        (world.task(id).await.status, world.task(id).await.seen),
        (TaskStatus::Running, 0)
    );
    world.to_the_end().await;
    assert_eq!(
        (world.task(id).await.status, world.task(id).await.done),
        (TaskStatus::Finished, 1)
    );
}

#[tokio::test]
async fn a_replay_to_an_endpoint_that_is_gone_fails_with_the_reason() {
    let world = World::new().await;
    let id = world.replay(ReplayWhich::Failed).await;
    world
        .directory
        .commit(vec![Change::DeleteEndpoint(world.endpoint)], None)
        .await
        .unwrap();
    world.to_the_end().await;
    let task = world.task(id).await;
    assert_eq!(task.status, TaskStatus::Failed);
    assert_eq!(task.error, Some(format!("endpoint {} was deleted", world.endpoint)));
}

#[tokio::test]
async fn erasure_removes_everything_of_a_deleted_application() {
    let world = World::new().await;
    for _ in 0..MANY {
        world.publish("a.b", true).await;
    }
    world
        .directory
        .commit(vec![Change::DeleteApp(world.app)], None)
        .await
        .unwrap();
    let id = world.start(Job::EraseApp { app: world.app }).await;
    world.to_the_end().await;
    let task = world.task(id).await;
    assert_eq!((task.status, task.done), (TaskStatus::Finished, MANY as u64));
    assert_eq!(world.store.all_deliveries().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_runner_sleeps_until_it_is_woken_and_ends_when_told() {
    let world = World::new().await;
    world.publish("a.b", false).await;
    let (runner, stop) = (world.runner(), CancellationToken::new());
    let began = tokio::time::Instant::now();
    let work = async {
        let id = world.replay(ReplayWhich::Missing).await;
        while world.task(id).await.status == TaskStatus::Running {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(runner.run(stop.clone()), work);
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody had to wait for a timer");
}
