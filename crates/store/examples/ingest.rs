//! How fast the embedded store accepts and settles: no HTTP, no signatures, only the store.
//!
//! `cargo run --release -p bellwire-store --example ingest -- [fan-out] [seconds] [publishers] [apps] [keys]`
//!
//! With `keys`, each endpoint keeps order by so many ordering keys; without, none.
//!
//! Prints deliveries per second, the publishers' latency and CPU time per delivery. The folder is made in the present
//! directory, so that it is that disk which is measured.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bellwire_core::{
    attempt::Outcome,
    delivery::{DeliveryKey, Work},
    id::{AppId, EndpointId, Id},
    message::{NewMessage, Route},
    order::Line,
    seal::{Keyring, MainSecret},
    time::Timestamp,
};
use bellwire_store::{
    ClaimRequest, Clock, Handoff, LaneHead, Settlement, Store, SystemClock, Verdict,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};

/// So many deliveries may be unsettled before publishers wait.
const BACKLOG_MAX: u64 = 20_000;

struct ToChannel {
    sender: mpsc::UnboundedSender<Vec<Work>>,
    stored: mpsc::UnboundedSender<EndpointId>,
    backlog: Arc<AtomicU64>,
}

impl Handoff for ToChannel {
    fn fresh(&self, work: Vec<Work>) {
        self.backlog.fetch_add(work.len() as u64, Ordering::Relaxed);
        let _ = self.sender.send(work);
    }

    fn stored(&self, head: LaneHead) {
        let _ = self.stored.send(head.endpoint);
    }

    fn waiting(&self, _: &[(EndpointId, u64)]) {}
}

struct Load {
    fan_out: u64,
    seconds: u64,
    publishers: u64,
    apps: u64,
    keys: u64,
}

impl Load {
    fn from_args() -> Self {
        let mut numbers = std::env::args().skip(1).map(|text| text.parse().unwrap_or(1));
        let mut next = |default| numbers.next().unwrap_or(default);
        Self {
            fan_out: next(1),
            seconds: next(5),
            publishers: next(64),
            apps: next(1),
            keys: next(0),
        }
    }

    fn message(&self, n: u64, payload: &Bytes) -> NewMessage {
        let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let app = random % self.apps;
        let line = (self.keys > 0).then(|| Line {
            key: format!("customer-{}", (random >> 32) % self.keys).into(),
            era: 1,
        });
        NewMessage {
            app: AppId::from_number(app + 1),
            event_type: "invoice.paid".to_owned(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: line.as_ref().map(|line| line.key.to_string()),
            payload: payload.clone(),
            payload_expires_at: SystemClock.now().plus(Duration::from_secs(90 * 86_400)),
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            routes: (0..self.fan_out)
                .map(|endpoint| Route {
                    endpoint: EndpointId::from_number(app * 100 + endpoint + 1),
                    stored: false,
                    line: line.clone(),
                })
                .collect(),
            idempotency: None,
        }
    }
}

fn settlement(work: &Work, at: Timestamp) -> Settlement {
    Settlement {
        key: DeliveryKey {
            message: work.message.id,
            endpoint: work.endpoint,
        },
        app: work.message.app,
        lease: work.lease,
        progress: work.progress,
        attempt_id: None,
        outcome: Some(Outcome {
            started_at: at,
            duration: Duration::from_millis(3),
            url: "https://example.com/webhooks/in".to_owned(),
            status_code: 200,
            failure: None,
            response: Bytes::from_static(b"ok"),
            response_headers: Vec::new(),
            signature: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=".to_owned(),
            retry_after: None,
        }),
        verdict: Verdict::Succeeded,
        health: None,
        notices: Vec::new(),
    }
}

/// Claims for whom something came to wait, and hands it to the settlers.
async fn claim_what_waits(
    store: Arc<dyn Store>,
    mut heads: mpsc::UnboundedReceiver<EndpointId>,
    sender: mpsc::UnboundedSender<Vec<Work>>,
    backlog: Arc<AtomicU64>,
) {
    while let Some(first) = heads.recv().await {
        let mut endpoints = HashSet::from([first]);
        while let Ok(more) = heads.try_recv() {
            endpoints.insert(more);
        }
        for endpoint in endpoints {
            let request = ClaimRequest {
                endpoint,
                now: SystemClock.now(),
                limit: 1_024,
            };
            let Ok(claimed) = store.claim(request).await else {
                return;
            };
            backlog.fetch_add(claimed.work.len() as u64, Ordering::Relaxed);
            let _ = sender.send(claimed.work);
        }
    }
}

/// CPU time of this process so far; the kernel counts in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let load = Arc::new(Load::from_args());
    let folder = tempfile::tempdir_in(".")?;
    let vault = Vault::new(Keyring::new(MainSecret::from_bytes([1; 32])?));
    let url = format!("sqlite:{}", folder.path().display());
    let store = backends::open(&url, OpenOptions::new(Arc::new(SystemClock), vault)).await?;

    let (sender, mut handed) = mpsc::unbounded_channel::<Vec<Work>>();
    let backlog = Arc::new(AtomicU64::new(0));
    let (stored, heads) = mpsc::unbounded_channel();
    store.attach(Arc::new(ToChannel {
        sender: sender.clone(),
        stored,
        backlog: Arc::clone(&backlog),
    }));
    let mut claimers = JoinSet::new();
    claimers.spawn(claim_what_waits(
        Arc::clone(&store),
        heads,
        sender,
        Arc::clone(&backlog),
    ));
    let settled = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));

    let mut settlers = JoinSet::new();
    {
        let (store, settled, backlog) = (Arc::clone(&store), Arc::clone(&settled), Arc::clone(&backlog));
        settlers.spawn(async move {
            let mut under_way = JoinSet::new();
            while let Some(mut work) = handed.recv().await {
                while work.len() < 1_024
                    && let Ok(more) = handed.try_recv()
                {
                    work.extend(more);
                }
                let now = SystemClock.now();
                let batch: Vec<_> = work.iter().map(|work| settlement(work, now)).collect();
                while under_way.len() >= 16 {
                    under_way.join_next().await;
                }
                let (store, settled, backlog) = (Arc::clone(&store), Arc::clone(&settled), Arc::clone(&backlog));
                under_way.spawn(async move {
                    let count = batch.len() as u64;
                    if store.settle(Arc::new(batch)).await.is_ok() {
                        settled.fetch_add(count, Ordering::Relaxed);
                        backlog.fetch_sub(count, Ordering::Relaxed);
                    }
                });
            }
        });
    }

    let payload = Bytes::from(format!("{{\"data\":\"{}\"}}", "x".repeat(1_000)));
    let (begun, cpu_before) = (Instant::now(), cpu_time());
    let mut publishers = JoinSet::new();
    for publisher in 0..load.publishers {
        let (store, load, payload) = (Arc::clone(&store), Arc::clone(&load), payload.clone());
        let (over, backlog) = (Arc::clone(&over), Arc::clone(&backlog));
        publishers.spawn(async move {
            let mut waits = Vec::new();
            let mut n = publisher << 32;
            while !over.load(Ordering::Relaxed) {
                if backlog.load(Ordering::Relaxed) > BACKLOG_MAX {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                n += 1;
                let asked = Instant::now();
                if store.append(load.message(n, &payload)).await.is_ok() {
                    waits.push(asked.elapsed());
                }
            }
            waits
        });
    }
    tokio::time::sleep(Duration::from_secs(load.seconds)).await;
    let (deliveries, took, cpu) = (
        settled.load(Ordering::Relaxed),
        begun.elapsed(),
        cpu_time() - cpu_before,
    );
    over.store(true, Ordering::Relaxed);
    let mut waits: Vec<Duration> = publishers.join_all().await.into_iter().flatten().collect();
    waits.sort_unstable();
    let quantile = |of_thousand: usize| {
        waits
            .get(waits.len() * of_thousand / 1_000)
            .copied()
            .unwrap_or_default()
    };
    let health = store.health().await;
    println!(
        "fan-out {}, {} publishers, {} apps: {:.0} deliveries/s, {:.1} µs CPU each; publishing p50 {:?} p99 {:?} max {:?}; \
         {:.0} commits/s of {:?}; {} MB on disk",
        load.fan_out,
        load.publishers,
        load.apps,
        deliveries as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / deliveries as f64,
        quantile(500),
        quantile(990),
        waits.last().copied().unwrap_or_default(),
        health.commits as f64 / took.as_secs_f64(),
        health.commit_time / u32::try_from(health.commits.max(1))?,
        health.bytes >> 20,
    );
    store.close().await;
    Ok(())
}
