//! Numbers about applications. Those about one endpoint are with the endpoint.
//!
//! Usage statistics are background tasks for clients: here they are computed at once and answered as a task that is finished
//! already, with its result in the task's `data`.

mod chart;
mod series;
mod slowness;

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    app::App,
    id::EndpointId,
    task::{Job, ReportAbout, Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{
    Change, Directory,
    directory::EndpointEntry,
    query::{AttemptCounts, Order, Page, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::chart::{Chart, Period};
use super::background_task::{StatusOut, TaskOut, TypeOut};
use crate::{
    auth::Access,
    call::{Call, Context, Outcome, Reply},
    error::ApiError,
    field::{EventTypeName, Set, Time},
    operation::{Operation, get, post, put},
    problem::Problem,
    query::NoQuery,
};

/// Everything there is, in one page.
const ALL: Page = Page {
    limit: usize::MAX,
    start: Start::First,
    order: Order::Ascending,
};
/// Applications that usage may be asked for by name.
const APPS_MAX: usize = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = vec![
        get(
            "/api/v1/stats/app/{app_id}/attempt",
            "v1.stats.app-attempts",
            Access::READ_APP,
        )
        .summary("Count an application's attempts over time")
        .about(
            "One number per period from `startDate` on. Without dates the last day, by the hour. Endpoints that were \
                 deleted since are left out; attempts are never canceled, so that list is all zeros.",
        )
        .to(attempts_of_app),
        get(
            "/api/v1/app/stats/count-active",
            "v1.application.count-active",
            Access::READ,
        )
        .summary("Count the applications that have an endpoint")
        .to(count_active),
        post(
            "/api/v1/stats/usage/app",
            "v1.statistics.aggregate-app-stats",
            Access::READ,
        )
        .summary("Count what applications sent")
        .about("The answered task is finished already; `GET /api/v1/background-task/{task_id}` has the numbers.")
        .statuses(&[202])
        .to(usage_of_apps),
        put(
            "/api/v1/stats/usage/event-types",
            "v1.statistics.aggregate-event-types",
            Access::READ,
        )
        .summary("List which event types applications subscribe to")
        .about("The answered task is finished already; `GET /api/v1/background-task/{task_id}` has the list.")
        .statuses(&[202])
        .to(usage_of_event_types),
    ];
    operations.extend(series::operations());
    operations
}

// -- attempts over time --------------------------------------------------------------------------------------------

/// Which attempts are counted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Charted {
    /// From then on; rounded down to a whole period (UTC).
    start_date: Option<Time>,
    /// Until then; now when left out.
    end_date: Option<Time>,
    /// What one number stands for; chosen by the span when left out.
    period: Option<Period>,
    /// Only of messages of these types.
    #[serde(rename = "event_types")]
    event_types: Option<Set<EventTypeName, 0, 500>>,
}

/// Attempts over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AttemptStatisticsResponse {
    data: AttemptStatisticsData,
    #[schemars(with = "Time")]
    start_date: Timestamp,
    #[schemars(with = "Time")]
    end_date: Timestamp,
    period: Period,
}

/// One number per period each.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AttemptStatisticsData {
    success_count: Vec<u64>,
    failure_count: Vec<u64>,
    canceled_count: Vec<u64>,
}

async fn attempts_of_app(Call { cx, query, .. }: Call<Charted>) -> Result<Reply<AttemptStatisticsResponse>, ApiError> {
    let app = cx.app()?;
    let directory = &cx.server.directory;
    let (from, to) = (query.start_date.map(|time| time.0), query.end_date.map(|time| time.0));
    let Chart {
        period,
        start,
        end,
        points,
    } = Chart::plan(from, to, query.period, directory.now())?;
    let endpoints = ids(directory.endpoints(app.id, ALL).items);
    let event_types = query.event_types.map(Set::into_texts).unwrap_or_default();
    let bucket = Duration::from_secs(period.seconds().into());
    let mut counts = cx
        .server
        .store
        .attempt_counts(endpoints, event_types, start, bucket, points)
        .await?;
    counts.resize(points, AttemptCounts::default());
    let data = AttemptStatisticsData {
        success_count: counts.iter().map(|count| count.succeeded).collect(),
        failure_count: counts.iter().map(|count| count.failed).collect(),
        canceled_count: vec![0; points],
    };
    Reply::ok(&AttemptStatisticsResponse {
        data,
        start_date: start,
        end_date: end,
        period,
    })
}

fn ids(entries: Vec<Arc<EndpointEntry>>) -> Vec<EndpointId> {
    entries.into_iter().map(|entry| entry.endpoint.id).collect()
}

// -- applications --------------------------------------------------------------------------------------------------

/// Which applications are active.
#[derive(Debug, Deserialize, JsonSchema)]
struct Active {
    /// Whether applications do not count whose endpoints are all disabled; true when left out.
    exclude_disabled: Option<bool>,
}

/// How many there are.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActiveAppCount")]
struct ActiveOut {
    count: usize,
}

async fn count_active(Call { cx, query, .. }: Call<Active>) -> Result<Reply<ActiveOut>, ApiError> {
    let directory = &cx.server.directory;
    let exclude_disabled = query.exclude_disabled.unwrap_or(true);
    let is_active = |app: &Arc<App>| {
        let endpoints = directory.endpoints(app.id, ALL).items;
        endpoints
            .iter()
            .any(|entry| !exclude_disabled || entry.endpoint.disabled.is_none())
    };
    let apps = apps_of(&cx)?;
    Reply::ok(&ActiveOut {
        count: apps.iter().filter(|app| is_active(app)).count(),
    })
}

/// The applications that the caller sees.
fn apps_of(cx: &Context) -> Result<Vec<Arc<App>>, ApiError> {
    let caller = cx.caller()?;
    let mut apps = cx.server.directory.apps(caller.environment, ALL).items;
    apps.retain(|app| caller.app.is_none_or(|only| only == app.id));
    Ok(apps)
}

/// Whose usage is counted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AppUsageStatsIn")]
struct UsageIn {
    /// Messages accepted from then on…
    since: Time,
    /// …and before then.
    until: Time,
    /// Only these applications, by id or uid; all when left out.
    app_ids: Option<Vec<String>>,
}

/// The finished task.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AppUsageStatsOut")]
struct UsageOut {
    id: String,
    status: StatusOut,
    task: TypeOut,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
    /// Names for which there is no application.
    unresolved_app_ids: Vec<String>,
}

async fn usage_of_apps(Call { cx, body, .. }: Call<NoQuery, UsageIn>) -> Result<Reply<UsageOut>, ApiError> {
    let (since, until) = (body.since.0, body.until.0);
    if until < since {
        let msg = format!("it ends at {until}, before it begins at {since}; give a later time");
        return Err(ApiError::invalid(Problem::body(["until"], msg)));
    }
    let mut unresolved = Vec::new();
    let apps = match body.app_ids {
        None => apps_of(&cx)?,
        Some(names) if names.len() > APPS_MAX => {
            let msg = format!(
                "there are {} entries; give at most {APPS_MAX}, or none for all applications",
                names.len()
            );
            return Err(ApiError::invalid(Problem::body(["appIds"], msg)));
        }
        Some(names) => {
            let mut apps = Vec::new();
            for name in names {
                match cx.find_app(&name)? {
                    Some(app) => apps.push(app),
                    None => unresolved.push(name),
                }
            }
            apps
        }
    };
    let mut stats = Vec::with_capacity(apps.len());
    for app in apps {
        let mut destinations = 0;
        for endpoint in ids(cx.server.directory.endpoints(app.id, ALL).items) {
            let counts = cx.server.store.delivery_counts(endpoint, since, until).await?;
            destinations += counts.succeeded + counts.pending + counts.failed + counts.cancelled;
        }
        stats.push(json!({ "appId": app.id, "appUid": app.uid, "messageDestinations": destinations }));
    }
    let task = report(
        &cx,
        ReportAbout::AppUsage,
        Map::from_iter([("appStats".to_owned(), Value::from(stats))]),
    )?;
    let TaskOut {
        id,
        status,
        task: kind,
        updated_at,
        ..
    } = TaskOut::of(&task);
    let answer = UsageOut {
        id,
        status,
        task: kind,
        updated_at,
        unresolved_app_ids: unresolved,
    };
    cx.commit(vec![Change::PutTask(Box::new(task))], Outcome::Usual, &answer)
        .await
}

/// A task that is finished.
fn report(cx: &Context, about: ReportAbout, data: Map<String, Value>) -> Result<Task, ApiError> {
    let directory = &cx.server.directory;
    let now = directory.now();
    Ok(Task {
        id: directory.new_id(),
        environment: cx.environment()?,
        job: Job::Report { about, data },
        status: TaskStatus::Finished,
        seen: 0,
        done: 0,
        cursor: 0,
        error: None,
        created_at: now,
        updated_at: now,
    })
}

/// The finished task.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AggregateEventTypesOut")]
struct AggregateOut {
    id: String,
    status: StatusOut,
    task: TypeOut,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

async fn usage_of_event_types(Call { cx, .. }: Call) -> Result<Reply<AggregateOut>, ApiError> {
    let directory = &cx.server.directory;
    let apps = apps_of(&cx)?;
    let rows: Vec<_> = apps.iter().map(|app| subscriptions(directory, app)).collect();
    let task = report(
        &cx,
        ReportAbout::EventTypes,
        Map::from_iter([("event_types".to_owned(), Value::from(rows))]),
    )?;
    let TaskOut {
        id,
        status,
        task: kind,
        updated_at,
        ..
    } = TaskOut::of(&task);
    let answer = AggregateOut {
        id,
        status,
        task: kind,
        updated_at,
    };
    cx.commit(vec![Change::PutTask(Box::new(task))], Outcome::Usual, &answer)
        .await
}

/// What the endpoints of an application want.
fn subscriptions(directory: &Directory, app: &App) -> Value {
    let entries = directory.endpoints(app.id, ALL).items;
    let wanted: Vec<_> = entries
        .iter()
        .map(|entry| entry.endpoint.event_types.as_deref())
        .collect();
    let (named, catches_all) = aggregate(&wanted);
    json!({ "appId": app.id, "explicitlySubscribedEventTypes": named, "hasCatchAllEndpoint": catches_all })
}

/// The event types that are named by some endpoint, sorted, and whether one wants all.
fn aggregate<'a>(wanted: &[Option<&'a [String]>]) -> (Vec<&'a str>, bool) {
    let mut named: Vec<&str> = wanted
        .iter()
        .flatten()
        .flat_map(|types| types.iter().map(String::as_str))
        .collect();
    named.sort_unstable();
    named.dedup();
    let catches_all = wanted
        .iter()
        .any(|types| types.is_none_or(|types| types.iter().any(|entry| entry == "*")));
    named.retain(|entry| *entry != "*");
    (named, catches_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_filter_or_with_a_star_catches_all() {
        let types = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let (some, more, star) = (types(&["b", "a"]), types(&["a", "c.*"]), types(&["*"]));
        assert_eq!(aggregate(&[Some(&some), Some(&more)]), (vec!["a", "b", "c.*"], false));
        assert_eq!(aggregate(&[Some(&some), None]), (vec!["a", "b"], true));
        assert_eq!(aggregate(&[Some(&star)]), (vec![], true));
        assert_eq!(aggregate(&[]), (vec![], false));
    }
}
