//! One round's stage: a server (fresh, or the target), applications with their endpoints, and readings of CPU and memory.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;

use super::Context;
use crate::api::Api;
use crate::mark::Template;
use crate::process::{self, CpuPer1000, Usage};
use crate::publish::{Extent, Pace, Publisher, Run, Target};
use crate::report::Figures;
use crate::server::ServerProcess;
use crate::sink::{Account, Sink, Window};

/// What an event is called.
const EVENT_TYPE: &str = "invoice.paid";
/// After the last arrival the server still has outcomes to write; they are part of the deliveries' cost.
const SETTLING: Duration = Duration::from_millis(250);

/// The server under test.
pub(super) struct Stage<'a> {
    context: &'a Context<'a>,
    server: Option<ServerProcess>,
    pub(super) api: Api,
    apps: Vec<String>,
    pub(super) idle: Option<Usage>,
}

/// A reading at the beginning of a measurement.
pub(super) struct Reading {
    server: Option<Usage>,
    bench_cpu_s: Option<f64>,
}

/// What a measured run left behind.
pub(super) struct Measured {
    pub(super) run: Run,
    pub(super) account: Account,
    pub(super) window: Window,
}

impl<'a> Stage<'a> {
    /// Starts a server, or takes the target.
    pub(super) async fn open(context: &'a Context<'a>) -> anyhow::Result<Self> {
        let (server, api) = match &context.args.target {
            Some(url) => (
                None,
                Api::new(url, context.args.token.as_deref().unwrap_or_default()).await?,
            ),
            None => {
                let mut server = ServerProcess::prepare(context.launch.clone())?;
                let url = server.start().await?;
                let api = Api::new(&url, server.token()).await?;
                (Some(server), api)
            }
        };
        let mut stage = Self {
            context,
            server,
            api,
            apps: Vec::new(),
            idle: None,
        };
        stage.idle = stage.usage();
        Ok(stage)
    }

    /// Makes an application whose endpoints are the sink's lanes.
    pub(super) async fn app(&mut self, sink: &Sink) -> anyhow::Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let urls: Vec<String> = (0..sink.ledger().lanes()).map(|lane| sink.url(lane)).collect();
        self.api.set_up(&name, &urls).await?;
        self.apps.push(name.clone());
        Ok(name)
    }

    /// Opens connections that publish to `app`, whose messages go to `sink`.
    pub(super) async fn publisher(&self, app: &str, sink: &Sink, connections: usize) -> anyhow::Result<Publisher> {
        let target = Target {
            address: self.api.address,
            uri: self.api.publish_path(app).parse()?,
            headers: self.api.headers().clone(),
            template: Template::message(EVENT_TYPE, self.context.args.payload_bytes),
        };
        Publisher::connect(target, connections, sink.ledger().clone(), self.context.clock).await
    }

    /// CPU and memory of the server so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        match &self.server {
            Some(server) => process::usage(&[server.pid()?]),
            None if self.context.args.pid.is_empty() => None,
            None => process::usage(&self.context.args.pid),
        }
    }

    /// Whether the server is ours to stop and start.
    pub(super) fn own_server(&mut self) -> Option<&mut ServerProcess> {
        self.server.as_mut()
    }

    pub(super) fn read(&self) -> Reading {
        Reading {
            server: self.usage(),
            bench_cpu_s: process::own_cpu_s(),
        }
    }

    /// Lets the server settle, then writes CPU and memory since `before` into `figures`, whose deliveries must stand already.
    pub(super) async fn finish(&self, before: &Reading, figures: &mut Figures) {
        tokio::time::sleep(SETTLING).await;
        let after = self.read();
        figures.cpu_s_per_1000 = cpu(before, &after, figures.deliveries);
        figures.rss_idle_mib = self.idle.map(|usage| usage.rss_mib);
        figures.rss_mib = after.server.map(|usage| usage.rss_mib);
        figures.rss_peak_mib = after.server.map(|usage| usage.rss_peak_mib);
    }

    /// Stops a server of ours; removes what was made on a target.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        match &mut self.server {
            Some(server) => server.stop().await.map(|_| ()),
            None => {
                for app in &self.apps {
                    self.api
                        .tear_down(app)
                        .await
                        .context("cannot remove what the benchmark made")?;
                }
                Ok(())
            }
        }
    }
}

impl Reading {
    /// Of the bench alone.
    pub(super) fn bench() -> Self {
        Self {
            server: None,
            bench_cpu_s: process::own_cpu_s(),
        }
    }
}

/// CPU per 1,000 deliveries between two readings.
pub(super) fn cpu(before: &Reading, after: &Reading, deliveries: u64) -> CpuPer1000 {
    let per_1000 = |seconds: f64| (deliveries > 0).then(|| seconds.max(0.0) * 1_000.0 / deliveries as f64);
    let difference = |before: Option<f64>, after: Option<f64>| per_1000(after? - before?);
    let server = difference(
        before.server.map(|usage| usage.cpu_s),
        after.server.map(|usage| usage.cpu_s),
    );
    let bench = difference(before.bench_cpu_s, after.bench_cpu_s);
    CpuPer1000 {
        server,
        bench,
        total: server.zip(bench).map(|(server, bench)| server + bench),
    }
}

/// Publishes and waits until everything has arrived, or the time for it is over.
pub(super) async fn measure(
    context: &Context<'_>,
    publisher: &mut Publisher,
    sink: &Sink,
    pace: Pace,
    extent: Extent,
) -> anyhow::Result<Measured> {
    sink.begin_window(sink.ledger().seq_end());
    let run = publisher.run(pace, extent).await?;
    let limit = context.drain_limit();
    let account = sink.drain(run.first_seq..run.end_seq, limit, limit).await;
    Ok(Measured {
        run,
        account,
        window: sink.window(),
    })
}

/// The figures that every scenario has.
pub(super) fn figures(measured: &Measured) -> Figures {
    let Measured { run, account, window } = measured;
    let mut notes = Vec::new();
    if let Some(error) = run.last_error.as_ref().filter(|_| run.errors + run.refused > 0) {
        notes.push(format!(
            "not every publish was acknowledged; the last answer was: {error}"
        ));
    }
    if account.missing > 0 {
        notes.push("acknowledged messages are missing after the time allowed".to_owned());
    }
    let seconds = crate::clock::us_to_seconds(window.last_us.saturating_sub(run.started_us));
    Figures {
        published: run.acknowledged,
        publishes_per_s: run.per_second(),
        deliveries: account.arrived,
        deliveries_per_s: (seconds > 0.0).then(|| account.arrived as f64 / seconds),
        ack_ms: run.ack.percentiles(),
        arrival_ms: window.latency.percentiles(),
        missing: Some(account.missing),
        duplicates: account.duplicates,
        refused: run.refused,
        errors: run.errors,
        notes,
        ..Figures::default()
    }
}
