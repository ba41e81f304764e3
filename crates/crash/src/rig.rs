//! Everything a scenario runs with: the server's process, the receiver, the account; and the end that all scenarios share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::args::Args;
use crate::client::Server;
use crate::payload::{Key, Messages};
use crate::plan;
use crate::process::Process;
use crate::publish::{self, Publisher, Reply};
use crate::receive::Receiver;
use crate::violation::Kind;
use crate::world::World;

/// Without an arrival for this long, what has not arrived is lost.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the silence after the drain is listened to: longer than the last wait of the retry schedule.
const SILENCE: Duration = Duration::from_millis(2_500);
/// How long an outcome may take to be durable when nothing else is asked for.
const SETTLING: Duration = Duration::from_millis(500);
/// Publishers when nothing else is asked for.
const CONNECTIONS: u32 = 8;
/// Messages a second when nothing else is asked for.
const RATE: u32 = 250;
/// How many keys of the whole run are published once more at its end.
const LATE_REPEATS: usize = 200;

/// The parts of a run.
pub(crate) struct Rig {
    pub(crate) world: Arc<World>,
    pub(crate) process: Process,
    pub(crate) receiver: Receiver,
    pub(crate) server: Server,
    publishers: JoinSet<()>,
}

/// How the end went, for the summary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    pub(crate) notes: Vec<String>,
}

impl Rig {
    /// Makes the parts; nothing runs but the receiver. `data` is the server's directory, `scratch` is for its log.
    pub(crate) async fn new(args: &Args, seed: u64, scratch: &Path, data: PathBuf) -> anyhow::Result<Self> {
        let messages = Messages {
            seed,
            payload_bytes: args.payload_bytes,
        };
        let world = World::new(
            plan::endpoints(usize::from(args.endpoints)),
            messages,
            args.settling_ms.map_or(SETTLING, Duration::from_millis),
        );
        let receiver = Receiver::bind(&world)?;
        let process = Process::prepare(&args.binary, data, scratch.join("server.log"))?;
        let server = process.client()?;
        Ok(Self {
            world,
            process,
            receiver,
            server,
            publishers: JoinSet::new(),
        })
    }

    /// Starts the server for the first time and makes the application and its endpoints.
    pub(crate) async fn set_up(&mut self) -> anyhow::Result<Duration> {
        let took = self.start().await?;
        let urls = self.receiver.urls();
        self.server
            .set_up(&self.world.plan, &urls, self.receiver.secrets())
            .await?;
        Ok(took)
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Duration> {
        self.world.account().runs().started();
        self.process.spawn()?;
        self.process.ready().await
    }

    /// Kills the server, and waits until what it had sent has been read.
    pub(crate) async fn kill(&mut self, phase: usize) -> anyhow::Result<()> {
        self.world.account().runs().killed(self.world.now_us(), phase);
        self.process.kill()?;
        self.receiver.quiet().await;
        Ok(())
    }

    /// Starts publishers.
    pub(crate) fn publish(&mut self, args: &Args) {
        let (connections, rate) = (args.connections.unwrap_or(CONNECTIONS), args.rate.unwrap_or(RATE));
        self.publishers = publish::start(&self.world, &self.server, connections, rate);
    }

    /// Publishers finish what they are at, and everything promised arrives, or does not.
    pub(crate) async fn drain(&mut self) {
        self.world.enough.store(true, Relaxed);
        let finished = async { while self.publishers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, finished).await.is_err() {
            let what = format!("a message with a key is still not acknowledged after {PATIENCE:?}");
            self.world.account().violation(Kind::Answer, what);
            self.publishers.shutdown().await;
        }
        let mut seen = (self.world.answering.count(), Instant::now());
        while self.world.account().outstanding() > 0 && seen.1.elapsed() < PATIENCE {
            self.world.answering.grow(1, Duration::from_millis(200)).await;
            let arrivals = self.world.answering.count();
            if arrivals > seen.0 {
                seen = (arrivals, Instant::now());
            }
        }
    }

    /// Everything after the drain: keys are published once more, silence is listened to, the server is stopped and its store
    /// checked, and a further start must send nothing.
    pub(crate) async fn finish(&mut self) -> Ending {
        let mut ending = Ending::default();
        self.repeat_keys().await;
        tokio::time::sleep(SILENCE).await;
        let stopped = self.stop().await;
        ending.note(
            "SIGTERM",
            stopped.map(|took| format!("exit 0 after {} ms", took.as_millis())),
            self,
        );
        let checked = self.process.check_says();
        ending.note("bellwire check", checked, self);
        let again = self.start_again().await;
        ending.note("a further start", again, self);
        ending
    }

    /// Stops the server by SIGTERM.
    async fn stop(&mut self) -> anyhow::Result<Duration> {
        let stopped = self.process.stop().await;
        self.world.account().runs().stopped();
        self.receiver.quiet().await;
        stopped
    }

    async fn start_again(&mut self) -> anyhow::Result<String> {
        let before = self.world.answering.count();
        self.start().await?;
        self.world.answering.grow(1, Duration::from_secs(1)).await;
        self.stop().await?;
        let sent = self.world.answering.count() - before;
        anyhow::ensure!(
            sent == 0 || self.world.account().outstanding() > 0,
            "it sent {sent} deliveries again"
        );
        Ok("nothing was sent again".to_owned())
    }

    /// Publishes some of the run's keys once more: the same message must be named.
    async fn repeat_keys(&mut self) {
        let seqs = {
            let account = self.world.account();
            let keyed = (0..account.totals().published)
                .filter(|seq| self.world.messages.key(*seq) != Key::None && account.id(*seq).is_some())
                .collect::<Vec<_>>();
            let step = (keyed.len() / LATE_REPEATS).max(1);
            keyed.into_iter().step_by(step).collect::<Vec<_>>()
        };
        let mut publisher = Publisher::new(Arc::clone(&self.world), self.server.clone());
        for seq in seqs {
            let reply = publisher.once(seq).await;
            if !matches!(reply, Some(Reply::Acknowledged(_) | Reply::Wrong(_))) {
                let what = format!("message {seq}, published once more at the end, was answered {reply:?}");
                self.world.account().violation(Kind::Answer, what);
            }
        }
    }
}

impl Ending {
    /// Notes how a step went; an error is a violation.
    fn note(&mut self, step: &str, went: anyhow::Result<String>, rig: &Rig) {
        match went {
            Ok(text) => self.notes.push(format!("{step}: {text}")),
            Err(error) => {
                self.notes.push(format!("{step}: FAILED"));
                rig.world
                    .account()
                    .violation(Kind::Server, format!("{step}: {error:#}"));
            }
        }
    }
}
