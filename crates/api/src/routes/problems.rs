//! `GET /api/v1/problems`: what fails now, by endpoint and reason, with what to do about it.
//!
//! Failed attempts are known by an index that holds nothing else. Of each endpoint the newest are looked at, so the cost is
//! bounded; how they are grouped is pure. 'Retry all of these' is `…/recover` with the reason as `failure`.

mod reasons;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bellwire_core::{
    id::{AppId, EndpointId},
    time::Timestamp,
};
use bellwire_store::{
    directory::EndpointEntry,
    query::AttemptKey,
    survey::{FailedAttempt, FailureQuery},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    attempt::AttemptOut,
    scope::{Scoped, scope},
};
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    problem::Problem,
};

/// How far back it goes when nothing is asked.
const SPAN_DEFAULT: Duration = Duration::from_secs(86_400);
/// Failed attempts that one answer looks at, about.
const LOOKED_AT_MAX: usize = 20_000;
/// Of one endpoint at most, and at least.
const PER_ENDPOINT: (usize, usize) = (20, 5_000);
/// Groups in an answer.
const GROUPS_MAX: usize = 500;
/// Groups with an example.
const EXAMPLES_MAX: usize = 100;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/problems", "problems.list", Access::READ_APP)
            .summary("What fails, by endpoint and reason, and what to do about it")
            .about(
                "Failed attempts of the last day, or as asked, the group that failed last first. Of an endpoint with very many, the \
                 newest are counted: `exact` is false then. To retry all of a group, `POST …/endpoint/{endpoint_id}/recover` \
                 with its reason as `failure`.",
            )
            .to(list),
    ]
}

/// Which failures.
#[derive(Debug, Deserialize, JsonSchema)]
struct ProblemsQuery {
    /// Of this application: its id or uid. All when left out.
    app: Option<String>,
    /// At this endpoint: its id, or its uid beside `app`.
    endpoint: Option<String>,
    /// By this reason only, as `timeout_headers`.
    reason: Option<String>,
    /// From then on; a day ago when left out.
    since: Option<Time>,
    /// Until then; now when left out.
    until: Option<Time>,
}

/// What fails.
#[derive(Debug, Serialize, JsonSchema)]
struct ProblemsOut {
    #[schemars(with = "Time")]
    since: Timestamp,
    #[schemars(with = "Time")]
    until: Timestamp,
    /// Whether everything was counted.
    exact: bool,
    /// The group that failed last comes first.
    data: Vec<ProblemOut>,
}

/// Failures of one endpoint by one reason.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ProblemOut {
    #[schemars(with = "String")]
    app_id: AppId,
    app_uid: Option<String>,
    app_name: String,
    #[schemars(with = "String")]
    endpoint_id: EndpointId,
    endpoint_uid: Option<String>,
    url: String,
    /// The reason's stable name.
    reason: String,
    /// What it means; Markdown. Empty for a name that this version does not know.
    explanation: &'static str,
    /// What to do about it; Markdown.
    advice: &'static str,
    /// Where it is documented.
    docs: String,
    /// Attempts that failed so.
    attempts: u64,
    /// Of these so many were the last of their delivery, which was given up.
    given_up: u64,
    /// Whether all were counted; otherwise there are at least so many.
    exact: bool,
    /// The first that was counted.
    #[schemars(with = "Time")]
    first_seen: Timestamp,
    #[schemars(with = "Time")]
    last_seen: Timestamp,
    /// When the unbroken row of failures began that the endpoint is in; null when it is in none.
    #[schemars(with = "Option<Time>")]
    failing_since: Option<Timestamp>,
    disabled: bool,
    paused: bool,
    /// The last attempt that failed so.
    example: Option<AttemptOut>,
}

async fn list(Call { cx, query, .. }: Call<ProblemsQuery>) -> Result<Reply<ProblemsOut>, ApiError> {
    let scoped = scope(&cx, query.app.as_deref(), query.endpoint.as_deref())?;
    let now = cx.server.directory.now();
    // What failed within this very millisecond is among it.
    let until = query
        .until
        .map_or(now.plus(Duration::from_millis(1)), |Time(until)| until);
    let since = query.since.map_or(until.minus(SPAN_DEFAULT), |Time(since)| since);
    if since > until {
        let msg = format!("it ends at {until}, before it begins at {since}; give a later time, or none for now");
        return Err(ApiError::invalid(Problem::query("until", msg)));
    }
    let endpoints = scoped.endpoint_ids();
    let (least, most) = PER_ENDPOINT;
    let per_endpoint = (LOOKED_AT_MAX / endpoints.len().max(1)).clamp(least, most);
    let failures = cx
        .server
        .store
        .failed_attempts(FailureQuery {
            endpoints,
            since,
            until,
            per_endpoint,
        })
        .await?;
    let mut groups = grouped(&failures, per_endpoint);
    if let Some(reason) = &query.reason {
        groups.retain(|group| group.last.reason == *reason);
    }
    let exact = groups.iter().all(|group| group.exact) && groups.len() <= GROUPS_MAX;
    groups.truncate(GROUPS_MAX);
    let mut data = Vec::with_capacity(groups.len());
    for (at, group) in groups.into_iter().enumerate() {
        let shown = shown(&cx, &scoped, group, at < EXAMPLES_MAX).await?;
        data.extend(shown);
    }
    Reply::ok(&ProblemsOut {
        since,
        until,
        exact,
        data,
    })
}

/// Failures of one endpoint by one reason.
#[derive(Debug, PartialEq, Eq)]
struct Group<'a> {
    attempts: u64,
    given_up: u64,
    exact: bool,
    first: &'a FailedAttempt,
    last: &'a FailedAttempt,
}

/// Groups failures that come newest first of each endpoint; an endpoint with as many as were asked for may have more.
fn grouped(failures: &[FailedAttempt], per_endpoint: usize) -> Vec<Group<'_>> {
    let mut of_endpoint: HashMap<EndpointId, usize> = HashMap::new();
    let mut groups: HashMap<(EndpointId, &str), Group<'_>> = HashMap::new();
    for failed in failures {
        *of_endpoint.entry(failed.endpoint).or_default() += 1;
        let group = groups
            .entry((failed.endpoint, failed.reason.as_str()))
            .or_insert_with(|| Group {
                attempts: 0,
                given_up: 0,
                exact: true,
                first: failed,
                last: failed,
            });
        group.attempts += 1;
        group.given_up += u64::from(failed.last);
        group.first = failed;
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.exact = of_endpoint.get(&group.last.endpoint).is_none_or(|n| *n < per_endpoint);
    }
    groups.sort_unstable_by_key(|group| std::cmp::Reverse(group.last.attempt));
    groups
}

async fn shown(
    cx: &Context,
    scoped: &Scoped,
    group: Group<'_>,
    with_example: bool,
) -> Result<Option<ProblemOut>, ApiError> {
    let entry: Option<Arc<EndpointEntry>> = cx.server.directory.endpoint_by_id(group.last.endpoint);
    // Deleted a moment ago.
    let Some(entry) = entry else { return Ok(None) };
    let endpoint = &entry.endpoint;
    let Some(app) = scoped.app(endpoint.app) else {
        return Ok(None);
    };
    let key = AttemptKey {
        app: app.id,
        message: group.last.message,
        attempt: group.last.attempt,
    };
    let example = match with_example {
        true => cx.server.store.attempt(key).await?,
        false => None,
    };
    let reason = reasons::of(&group.last.reason);
    Ok(Some(ProblemOut {
        app_id: app.id,
        app_uid: app.uid.clone(),
        app_name: app.name.clone(),
        endpoint_id: endpoint.id,
        endpoint_uid: endpoint.uid.clone(),
        url: endpoint.url.clone(),
        explanation: reason.explanation,
        advice: reason.advice,
        docs: format!("failures.md#{}", group.last.reason),
        attempts: group.attempts,
        given_up: group.given_up,
        exact: group.exact,
        first_seen: group.first.at(),
        last_seen: group.last.at(),
        failing_since: entry.lane.health().failing_since,
        disabled: endpoint.disabled.is_some(),
        paused: endpoint.paused,
        example: example.map(|row| AttemptOut::of(row.attempt, true)),
        reason: group.last.reason.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::{AttemptId, Id as _, MessageId};

    use super::*;

    fn failed(endpoint: u64, attempt: u64, reason: &str, last: bool) -> FailedAttempt {
        FailedAttempt {
            endpoint: EndpointId::from_number(endpoint),
            message: MessageId::from_number(1),
            attempt: AttemptId::from_number(attempt),
            reason: reason.to_owned(),
            status_code: 0,
            last,
        }
    }

    #[test]
    fn failures_are_grouped_by_endpoint_and_reason_the_latest_first() {
        let all = [
            failed(1, 50, "a", true),
            failed(1, 40, "b", false),
            failed(1, 30, "a", false),
            failed(2, 60, "a", true),
        ];
        let groups = grouped(&all, 3);
        let told: Vec<_> = groups
            .iter()
            .map(|group| {
                let (first, last) = (group.first.attempt.number(), group.last.attempt.number());
                (last, first, group.attempts, group.given_up, group.exact)
            })
            .collect();
        assert_eq!(
            told,
            [(60, 60, 1, 1, true), (50, 30, 2, 1, false), (40, 40, 1, 0, false)]
        );
    }
}
