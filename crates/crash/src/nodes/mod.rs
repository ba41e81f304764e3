//! Several servers on one PostgreSQL, with publishers on all of them: does anything get lost, out of order, or written by one that
//! has no right to any more, when they fail one after the other?
//!
//! Publishing, receiving and the account are those of the ordered run ([`crate::order`]); what explains a repeat is
//! [`crate::faults`]. Every few seconds one server is killed, paused for longer than its lease, severed from the database, or left
//! without an answer from it ([`relay`]). At the end the API must say what arrived, the store must add up, and its tables must not
//! show a delivery that two servers wrote ([`stale`]).

mod cluster;
mod relay;
mod report;
mod stale;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fastrand::Rng;
use tokio::task::JoinSet;

use self::cluster::{Back, Cluster, SCHEMA};
pub(crate) use self::report::Report;
use crate::args::Args;
use crate::faults::{TAKEOVER_US, Woe};
use crate::order::course::Course;
use crate::order::ledger::Said;
use crate::order::plan::{ENDPOINTS, Script};
use crate::order::receive::Receiver;
use crate::order::{audit, publish, set_up};
use crate::payload::Messages;
use crate::violation::Kind;

/// How long an outcome may take to be durable when nothing else is asked for.
const SETTLING: Duration = Duration::from_secs(2);
/// Publishers when nothing else is asked for.
const CONNECTIONS: u32 = 24;
/// Messages a second when nothing else is asked for: enough that every endpoint has something all the time.
const RATE: u32 = 250;
/// A server is paused or cut off for longer than its lease lasts, which is seven seconds.
const LONGER_THAN_A_LEASE: std::ops::Range<u64> = 9_000..12_000;
/// A server that was killed is started again after this: before others have noticed, or after.
const STARTED_AGAIN: std::ops::Range<u64> = 0..9_000;
/// Between two faults.
const CALM: std::ops::Range<u64> = 500..2_500;
/// Without an arrival for this long, what has not arrived is lost.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the silence after the drain is listened to: longer than the last wait of any schedule.
const SILENCE: Duration = Duration::from_millis(2_000);

/// Makes the run; what happened until an error is still told.
///
/// # Errors
/// When its parts cannot be made.
pub(crate) async fn run(args: &Args, seed: u64, scratch: &Path) -> anyhow::Result<Report> {
    let script = Script {
        messages: Messages {
            seed,
            payload_bytes: args.payload_bytes.min(300),
        },
        keys: args.keys,
        publishers: args.connections.unwrap_or(CONNECTIONS),
    };
    let settling = args.settling_ms.map_or(SETTLING, Duration::from_millis);
    let course = Course::new(script, u64::MAX, args.failures, settling);
    course.ledger().runs().started();
    course.ledger().runs().watch_faults(ENDPOINTS.len());
    let mut run = Run {
        receiver: Receiver::bind(&course)?,
        cluster: Cluster::prepare(args, scratch).await?,
        publishers: JoinSet::new(),
        restarted: 0,
        notes: Vec::new(),
        said: Vec::new(),
        course: Arc::clone(&course),
    };
    let went = tokio::select! {
        went = run.go(args, seed) => went,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into).and_then(|()| bail!("interrupted")),
    };
    if let Err(error) = went {
        course.ledger().violation(Kind::Server, format!("{error:#}"));
    }
    let Run {
        cluster,
        notes,
        said,
        restarted,
        ..
    } = run;
    drop(cluster);
    Ok(Report::new(&course, &said, restarted, notes))
}

/// The parts of a run.
struct Run {
    course: Arc<Course>,
    cluster: Cluster,
    receiver: Receiver,
    publishers: JoinSet<()>,
    /// How often a server had to be started again that had not been killed.
    restarted: u64,
    notes: Vec<String>,
    said: Vec<Said>,
}

impl Run {
    async fn go(&mut self, args: &Args, seed: u64) -> anyhow::Result<()> {
        self.cluster.start_first().await?;
        set_up(&self.cluster.node(0)?.server.clone(), &self.receiver).await?;
        self.cluster.start_others().await?;
        let servers = self.cluster.servers();
        self.publishers = publish::start(&self.course, &servers, args.rate.unwrap_or(RATE));
        let mut rng = Rng::with_seed(seed);
        let mut woes: Vec<Woe> = Vec::new();
        for cycle in 1..=args.cycles {
            if woes.is_empty() {
                woes = Woe::ALL.to_vec();
                rng.shuffle(&mut woes);
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(CALM))).await;
            self.cluster.still_run()?;
            let (woe, number) = (woes.pop().unwrap_or(Woe::Killed), rng.usize(..self.cluster.nodes.len()));
            self.befall(woe, number, &mut rng).await?;
            self.tell(cycle, args.cycles);
        }
        self.drain().await;
        self.said = audit::ask(&self.cluster.ready().await?).await?;
        self.finish(args).await
    }

    /// One server fails, comes back, and everything is delivered as before.
    async fn befall(&mut self, woe: Woe, number: usize, rng: &mut Rng) -> anyhow::Result<()> {
        let began_us = self.course.now_us();
        self.fault(|faults| faults.began(woe, number, began_us));
        let lasts = Duration::from_millis(rng.u64(match woe {
            Woe::Killed => STARTED_AGAIN,
            _ => LONGER_THAN_A_LEASE,
        }));
        let node = self.cluster.node(number)?;
        match woe {
            Woe::Killed => node.process.kill()?,
            Woe::Paused => node.process.signal("STOP")?,
            Woe::Severed => node.relay.sever(),
            Woe::Stalled => node.relay.stall(),
        }
        tokio::time::sleep(lasts).await;
        match woe {
            Woe::Killed => node.process.spawn()?,
            Woe::Paused => node.process.signal("CONT")?,
            Woe::Severed | Woe::Stalled => node.relay.mend(),
        }
        let mended_us = self.course.now_us();
        let back = self
            .cluster
            .back(number)
            .await
            .with_context(|| format!("after node {number} was {}", woe.name()))?;
        self.restarted += u64::from(back == Back::Restarted && woe != Woe::Killed);
        self.served_since(mended_us).await;
        let over_us = self.course.now_us();
        self.fault(|faults| faults.over(over_us));
        let silence_us = self
            .course
            .ledger()
            .runs()
            .faults()
            .and_then(|faults| Some(faults.latest()?.silence_us(over_us)));
        if silence_us.is_some_and(|silence_us| silence_us > TAKEOVER_US) {
            let what = format!(
                "node {number} was {} for {} ms: an endpoint was not delivered to for {} ms",
                woe.name(),
                lasts.as_millis(),
                silence_us.unwrap_or(0) / 1_000
            );
            self.course.ledger().violation(Kind::Takeover, what);
        }
        Ok(())
    }

    fn fault(&self, tell: impl FnOnce(&mut crate::faults::Faults)) {
        if let Some(faults) = self.course.ledger().runs().faults() {
            tell(faults);
        }
    }

    /// Waits until something has arrived at every endpoint since then, for as long as a takeover may take.
    async fn served_since(&self, since_us: u64) {
        loop {
            let now_us = self.course.now_us();
            let is_served = self
                .course
                .ledger()
                .runs()
                .faults()
                .is_none_or(|faults| faults.latest().is_none_or(|fault| fault.is_served_since(since_us)));
            if is_served || now_us > since_us + TAKEOVER_US + 1_000_000 {
                return;
            }
            self.course.answering.grow(1, Duration::from_millis(100)).await;
        }
    }

    /// A line on how it goes.
    fn tell(&self, cycle: u32, cycles: u32) {
        let mut ledger = self.course.ledger();
        let (totals, outstanding) = (ledger.totals(), ledger.outstanding());
        let fault = ledger.runs().faults().and_then(|faults| faults.latest().cloned());
        let state = match ledger.violations().is_empty() {
            true => "no violation".to_owned(),
            false => format!("violations {:?}", ledger.violations().counts()),
        };
        let fault = fault.map_or_else(String::new, |fault| {
            format!(
                "node {} {}, silence {} ms, {} repeated",
                fault.node,
                fault.woe.name(),
                fault.silence_us(self.course.now_us()) / 1_000,
                fault.repeated
            )
        });
        eprintln!(
            "fault {cycle}/{cycles} after {:.0} s: {fault}; {} acknowledged, {} in order, {outstanding} on their way, {state}",
            self.course.elapsed().as_secs_f64(),
            totals.acknowledged,
            totals.ordered,
        );
    }

    /// Publishers come to their end, and everything promised arrives, or does not.
    async fn drain(&mut self) {
        self.course.enough.store(true, Relaxed);
        let finished = async { while self.publishers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, finished).await.is_err() {
            let what = format!("a message with a key is still not acknowledged after {PATIENCE:?}");
            self.course.ledger().violation(Kind::Answer, what);
            self.publishers.shutdown().await;
        }
        let mut seen = (0, Instant::now());
        while seen.1.elapsed() < PATIENCE {
            let (tries, outstanding) = {
                let ledger = self.course.ledger();
                (ledger.totals().tries, ledger.outstanding())
            };
            if tries > seen.0 {
                seen = (tries, Instant::now());
            } else if outstanding == 0 && seen.1.elapsed() > SILENCE {
                break;
            }
            self.course.answering.grow(1, Duration::from_millis(100)).await;
        }
    }

    /// All stop in good order, the store adds up and shows no stale write, and a further start sends nothing.
    async fn finish(&mut self, args: &Args) -> anyhow::Result<()> {
        let took = self.cluster.stop().await?;
        self.notes
            .push(format!("SIGTERM: all exit 0, the last after {} ms", took.as_millis()));
        let checked = self.cluster.node(0)?.process.check_says()?;
        self.notes.push(format!("bellwire check: {checked}"));
        let (programs, folder) = (args.postgres_programs.as_deref(), args.postgres.as_deref());
        let (programs, folder) = programs.zip(folder).context("there is no PostgreSQL to ask")?;
        let written_twice = stale::find(programs, folder, SCHEMA)?;
        if !written_twice.is_empty() {
            self.course.ledger().violation(Kind::Stale, stale::told(&written_twice));
        }
        let before = self.course.ledger().totals().tries;
        self.cluster.start_first().await?;
        self.course.answering.grow(1, Duration::from_secs(1)).await;
        self.cluster.stop().await?;
        let sent = self.course.ledger().totals().tries - before;
        ensure!(sent == 0, "a further start sent {sent} deliveries again");
        self.notes.push("a further start: nothing was sent again".to_owned());
        Ok(())
    }
}
