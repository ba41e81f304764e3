//! Replays: past messages to an endpoint again, as background tasks.
//!
//! A replay is written down and its runner woken; the work is done elsewhere. With `dryRun` nothing is written: the messages
//! that it would take are counted with the very same predicate, `bellwire_core::task::selects`.

use bellwire_core::{
    app::App,
    delivery::DeliveryState,
    endpoint::Endpoint,
    id::Id as _,
    task::{self, Job, ReplayState, ReplayWhich, Standing, Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{Change, query::ReplayCandidate};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    attempt::status::{Status, StatusClass},
    background_task::{StatusOut, TaskOut, TypeOut},
};
use crate::{
    auth::Access,
    call::{Call, Context, Outcome, Reply},
    error::{ApiError, ENDPOINT_DISABLED},
    field::{ChannelName, EventTypeFilter, Set, TagName, Time},
    operation::{Operation, post},
    problem::Problem,
    query::NoQuery,
};

/// Messages that a dry run looks at in one piece.
const CHUNK: usize = 1_000;
/// Messages that a dry run looks at before it answers with what it has.
const COUNTED_MAX: u64 = 200_000;

pub(super) fn operations() -> Vec<Operation> {
    let statuses = &[202, 200];
    let about = "Works in the background; the answered task tells how far it has come. With `dryRun` it only counts, and \
                 answers 200.";
    vec![
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
            "v1.endpoint.recover",
            Access::APP,
        )
        .summary("Send again what failed")
        .about(about)
        .statuses(statuses)
        .to(recover),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
            "v1.endpoint.replay-missing",
            Access::APP,
        )
        .summary("Send what never was tried")
        .about(about)
        .statuses(statuses)
        .to(replay_missing),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
            "v1.endpoint.bulk-replay",
            Access::APP,
        )
        .summary("Send again what matches")
        .about(about)
        .statuses(statuses)
        .to(bulk_replay),
    ]
}

/// From when to when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ReplayIn")]
struct ReplayIn {
    /// Messages accepted from then on…
    since: Time,
    /// …and before then; now when left out.
    until: Option<Time>,
    /// Only count what would be sent.
    dry_run: Option<bool>,
}

/// Which failures to send again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecoverIn {
    /// Messages accepted from then on…
    since: Time,
    /// …and before then; now when left out.
    until: Option<Time>,
    /// Only deliveries whose last attempt failed by this reason, as `timeout_headers` (docs/failures.md).
    failure: Option<String>,
    /// Only count what would be sent.
    dry_run: Option<bool>,
}

/// Which messages to send again. Conditions that are left out are met by all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BulkReplayIn {
    /// Messages accepted from then on…
    since: Time,
    /// …and before then; now when left out.
    until: Option<Time>,
    /// Of these types (`invoice.*` is all below).
    #[serde(alias = "filterTypes")]
    event_types: Option<Set<EventTypeFilter, 1, 100>>,
    /// On this channel.
    channel: Option<ChannelName>,
    /// With this tag.
    tag: Option<TagName>,
    /// Whose delivery to the endpoint stands so.
    status: Option<Status>,
    /// Whose last attempt there was answered so.
    status_code_class: Option<StatusClass>,
    /// Whose last attempt there failed by this reason, as `timeout_headers` (docs/failures.md).
    failure: Option<String>,
    /// Only count what would be sent.
    dry_run: Option<bool>,
}

/// The task that does it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReplayOut")]
struct StartedOut {
    id: String,
    status: StatusOut,
    task: TypeOut,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

/// What a replay would do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DryRunOut")]
struct CountedOut {
    /// Messages that would be sent.
    count: u64,
    /// Messages looked at.
    messages_seen: u64,
    /// Whether all were looked at; after 200,000 the counting ends.
    done: bool,
}

/// A started task, or what it would do.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ReplayOut {
    Started(StartedOut),
    Counted(CountedOut),
}

impl JsonSchema for ReplayOut {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReplayAnswer".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (started, counted) = (
            generator.subschema_for::<StartedOut>(),
            generator.subschema_for::<CountedOut>(),
        );
        schemars::json_schema!({ "anyOf": [started, counted] })
    }
}

async fn recover(Call { cx, body, .. }: Call<NoQuery, RecoverIn>) -> Result<Reply<ReplayOut>, ApiError> {
    let RecoverIn {
        since,
        until,
        failure,
        dry_run,
    } = body;
    let which = failure.map_or(ReplayWhich::Failed, |reason| ReplayWhich::FailedBy { reason });
    start(
        &cx,
        Wanted {
            which,
            since,
            until,
            dry_run,
        },
    )
    .await
}

async fn replay_missing(Call { cx, body, .. }: Call<NoQuery, ReplayIn>) -> Result<Reply<ReplayOut>, ApiError> {
    let ReplayIn { since, until, dry_run } = body;
    start(
        &cx,
        Wanted {
            which: ReplayWhich::Missing,
            since,
            until,
            dry_run,
        },
    )
    .await
}

async fn bulk_replay(Call { cx, body, .. }: Call<NoQuery, BulkReplayIn>) -> Result<Reply<ReplayOut>, ApiError> {
    let which = ReplayWhich::Matching {
        event_types: body.event_types.map(Set::into_texts),
        channel: body.channel.map(Into::into),
        tag: body.tag.map(Into::into),
        state: body.status.map(|status| state(status.0)),
        status_class: body.status_code_class.map(|class| class.0),
        reason: body.failure,
    };
    start(
        &cx,
        Wanted {
            which,
            since: body.since,
            until: body.until,
            dry_run: body.dry_run,
        },
    )
    .await
}

fn state(state: DeliveryState) -> ReplayState {
    match state {
        DeliveryState::Succeeded => ReplayState::Succeeded,
        DeliveryState::Pending | DeliveryState::Sending => ReplayState::Pending,
        DeliveryState::Failed => ReplayState::Failed,
        DeliveryState::Cancelled => ReplayState::Cancelled,
    }
}

/// What a request asks for.
struct Wanted {
    which: ReplayWhich,
    since: Time,
    until: Option<Time>,
    dry_run: Option<bool>,
}

async fn start(cx: &Context, wanted: Wanted) -> Result<Reply<ReplayOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let directory = &cx.server.directory;
    let now = directory.now();
    let (since, until) = span(wanted.since, wanted.until, now)?;
    if entry.endpoint.disabled.is_some() {
        let detail = format!(
            "endpoint {} is disabled; enable it, then send the request again",
            entry.endpoint.id
        );
        return Err(ApiError::new(&ENDPOINT_DISABLED, detail));
    }
    if wanted.dry_run == Some(true) {
        let counted = count(cx, &app, &entry.endpoint, &wanted.which, (since, until)).await?;
        return Reply::json(Outcome::Other, &ReplayOut::Counted(counted));
    }
    let task = Task {
        id: directory.new_id(),
        environment: app.environment,
        job: Job::Replay {
            app: app.id,
            endpoint: entry.endpoint.id,
            which: wanted.which,
            since,
            until,
        },
        status: TaskStatus::Running,
        seen: 0,
        done: 0,
        cursor: 0,
        error: None,
        created_at: now,
        updated_at: now,
    };
    let TaskOut {
        id,
        status,
        task: kind,
        updated_at,
        ..
    } = TaskOut::of(&task);
    let answer = ReplayOut::Started(StartedOut {
        id,
        status,
        task: kind,
        updated_at,
    });
    let reply = cx
        .commit(vec![Change::PutTask(Box::new(task))], Outcome::Usual, &answer)
        .await?;
    cx.server.tasks_wake.notify_one();
    Ok(reply)
}

fn span(since: Time, until: Option<Time>, now: Timestamp) -> Result<(Timestamp, Timestamp), ApiError> {
    let until = until.map_or(now, |until| until.0);
    if until < since.0 {
        let msg = format!(
            "it ends at {until}, before it begins at {}; give a later time, or none for now",
            since.0
        );
        return Err(ApiError::invalid(Problem::body(["until"], msg)));
    }
    Ok((since.0, until))
}

/// Counts what the replay would take.
async fn count(
    cx: &Context,
    app: &App,
    endpoint: &Endpoint,
    which: &ReplayWhich,
    (since, until): (Timestamp, Timestamp),
) -> Result<CountedOut, ApiError> {
    let mut counted = CountedOut {
        count: 0,
        messages_seen: 0,
        done: false,
    };
    let mut after = 0;
    while counted.messages_seen < COUNTED_MAX {
        let rows = cx
            .server
            .store
            .replay_candidates(app.id, endpoint.id, since, until, after, CHUNK)
            .await?;
        counted.messages_seen += rows.items.len() as u64;
        for candidate in &rows.items {
            counted.count += u64::from(takes(cx, app, endpoint, which, candidate).await?);
        }
        match rows.items.last() {
            Some(last) if rows.more => after = last.message.id.number(),
            _ => {
                counted.done = true;
                break;
            }
        }
    }
    Ok(counted)
}

async fn takes(
    cx: &Context,
    app: &App,
    endpoint: &Endpoint,
    which: &ReplayWhich,
    candidate: &ReplayCandidate,
) -> Result<bool, ApiError> {
    let standing = Standing {
        state: candidate.delivery.map(|delivery| delivery.state),
        last_status_code: candidate.last_status_code,
        last_failure: candidate.last_failure.as_deref(),
    };
    let (message, now) = (&candidate.message, cx.server.directory.now());
    if !task::selects(which, endpoint, message, standing, now) {
        return Ok(false);
    }
    let entry = cx.server.directory.endpoint_by_id(endpoint.id);
    match entry.filter(|entry| entry.filter().is_some() && task::asks_the_filter(which, standing)) {
        None => Ok(true),
        Some(entry) => {
            let whole = cx.server.store.message(app.id, message.id, true).await?;
            Ok(whole.is_some_and(|whole| entry.filtered(&whole).is_none_or(|filtered| filtered.holds)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_now_when_nothing_is_said_and_never_before_it_begins() {
        let at = |seconds| Timestamp::from_secs(seconds);
        assert_eq!(span(Time(at(5)), None, at(9)).unwrap(), (at(5), at(9)));
        assert_eq!(span(Time(at(5)), Some(Time(at(6))), at(9)).unwrap(), (at(5), at(6)));
        let error = span(Time(at(5)), Some(Time(at(4))), at(9)).unwrap_err();
        assert_eq!(error.code().status, 422);
        assert!(span(Time(at(10)), None, at(9)).is_err(), "it begins in the future");
    }

    #[test]
    fn what_is_on_its_way_counts_as_pending() {
        assert_eq!(state(DeliveryState::Sending), ReplayState::Pending);
    }
}
