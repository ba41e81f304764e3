//! `…/endpoint/{endpoint_id}/stats` and `/attempt-stats`: how its deliveries stand and how attempts at it went.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    problem::Problem,
};

/// How far back it is counted when nothing is asked.
const SPAN_DEFAULT: Duration = Duration::from_secs(28 * 86_400);

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
            "v1.endpoint.get-stats",
            Access::READ_APP,
        )
        .summary("Count an endpoint's deliveries by their state")
        .to(deliveries),
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/attempt-stats",
            "v1.endpoint.get-attempt-stats",
            Access::READ_APP,
        )
        .summary("Count attempts at an endpoint by their outcome")
        .to(attempts),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
struct StatsQuery {
    /// From then on; 28 days ago when left out.
    since: Option<Time>,
    /// Until then; now when left out.
    until: Option<Time>,
}

impl StatsQuery {
    fn range(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), ApiError> {
        // What is counted "until now" includes what was accepted within this very instant.
        let until = self.until.map_or(now.plus(Duration::from_secs(1)), |Time(until)| until);
        let since = self.since.map_or(now.minus(SPAN_DEFAULT), |Time(since)| since);
        if since > until {
            return Err(ApiError::invalid(Problem::query(
                "until",
                "ends before it begins; give a time after `since`",
            )));
        }
        Ok((since, until))
    }
}

/// Deliveries of messages accepted in a span of time.
#[derive(Debug, Serialize, JsonSchema)]
struct EndpointStats {
    success: u64,
    pending: u64,
    sending: u64,
    fail: u64,
    canceled: u64,
}

/// Attempts begun in a span of time.
#[derive(Debug, Serialize, JsonSchema)]
struct EndpointAttemptStats {
    success: u64,
    fail: u64,
    /// Always 0: what is cancelled is not attempted.
    canceled: u64,
}

async fn deliveries(Call { cx, query, .. }: Call<StatsQuery>) -> Result<Reply<EndpointStats>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let (since, until) = query.range(now(&cx))?;
    let counts = cx.server.store.delivery_counts(entry.endpoint.id, since, until).await?;
    // The store does not know what is on the wire; the lane does.
    let sending = u64::from(entry.lane.in_flight()).min(counts.pending);
    Reply::ok(&EndpointStats {
        success: counts.succeeded,
        pending: counts.pending - sending,
        sending,
        fail: counts.failed,
        canceled: counts.cancelled,
    })
}

async fn attempts(Call { cx, query, .. }: Call<StatsQuery>) -> Result<Reply<EndpointAttemptStats>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let (since, until) = query.range(now(&cx))?;
    let bucket = until.since(since).max(Duration::from_secs(1));
    let counts = cx
        .server
        .store
        .attempt_counts(vec![entry.endpoint.id], Vec::new(), since, bucket, 1)
        .await?;
    let counts = counts.first().copied().unwrap_or_default();
    Reply::ok(&EndpointAttemptStats {
        success: counts.succeeded,
        fail: counts.failed,
        canceled: 0,
    })
}

fn now(cx: &Context) -> Timestamp {
    cx.server.directory.now()
}
