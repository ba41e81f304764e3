//! Several servers on one PostgreSQL, each with a way of its own to it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::relay::Relay;
use crate::args::Args;
use crate::client::Server;
use crate::process::Process;

/// The schema they share.
pub(crate) const SCHEMA: &str = "crash";
/// What they share and is no secret.
const MAIN_SECRET: &str = "a-main-secret-of-a-crash-program-and-no-secret-at-all";
/// How long a server may take to be ready again by itself, after what befell it is over.
const AGAIN: Duration = Duration::from_secs(15);
/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// One server.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) server: Server,
    pub(crate) relay: Relay,
}

/// All of them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// Only one is active at a time; the others listen when they have taken over.
    stands_by: bool,
}

/// How a server came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// It went on by itself.
    ByItself,
    /// It had ended, or stayed unready: it was started again, as a service manager would.
    Restarted,
    /// It stands by.
    StandsBy,
}

impl Cluster {
    /// Makes them; none runs.
    pub(crate) async fn prepare(args: &Args, scratch: &Path) -> anyhow::Result<Self> {
        let socket = args.postgres.as_deref().context("the scenario needs --postgres")?;
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..args.nodes {
            let relay = Relay::to(socket).await?;
            let (data, log) = (format!("node-{number}"), format!("node-{number}.log"));
            let mut process = Process::prepare(&args.binary, scratch.join(data), scratch.join(log))?;
            if let Some(first) = nodes.first() {
                process = process.beside(&first.process);
            }
            let mut url = format!(
                "postgres://bellwire@{}/postgres?sslmode=disable&schema={SCHEMA}",
                relay.address()
            );
            for parameter in &args.store_parameter {
                url = format!("{url}&{parameter}");
            }
            process.set_env("BELLWIRE_STORE", &url);
            process.set_env("BELLWIRE_MAIN_SECRET", MAIN_SECRET);
            let server = process.client()?;
            nodes.push(Node { process, server, relay });
        }
        Ok(Self {
            nodes,
            stands_by: args.store_parameter.iter().any(|parameter| parameter == "standby=true"),
        })
    }

    /// Starts the first, and waits until it is ready.
    pub(crate) async fn start_first(&mut self) -> anyhow::Result<Duration> {
        let first = self.node(0)?;
        first.process.spawn()?;
        first.process.ready().await
    }

    /// Starts the others, and waits until they are ready, or stand by.
    pub(crate) async fn start_others(&mut self) -> anyhow::Result<()> {
        for number in 1..self.nodes.len() {
            self.node(number)?.process.spawn()?;
        }
        for number in 1..self.nodes.len() {
            self.back(number).await?;
        }
        Ok(())
    }

    /// One of them.
    pub(crate) fn node(&mut self, number: usize) -> anyhow::Result<&mut Node> {
        self.nodes.get_mut(number).context("there is no such server")
    }

    /// Where all of them are.
    pub(crate) fn servers(&self) -> Vec<Server> {
        self.nodes.iter().map(|node| node.server.clone()).collect()
    }

    /// One that is ready.
    pub(crate) async fn ready(&self) -> anyhow::Result<Server> {
        for node in &self.nodes {
            if is_ready(&node.server).await {
                return Ok(node.server.clone());
            }
        }
        bail!("none of the servers is ready")
    }

    /// Waits until a server is back that failed, and starts it again when it does not come by itself.
    ///
    /// # Errors
    /// When it does not come back.
    pub(crate) async fn back(&mut self, number: usize) -> anyhow::Result<Back> {
        let stands_by = self.stands_by;
        let node = self.node(number)?;
        let (mut how, mut began) = (Back::ByItself, Instant::now());
        loop {
            if is_ready(&node.server).await {
                return Ok(how);
            }
            let has_ended = node.process.runs() && node.process.ended()?.is_some();
            let is_late = began.elapsed() > AGAIN && !stands_by;
            if how == Back::ByItself && (has_ended || is_late) {
                if node.process.runs() {
                    node.process.kill()?;
                }
                node.process.spawn()?;
                (how, began) = (Back::Restarted, Instant::now());
            } else if has_ended {
                bail!("node {number} ended again; its log ends:\n{}", node.process.log_tail());
            } else if stands_by && began.elapsed() > Duration::from_secs(3) {
                return Ok(Back::StandsBy);
            } else if began.elapsed() > START {
                bail!("node {number} is not ready; its log ends:\n{}", node.process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// That none has ended by itself.
    pub(crate) fn still_run(&mut self) -> anyhow::Result<()> {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.process.still_runs().with_context(|| format!("node {number}"))?;
        }
        Ok(())
    }

    /// Stops all of them by SIGTERM; answers how long the longest took.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<Duration> {
        let mut longest = Duration::ZERO;
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if node.process.runs() {
                let took = node.process.stop().await.with_context(|| format!("node {number}"))?;
                longest = longest.max(took);
            }
        }
        Ok(longest)
    }
}

async fn is_ready(server: &Server) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(2), server.readiness()).await;
    asked.is_ok_and(|status| status.is_some_and(|status| status.is_success()))
}
