//! Who looks after the long-lived tasks: starts them, notices when one dies, and stops them in order.
//!
//! A [`Supervisor`] belongs to one server and is handed around; nothing here is static. Tasks belong to a [`Stage`]; stages
//! stop one after the other: ingress first, so that nothing new is taken on; then the background tasks, the scheduler (which
//! ends what is in flight within the grace) and what watches. Whoever calls [`Supervisor::run`] closes the store after it.

mod restart;

use std::{collections::BTreeMap, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use restart::Restarts;

/// When a task is stopped. Stages stop in this order, each when the one before has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What takes requests.
    Ingress,
    /// Work that nobody waits for: background tasks, clean-up.
    Background,
    /// Claiming, attempts, and the writing of their outcomes.
    Delivery,
    /// What looks on: metrics, traces. Stops last, so that it sees the rest stop.
    Telemetry,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Ingress, Self::Background, Self::Delivery, Self::Telemetry];

    /// The longest that a stage may take to end: the whole grace is for attempts under way.
    fn patience(self, grace: Duration) -> Duration {
        match self {
            // An open stream or a slow upload must not eat the grace of attempts.
            Self::Ingress | Self::Background => grace.min(Duration::from_secs(2)),
            // Outcomes are written after the last attempt.
            Self::Delivery => grace + Duration::from_secs(5),
            Self::Telemetry => Duration::from_secs(1),
        }
    }
}

/// What it means when a task panics, or ends although nobody stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// It is started anew, unless it dies again and again.
    Restart,
    /// The server stops: without this task it would not do what it promises.
    Exit,
}

/// How a server was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// In order, with grace.
    pub gracefully: CancellationToken,
    /// At once.
    pub now: CancellationToken,
}

/// Why a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to, and everything ended in order.
    Graceful,
    /// It was asked to, and something did not end in time or had to end at once.
    CutShort,
    /// This task died, and the server is no good without it.
    Died(&'static str),
    /// Another process has taken its place in a store that several share: it has to begin anew.
    Ousted,
}

/// The tasks of one server.
pub struct Supervisor {
    stages: BTreeMap<Stage, (CancellationToken, JoinSet<()>)>,
    deaths: mpsc::UnboundedSender<&'static str>,
    died: mpsc::UnboundedReceiver<&'static str>,
}

impl Default for Supervisor {
    fn default() -> Self {
        let (deaths, died) = mpsc::unbounded_channel();
        let stages = Stage::ALL
            .into_iter()
            .map(|stage| (stage, (CancellationToken::new(), JoinSet::new())))
            .collect();
        Self { stages, deaths, died }
    }
}

impl Supervisor {
    /// Starts a task. `make` makes it, once and again after each panic if it is to be restarted; the token tells it to end.
    pub fn spawn<F>(
        &mut self,
        stage: Stage,
        name: &'static str,
        on_panic: OnPanic,
        make: impl Fn(CancellationToken) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let deaths = self.deaths.clone();
        let Some((token, tasks)) = self.stages.get_mut(&stage) else {
            return;
        };
        let token = token.clone();
        tasks.spawn(async move {
            let mut restarts = Restarts::default();
            loop {
                let ended = AssertUnwindSafe(make(token.clone())).catch_unwind().await;
                if token.is_cancelled() {
                    return;
                }
                let how = if ended.is_err() {
                    "panicked"
                } else {
                    "ended without being asked to"
                };
                let wait = match on_panic {
                    OnPanic::Restart => restarts.after_death(Instant::now()),
                    OnPanic::Exit => None,
                };
                let Some(wait) = wait else {
                    tracing::error!(task = name, "{how}; the server cannot go on without it and stops");
                    let _ = deaths.send(name);
                    return;
                };
                tracing::error!(task = name, "{how}; started anew");
                if token.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Waits until the server is to stop, or a task dies that it cannot do without; then stops everything in order.
    /// `stopping` is called at the beginning of the end.
    pub async fn run(mut self, stop: Stop, grace: Duration, stopping: impl FnOnce()) -> Ending {
        let died = tokio::select! {
            () = stop.gracefully.cancelled() => None,
            () = stop.now.cancelled() => None,
            died = self.died.recv() => died,
        };
        stopping();
        let mut in_order = true;
        for (stage, (token, tasks)) in &mut self.stages {
            token.cancel();
            let deadline = Instant::now() + stage.patience(grace);
            while !tasks.is_empty() {
                let ended = tokio::select! {
                    biased;
                    () = stop.now.cancelled() => false,
                    ended = tokio::time::timeout_at(deadline, tasks.join_next()) => ended.is_ok(),
                };
                if !ended {
                    // Streams are endless: cutting them off is how ingress ends.
                    if *stage != Stage::Ingress || stop.now.is_cancelled() {
                        tracing::warn!(?stage, tasks = tasks.len(), "cut off before it had ended");
                        in_order = false;
                    }
                    tasks.shutdown().await;
                }
            }
        }
        match died {
            Some(name) => Ending::Died(name),
            None if in_order => Ending::Graceful,
            None => Ending::CutShort,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use super::*;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn note(log: &Log, what: &'static str) {
        log.lock().unwrap().push(what);
    }

    /// A task that notes when it is told to end, and ends when `may_end` is notified.
    fn fake(supervisor: &mut Supervisor, stage: Stage, name: &'static str, log: &Log, may_end: &Arc<Notify>) {
        let (log, may_end) = (log.clone(), may_end.clone());
        supervisor.spawn(stage, name, OnPanic::Exit, move |token| {
            let (log, may_end) = (log.clone(), may_end.clone());
            async move {
                token.cancelled().await;
                note(&log, name);
                may_end.notified().await;
            }
        });
    }

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn stages_stop_one_after_the_other_each_when_the_one_before_has_ended() {
        let (log, stop) = (Log::default(), Stop::default());
        let ends: Vec<_> = (0..4).map(|_| Arc::new(Notify::new())).collect();
        let mut supervisor = Supervisor::default();
        // Started in another order than they stop in.
        fake(&mut supervisor, Stage::Telemetry, "telemetry", &log, &ends[3]);
        fake(&mut supervisor, Stage::Delivery, "delivery", &log, &ends[2]);
        fake(&mut supervisor, Stage::Ingress, "ingress", &log, &ends[0]);
        fake(&mut supervisor, Stage::Background, "background", &log, &ends[1]);
        stop.gracefully.cancel();
        ends[0].notify_one();
        ends[1].notify_one();
        let stopping = log.clone();
        let run = supervisor.run(stop, GRACE, move || note(&stopping, "stopping"));
        let mut run = std::pin::pin!(run);
        // Delivery has not ended: telemetry must not have been told yet.
        assert!(tokio::time::timeout(Duration::from_secs(9), &mut run).await.is_err());
        assert_eq!(*log.lock().unwrap(), ["stopping", "ingress", "background", "delivery"]);
        ends[2].notify_one();
        ends[3].notify_one();
        assert_eq!(run.await, Ending::Graceful);
        assert_eq!(log.lock().unwrap().last(), Some(&"telemetry"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_within_the_grace_is_cut_off_and_the_rest_still_stops() {
        let (log, stop) = (Log::default(), Stop::default());
        let (never, at_once) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut supervisor = Supervisor::default();
        fake(&mut supervisor, Stage::Delivery, "stuck", &log, &never);
        fake(&mut supervisor, Stage::Telemetry, "telemetry", &log, &at_once);
        at_once.notify_one();
        stop.gracefully.cancel();
        let began = Instant::now();
        assert_eq!(supervisor.run(stop, GRACE, || {}).await, Ending::CutShort);
        assert_eq!(began.elapsed(), GRACE + Duration::from_secs(5));
        assert_eq!(*log.lock().unwrap(), ["stuck", "telemetry"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_ends_everything_at_once() {
        let (log, stop) = (Log::default(), Stop::default());
        let mut supervisor = Supervisor::default();
        fake(&mut supervisor, Stage::Delivery, "stuck", &log, &Arc::default());
        stop.gracefully.cancel();
        stop.now.cancel();
        let began = Instant::now();
        assert_eq!(supervisor.run(stop, GRACE, || {}).await, Ending::CutShort);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn open_streams_do_not_make_a_stop_any_less_graceful() {
        let (log, stop) = (Log::default(), Stop::default());
        let mut supervisor = Supervisor::default();
        fake(&mut supervisor, Stage::Ingress, "streams", &log, &Arc::default());
        stop.gracefully.cancel();
        assert_eq!(supervisor.run(stop, GRACE, || {}).await, Ending::Graceful);
    }

    #[tokio::test(start_paused = true)]
    async fn the_death_of_a_task_that_is_needed_stops_the_others_in_order() {
        let log = Log::default();
        let ends = Arc::new(Notify::new());
        ends.notify_one();
        let mut supervisor = Supervisor::default();
        fake(&mut supervisor, Stage::Delivery, "delivery", &log, &ends);
        supervisor.spawn(Stage::Ingress, "needed", OnPanic::Exit, |_| async { panic!("told to") });
        assert_eq!(
            supervisor.run(Stop::default(), GRACE, || {}).await,
            Ending::Died("needed")
        );
        assert_eq!(*log.lock().unwrap(), ["delivery"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_may_restart_does_so_after_a_panic() {
        let (log, stop) = (Log::default(), Stop::default());
        let mut supervisor = Supervisor::default();
        let (noted, asked) = (log.clone(), stop.gracefully.clone());
        supervisor.spawn(Stage::Background, "flaky", OnPanic::Restart, move |token| {
            let (log, asked) = (noted.clone(), asked.clone());
            async move {
                note(&log, "began");
                if log.lock().unwrap().len() == 1 {
                    panic!("told to");
                }
                asked.cancel();
                token.cancelled().await;
            }
        });
        assert_eq!(supervisor.run(stop, GRACE, || {}).await, Ending::Graceful);
        assert_eq!(*log.lock().unwrap(), ["began", "began"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_dies_again_and_again_ends_the_server() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Background, "hopeless", OnPanic::Restart, |_| async {});
        assert_eq!(
            supervisor.run(Stop::default(), GRACE, || {}).await,
            Ending::Died("hopeless")
        );
    }
}
