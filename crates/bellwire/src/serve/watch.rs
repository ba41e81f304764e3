//! The scheduler under supervision: stopped in its turn, and watched, because it looks after its own tasks.

use std::{sync::Arc, time::Duration};

use bellwire_deliver::Scheduler;

use crate::supervise::{OnPanic, Stage, Supervisor};

/// Stops the scheduler when the server stops, letting attempts under way end for `grace`; stops the server when the scheduler
/// dies, because then it accepts what nobody would deliver.
pub(super) fn scheduler(supervisor: &mut Supervisor, scheduler: Arc<Scheduler>, grace: Duration) {
    let watched = Arc::clone(&scheduler);
    supervisor.spawn(Stage::Delivery, "scheduler", OnPanic::Exit, move |stop| {
        let watched = Arc::clone(&watched);
        async move {
            let _ = stop.run_until_cancelled(watched.failed()).await;
        }
    });
    supervisor.spawn(Stage::Delivery, "scheduler's end", OnPanic::Exit, move |stop| {
        let scheduler = Arc::clone(&scheduler);
        async move {
            stop.cancelled().await;
            scheduler.stop(grace).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use bellwire_core::{
        app::{App, AppKind, Environment},
        endpoint::Endpoint,
        id::{AppId, EndpointId, EnvironmentId, Id as _},
        time::Timestamp,
    };
    use bellwire_deliver::{
        DeliverConfig, SchedulerParts,
        action::{Acted, Action, Order},
    };
    use bellwire_store::{Change, Directory, Store, SystemClock, backends, feed::Feed, vault::Vault};

    use super::*;
    use crate::{
        config::Config,
        serve::keys,
        supervise::{Ending, Stop},
    };

    /// Breaks whoever tells it that an endpoint changed.
    struct Broken;

    #[async_trait]
    impl Action for Broken {
        async fn act(&self, _: Order<'_>) -> Acted {
            Acted::Withheld
        }

        fn forget(&self, _: EndpointId) {
            panic!("told to");
        }
    }

    fn an_endpoint() -> Vec<Change> {
        let (environment, app, now) = (EnvironmentId::from_number(1), AppId::from_number(2), Timestamp::MIN);
        vec![
            Change::PutEnvironment(Environment {
                id: environment,
                name: "default".to_owned(),
                validate_payloads: false,
                created_at: now,
                updated_at: now,
            }),
            Change::PutApp(App {
                id: app,
                environment,
                uid: None,
                name: "Shop".to_owned(),
                throttle_rate: None,
                publish_rate: None,
                metadata: BTreeMap::new(),
                kind: AppKind::Tenant,
                validate_payloads: None,
                created_at: now,
                updated_at: now,
            }),
            Change::PutEndpoint(Box::new(Endpoint {
                id: EndpointId::from_number(3),
                app,
                uid: None,
                url: "https://example.com/".to_owned(),
                description: String::new(),
                disabled: None,
                paused: false,
                event_types: None,
                channels: None,
                throttle_rate: None,
                metadata: BTreeMap::new(),
                headers: BTreeMap::new(),
                keys: Vec::new(),
                retry_schedule: None,
                timeout: None,
                max_in_flight: None,
                order: Default::default(),
                batch: None,
                http_signatures: false,
                action: Default::default(),
                workflow: Default::default(),
                created_at: now,
                updated_at: now,
            })),
        ]
    }

    /// A scheduler with a broken action under supervision, on a store of its own.
    struct World {
        supervisor: Supervisor,
        directory: Arc<Directory>,
        store: Arc<dyn Store>,
        _data: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let mut config = Config::default();
            config.storage.data = data.path().to_owned();
            let clock = Arc::new(SystemClock);
            let ring = keys::load(&config).unwrap().ring;
            let options = backends::OpenOptions::new(clock.clone(), Vault::new(ring));
            let store = backends::open(&config.storage.url(), options).await.unwrap();
            let directory = Arc::new(Directory::open(Arc::clone(&store), clock).await.unwrap());
            let parts = SchedulerParts {
                store: Arc::clone(&store),
                directory: Arc::clone(&directory),
                action: Arc::new(Broken),
                feed: Arc::new(Feed::default()),
                config: DeliverConfig::default(),
            };
            let started = Scheduler::start(parts).await.unwrap();
            let mut supervisor = Supervisor::default();
            scheduler(&mut supervisor, started, Duration::from_secs(5));
            Self {
                supervisor,
                directory,
                store,
                _data: data,
            }
        }
    }

    #[tokio::test]
    async fn the_death_of_a_part_of_the_scheduler_stops_the_server() {
        let World {
            supervisor,
            directory,
            store,
            _data,
        } = World::new().await;
        directory.commit(an_endpoint(), None).await.unwrap();
        let ending = supervisor.run(Stop::default(), Duration::from_secs(5), || {}).await;
        assert_eq!(ending, Ending::Died("scheduler"));
        store.close().await;
    }

    #[tokio::test]
    async fn a_stop_is_no_death() {
        let World {
            supervisor,
            store,
            _data,
            ..
        } = World::new().await;
        let stop = Stop::default();
        stop.gracefully.cancel();
        let ending = supervisor.run(stop, Duration::from_secs(5), || {}).await;
        assert_eq!(ending, Ending::Graceful);
        store.close().await;
    }
}
