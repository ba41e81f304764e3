//! Waiting on events, and what a refused call must look like through the client.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use svix::Svix;
use svix::error::Error;
use svix::models::{BackgroundTaskOut, BackgroundTaskStatus};

const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again until `look` finds something; panics after the deadline.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Polls a background task until it ends, and insists that it ended well.
pub async fn finished(svix: &Svix, task_id: &str) -> BackgroundTaskOut {
    let done = eventually("the task ends", async || {
        let task = svix
            .background_task()
            .get(task_id.to_owned())
            .await
            .expect("the task is known");
        (task.status != BackgroundTaskStatus::Running).then_some(task)
    })
    .await;
    assert_eq!(done.status, BackgroundTaskStatus::Finished, "{done:?}");
    done
}

/// The call must have been refused with `status` and a body of the documented shape.
#[track_caller]
pub fn refused<T: Debug>(status: u16, outcome: Result<T, Error>) {
    match outcome {
        Err(Error::Validation(e)) => {
            let body = e.payload.expect("a 422 has a body the client can read");
            assert_eq!(status, 422, "{body:?}");
            assert!(
                !body.detail.is_empty() && body.detail.iter().all(|d| !d.msg.is_empty()),
                "{body:?}"
            );
        }
        Err(Error::Http(e)) => {
            assert_eq!(e.status.as_u16(), status, "{:?}", e.payload);
            let body = e.payload.expect("an error has a body the client can read");
            assert!(!body.code.is_empty() && !body.detail.is_empty(), "{body:?}");
        }
        other => panic!("expected {status}, got {other:?}"),
    }
}
