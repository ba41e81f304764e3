//! What comes in: does each event take effect once, and in order, when it comes many times and shuffled, and the server is
//! killed and stopped in between?
//!
//! [`plan`] says what comes, [`send`] posts it until it is acknowledged, and the actions of a hooks file write what they do
//! into a SQLite file ([`effects`]), which is held against the plan at the end. The API must say the same.

mod effects;
mod plan;
mod report;
mod send;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fastrand::Rng;
use http::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use self::effects::Effects;
use self::report::Ran;
use self::send::Course;
use crate::args::Args;
use crate::client::Server;
use crate::kill::Starts;
use crate::moment::Moment;
use crate::process::Process;
use crate::violation::Kind;

pub(crate) use self::report::Report;

/// Senders when nothing else is asked for.
const CONNECTIONS: u32 = 16;
/// Without anything happening for this long, it will not happen any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbered events wait for those before them less long than a run takes: only time in which the server listens counts, so what
/// a kill makes late is late, never given up.
const HOOKS: &str = r#"
connections:
  effects: {sql: "sqlite:${CRASH_EFFECTS}"}
hooks:
  once:
    verify: {provider: github, secret: "${CRASH_SECRET}"}
    do:
      - sql: {via: effects, insert: seen, set: {id: "{{ headers['x-github-delivery'] }}"}}
        retry: [100ms, 200ms, 500ms, 1s, 1s, 1s, 1s, 1s]
  lines:
    verify: {provider: github, secret: "${CRASH_SECRET}"}
    order: {by: body.key, sequence: body.number, start: 1, wait: 1m}
    do:
      - sql: {via: effects, insert: steps, set: {line: "{{ key }}", number: "{{ number }}"}}
        retry: [100ms, 200ms, 500ms, 1s, 1s, 1s, 1s, 1s]
"#;

/// Makes the run; what happened until an error is still told.
///
/// # Errors
/// When its parts cannot be made.
pub(crate) async fn run(args: &Args, seed: u64, scratch: &Path) -> anyhow::Result<Report> {
    let hooks = scratch.join("hooks.yaml");
    std::fs::write(&hooks, HOOKS).with_context(|| format!("cannot write {}", hooks.display()))?;
    let effects = Effects::create(scratch.join("effects.db"))?;
    let mut process = Process::prepare(&args.binary, scratch.join("data"), scratch.join("server.log"))?;
    process.set_env("BELLWIRE_HOOKS", &hooks.to_string_lossy());
    process.set_env("CRASH_EFFECTS", &effects.path().to_string_lossy());
    process.set_env("CRASH_SECRET", plan::SECRET);
    let list = plan::shuffled(args.events, args.copies, args.numbered, seed);
    let mut rig = Rig {
        course: Arc::new(Course::new(list)),
        server: process.client()?,
        process,
        effects,
        starts: Starts::default(),
        ran: Ran {
            seed,
            events: args.events,
            numbered: args.numbered,
            ..Ran::default()
        },
    };
    let began = Instant::now();
    let went = tokio::select! {
        went = rig.go(args, seed) => went,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into).and_then(|()| bail!("interrupted")),
    };
    if let Err(error) = went {
        rig.course.violations().add(Kind::Server, format!("{error:#}"));
    }
    let Rig {
        course,
        process,
        effects,
        starts,
        mut ran,
        ..
    } = rig;
    drop(process);
    ran.took = began.elapsed();
    ran.ready = starts.summary();
    ran.effects = effects.count()?;
    effects.judge(args.events, args.numbered, &mut course.violations())?;
    Ok(Report::new(&course, ran))
}

/// The parts of a run.
struct Rig {
    course: Arc<Course>,
    process: Process,
    server: Server,
    effects: Effects,
    starts: Starts,
    ran: Ran,
}

impl Rig {
    async fn go(&mut self, args: &Args, seed: u64) -> anyhow::Result<()> {
        self.start().await?;
        let mut senders = JoinSet::new();
        for _ in 0..args.connections.unwrap_or(CONNECTIONS) {
            let (course, server) = (Arc::clone(&self.course), self.server.clone());
            senders.spawn(async move { course.send(&server).await });
        }
        let mut rng = Rng::with_seed(seed);
        for cycle in 1..=args.cycles {
            let due = self.course.len() * u64::from(cycle) / u64::from(args.cycles + 1);
            self.acknowledged(due).await?;
            let moment = Moment::draw(&mut rng);
            moment.come(&self.course.sending, &self.course.sending).await;
            // Every fourth end is one in good order.
            if rng.u8(0..4) == 0 {
                self.process.stop().await?;
                self.ran.stops += 1;
            } else {
                self.kill(moment).await?;
            }
            self.start().await?;
        }
        self.acknowledged(self.course.len()).await?;
        while senders.join_next().await.is_some() {}
        self.drain().await?;
        self.audit().await?;
        let took = self.process.stop().await?;
        self.ran
            .notes
            .push(format!("SIGTERM: exit 0 after {} ms", took.as_millis()));
        let checked = self.process.check_says()?;
        self.ran.notes.push(format!("bellwire check: {checked}"));
        Ok(())
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        self.process.spawn()?;
        self.starts.took.push(self.process.ready().await?);
        Ok(())
    }

    /// Kills the server, and a start or two, where that is intended.
    async fn kill(&mut self, moment: Moment) -> anyhow::Result<()> {
        self.process.kill()?;
        self.ran.kills += 1;
        if let Moment::Start { parts, .. } = moment {
            for part in parts {
                self.process.spawn()?;
                tokio::time::sleep(self.starts.median().mul_f32(part)).await;
                self.process.kill()?;
                self.ran.kills += 1;
            }
        }
        Ok(())
    }

    /// Waits until so many requests were acknowledged.
    async fn acknowledged(&mut self, due: u64) -> anyhow::Result<()> {
        let mut seen = (0, Instant::now());
        loop {
            let now = self.course.acknowledged.load(Relaxed);
            if now >= due {
                return Ok(());
            }
            if now > seen.0 {
                seen = (now, Instant::now());
            }
            ensure!(seen.1.elapsed() < PATIENCE, "nothing was acknowledged for {PATIENCE:?}");
            self.process.still_runs()?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until everything has taken effect, or nothing more does.
    async fn drain(&mut self) -> anyhow::Result<()> {
        let wanted = u64::from(self.ran.events) + u64::from(self.ran.numbered);
        let mut seen = (0, Instant::now());
        while seen.0 < wanted && seen.1.elapsed() < PATIENCE {
            let now = self.effects.count()?;
            if now > seen.0 {
                seen = (now, Instant::now());
            }
            self.process.still_runs()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What the API says: one message for each event, and no other.
    async fn audit(&mut self) -> anyhow::Result<()> {
        for (source, expected) in [("once", self.ran.events), ("lines", self.ran.numbered)] {
            let found = self.messages_of(source).await?;
            if found != u64::from(expected) {
                let what = format!("source {source} has {found} messages for {expected} events");
                self.course.violations().add(Kind::SecondMessage, what);
            }
            self.ran
                .notes
                .push(format!("the API: source {source} has {found} messages"));
        }
        Ok(())
    }

    async fn messages_of(&self, source: &str) -> anyhow::Result<u64> {
        let found = self.get(&format!("/ingest/api/v1/source/{source}")).await?;
        let app = found["appId"]
            .as_str()
            .context("a source names no application")?
            .to_owned();
        let (mut count, mut after) = (0, String::new());
        loop {
            let path = format!("/api/v1/app/{app}/msg?limit=250&with_content=false{after}");
            let page = self.get(&path).await?;
            count += page["data"].as_array().map_or(0, Vec::len) as u64;
            match page["iterator"].as_str() {
                Some(iterator) if page["done"] != true => after = format!("&iterator={iterator}"),
                _ => return Ok(count),
            }
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.server.call(Method::GET, path, &Value::Null).await?;
        ensure!(answer.status.is_success(), "GET {path} answered {}", answer.text());
        Ok(answer.json())
    }
}
