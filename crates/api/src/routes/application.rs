//! `/api/v1/app`: applications.

use std::collections::BTreeMap;

use bellwire_core::{
    app::{App, AppKind},
    id::{AppId, EnvironmentId},
    task::{Job, Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{Change, Directory, query::Order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Access,
    call::{Call, Nothing, Outcome, Reply},
    error::{ApiError, UID_TAKEN},
    field::{AppUid, DisplayName, Metadata, Patch, PerSecondTogether, PublishedPerSecond, PublishedPerSecondOrNone},
    operation::{Operation, delete, get, patch, post, put},
    pagination::{ListQuery, ListResponse},
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/app", "v1.application.list", Access::READ)
            .summary("List applications")
            .to(list),
        post("/api/v1/app", "v1.application.create", Access::ADMIN)
            .summary("Create an application")
            .about("With `get_if_exists=true` an application that already has this uid is answered with 200.")
            .statuses(&[201, 200])
            .to(create),
        get("/api/v1/app/{app_id}", "v1.application.get", Access::READ_APP)
            .summary("Get an application")
            .to(show),
        put("/api/v1/app/{app_id}", "v1.application.update", Access::ADMIN)
            .summary("Create or replace an application")
            .statuses(&[200, 201])
            .edits()
            .to(update),
        patch("/api/v1/app/{app_id}", "patch_application", Access::ADMIN)
            .summary("Change an application")
            .edits()
            .to(change),
        delete("/api/v1/app/{app_id}", "v1.application.delete", Access::ADMIN)
            .summary("Delete an application")
            .about("Its endpoints and tokens are gone at once; its messages and attempts are erased in the background.")
            .to(remove),
    ]
}

/// What an application is to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApplicationIn {
    /// A name for people.
    pub name: DisplayName,
    /// Your own name for it, unique in the environment; usable wherever its id is.
    pub uid: Option<AppUid>,
    /// Messages per second to all its endpoints together.
    #[serde(alias = "rateLimit")]
    pub throttle_rate: Option<PerSecondTogether>,
    /// Messages per second that may be published to it; more are refused with 429. Left out: the server's `publish_app_rate`.
    pub publish_rate: Option<PublishedPerSecond>,
    /// Your notes.
    pub metadata: Option<Metadata>,
    /// Whether payloads must fit the schema of their event type; overrides the environment's setting.
    pub validate_payloads: Option<bool>,
}

/// What is to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationPatch {
    /// A name for people.
    name: Option<DisplayName>,
    /// Your own name for it; null removes it.
    #[serde(default)]
    uid: Patch<AppUid>,
    /// Messages per second to all its endpoints together; null or 0 is unlimited.
    #[serde(default, alias = "rateLimit")]
    throttle_rate: Patch<u16>,
    /// Messages per second that may be published to it; null or 0 is the server's `publish_app_rate`.
    #[serde(default)]
    publish_rate: Patch<PublishedPerSecondOrNone>,
    /// Your notes.
    metadata: Option<Metadata>,
    /// Whether payloads must fit the schema of their event type; null leaves it to the environment.
    #[serde(default)]
    validate_payloads: Patch<bool>,
}

/// An application.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationOut {
    #[schemars(with = "String")]
    id: AppId,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish_rate: Option<u32>,
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validate_payloads: Option<bool>,
    #[schemars(with = "crate::field::Time")]
    created_at: Timestamp,
    #[schemars(with = "crate::field::Time")]
    updated_at: Timestamp,
}

impl From<&App> for ApplicationOut {
    fn from(app: &App) -> Self {
        Self {
            id: app.id,
            uid: app.uid.clone(),
            name: app.name.clone(),
            throttle_rate: app.throttle_rate,
            publish_rate: app.publish_rate,
            metadata: app.metadata.clone(),
            validate_payloads: app.validate_payloads,
            created_at: app.created_at,
            updated_at: app.updated_at,
        }
    }
}

impl ApplicationIn {
    /// The application it asks for.
    pub fn build(self, directory: &Directory, environment: EnvironmentId) -> App {
        let now = directory.now();
        App {
            id: directory.new_id(),
            environment,
            uid: self.uid.map(Into::into),
            name: self.name.into(),
            throttle_rate: self.throttle_rate.map(PerSecondTogether::get),
            publish_rate: self.publish_rate.map(PublishedPerSecond::get),
            metadata: self.metadata.unwrap_or_default().0,
            kind: AppKind::Tenant,
            validate_payloads: self.validate_payloads,
            created_at: now,
            updated_at: now,
        }
    }
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<ApplicationOut>>, ApiError> {
    let page = query.page::<AppId>(Order::Ascending)?;
    let rows = cx.server.directory.apps(cx.environment()?, page);
    Reply::ok(&ListResponse::new(
        rows,
        |app| app.id.to_string(),
        |app| ApplicationOut::from(&*app),
    ))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CreateQuery {
    /// Answer the application that already has this uid instead of refusing.
    get_if_exists: Option<bool>,
}

async fn create(Call { cx, query, body }: Call<CreateQuery, ApplicationIn>) -> Result<Reply<ApplicationOut>, ApiError> {
    let environment = cx.environment()?;
    let wanted = body.uid.as_deref().filter(|_| query.get_if_exists == Some(true));
    let wanted = wanted.map(str::to_owned);
    let existing = || cx.server.directory.app(environment, wanted.as_deref()?);
    let found = |app: &App| Reply::json(Outcome::Other, &ApplicationOut::from(app));
    if let Some(existing) = existing() {
        return found(&existing);
    }
    let app = body.build(&cx.server.directory, environment);
    let answer = ApplicationOut::from(&app);
    match cx.commit(vec![Change::PutApp(app)], Outcome::Usual, &answer).await {
        // Another request made it in between.
        Err(error) if error.code() == &UID_TAKEN => existing().map_or(Err(error), |app| found(&app)),
        done => done,
    }
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<ApplicationOut>, ApiError> {
    Reply::ok(&ApplicationOut::from(&*cx.app()?))
}

async fn update(Call { cx, body, .. }: Call<NoQuery, ApplicationIn>) -> Result<Reply<ApplicationOut>, ApiError> {
    let name = cx.param("app_id");
    let existing = cx.find_app(name)?;
    existing.as_ref().map_or(Ok(()), |app| cx.not_of_source(app))?;
    let mut app = body.build(&cx.server.directory, cx.environment()?);
    let outcome = match existing {
        Some(existing) => {
            (app.id, app.created_at) = (existing.id, existing.created_at);
            // Clients that do not know it must not take it away.
            app.publish_rate = app.publish_rate.or(existing.publish_rate);
            Outcome::Usual
        }
        None if !AppUid::allows(name) => return Err(ApiError::not_found("application", name)),
        None => {
            app.uid = Some(uid_of_path(name, app.uid)?);
            Outcome::Other
        }
    };
    let answer = ApplicationOut::from(&app);
    cx.commit(vec![Change::PutApp(app)], outcome, &answer).await
}

/// The uid of a thing that is made by naming it in the path.
///
/// # Errors
/// `validation_failed` when the body names another one.
pub(super) fn uid_of_path(path: &str, body: Option<String>) -> Result<String, ApiError> {
    match body {
        Some(uid) if uid != path => {
            let msg = format!("the path says `{path}`; give the same uid, or none");
            Err(ApiError::invalid(Problem::body(["uid"], msg)))
        }
        _ => Ok(path.to_owned()),
    }
}

async fn change(Call { cx, body, .. }: Call<NoQuery, ApplicationPatch>) -> Result<Reply<ApplicationOut>, ApiError> {
    let mut app = App::clone(&*cx.tenant()?);
    if let Some(name) = body.name {
        app.name = name.into();
    }
    body.uid.map(String::from).apply(&mut app.uid);
    body.throttle_rate.apply(&mut app.throttle_rate);
    app.throttle_rate = app.throttle_rate.filter(|rate| *rate > 0);
    body.publish_rate
        .map(PublishedPerSecondOrNone::get)
        .apply(&mut app.publish_rate);
    app.publish_rate = app.publish_rate.filter(|rate| *rate > 0);
    if let Some(Metadata(metadata)) = body.metadata {
        app.metadata = metadata;
    }
    body.validate_payloads.apply(&mut app.validate_payloads);
    app.updated_at = cx.server.directory.now();
    let answer = ApplicationOut::from(&app);
    cx.commit(vec![Change::PutApp(app)], Outcome::Usual, &answer).await
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.tenant()?;
    let reply = cx.commit_silently(erasure(&cx.server.directory, &app)).await?;
    cx.server.tasks_wake.notify_one();
    Ok(reply)
}

/// What removes an application at once, and all it has in the background.
pub(super) fn erasure(directory: &Directory, app: &App) -> Vec<Change> {
    let task = Task {
        id: directory.new_id(),
        environment: app.environment,
        job: Job::EraseApp { app: app.id },
        status: TaskStatus::Running,
        seen: 0,
        done: 0,
        cursor: 0,
        error: None,
        created_at: directory.now(),
        updated_at: directory.now(),
    };
    vec![Change::DeleteApp(app.id), Change::PutTask(Box::new(task))]
}
