//! Replays: past messages of an application, made due again at one of its endpoints.

use bellwire_core::{
    delivery::Trigger,
    endpoint::Endpoint,
    id::{AppId, EndpointId, Id as _},
    task::{self, ReplayWhich, Standing, Task},
    time::Timestamp,
};
use bellwire_store::{
    Directory, Store, StoreError,
    directory::EndpointEntry,
    query::{ReplayCandidate, Requeue},
};

use crate::step::Step;

/// Messages looked at in one chunk.
const CHUNK: usize = 500;

/// A replay's settings, as its job has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay<'a> {
    pub app: AppId,
    pub endpoint: EndpointId,
    pub which: &'a ReplayWhich,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// The deliveries that are started anew because of these candidates.
pub(crate) fn plan(
    which: &ReplayWhich,
    endpoint: &Endpoint,
    candidates: &[ReplayCandidate],
    now: Timestamp,
) -> Vec<Requeue> {
    candidates
        .iter()
        .filter(|candidate| task::selects(which, endpoint, &candidate.message, standing(candidate), now))
        .map(|candidate| Requeue {
            message: candidate.message.id,
            endpoint: endpoint.id,
            due_at: candidate.message.deliver_at.unwrap_or(now).max(now),
            trigger: Trigger::Manual,
        })
        .collect()
}

/// Of those that are started anew, the ones that the endpoint's filter lets through now, where the replay asks for that.
async fn admitted(
    batch: Vec<Requeue>,
    candidates: &[ReplayCandidate],
    replay: Replay<'_>,
    entry: &EndpointEntry,
    store: &dyn Store,
) -> Result<Vec<Requeue>, StoreError> {
    let mut admitted = Vec::with_capacity(batch.len());
    for requeue in batch {
        let candidate = candidates
            .iter()
            .find(|candidate| candidate.message.id == requeue.message);
        if candidate.is_some_and(|candidate| task::asks_the_filter(replay.which, standing(candidate))) {
            let whole = store.message(replay.app, requeue.message, true).await?;
            if !whole.is_some_and(|whole| entry.filtered(&whole).is_none_or(|filtered| filtered.holds)) {
                continue;
            }
        }
        admitted.push(requeue);
    }
    Ok(admitted)
}

fn standing(candidate: &ReplayCandidate) -> Standing<'_> {
    Standing {
        state: candidate.delivery.map(|delivery| delivery.state),
        last_status_code: candidate.last_status_code,
        last_failure: candidate.last_failure.as_deref(),
    }
}

/// Looks at one chunk of messages and starts the deliveries that the replay takes.
pub(crate) async fn chunk(
    task: &Task,
    replay: Replay<'_>,
    store: &dyn Store,
    directory: &Directory,
) -> Result<Step, StoreError> {
    let Replay {
        app,
        endpoint,
        which,
        since,
        until,
    } = replay;
    let Some(entry) = directory.endpoint_by_id(endpoint) else {
        return Ok(Step::Failed(format!("endpoint {endpoint} was deleted")));
    };
    if entry.endpoint.disabled.is_some() {
        return Ok(Step::Failed(format!(
            "endpoint {endpoint} is disabled; enable it and start the replay again"
        )));
    }
    let rows = store
        .replay_candidates(app, endpoint, since, until, task.cursor, CHUNK)
        .await?;
    let mut batch = plan(which, &entry.endpoint, &rows.items, directory.now());
    if entry.filter().is_some() {
        batch = admitted(batch, &rows.items, replay, &entry, store).await?;
    }
    let done = if batch.is_empty() {
        0
    } else {
        store.requeue(batch).await?
    };
    Ok(Step::Worked {
        seen: rows.items.len() as u64,
        done,
        cursor: rows.items.last().map_or(task.cursor, |last| last.message.id.number()),
        more: rows.more,
    })
}
