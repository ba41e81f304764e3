//! `/metrics`: what Prometheus is shown.
//!
//! Numbers come from where they are counted (the API, the scheduler, the store) at the moment of the scrape; nothing is
//! counted twice. Labels are names from closed sets: operations, statuses, reasons. No label names a customer.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bellwire_api::ApiMetrics;
use bellwire_core::time::Timestamp;
use bellwire_deliver::{
    Scheduler,
    metrics::{DeliverMetrics, LATENCY_BUCKETS_MS},
    scheduler::Figures,
};
use bellwire_intake::IntakeMetrics;
use bellwire_store::{
    Directory, Store,
    directory::LaneState,
    query::{COMMIT_BUCKETS_MS, NodeHealth, StoreHealth},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};

use super::writing::Out;
use crate::serve::hooks::{Figures as HooksFigures, Hooks};

/// Where the numbers come from.
#[derive(Clone)]
pub struct MetricsPage {
    /// Waiting deliveries, commits, size.
    pub store: Arc<dyn Store>,
    /// Endpoints, and the time.
    pub directory: Arc<Directory>,
    /// Attempts.
    pub scheduler: Arc<Scheduler>,
    /// Requests.
    pub api: Arc<ApiMetrics>,
    /// Requests to sources.
    pub intake: Arc<IntakeMetrics>,
    /// Open connections to the server.
    pub connections: Arc<AtomicUsize>,
    /// The hooks file, where there is one.
    pub hooks: Option<Arc<Hooks>>,
}

impl MetricsPage {
    /// The type of what [`Self::render`] answers.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The page, in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a number cannot be written as text, which does not happen.
    pub async fn render(&self) -> Result<String, fmt::Error> {
        let (in_flight, in_memory) = self.scheduler.load();
        let snapshot = Snapshot {
            now: self.directory.now(),
            store: self.store.health().await,
            endpoints: self.directory.endpoint_count(),
            deliver: Arc::clone(self.scheduler.metrics()),
            in_flight,
            in_memory,
            oldest_due: self.scheduler.oldest_due(),
            figures: self.scheduler.figures(),
            connections: self.connections.load(Ordering::Relaxed),
            hooks: self.hooks.as_ref().map(|hooks| hooks.figures()),
        };
        let mut registry = Registry::default();
        self.api.register(&mut registry);
        self.intake.register(&mut registry);
        registry.register_collector(Box::new(snapshot));
        let mut page = String::new();
        text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

/// The numbers of one scrape that are not prometheus-client's own.
#[derive(Debug)]
struct Snapshot {
    now: Timestamp,
    store: StoreHealth,
    endpoints: usize,
    deliver: Arc<DeliverMetrics>,
    in_flight: usize,
    in_memory: usize,
    /// Without what waits for paused endpoints, which the store's own figure has in it.
    oldest_due: Option<Timestamp>,
    figures: Figures,
    connections: usize,
    hooks: Option<HooksFigures>,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out::to(encoder);
        let Self {
            now,
            store,
            endpoints,
            deliver,
            in_flight,
            in_memory,
            oldest_due,
            figures,
            connections,
            hooks,
        } = self;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);

        out.info(
            "bellwire_build",
            "The program",
            [("version", env!("CARGO_PKG_VERSION"))],
        )?;
        let ended = [
            ("succeeded", read(&deliver.delivered)),
            ("failed", read(&deliver.exhausted)),
            ("cancelled", read(&deliver.cancelled)),
        ];
        out.counters(
            "bellwire_deliveries_ended",
            "Deliveries that ended, by the state they ended in",
            "state",
            ended,
        )?;
        out.counters(
            "bellwire_attempts_failed",
            "Attempts that failed, by the name of the reason (docs/failures.md)",
            "reason",
            deliver.failed(),
        )?;
        out.counter(
            "bellwire_attempts_retried",
            "Failed attempts that are followed by another",
            read(&deliver.retried),
        )?;
        let (counts, sum) = deliver.latency();
        out.histogram(
            "bellwire_delivery_latency_seconds",
            "Time from the acceptance of a message (or the time it is for) to the answer to its first attempt at an endpoint, when that succeeded",
            &seconds_buckets(&LATENCY_BUCKETS_MS, &counts),
            sum,
        )?;
        out.gauge("bellwire_attempts_in_flight", "Attempts under way", *in_flight as f64)?;
        out.gauge(
            "bellwire_deliveries_in_memory",
            "Deliveries in memory that are due and not begun",
            *in_memory as f64,
        )?;
        out.gauge(
            "bellwire_deliveries_waiting",
            "Deliveries that wait in the store: for a retry, for their time, for their turn, or at a paused endpoint",
            store.waiting as f64,
        )?;
        let age = oldest_due.map_or(0.0, |due| now.since(due).as_secs_f64());
        out.gauge(
            "bellwire_oldest_due_age_seconds",
            "How long the delivery that waits longest has been due, in memory or in the store; paused endpoints do not count",
            age,
        )?;
        out.lanes(figures)?;
        out.gauge("bellwire_endpoints", "Endpoints that there are", *endpoints as f64)?;
        out.gauge(
            "bellwire_http_connections",
            "Open connections to the server",
            *connections as f64,
        )?;
        if let Some(hooks) = hooks {
            out.hooks(*hooks)?;
        }
        out.gauge(
            "bellwire_store_writable",
            "Whether the store can be written: 1 when it can, 0 when not",
            f64::from(u8::from(store.unwritable.is_none())),
        )?;
        out.gauge(
            "bellwire_store_bytes",
            "Size of the store on disk, in bytes",
            store.bytes as f64,
        )?;
        out.histogram(
            "bellwire_store_commit_seconds",
            "Time that each commit of the store took",
            &seconds_buckets(&COMMIT_BUCKETS_MS, &store.commit_buckets),
            store.commit_time.as_secs_f64(),
        )?;
        out.counter(
            "bellwire_store_pauses",
            "How often publishers waited while the store copied its log",
            store.pauses,
        )?;
        out.counter(
            "bellwire_store_pause_seconds",
            "Time that publishers waited while the store copied its log",
            store.pause_time.as_secs_f64(),
        )?;
        if let Some(node) = &store.node {
            out.node(node)?;
        }
        out.counter(
            "bellwire_claims",
            "Readings of deliveries that waited in the store",
            read(&deliver.claims),
        )?;
        out.counter(
            "bellwire_deliveries_claimed",
            "Deliveries that were read from the store to be attempted",
            read(&deliver.claimed),
        )?;
        out.counter(
            "bellwire_deliveries_returned",
            "Deliveries that went from memory back to the store without an attempt",
            read(&deliver.returned),
        )
    }
}

/// The buckets with their upper bounds in seconds; the last one holds everything above.
fn seconds_buckets(bounds_ms: &[u64], counts: &[u64]) -> Vec<(f64, u64)> {
    let bounds = bounds_ms
        .iter()
        .map(|millis| *millis as f64 / 1_000.0)
        .chain([f64::INFINITY]);
    bounds.zip(counts.iter().copied()).collect()
}

impl Out<'_> {
    /// What the hooks file says about itself.
    fn hooks(&mut self, figures: HooksFigures) -> fmt::Result {
        self.gauge(
            "bellwire_hooks",
            "Hooks of the hooks file that are in force",
            figures.hooks as f64,
        )?;
        self.gauge(
            "bellwire_hooks_file_in_force",
            "Whether the hooks file is in force as it is: 1 when it is, 0 when it could not be used and the one before it is",
            f64::from(u8::from(figures.is_in_force)),
        )?;
        let reads = [("applied", figures.applied), ("refused", figures.refused)];
        self.counters(
            "bellwire_hooks_reads",
            "How often the hooks file was read, by what came of it",
            "result",
            reads,
        )
    }

    /// What a server says about itself among those that share its store.
    fn node(&mut self, node: &NodeHealth) -> fmt::Result {
        self.gauge(
            "bellwire_nodes",
            "Servers that share the store, as this one sees it",
            node.nodes as f64,
        )?;
        self.gauge(
            "bellwire_node_shards",
            "Of the 1,024 parts that all endpoints are divided into, those that this server serves",
            node.shards as f64,
        )?;
        self.counter(
            "bellwire_node_takeovers",
            "Servers that were killed, hung or were cut off, and whose endpoints this one freed for the others",
            node.takeovers,
        )?;
        self.gauge(
            "bellwire_node_place_age_seconds",
            "Time since the database last confirmed that this server takes part",
            node.place_age.as_secs_f64(),
        )?;
        self.gauge(
            "bellwire_node_configuration_age_seconds",
            "Time since the database last confirmed that the configuration in force at this server is the newest",
            node.configuration_age.as_secs_f64(),
        )?;
        self.counters(
            "bellwire_node_words",
            "Words between servers, by whether this one said or heard them; it hears its own as well",
            "way",
            [("said", node.said), ("heard", node.heard)],
        )?;
        self.gauge(
            "bellwire_store_connections_in_use",
            "Connections to the database that are in use",
            node.connections_in_use as f64,
        )?;
        self.gauge(
            "bellwire_store_connections_max",
            "Connections to the database that are opened at most",
            node.connections_max as f64,
        )
    }

    /// What the scheduler says about the lanes of endpoints.
    fn lanes(&mut self, figures: &Figures) -> fmt::Result {
        let by_state = LaneState::NAMES.iter().zip(figures.lanes);
        self.gauges(
            "bellwire_lanes",
            "Endpoints with a lane in memory, by its state",
            "state",
            by_state.map(|((name, _), count)| (*name, count as f64)),
        )?;
        self.gauge(
            "bellwire_breakers_open",
            "Endpoints at which nothing but probes is attempted, because they failed too often in a row",
            figures.breakers_open as f64,
        )?;
        self.counter(
            "bellwire_breakers_opened",
            "How often the breaker of an endpoint opened",
            figures.breakers_opened,
        )?;
        self.counter(
            "bellwire_probes",
            "Attempts at endpoints whose breaker was open",
            figures.probes,
        )?;
        self.counter(
            "bellwire_throttled",
            "How often a rate limit of an endpoint or application, or a slow start, made a delivery wait",
            figures.throttled,
        )?;
        self.counter("bellwire_batches", "Batches that were attempted", figures.batches)?;
        self.counter(
            "bellwire_batched_deliveries",
            "Deliveries in batches that were attempted",
            figures.batched,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn page(snapshot: Snapshot) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(snapshot));
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        page
    }

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let deliver = Arc::new(DeliverMetrics::default());
        deliver.attempt_failed("timeout_headers");
        deliver.arrived(Duration::from_millis(30));
        deliver.arrived(Duration::from_secs(3_600));
        deliver.delivered.store(7, Ordering::Relaxed);
        let now = Timestamp::from_secs(1_000);
        let store = StoreHealth {
            unwritable: Some("disk full".to_owned()),
            waiting: 3,
            oldest_due: Some(Timestamp::from_secs(1)),
            bytes: 4_096,
            commits: 5,
            commit_buckets: [0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1],
            commit_time: Duration::from_millis(1_500),
            pauses: 2,
            pause_time: Duration::from_millis(250),
            node: Some(NodeHealth {
                nodes: 3,
                shards: 341,
                takeovers: 1,
                place_age: Duration::from_millis(500),
                configuration_age: Duration::from_millis(125),
                connections_in_use: 4,
                connections_max: 8,
                said: 70,
                heard: 210,
            }),
        };
        let page = page(Snapshot {
            now,
            store,
            endpoints: 2,
            deliver,
            in_flight: 1,
            in_memory: 0,
            oldest_due: Some(Timestamp::from_secs(990)),
            figures: Figures {
                lanes: [9, 2, 0, 0, 1, 0, 0, 0],
                breakers_open: 1,
                probes: 12,
                ..Figures::default()
            },
            connections: 4,
            hooks: Some(HooksFigures {
                hooks: 3,
                is_in_force: false,
                applied: 2,
                refused: 1,
            }),
        });
        for line in [
            "bellwire_deliveries_ended_total{state=\"succeeded\"} 7",
            "bellwire_attempts_failed_total{reason=\"timeout_headers\"} 1",
            "bellwire_delivery_latency_seconds_bucket{le=\"0.05\"} 1",
            "bellwire_delivery_latency_seconds_bucket{le=\"+Inf\"} 2",
            "bellwire_delivery_latency_seconds_count 2",
            "bellwire_oldest_due_age_seconds 10.0",
            "bellwire_deliveries_waiting 3.0",
            "bellwire_store_writable 0.0",
            "bellwire_store_commit_seconds_bucket{le=\"0.002\"} 2",
            "bellwire_store_commit_seconds_bucket{le=\"+Inf\"} 5",
            "bellwire_store_commit_seconds_count 5",
            "bellwire_store_commit_seconds_sum 1.5",
            "bellwire_store_pause_seconds_total 0.25",
            "bellwire_http_connections 4.0",
            "bellwire_hooks 3.0",
            "bellwire_hooks_file_in_force 0.0",
            "bellwire_hooks_reads_total{result=\"refused\"} 1",
            "bellwire_lanes{state=\"idle\"} 9.0",
            "bellwire_lanes{state=\"parked\"} 1.0",
            "bellwire_breakers_open 1.0",
            "bellwire_probes_total 12",
            "bellwire_nodes 3.0",
            "bellwire_node_shards 341.0",
            "bellwire_node_takeovers_total 1",
            "bellwire_node_place_age_seconds 0.5",
            "bellwire_node_configuration_age_seconds 0.125",
            "bellwire_node_words_total{way=\"heard\"} 210",
            "bellwire_store_connections_in_use 4.0",
            "bellwire_store_connections_max 8.0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\nnot in\n{page}");
        }
        assert!(!page.contains("disk full"));
    }

    #[test]
    fn nothing_due_is_no_age() {
        for oldest_due in [None, Some(Timestamp::from_secs(2_000))] {
            let page = page(Snapshot {
                now: Timestamp::from_secs(1_000),
                store: StoreHealth::default(),
                endpoints: 0,
                deliver: Arc::default(),
                in_flight: 0,
                in_memory: 0,
                oldest_due,
                figures: Figures::default(),
                connections: 0,
                hooks: None,
            });
            assert!(page.contains("bellwire_oldest_due_age_seconds 0.0\n"), "{page}");
        }
    }
}
