//! `/api/v1/event-type`: what kinds of events there are.

use bellwire_core::{event_type::EventType, id::EnvironmentId, time::Timestamp};
use bellwire_store::{
    Change,
    directory::NamedStart,
    query::{Order, Rows},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Outcome, Reply},
    error::{ApiError, EVENT_TYPE_EXISTS},
    field::{Description, EventTypeName, Ignored, Patch, Set},
    operation::{Operation, delete, get, patch, post, put},
    pagination::{Limit, ListResponse, Ordering},
    payload_schema::check_schema,
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/event-type", "v1.event-type.list", Access::READ_APP)
            .summary("List event types")
            .to(list),
        post("/api/v1/event-type", "v1.event-type.create", Access::ADMIN)
            .summary("Create an event type")
            .about("An archived event type with this name is taken out of the archive and replaced.")
            .edits()
            .to(create),
        get(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.get",
            Access::READ_APP,
        )
        .summary("Get an event type")
        .to(show),
        put(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.update",
            Access::ADMIN,
        )
        .summary("Create or replace an event type")
        .statuses(&[200, 201])
        .edits()
        .to(update),
        patch(
            "/api/v1/event-type/{event_type_name}",
            "patch_event_type",
            Access::ADMIN,
        )
        .summary("Change an event type")
        .edits()
        .to(change),
        delete(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.delete",
            Access::ADMIN,
        )
        .summary("Archive or remove an event type")
        .about(
            "Archived, it is hidden from lists and messages of it are still accepted; with `expunge=true` it is gone.",
        )
        .edits()
        .to(remove),
    ]
}

/// JSON Schemas by version number.
type Schemas = Map<String, Value>;
type Flags = Set<EventTypeName, 0, 50>;

/// What an event type is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventTypeIn {
    /// A dotted name, unique in the environment.
    pub name: EventTypeName,
    /// What it means, for the people who subscribe.
    pub description: Description,
    /// Hidden from lists.
    pub archived: Option<bool>,
    /// Better not used for new things.
    pub deprecated: Option<bool>,
    /// JSON Schemas by version number; the highest is in force.
    pub schemas: Option<Schemas>,
    /// Offered only to applications with one of these flags.
    pub feature_flags: Option<Flags>,
    /// The older way to give one flag.
    pub feature_flag: Option<EventTypeName>,
    /// A heading to list it under.
    pub group_name: Option<EventTypeName>,
    /// Part of an exported event type; ignored.
    #[serde(default, rename = "createdAt")]
    #[schemars(skip)]
    pub _created_at: Ignored,
    /// Part of an exported event type; ignored.
    #[serde(default, rename = "updatedAt")]
    #[schemars(skip)]
    pub _updated_at: Ignored,
}

/// What an event type is to be; its name is in the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventTypeUpdate {
    /// What it means, for the people who subscribe.
    description: Description,
    /// Hidden from lists.
    archived: Option<bool>,
    /// Better not used for new things.
    deprecated: Option<bool>,
    /// JSON Schemas by version number; the highest is in force.
    schemas: Option<Schemas>,
    /// Offered only to applications with one of these flags.
    feature_flags: Option<Flags>,
    /// The older way to give one flag.
    feature_flag: Option<EventTypeName>,
    /// A heading to list it under.
    group_name: Option<EventTypeName>,
}

/// What is to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventTypePatch {
    /// What it means, for the people who subscribe.
    description: Option<Description>,
    /// Hidden from lists.
    archived: Option<bool>,
    /// Better not used for new things.
    deprecated: Option<bool>,
    /// JSON Schemas by version number; null removes them.
    #[serde(default)]
    schemas: Patch<Schemas>,
    /// Offered only to applications with one of these flags; null removes them.
    #[serde(default)]
    feature_flags: Patch<Flags>,
    /// The older way to give one flag.
    #[serde(default)]
    feature_flag: Patch<EventTypeName>,
    /// A heading to list it under; null removes it.
    #[serde(default)]
    group_name: Patch<EventTypeName>,
}

/// An event type.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypeOut {
    name: String,
    description: String,
    archived: bool,
    deprecated: bool,
    /// JSON Schemas by version number; in lists only when content is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    schemas: Option<Schemas>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    feature_flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_flag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    #[schemars(with = "crate::field::Time")]
    created_at: Timestamp,
    #[schemars(with = "crate::field::Time")]
    updated_at: Timestamp,
}

impl EventTypeOut {
    /// What is answered of an event type.
    pub fn of(event_type: &EventType, with_content: bool) -> Self {
        Self {
            name: event_type.name.clone(),
            description: event_type.description.clone(),
            archived: event_type.archived,
            deprecated: event_type.deprecated,
            schemas: event_type.schemas.clone().filter(|_| with_content),
            feature_flags: event_type.feature_flags.clone(),
            feature_flag: event_type.feature_flags.first().cloned(),
            group_name: event_type.group_name.clone(),
            created_at: event_type.created_at,
            updated_at: event_type.updated_at,
        }
    }
}

impl EventTypeIn {
    /// The event type it asks for.
    ///
    /// # Errors
    /// `validation_failed` for a schema that is none.
    pub fn build(self, environment: EnvironmentId, now: Timestamp) -> Result<EventType, ApiError> {
        check_schemas(self.schemas.as_ref())?;
        Ok(EventType {
            environment,
            name: self.name.into(),
            description: self.description.0,
            archived: self.archived.unwrap_or(false),
            deprecated: self.deprecated.unwrap_or(false),
            schemas: self.schemas,
            feature_flags: flags(self.feature_flags, self.feature_flag),
            group_name: self.group_name.map(Into::into),
            created_at: now,
            updated_at: now,
        })
    }
}

fn flags(several: Option<Flags>, one: Option<EventTypeName>) -> Vec<String> {
    several
        .map(Set::into_texts)
        .unwrap_or_else(|| one.into_iter().map(Into::into).collect())
}

fn check_schemas(schemas: Option<&Schemas>) -> Result<(), ApiError> {
    for (version, schema) in schemas.into_iter().flatten() {
        let problem = |why| {
            let msg = format!("not a JSON Schema: {why}");
            ApiError::invalid(Problem::body(["schemas", version.as_str()], msg))
        };
        check_schema(schema).map_err(problem)?;
    }
    Ok(())
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ListTypesQuery {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Which way the list runs, by name.
    order: Option<Ordering>,
    /// Archived ones as well.
    include_archived: Option<bool>,
    /// With their schemas.
    with_content: Option<bool>,
}

async fn list(Call { cx, query, .. }: Call<ListTypesQuery>) -> Result<Reply<ListResponse<EventTypeOut>>, ApiError> {
    let start = match query.iterator.as_deref() {
        None => NamedStart::First,
        Some(name) => name
            .strip_prefix('-')
            .map_or(NamedStart::After(name), NamedStart::Before),
    };
    let order = query.order.map_or(Order::Ascending, Order::from);
    let archived = query.include_archived == Some(true);
    let environment = cx.environment()?;
    let rows: Rows<_> = cx
        .server
        .directory
        .event_types(environment, archived, start, order, query.limit.rows());
    let with_content = query.with_content == Some(true);
    let show = |row: std::sync::Arc<EventType>| EventTypeOut::of(&row, with_content);
    Reply::ok(&ListResponse::new(rows, |row| row.name.clone(), show))
}

async fn create(Call { cx, body, .. }: Call<NoQuery, EventTypeIn>) -> Result<Reply<EventTypeOut>, ApiError> {
    let mut new = body.build(cx.environment()?, cx.server.directory.now())?;
    if let Some(existing) = cx.server.directory.event_type(new.environment, &new.name) {
        if !existing.archived {
            let detail = format!("there is an event type `{}`; change it with PUT or PATCH", new.name);
            return Err(ApiError::new(&EVENT_TYPE_EXISTS, detail));
        }
        new.created_at = existing.created_at;
    }
    save(&cx, new, Outcome::Usual).await
}

async fn save(cx: &Context, new: EventType, outcome: Outcome) -> Result<Reply<EventTypeOut>, ApiError> {
    let answer = EventTypeOut::of(&new, true);
    cx.commit(vec![Change::PutEventType(Box::new(new))], outcome, &answer)
        .await
}

fn find(cx: &Context) -> Result<std::sync::Arc<EventType>, ApiError> {
    let name = cx.param("event_type_name");
    let found = cx.server.directory.event_type(cx.environment()?, name);
    found.ok_or_else(|| ApiError::not_found("event type", name))
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EventTypeOut>, ApiError> {
    Reply::ok(&EventTypeOut::of(&*find(&cx)?, true))
}

async fn update(Call { cx, body, .. }: Call<NoQuery, EventTypeUpdate>) -> Result<Reply<EventTypeOut>, ApiError> {
    let name = cx.param("event_type_name");
    if !EventTypeName::allows(name) {
        return Err(ApiError::not_found("event type", name));
    }
    check_schemas(body.schemas.as_ref())?;
    let now = cx.server.directory.now();
    let environment = cx.environment()?;
    let existing = cx.server.directory.event_type(environment, name);
    let new = EventType {
        environment,
        name: name.to_owned(),
        description: body.description.0,
        archived: body.archived.unwrap_or(false),
        deprecated: body.deprecated.unwrap_or(false),
        schemas: body.schemas,
        feature_flags: flags(body.feature_flags, body.feature_flag),
        group_name: body.group_name.map(Into::into),
        created_at: existing.as_ref().map_or(now, |existing| existing.created_at),
        updated_at: now,
    };
    save(
        &cx,
        new,
        if existing.is_some() {
            Outcome::Usual
        } else {
            Outcome::Other
        },
    )
    .await
}

async fn change(Call { cx, body, .. }: Call<NoQuery, EventTypePatch>) -> Result<Reply<EventTypeOut>, ApiError> {
    let mut event_type = EventType::clone(&*find(&cx)?);
    if let Some(Description(description)) = body.description {
        event_type.description = description;
    }
    event_type.archived = body.archived.unwrap_or(event_type.archived);
    event_type.deprecated = body.deprecated.unwrap_or(event_type.deprecated);
    body.schemas.apply(&mut event_type.schemas);
    check_schemas(event_type.schemas.as_ref())?;
    let mut flags = Some(event_type.feature_flags);
    body.feature_flag.map(|flag| vec![flag.into()]).apply(&mut flags);
    body.feature_flags.map(Set::into_texts).apply(&mut flags);
    event_type.feature_flags = flags.unwrap_or_default();
    body.group_name.map(String::from).apply(&mut event_type.group_name);
    event_type.updated_at = cx.server.directory.now();
    save(&cx, event_type, Outcome::Usual).await
}

#[derive(Debug, Deserialize, JsonSchema)]
struct RemoveQuery {
    /// Remove it for good instead of archiving it.
    expunge: Option<bool>,
}

async fn remove(Call { cx, query, .. }: Call<RemoveQuery>) -> Result<Reply<Nothing>, ApiError> {
    let mut event_type = EventType::clone(&*find(&cx)?);
    let change = if query.expunge == Some(true) {
        Change::DeleteEventType {
            environment: event_type.environment,
            name: event_type.name,
        }
    } else {
        event_type.archived = true;
        event_type.updated_at = cx.server.directory.now();
        Change::PutEventType(Box::new(event_type))
    };
    cx.commit_silently(vec![change]).await
}
