//! `/api/v1/background-task`: work that outlives a request: how far it has come, and stopping it.
//!
//! Clients know three states and a fixed list of kinds, and fail on anything else; what goes beyond that is told in `data`.

use bellwire_core::{
    id::{AppId, Id as _, TaskId},
    task::{Job, ReplayWhich, ReportAbout, Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{
    Change, Store, StoreError,
    query::{Order, Page, Rows, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    auth::{Access, Caller},
    call::{Call, Context, Nothing, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, delete, get},
    pagination::{Limit, ListResponse, Ordering, page},
    problem::Problem,
};

/// Rows that are read at once while looking for those that are wanted.
const CHUNK: usize = 250;
/// How many such pieces one request reads at most; the answer's iterator goes on behind them.
const CHUNKS_MAX: usize = 20;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/background-task", "v1.background-task.list", Access::READ_APP)
            .summary("List background tasks")
            .about("Newest first. The token of an application sees the tasks of that application.")
            .to(list),
        get(
            "/api/v1/background-task/{task_id}",
            "v1.background-task.get",
            Access::READ_APP,
        )
        .summary("Get a background task")
        .to(show),
        delete(
            "/api/v1/background-task/{task_id}",
            "v1.background-task.cancel",
            Access::APP,
        )
        .summary("Stop a background task")
        .edits()
        .about("What it has done stays done. A task that has ended stays as it is. Erasures cannot be stopped.")
        .to(cancel),
    ]
}

/// Where a task stands, as clients know it. A cancelled one is `failed`, and says `cancelled` in its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BackgroundTaskStatus")]
pub(super) enum StatusOut {
    /// At work, or waiting for its turn.
    Running,
    /// Everything is done.
    Finished,
    /// It could not go on, or was cancelled.
    Failed,
}

impl From<TaskStatus> for StatusOut {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Running => Self::Running,
            TaskStatus::Finished => Self::Finished,
            TaskStatus::Failed | TaskStatus::Cancelled => Self::Failed,
        }
    }
}

/// What a task does, as clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BackgroundTaskType")]
pub(super) enum TypeOut {
    /// Sends again what failed.
    #[serde(rename = "endpoint.recover")]
    Recover,
    /// Sends what was never tried.
    #[serde(rename = "endpoint.replay")]
    Replay,
    /// Sends again what matches.
    #[serde(rename = "endpoint.bulk-replay")]
    BulkReplay,
    /// Erases what belonged to a deleted application.
    #[serde(rename = "application.purge_content")]
    PurgeContent,
    /// Counts what applications use.
    #[serde(rename = "application.stats")]
    ApplicationStats,
    /// Counts which event types are subscribed to.
    #[serde(rename = "event-type.aggregate")]
    EventTypeAggregate,
}

impl From<&Job> for TypeOut {
    fn from(job: &Job) -> Self {
        match job {
            Job::Replay {
                which: ReplayWhich::Failed | ReplayWhich::FailedBy { .. },
                ..
            } => Self::Recover,
            Job::Replay {
                which: ReplayWhich::Missing,
                ..
            } => Self::Replay,
            Job::Replay {
                which: ReplayWhich::Matching { .. },
                ..
            } => Self::BulkReplay,
            Job::EraseApp { .. } => Self::PurgeContent,
            Job::Report {
                about: ReportAbout::AppUsage,
                ..
            } => Self::ApplicationStats,
            Job::Report {
                about: ReportAbout::EventTypes,
                ..
            } => Self::EventTypeAggregate,
        }
    }
}

/// A background task.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BackgroundTaskOut")]
pub(super) struct TaskOut {
    pub id: String,
    pub status: StatusOut,
    pub task: TypeOut,
    /// When it last made progress.
    #[schemars(with = "Time")]
    pub updated_at: Timestamp,
    /// How far it has come: `messagesSeen` and `messagesSent`, or `messagesRemoved`; `error` and `cancelled` where they
    /// apply.
    pub data: Map<String, Value>,
}

impl TaskOut {
    pub fn of(task: &Task) -> Self {
        Self {
            id: task.id.to_string(),
            status: task.status.into(),
            task: TypeOut::from(&task.job),
            updated_at: task.updated_at,
            data: data_of(task),
        }
    }
}

fn data_of(task: &Task) -> Map<String, Value> {
    let data = match &task.job {
        Job::Replay {
            app,
            endpoint,
            since,
            until,
            ..
        } => json!({
            "messagesSeen": task.seen, "messagesSent": task.done,
            "appId": app, "endpointId": endpoint, "since": since.to_string(), "until": until.to_string(),
        }),
        Job::EraseApp { app } => json!({ "messagesRemoved": task.done, "appId": app }),
        Job::Report { data, .. } => Value::Object(data.clone()),
    };
    let Value::Object(mut data) = data else {
        return Map::new();
    };
    if let Some(error) = &task.error {
        data.insert("error".to_owned(), error.as_str().into());
    }
    if task.status == TaskStatus::Cancelled {
        data.insert("cancelled".to_owned(), true.into());
    }
    data
}

/// The application that a task works on.
fn app_of(job: &Job) -> Option<AppId> {
    match job {
        Job::Replay { app, .. } | Job::EraseApp { app } => Some(*app),
        Job::Report { .. } => None,
    }
}

/// Whether the caller may see a task.
fn sees(caller: Caller, task: &Task) -> bool {
    task.environment == caller.environment && caller.app.is_none_or(|only| app_of(&task.job) == Some(only))
}

/// Which tasks are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Tasks {
    /// Only those that stand so.
    status: Option<StatusOut>,
    /// Only those that do this.
    task: Option<TypeOut>,
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Which way the list runs.
    order: Option<Ordering>,
}

async fn list(Call { cx, query, .. }: Call<Tasks>) -> Result<Reply<ListResponse<TaskOut>>, ApiError> {
    let caller = cx.caller()?;
    let order = query.order.map_or(Order::Descending, Order::from);
    let page = page::<TaskId>(query.limit, query.iterator.as_deref(), order)?;
    // In the store, failed and cancelled are two states.
    let status = match query.status {
        Some(StatusOut::Running) => Some(TaskStatus::Running),
        Some(StatusOut::Finished) => Some(TaskStatus::Finished),
        Some(StatusOut::Failed) | None => None,
    };
    let wanted = |task: &Task| {
        sees(caller, task)
            && query.status.is_none_or(|wanted| wanted == task.status.into())
            && query.task.is_none_or(|wanted| wanted == TypeOut::from(&task.job))
    };
    let found = look(cx.server.store.as_ref(), caller, status, page, wanted).await?;
    let mut list = ListResponse::new(found.rows, |task| task.id.to_string(), |task| TaskOut::of(&task));
    // A walk that ended between two rows goes on where it ended.
    if let Some(mark) = found.looked_at {
        match page.start {
            Start::Before(_) => list.prev_iterator = Some(format!("-{mark}")),
            Start::First | Start::After(_) => list.iterator = Some(mark.to_string()),
        }
    }
    Reply::ok(&list)
}

/// Tasks that are wanted.
struct Found {
    rows: Rows<Task>,
    /// The last one that was looked at, when the looking ended before the page was full.
    looked_at: Option<TaskId>,
}

/// Reads on until the page is full, in either direction.
async fn look(
    store: &dyn Store,
    caller: Caller,
    status: Option<TaskStatus>,
    page: Page,
    wanted: impl Fn(&Task) -> bool,
) -> Result<Found, StoreError> {
    let backwards = matches!(page.start, Start::Before(_));
    let mut start = page.start;
    let mut items = Vec::new();
    let mut looked_at = None;
    for _ in 0..CHUNKS_MAX {
        let chunk = Page {
            limit: CHUNK,
            start,
            order: page.order,
        };
        let Rows { items: mut read, more } = store.tasks(Some(caller.environment), status, chunk).await?;
        if backwards {
            read.reverse();
        }
        let Some(last) = read.last().map(|task| task.id) else {
            looked_at = None;
            break;
        };
        items.extend(read.into_iter().filter(&wanted));
        looked_at = Some(last).filter(|_| more);
        // One more than the page holds tells that there are more.
        if items.len() > page.limit || !more {
            break;
        }
        start = if backwards {
            Start::Before(last.number())
        } else {
            Start::After(last.number())
        };
    }
    let full = items.len() > page.limit;
    items.truncate(page.limit);
    if backwards {
        items.reverse();
    }
    let looked_at = looked_at.filter(|_| !full);
    Ok(Found {
        rows: Rows {
            items,
            more: full || looked_at.is_some(),
        },
        looked_at,
    })
}

/// The task that the path names.
async fn find(cx: &Context) -> Result<Task, ApiError> {
    let name = cx.param("task_id");
    let unknown = || ApiError::not_found("background task", name);
    let id: TaskId = name.parse().map_err(|_| unknown())?;
    let caller = cx.caller()?;
    cx.server
        .store
        .task(id)
        .await?
        .filter(|task| sees(caller, task))
        .ok_or_else(unknown)
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<TaskOut>, ApiError> {
    Reply::ok(&TaskOut::of(&find(&cx).await?))
}

async fn cancel(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let task = find(&cx).await?;
    if task.status != TaskStatus::Running {
        return Ok(Reply::nothing());
    }
    if let Job::EraseApp { app } = task.job {
        let msg = format!("application {app} is deleted; erasing what is left of it cannot be stopped");
        return Err(ApiError::invalid(Problem::at("path", ["task_id"], "value_error", msg)));
    }
    let task = Task {
        status: TaskStatus::Cancelled,
        updated_at: cx.server.directory.now(),
        ..task
    };
    cx.commit_silently(vec![Change::PutTask(Box::new(task))]).await
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::{EndpointId, EnvironmentId};

    use super::*;

    fn replay(status: TaskStatus) -> Task {
        let at = Timestamp::from_secs(1_766_000_000);
        let job = Job::Replay {
            app: AppId::from_number(1),
            endpoint: EndpointId::from_number(2),
            which: ReplayWhich::Missing,
            since: at,
            until: at,
        };
        Task {
            id: TaskId::from_number(3),
            environment: EnvironmentId::from_number(4),
            job,
            status,
            seen: 20,
            done: 5,
            cursor: 0,
            error: None,
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn a_running_replay_shows_its_progress() {
        let shown = serde_json::to_value(TaskOut::of(&replay(TaskStatus::Running))).unwrap();
        assert_eq!(
            (&shown["status"], &shown["task"]),
            (&json!("running"), &json!("endpoint.replay"))
        );
        assert_eq!(
            (&shown["data"]["messagesSeen"], &shown["data"]["messagesSent"]),
            (&json!(20), &json!(5))
        );
        assert_eq!(shown["data"].get("cancelled"), None);
    }

    #[test]
    fn clients_see_a_cancelled_task_as_failed_and_the_data_says_more() {
        let shown = serde_json::to_value(TaskOut::of(&replay(TaskStatus::Cancelled))).unwrap();
        assert_eq!(
            (&shown["status"], &shown["data"]["cancelled"]),
            (&json!("failed"), &json!(true))
        );
        let failed = Task {
            error: Some("gone".to_owned()),
            ..replay(TaskStatus::Failed)
        };
        let shown = serde_json::to_value(TaskOut::of(&failed)).unwrap();
        assert_eq!(
            (&shown["status"], &shown["data"]["error"]),
            (&json!("failed"), &json!("gone"))
        );
    }

    #[test]
    fn every_kind_of_job_has_a_name_that_clients_know() {
        let name = |which| match replay(TaskStatus::Running).job {
            Job::Replay {
                app,
                endpoint,
                since,
                until,
                ..
            } => serde_json::to_value(TypeOut::from(&Job::Replay {
                app,
                endpoint,
                which,
                since,
                until,
            }))
            .unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name(ReplayWhich::Failed), "endpoint.recover");
        assert_eq!(name(ReplayWhich::Missing), "endpoint.replay");
        let erase = TypeOut::from(&Job::EraseApp {
            app: AppId::from_number(1),
        });
        assert_eq!(serde_json::to_value(erase).unwrap(), "application.purge_content");
    }

    #[test]
    fn a_token_of_one_application_sees_only_its_tasks() {
        let task = replay(TaskStatus::Running);
        let caller = |environment, app: Option<u64>| Caller {
            environment: EnvironmentId::from_number(environment),
            scope: bellwire_core::token::Scope::App,
            app: app.map(AppId::from_number),
            token: None,
        };
        assert!(sees(caller(4, None), &task) && sees(caller(4, Some(1)), &task));
        assert!(!sees(caller(4, Some(9)), &task) && !sees(caller(5, None), &task));
    }
}
