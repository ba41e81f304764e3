//! The ordered run: is the order of a line kept when receivers fail at random and the server is killed and stopped?
//!
//! [`plan`] says what is published and who wants it, [`publish`] publishes it, [`receive`] fails a part of the tries
//! ([`fault`]) and enters all of them into the account ([`ledger`]), which judges each [`line`]. At the end the API is asked
//! ([`audit`]), and must say what arrived.

pub(crate) mod audit;
pub(crate) mod course;
mod fault;
pub(crate) mod ledger;
mod line;
pub(crate) mod plan;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::course::Course;
use self::ledger::Said;
use self::plan::{ENDPOINTS, Endpoint, Order, Script};
use self::receive::Receiver;
use crate::args::Args;
use crate::client::{APP, Server};
use crate::kill::Starts;
use crate::moment::Moment;
use crate::payload::Messages;
use crate::process::Process;
use crate::violation::Kind;

pub(crate) use self::report::Report;

/// How long one attempt may take. Far longer than any answer but a hang.
const TIMEOUT_MS: u64 = 5_000;
/// How long an outcome may take to be durable when nothing else is asked for. The server is kept as busy as it can be, and the
/// rules of lines allow the newest number alone to be repeated.
const SETTLING: Duration = Duration::from_secs(2);
/// Publishers when nothing else is asked for: enough that deliveries come to wait in lines.
const CONNECTIONS: u32 = 64;
/// Without an arrival for this long, what has not arrived is lost.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the silence after the drain is listened to: longer than the last wait of any schedule.
const SILENCE: Duration = Duration::from_millis(2_000);
/// How often a line says how it goes.
const PROGRESS: Duration = Duration::from_secs(10);

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
    let course = Course::new(script, args.deliveries, args.failures, settling);
    let process = Process::prepare(&args.binary, scratch.join("data"), scratch.join("server.log"))?;
    let mut rig = Rig {
        receiver: Receiver::bind(&course)?,
        server: process.client()?,
        process,
        publishers: JoinSet::new(),
        starts: Starts::default(),
        notes: Vec::new(),
        said: Vec::new(),
        told: Instant::now(),
        course: Arc::clone(&course),
    };
    let went = tokio::select! {
        went = rig.go(args, seed) => went,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into).and_then(|()| bail!("interrupted")),
    };
    if let Err(error) = went {
        course.ledger().violation(Kind::Server, format!("{error:#}"));
    }
    let Rig {
        process,
        starts,
        notes,
        said,
        ..
    } = rig;
    drop(process);
    let closed = course.ledger().close(&said);
    Ok(Report::new(&course, closed, starts.summary(), notes))
}

/// The parts of a run.
struct Rig {
    course: Arc<Course>,
    process: Process,
    receiver: Receiver,
    server: Server,
    publishers: JoinSet<()>,
    starts: Starts,
    notes: Vec<String>,
    said: Vec<Said>,
    /// When it was last told how it goes.
    told: Instant,
}

impl Rig {
    async fn go(&mut self, args: &Args, seed: u64) -> anyhow::Result<()> {
        self.start().await?;
        set_up(&self.server, &self.receiver).await?;
        self.publishers = publish::start(&self.course, std::slice::from_ref(&self.server), args.rate.unwrap_or(0));
        let mut rng = Rng::with_seed(seed);
        for cycle in 1..=args.cycles {
            // The cycles are spread over the deliveries, so that every part of the run has its interruptions.
            let due = args.deliveries * u64::from(cycle) / u64::from(args.cycles + 1);
            self.progress(due).await?;
            let moment = Moment::draw(&mut rng);
            moment.come(&self.course.publishing, &self.course.answering).await;
            // Every fourth end is one in good order.
            if rng.u8(0..4) == 0 {
                self.stop().await?;
            } else {
                self.kill(moment).await?;
            }
            self.start().await?;
        }
        self.drain().await?;
        self.audit().await?;
        self.finish().await
    }

    /// Starts the server and waits until it is ready.
    async fn start(&mut self) -> anyhow::Result<()> {
        self.course.ledger().runs().started();
        self.process.spawn()?;
        self.starts.took.push(self.process.ready().await?);
        Ok(())
    }

    /// Kills the server, and waits until what it had sent has been read; and kills a start or two, where that is intended.
    async fn kill(&mut self, moment: Moment) -> anyhow::Result<()> {
        let parts = match moment {
            Moment::Start { parts, .. } => parts.to_vec(),
            _ => Vec::new(),
        };
        self.kill_now(moment).await?;
        for part in parts {
            let (began, after) = (Instant::now(), self.starts.median().mul_f32(part));
            self.course.ledger().runs().started();
            self.process.spawn()?;
            tokio::time::sleep(after.saturating_sub(began.elapsed())).await;
            self.kill_now(moment).await?;
        }
        Ok(())
    }

    async fn kill_now(&mut self, moment: Moment) -> anyhow::Result<()> {
        let now_us = self.course.now_us();
        self.course.ledger().runs().killed(now_us, moment.phase());
        self.process.kill()?;
        self.receiver.port.quiet().await;
        Ok(())
    }

    /// Stops the server by SIGTERM.
    async fn stop(&mut self) -> anyhow::Result<Duration> {
        let stopped = self.process.stop().await;
        self.course.ledger().runs().stopped();
        self.receiver.port.quiet().await;
        stopped
    }

    /// Waits until so many deliveries in lines have ended.
    async fn progress(&mut self, due: u64) -> anyhow::Result<()> {
        let mut seen = (0, Instant::now());
        loop {
            if self.told.elapsed() > PROGRESS {
                self.told = Instant::now();
                self.tell();
            }
            let totals = self.course.ledger().totals();
            if totals.ordered_done >= due {
                return Ok(());
            }
            if totals.ordered_done > seen.0 {
                seen = (totals.ordered_done, Instant::now());
            }
            ensure!(
                seen.1.elapsed() < PATIENCE,
                "nothing was delivered in order for {PATIENCE:?}"
            );
            self.process.still_runs()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A line on how it goes.
    fn tell(&self) {
        let mut ledger = self.course.ledger();
        let (totals, outstanding) = (ledger.totals(), ledger.outstanding());
        let kills = ledger.runs().kills().count();
        let stops = ledger.runs().stops();
        let state = match ledger.violations().is_empty() {
            true => "no violation".to_owned(),
            false => format!("violations {:?}", ledger.violations().counts()),
        };
        eprintln!(
            "after {:.0} s: {} of {} in order, {outstanding} on their way, {} tries failed, {kills} kills, {stops} stops, {} repeated, {state}",
            self.course.elapsed().as_secs_f64(),
            totals.ordered_done,
            self.course.deliveries,
            totals.refused + totals.cut,
            totals.repeated,
        );
    }

    /// Publishers come to their end, and everything promised arrives, or does not.
    async fn drain(&mut self) -> anyhow::Result<()> {
        // From here on, what is left to publish takes a moment; the last interruption was somewhat before.
        while self.course.ledger().totals().ordered_due < self.course.deliveries && !self.publishers.is_empty() {
            let due = self.course.ledger().totals().ordered_done + 1;
            self.progress(due).await?;
        }
        let finished = async { while self.publishers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, finished).await.is_err() {
            let what = format!("a message with a key is still not acknowledged after {PATIENCE:?}");
            self.course.ledger().violation(Kind::Answer, what);
            self.course.enough.store(true, Relaxed);
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
        self.tell();
        Ok(())
    }

    /// What the server says, for the account.
    async fn audit(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        self.said = audit::ask(&self.server).await?;
        let given_up: usize = self.said.iter().map(|said| said.given_up.len()).sum();
        let lines: usize = self
            .said
            .iter()
            .filter_map(|said| Some(said.lines.as_ref()?.len()))
            .sum();
        let took_ms = began.elapsed().as_millis();
        self.notes.push(format!(
            "the API: {lines} lines, {given_up} deliveries given up (asked in {took_ms} ms)"
        ));
        Ok(())
    }

    /// The server stops in good order, its store adds up, and a further start sends nothing.
    async fn finish(&mut self) -> anyhow::Result<()> {
        let took = self.stop().await?;
        self.notes
            .push(format!("SIGTERM: exit 0 after {} ms", took.as_millis()));
        let checked = self.process.check_says()?;
        self.notes.push(format!("bellwire check: {checked}"));
        let before = self.course.ledger().totals().tries;
        self.start().await?;
        self.course.answering.grow(1, Duration::from_secs(1)).await;
        self.stop().await?;
        let sent = self.course.ledger().totals().tries - before;
        ensure!(sent == 0, "a further start sent {sent} deliveries again");
        self.notes.push("a further start: nothing was sent again".to_owned());
        Ok(())
    }
}

/// Makes the event types, the application and its endpoints.
pub(crate) async fn set_up(server: &Server, receiver: &Receiver) -> anyhow::Result<()> {
    for name in plan::kinds() {
        let body = json!({"name": name, "description": "ordered run"});
        server.create("/api/v1/event-type", &body).await?;
    }
    server.create("/api/v1/app", &json!({"name": APP, "uid": APP})).await?;
    let urls = receiver.port.urls(ENDPOINTS.len());
    for ((endpoint, url), secret) in ENDPOINTS.iter().zip(&urls).zip(receiver.secrets()) {
        server
            .create(&format!("/api/v1/app/{APP}/endpoint"), &settings(endpoint, url, secret))
            .await?;
    }
    Ok(())
}

/// The body that makes an endpoint.
fn settings(endpoint: &Endpoint, url: &str, secret: &str) -> Value {
    let waits: Vec<String> = endpoint.waits_ms.iter().map(|wait| format!("{wait}ms")).collect();
    let mut body = json!({
        "uid": endpoint.name,
        "url": url,
        "secret": secret,
        "maxInFlight": endpoint.in_flight_max,
        "retrySchedule": waits,
        "timeoutMs": TIMEOUT_MS,
        "ordering": match endpoint.order {
            Order::None => "none",
            Order::Key => "key",
            Order::Endpoint => "endpoint",
        },
        "onExhausted": endpoint.on_exhausted,
    });
    if !endpoint.wants.is_empty() {
        let wanted = |(kind, _): &(u8, &str)| endpoint.wants(*kind);
        let names: Vec<&str> = (0..).zip(plan::kinds()).filter(wanted).map(|(_, name)| name).collect();
        body["filterTypes"] = json!(names);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_the_plan_says() {
        let bodies: Vec<Value> = ENDPOINTS.iter().map(|plan| settings(plan, "http://h/0", "s")).collect();
        let shown: Vec<_> = bodies
            .iter()
            .map(|body| (&body["ordering"], &body["onExhausted"]))
            .collect();
        assert_eq!(
            json!(shown),
            json!([
                ["key", "skip"],
                ["key", "block"],
                ["key", "skip"],
                ["endpoint", "skip"],
                ["none", "skip"]
            ])
        );
        assert_eq!(bodies[0].get("filterTypes"), None);
        assert_eq!(bodies[3]["filterTypes"], json!(["order.rare"]));
        assert_eq!(bodies[2]["retrySchedule"], json!(["40ms"]));
    }
}
