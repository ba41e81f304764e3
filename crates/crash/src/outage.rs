//! The store cannot be written for a while, twice: once the server lives through it, once it is killed in the middle of it.
//!
//! While it lasts, publishing is refused with 503 and `Retry-After`, readiness fails, the process stays; when it is over,
//! both recover without a restart. What was acknowledged before, meanwhile or after arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use http::StatusCode;

use crate::args::Args;
use crate::moment::PHASES;
use crate::rig::{Ending, Rig};
use crate::trouble::Trouble;

/// How long publishers may need to fill what is left of the disk, and the server to come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// How soon readiness must say what publishers are told.
const UNREADY: Duration = Duration::from_secs(10);
/// How long an outage lasts once it has shown.
const OUTAGE: Duration = Duration::from_secs(3);
/// Refusals that make an outage.
const REFUSALS: u64 = 8;
/// Acknowledgements that make a recovery.
const RECOVERED: u64 = 100;
/// How long a server that is started in an outage is watched.
const START: Duration = Duration::from_secs(5);

/// Runs the scenario.
///
/// # Errors
/// When refusals, readiness or recovery are not as they should be.
pub(crate) async fn run(args: &Args, rig: &mut Rig, trouble: &Trouble) -> anyhow::Result<Ending> {
    rig.set_up().await?;
    trouble.prepare()?;
    rig.publish(args);
    acknowledged(rig, RECOVERED).await?;
    let mut notes = Vec::new();

    let unready = strike(rig, trouble).await?;
    notes.push(format!("unready {} ms after refusals began", unready.as_millis()));
    tokio::time::sleep(OUTAGE).await;
    rig.process.still_runs()?;
    let recovered = relieve(rig, trouble).await?;
    notes.push(format!(
        "recovered without a restart {} ms after the outage",
        recovered.as_millis()
    ));

    strike(rig, trouble).await?;
    rig.kill(PHASES.len()).await?;
    notes.push(format!("started during the outage: {}", start_meanwhile(rig).await?));
    trouble.end()?;
    if rig.process.ended()?.is_some() || !rig.process.runs() {
        rig.world.account().runs().stopped();
        rig.start().await?;
    } else {
        rig.process.ready().await?;
    }
    rig.world.account().runs().writable();
    acknowledged(rig, RECOVERED).await?;

    rig.drain().await;
    let mut ending = rig.finish().await;
    ending.notes.splice(0..0, notes);
    Ok(ending)
}

/// Begins an outage and waits until publishers and readiness show it; answers how long readiness took after publishers.
async fn strike(rig: &mut Rig, trouble: &Trouble) -> anyhow::Result<Duration> {
    let world = Arc::clone(&rig.world);
    let before = world.refusals.load(Relaxed);
    world.account().runs().unwritable(world.now_us());
    trouble.begin()?;
    wait(rig, "publishing is not refused", || {
        world.refusals.load(Relaxed) >= before + REFUSALS
    })
    .await?;
    let began = Instant::now();
    loop {
        match rig.server.readiness().await {
            Some(StatusCode::SERVICE_UNAVAILABLE) => return Ok(began.elapsed()),
            status => ensure!(
                began.elapsed() < UNREADY,
                "publishing is refused, and readiness answers {status:?} instead of 503"
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends an outage and waits until publishing and readiness are well again; answers how long that took.
async fn relieve(rig: &mut Rig, trouble: &Trouble) -> anyhow::Result<Duration> {
    let began = Instant::now();
    trouble.end()?;
    acknowledged(rig, RECOVERED).await?;
    rig.process.ready().await?;
    rig.world.account().runs().writable();
    Ok(began.elapsed())
}

/// Starts the server while it cannot write. It may refuse to start or be up and unready; what it may not do is to lose
/// anything, which the account says in the end.
async fn start_meanwhile(rig: &mut Rig) -> anyhow::Result<String> {
    rig.world.account().runs().started();
    rig.process.spawn()?;
    let began = Instant::now();
    let mut said = None;
    while began.elapsed() < START {
        if let Some(status) = rig.process.ended()? {
            ensure!(
                status.code().is_some_and(|code| code != 0),
                "a start during the outage ended with {status}"
            );
            let log = rig.process.log_tail();
            return Ok(format!(
                "it ended with {status}, saying: {}",
                log.lines().last().unwrap_or_default().trim()
            ));
        }
        said = rig.server.readiness().await.or(said);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match said {
        Some(status) => Ok(format!("it is up, readiness answers {}", status.as_u16())),
        None => bail!(
            "a start during the outage neither ends nor answers; its log ends:\n{}",
            rig.process.log_tail()
        ),
    }
}

async fn acknowledged(rig: &mut Rig, more: u64) -> anyhow::Result<()> {
    let world = Arc::clone(&rig.world);
    let target = world.account().totals().acknowledged + more;
    wait(rig, "nothing is acknowledged", || {
        world.account().totals().acknowledged >= target
    })
    .await
}

/// Waits for something that publishers bring about, watching that the server lives.
async fn wait(rig: &mut Rig, what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !done() {
        rig.process.still_runs()?;
        let totals = rig.world.account().totals();
        ensure!(began.elapsed() < PATIENCE, "{what} for {PATIENCE:?}: {totals:?}");
        rig.world.publishing.grow(1, Duration::from_millis(50)).await;
    }
    Ok(())
}
