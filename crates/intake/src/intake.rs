//! [`Intake`]: everything that sources need, wired together.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    http::Response,
    routing::any,
};
use bellwire_core::{address::Cidr, id::EnvironmentId};
use bellwire_store::{Directory, Store, feed::Feed};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::room::IntakeLimits;
use crate::{
    accept::{Acceptance, AcceptanceParts},
    confirm::Confirmations,
    cron::Cron,
    door,
    fetch::{Certificates, Fetch},
    metrics::IntakeMetrics,
    monitor::{Monitors, probe::Probe},
    refusals::Refusals,
    release::Release,
    room::Room,
    sources::Sources,
    why::Explanations,
};

/// What an [`Intake`] is made of.
pub struct IntakeParts {
    /// Where messages go.
    pub store: Arc<dyn Store>,
    /// Where sources are found.
    pub directory: Arc<Directory>,
    /// Who is told of messages.
    pub feed: Arc<Feed>,
    /// The way out to providers, for certificates and confirmations.
    pub fetch: Arc<dyn Fetch>,
    /// The way out of monitors.
    pub probe: Arc<dyn Probe>,
    /// How much is taken on.
    pub limits: IntakeLimits,
    /// What senders reach the server by; `None` is what each request says.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// The environment whose sources may be called by their uid.
    pub default_environment: EnvironmentId,
    /// How long payloads are kept.
    pub payload_retention: Duration,
}

/// The way in for what sources bring.
pub struct Intake {
    pub(crate) directory: Arc<Directory>,
    pub(crate) sources: Sources,
    pub(crate) room: Arc<Room>,
    pub(crate) acceptance: Arc<Acceptance>,
    pub(crate) certificates: Certificates,
    pub(crate) confirmations: Confirmations,
    pub(crate) refusals: Refusals,
    pub(crate) explanations: Explanations,
    pub(crate) metrics: Arc<IntakeMetrics>,
    pub(crate) public_url: Option<String>,
    pub(crate) trusted_proxies: Vec<Cidr>,
    pub(crate) release: Arc<Release>,
    /// What is begun for a request and ended whether its client waits or not.
    pub(crate) tasks: TaskTracker,
    cron: Cron,
    monitors: Monitors,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Wires everything; nothing runs yet.
    pub fn new(parts: IntakeParts) -> Arc<Self> {
        let IntakeParts {
            store,
            directory,
            feed,
            fetch,
            probe,
            limits,
            public_url,
            trusted_proxies,
            default_environment,
            payload_retention,
        } = parts;
        let metrics = Arc::new(IntakeMetrics::default());
        let release = Arc::new(Release::new(
            Arc::clone(&store),
            Arc::clone(&directory),
            Arc::clone(&feed),
            Arc::clone(&metrics),
        ));
        let acceptance = Arc::new(Acceptance::new(AcceptanceParts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            feed,
            metrics: Arc::clone(&metrics),
            release: Arc::clone(&release),
            payload_retention,
        }));
        Arc::new(Self {
            sources: Sources::new(Arc::clone(&directory), default_environment),
            room: Room::new(limits),
            certificates: Certificates::new(Arc::clone(&fetch)),
            confirmations: Confirmations::new(fetch),
            refusals: Refusals::new(Arc::clone(&store)),
            explanations: Explanations::default(),
            public_url,
            trusted_proxies,
            cron: Cron::new(Arc::clone(&store), Arc::clone(&directory), Arc::clone(&acceptance)),
            monitors: Monitors::new(store, Arc::clone(&directory), Arc::clone(&acceptance), probe),
            directory,
            acceptance,
            metrics,
            release,
            tasks: TaskTracker::new(),
        })
    }

    /// The routes: `/in/{source}`, with and without a slash behind it.
    pub fn router(self: &Arc<Self>) -> Router {
        let intake = Arc::clone(self);
        let enter = move |Path(name): Path<String>, request: Request| {
            let intake = Arc::clone(&intake);
            async move { intake.timed(name, request).await }
        };
        Router::new()
            .route("/in/{source}", any(enter.clone()))
            .route("/in/{source}/", any(enter))
    }

    async fn timed(self: Arc<Self>, name: String, request: Request) -> Response<Body> {
        let began = Instant::now();
        let answer = door::enter(Arc::clone(&self), name, request).await;
        self.metrics.seconds.observe(began.elapsed().as_secs_f64());
        answer
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<IntakeMetrics> {
        &self.metrics
    }

    /// Works in the background until stopped: releases held messages, writes the list of refused requests, confirms
    /// subscriptions, fires schedules, probes what is watched. What is gathered is written before it ends.
    pub async fn run(&self, stop: CancellationToken) {
        let failed = |visit: &crate::confirm::Visit, why: String| self.unconfirmed(visit, why);
        tokio::join!(
            self.release.run(&stop),
            self.refusals.run(&stop),
            self.confirmations.run(&stop, failed),
            self.cron.run(&stop),
            self.monitors.run(&stop),
        );
        self.tasks.close();
        self.tasks.wait().await;
    }
}
