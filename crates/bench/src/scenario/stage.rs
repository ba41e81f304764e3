//! One round's stage: a server (fresh, or the target), applications with their endpoints, and readings of CPU and memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::Context;
use crate::api::Api;
use crate::mark::Template;
use crate::process::{self, CpuPer1000, Usage};
use crate::publish::{Extent, Pace, Publisher, Run, Slot, Target, Turns};
use crate::report::Figures;
use crate::server::ServerProcess;
use crate::sink::{Account, Sink, Window};

/// What an event is called.
const EVENT_TYPE: &str = "invoice.paid";
/// After the last arrival the server still has outcomes to write; they are part of the deliveries' cost.
const SETTLING: Duration = Duration::from_millis(250);

/// A setting of a server that is started for a scenario: its name in the configuration file, and its value.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Setting {
    /// How long an attempt may take.
    pub(super) fn attempt_timeout(time: Duration) -> Self {
        Self {
            name: "timeouts.attempt",
            value: format!("{}ms", time.as_millis()),
        }
    }
}

/// The server under test.
pub(super) struct Stage<'a> {
    context: &'a Context<'a>,
    server: Option<ServerProcess>,
    /// Further servers on the same store, and where they listen.
    others: Vec<(ServerProcess, SocketAddr)>,
    pub(super) api: Api,
    apps: Vec<String>,
    sources: Vec<String>,
    pub(super) idle: Option<Usage>,
}

/// A reading at the beginning of a measurement.
pub(super) struct Reading {
    server: Option<Usage>,
    database: Option<Usage>,
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
        Self::open_with(context, &[]).await
    }

    /// Starts a server with further settings (those it knows), or takes the target as it is.
    pub(super) async fn open_with(context: &'a Context<'a>, settings: &[Setting]) -> anyhow::Result<Self> {
        let mut others = Vec::new();
        let (server, api) = match &context.args.target {
            Some(url) => (
                None,
                Api::new(url, context.args.token.as_deref().unwrap_or_default()).await?,
            ),
            None => {
                let mut launch = context.launch.clone();
                launch.env.extend(context.store_of_its_own());
                let mut server = ServerProcess::prepare(launch.clone())?;
                configure(&mut server, settings);
                let url = server.start().await?;
                let api = Api::new(&url, server.token()).await?;
                for _ in 1..context.args.nodes {
                    let mut other = ServerProcess::prepare(launch.clone())?.beside(&server);
                    configure(&mut other, settings);
                    let url = other.start().await?;
                    let address = Api::new(&url, other.token()).await?.address;
                    others.push((other, address));
                }
                (Some(server), api)
            }
        };
        let mut stage = Self {
            context,
            server,
            others,
            api,
            apps: Vec::new(),
            sources: Vec::new(),
            idle: None,
        };
        stage.idle = stage.usage();
        Ok(stage)
    }

    /// Makes an application whose endpoints are the sink's lanes.
    pub(super) async fn app(&mut self, sink: &Sink) -> anyhow::Result<String> {
        let name = self.empty_app().await?;
        let endpoints = (0..sink.ledger().lanes()).map(|lane| json!({"url": sink.url(lane)}));
        self.api.make_endpoints(&name, endpoints).await?;
        Ok(name)
    }

    /// Makes a source whose webhooks are signed with this secret.
    pub(super) async fn source(&mut self, secret: &str) -> anyhow::Result<String> {
        let name = new_name();
        self.api.make_source(&name, secret).await?;
        self.sources.push(name.clone());
        Ok(name)
    }

    /// Makes an application without endpoints.
    pub(super) async fn empty_app(&mut self) -> anyhow::Result<String> {
        let name = new_name();
        self.api.make_app(&name).await?;
        self.apps.push(name.clone());
        Ok(name)
    }

    /// Makes `count` of them.
    pub(super) async fn empty_apps(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(self.empty_app().await?);
        }
        Ok(names)
    }

    /// Opens connections that publish to `app`, whose messages go to `sink`.
    pub(super) async fn publisher(&self, app: &str, sink: &Sink, connections: usize) -> anyhow::Result<Publisher> {
        let target = Target {
            addresses: self.addresses(),
            headers: self.api.headers().clone(),
            slots: vec![self.slot(app, "")?],
            turns: Turns::Any,
        };
        Publisher::connect(target, connections, sink.ledger().clone(), self.context.clock).await
    }

    /// What is posted to `app`, with further members of the message (JSON text that ends with a comma).
    pub(super) fn slot(&self, app: &str, members: &str) -> anyhow::Result<Slot> {
        Ok(Slot {
            uri: self.api.publish_path(app).parse()?,
            template: Template::message_with(EVENT_TYPE, members, self.context.args.payload_bytes),
            id: None,
        })
    }

    /// Where every server listens.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let others = self.others.iter().map(|(_, address)| *address);
        std::iter::once(self.api.address).chain(others).collect()
    }

    /// CPU and memory of the servers so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        match &self.server {
            Some(server) => {
                let others = self.others.iter().filter_map(|(other, _)| other.pid());
                let pids: Vec<u32> = std::iter::once(server.pid()?).chain(others).collect();
                process::usage(&pids)
            }
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
            database: self.context.database_pid().and_then(|pid| process::usage(&[pid])),
            bench_cpu_s: process::own_cpu_s(),
        }
    }

    /// Lets the server settle, then writes CPU and memory since `before` into `figures`, whose deliveries must stand already.
    pub(super) async fn finish(&self, before: &Reading, figures: &mut Figures) {
        tokio::time::sleep(SETTLING).await;
        let after = self.read();
        // Where nothing is delivered, what was accepted is what the time went into.
        let done = match figures.deliveries {
            0 => figures.published,
            deliveries => deliveries,
        };
        figures.cpu_s_per_1000 = cpu(before, &after, done);
        figures.rss_idle_mib = self.idle.map(|usage| usage.rss_mib);
        figures.rss_mib = after.server.map(|usage| usage.rss_mib);
        figures.rss_peak_mib = after.server.map(|usage| usage.rss_peak_mib);
    }

    /// The same without asking: for scenarios that leave receivers hanging, where a stop would wait for them.
    pub(super) async fn discard(mut self) -> anyhow::Result<()> {
        for (other, _) in &mut self.others {
            other.kill()?;
        }
        match &mut self.server {
            Some(server) => server.kill(),
            None => self.close().await,
        }
    }

    /// Stops a server of ours; removes what was made on a target.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        for (other, _) in &mut self.others {
            other.stop().await?;
        }
        match &mut self.server {
            Some(server) => server.stop().await.map(|_| ()),
            None => {
                for source in &self.sources {
                    self.api
                        .remove_source(source)
                        .await
                        .context("cannot remove what the benchmark made")?;
                }
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

/// A name that nothing on a target has yet.
fn new_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

impl Reading {
    /// Of the bench alone.
    pub(super) fn bench() -> Self {
        Self::of(None)
    }

    /// Of the bench and a server.
    pub(super) fn of(server: Option<Usage>) -> Self {
        Self {
            server,
            database: None,
            bench_cpu_s: process::own_cpu_s(),
        }
    }
}

fn configure(server: &mut ServerProcess, settings: &[Setting]) {
    for setting in settings {
        if server.knows(setting.name) {
            let variable = format!("BELLWIRE_{}", setting.name.replace('.', "_").to_uppercase());
            server.add_env(&variable, setting.value.clone());
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
    let database = difference(
        before.database.map(|usage| usage.cpu_s),
        after.database.map(|usage| usage.cpu_s),
    );
    let bench = difference(before.bench_cpu_s, after.bench_cpu_s);
    CpuPer1000 {
        server,
        database,
        bench,
        total: server
            .zip(bench)
            .map(|(server, bench)| server + database.unwrap_or(0.0) + bench),
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
