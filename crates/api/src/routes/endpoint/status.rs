//! `…/endpoint/{endpoint_id}/status`, `/pause` and `/resume`: what its lane is doing, and the switch that holds it.

use bellwire_core::{endpoint::Endpoint, time::Timestamp};
use bellwire_store::{
    Change,
    directory::{LaneState, LaneStatus, LimitStatus},
    operational::OperationalEvent,
    query::Backlog,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get, post},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/status",
            "get_endpoint_status",
            Access::READ_APP,
        )
        .summary("What an endpoint's lane is doing, and what waits for it")
        .about("What is under way and what waits is as of now, the rest up to about a second old: right after a start a lane may be \
             shown as idle until it is looked at first.")
        .to(status),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pause",
            "pause_endpoint",
            Access::APP,
        )
        .summary("Pause an endpoint")
        .about(
            "Messages still match it; their deliveries wait until it is resumed. What is under way ends as it would.",
        )
        .statuses(&[204])
        .edits()
        .to(pause),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/resume",
            "resume_endpoint",
            Access::APP,
        )
        .summary("Resume an endpoint")
        .statuses(&[204])
        .edits()
        .to(resume),
    ]
}

/// How an endpoint's lane stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EndpointStatusOut {
    /// `idle`, `running`, `resting` (it asked for a rest), `throttled` (a rate limit), `parked` (its breaker is open),
    /// `recovering` (slowly, after an outage), `paused` or `disabled`.
    state: &'static str,
    /// What it waits for, in words.
    waits_for: String,
    /// Deliveries being attempted.
    in_flight: u32,
    /// Deliveries in memory that are due and not begun.
    in_memory: u32,
    backlog: BacklogOut,
    /// How many attempts may be under way at once; null when it has not been used lately.
    limit: Option<LimitOut>,
    breaker: BreakerOut,
    rate: RateOut,
    attempts: LatelyOut,
    /// How long a successful answer takes, lately.
    latency_ms: Option<f64>,
}

/// What waits for an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointBacklogOut")]
struct BacklogOut {
    /// Deliveries that wait in the store, those behind others of their line included.
    waiting: u64,
    /// When the one that waits longest was due, or when the next one is.
    #[schemars(with = "Option<Time>")]
    oldest_due: Option<Timestamp>,
    /// For how many seconds it has been due; 0 when it is not due yet.
    oldest_age_seconds: u64,
    /// Lines that wait for a person.
    blocked_lines: u64,
}

/// The adaptive limit on attempts at once.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointLimitOut")]
struct LimitOut {
    now: u16,
    min: u16,
    max: u16,
}

/// The breaker: open after too many failures in a row, then nothing is attempted but a probe now and then.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointBreakerOut")]
struct BreakerOut {
    /// `closed`, `open` or `recovering`.
    state: &'static str,
    failures_in_a_row: u32,
    #[schemars(with = "Option<Time>")]
    next_probe: Option<Timestamp>,
}

/// Deliveries per second.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointRateOut")]
struct RateOut {
    /// Lately.
    now: f32,
    /// What it was seen to take while all was well.
    learned: Option<f32>,
    /// The lowest limit in force: its own, its application's, or that of coming back slowly after an outage.
    limit: Option<f32>,
}

/// Attempts of the last five minutes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointLatelyOut")]
struct LatelyOut {
    succeeded: u32,
    failed: u32,
}

impl EndpointStatusOut {
    fn of(lane: &LaneStatus, backlog: Backlog, now: Timestamp) -> Self {
        let oldest_due = [lane.oldest_due, backlog.oldest_due].into_iter().flatten().min();
        let limit = |LimitStatus { now, min, max }| LimitOut { now, min, max };
        Self {
            state: lane.state.name(),
            waits_for: waits_for(lane, backlog),
            in_flight: lane.in_flight,
            in_memory: lane.in_memory,
            backlog: BacklogOut {
                waiting: backlog.waiting,
                oldest_due,
                oldest_age_seconds: oldest_due.map_or(0, |at| now.since(at).as_secs()),
                blocked_lines: backlog.blocked_lines,
            },
            limit: lane.limit.map(limit),
            breaker: BreakerOut {
                state: lane.breaker.name(),
                failures_in_a_row: lane.failures_in_a_row,
                next_probe: lane.next_probe,
            },
            rate: RateOut {
                now: lane.rate,
                learned: lane.rate_learned,
                limit: lane.rate_limit,
            },
            attempts: LatelyOut {
                succeeded: lane.succeeded_lately,
                failed: lane.failed_lately,
            },
            latency_ms: lane.latency.map(|span| span.as_secs_f64() * 1_000.0),
        }
    }
}

/// The lane knows nothing of lines: to it a blocked one is as if nothing were there.
fn waits_for(lane: &LaneStatus, backlog: Backlog) -> String {
    let words = lane.waits_for.to_string();
    match (lane.state, backlog.blocked_lines) {
        (LaneState::Idle, 1) => format!("{words}; one line waits for a person: unblock, skip or discard it"),
        (LaneState::Idle, 2..) => format!(
            "{words}; {} lines wait for a person: unblock, skip or discard them",
            backlog.blocked_lines
        ),
        _ => words,
    }
}

async fn status(Call { cx, .. }: Call) -> Result<Reply<EndpointStatusOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let backlog = cx.server.store.backlog(entry.endpoint.id).await?;
    let now = cx.server.directory.now();
    Reply::ok(&EndpointStatusOut::of(&entry.status(), backlog, now))
}

async fn pause(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    set_paused(&cx, true).await
}

async fn resume(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    set_paused(&cx, false).await
}

/// Nothing happens to one that is so already.
async fn set_paused(cx: &Context, paused: bool) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    if entry.endpoint.paused == paused {
        return Ok(Reply::nothing());
    }
    let endpoint = Endpoint {
        paused,
        updated_at: cx.server.directory.now(),
        ..entry.endpoint.clone()
    };
    let change = Change::PutEndpoint(Box::new(endpoint.clone()));
    let reply = cx.commit_silently(vec![change]).await?;
    cx.tell(OperationalEvent::EndpointUpdated(&endpoint)).await?;
    Ok(reply)
}
