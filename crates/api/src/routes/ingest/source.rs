//! `/ingest/api/v1/source`: sources, each made and deleted together with its application.

use std::{collections::BTreeMap, sync::Arc};

use bellwire_core::{
    app::{App, AppKind},
    id::SourceId,
    source::{Source, SourceRules, new_token},
};
use bellwire_store::{Change, Directory, query::Order};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    config::ConfigIn,
    kind::{GENERIC, Kind, Values},
    rules::RulesIn,
    shown::{SourceOut, Viewer},
};
use crate::{
    auth::{Access, random},
    call::{Call, Context, Nothing, Outcome, Reply},
    error::ApiError,
    field::{DisplayName, Metadata, Patch, SourceUid},
    operation::{Operation, delete, get, patch, post, put},
    pagination::{ListQuery, ListResponse},
    query::NoQuery,
    routes::application::{erasure, uid_of_path},
    state::ApiState,
};

pub(super) fn operations() -> Vec<Operation> {
    let all = "/ingest/api/v1/source";
    let one = "/ingest/api/v1/source/{source_id}";
    vec![
        get(all, "v1.ingest.source.list", Access::READ)
            .summary("List sources")
            .to(list),
        post(all, "v1.ingest.source.create", Access::ADMIN)
            .summary("Create a source")
            .about(
                "Requests to its `ingestUrl` that are verified become messages of its application (`appId`). `type` is a \
                 provider, `cron`, or `generic-webhook`, which verifies nothing.",
            )
            .shows_secret()
            .to(create),
        get(one, "v1.ingest.source.get", Access::READ)
            .summary("Get a source")
            .to(show),
        put(one, "v1.ingest.source.upsert", Access::ADMIN)
            .summary("Create or replace a source")
            .about(
                "Its URL stays, and so do its rules unless they are given. Settings are given whole: secrets are never shown, \
                 so they must be given as well.",
            )
            .statuses(&[200, 201])
            .edits()
            .to(update),
        patch(one, "v1.ingest.source.patch", Access::ADMIN)
            .summary("Change a source")
            .about("Of `config` only the settings that are named change; null removes one.")
            .edits()
            .to(change),
        delete(one, "v1.ingest.source.delete", Access::ADMIN)
            .summary("Delete a source")
            .about(
                "Its URL, its endpoints and its application are gone at once; its messages and attempts are erased in the \
                 background.",
            )
            .edits()
            .to(remove),
    ]
}

/// What a source is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "IngestSourceIn")]
struct SourceIn {
    /// A name for people.
    name: DisplayName,
    /// What it is: a provider (docs/providers.md lists them), `cron`, or `generic-webhook`.
    #[serde(rename = "type")]
    kind: String,
    /// What its type needs, by name; a list of values where several are live.
    config: Option<ConfigIn>,
    /// Your own name for it, unique in the environment; usable wherever its id is, and in its URL where something is verified.
    uid: Option<SourceUid>,
    /// Your notes.
    metadata: Option<Metadata>,
    /// What is done with a trusted request before it becomes messages.
    #[serde(default)]
    rules: Patch<RulesIn>,
}

/// What is to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "IngestSourcePatch")]
struct SourcePatch {
    /// A name for people.
    name: Option<DisplayName>,
    /// Your own name for it; null removes it.
    #[serde(default)]
    uid: Patch<SourceUid>,
    /// Your notes.
    metadata: Option<Metadata>,
    /// Settings to change; null removes one.
    config: Option<ConfigIn>,
    /// What is done with a trusted request before it becomes messages; null is nothing.
    #[serde(default)]
    rules: Patch<RulesIn>,
}

impl SourceIn {
    /// Puts kind, settings and rules in the place of what there is.
    fn apply(&mut self, state: &ApiState, source: &mut Source) -> Result<(), ApiError> {
        RulesIn::apply(std::mem::take(&mut self.rules), &mut source.rules)?;
        let config = self.config.take().unwrap_or_default();
        // Published clients are told this type for those they do not know; replacing what they read must not open the source.
        let unknown_to_clients = Kind::of(&source.kind).is_none_or(|kind| kind.hosted().is_none());
        if self.kind == GENERIC && config.is_empty() && unknown_to_clients {
            return Ok(());
        }
        let kind = Kind::asked(&self.kind)?;
        let settings = config.into_values();
        kind.check(state, &settings)?;
        (source.kind, source.settings) = (kind.name().to_owned(), settings);
        Ok(())
    }
}

/// The application that a source's messages and endpoints belong to.
fn app_of(directory: &Directory, source: &Source) -> App {
    App {
        id: source.app,
        environment: source.environment,
        uid: None,
        name: source.name.clone(),
        throttle_rate: None,
        publish_rate: None,
        metadata: BTreeMap::new(),
        kind: AppKind::Source,
        validate_payloads: Some(false),
        created_at: source.created_at,
        updated_at: directory.now(),
    }
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<SourceOut>>, ApiError> {
    let page = query.page::<SourceId>(Order::Ascending)?;
    let rows = cx.server.directory.sources(cx.environment()?, page);
    let viewer = Viewer::of(&cx)?;
    let show = |source: Arc<Source>| viewer.show(&source);
    Reply::ok(&ListResponse::new(rows, |source| source.id.to_string(), show))
}

async fn create(Call { cx, mut body, .. }: Call<NoQuery, SourceIn>) -> Result<Reply<SourceOut>, ApiError> {
    let uid = body.uid.take().map(Into::into);
    create_with(&cx, body, uid, Outcome::Usual).await
}

async fn create_with(
    cx: &Context,
    mut body: SourceIn,
    uid: Option<String>,
    outcome: Outcome,
) -> Result<Reply<SourceOut>, ApiError> {
    let directory = &cx.server.directory;
    let entropy = random().ok_or_else(|| ApiError::internal("the machine gives no randomness"))?;
    let now = directory.now();
    let mut source = Source {
        id: directory.new_id(),
        environment: cx.environment()?,
        app: directory.new_id(),
        uid,
        name: String::new(),
        kind: Kind::asked(GENERIC)?.name().to_owned(),
        token: new_token(&entropy),
        former_tokens: Vec::new(),
        settings: Values::new(),
        rules: SourceRules::default(),
        managed: false,
        metadata: BTreeMap::new(),
        created_at: now,
        updated_at: now,
    };
    body.apply(&cx.server, &mut source)?;
    source.name = body.name.into();
    source.metadata = body.metadata.unwrap_or_default().0;
    save(cx, source, outcome).await
}

/// Writes a source with its application, and answers it.
async fn save(cx: &Context, source: Source, outcome: Outcome) -> Result<Reply<SourceOut>, ApiError> {
    let answer = Viewer::of(cx)?.show(&source);
    let directory = &cx.server.directory;
    let app = match directory.app_by_id(source.app) {
        None => Some(app_of(directory, &source)),
        Some(app) if app.name != source.name => Some(App {
            name: source.name.clone(),
            updated_at: source.updated_at,
            ..App::clone(&app)
        }),
        Some(_) => None,
    };
    let app = app.map(Change::PutApp);
    let changes = app.into_iter().chain([Change::PutSource(Box::new(source))]);
    cx.commit(changes.collect(), outcome, &answer).await
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<SourceOut>, ApiError> {
    Reply::ok(&Viewer::of(&cx)?.show(&*cx.source()?))
}

async fn update(Call { cx, mut body, .. }: Call<NoQuery, SourceIn>) -> Result<Reply<SourceOut>, ApiError> {
    let name = cx.param("source_id");
    let uid = body.uid.take().map(String::from);
    let Some(existing) = cx.server.directory.source(cx.environment()?, name) else {
        if !SourceUid::allows(name) {
            return Err(ApiError::not_found("source", name));
        }
        let uid = uid_of_path(name, uid)?;
        return create_with(&cx, body, Some(uid), Outcome::Other).await;
    };
    let mut source = unmanaged(&existing)?;
    body.apply(&cx.server, &mut source)?;
    source.uid = uid;
    source.name = body.name.into();
    source.metadata = body.metadata.unwrap_or_default().0;
    source.updated_at = cx.server.directory.now();
    save(&cx, source, Outcome::Usual).await
}

/// A copy of the source, to be changed.
///
/// # Errors
/// `source_managed` when that is the hooks file's.
fn unmanaged(source: &Source) -> Result<Source, ApiError> {
    match source.managed {
        true => Err(ApiError::managed(source)),
        false => Ok(source.clone()),
    }
}

async fn change(Call { cx, body, .. }: Call<NoQuery, SourcePatch>) -> Result<Reply<SourceOut>, ApiError> {
    let mut source = unmanaged(&*cx.source()?)?;
    if let Some(name) = body.name {
        source.name = name.into();
    }
    body.uid.map(String::from).apply(&mut source.uid);
    if let Some(Metadata(metadata)) = body.metadata {
        source.metadata = metadata;
    }
    if let Some(config) = body.config {
        config.change(&mut source.settings);
        Kind::asked(&source.kind)?.check(&cx.server, &source.settings)?;
    }
    RulesIn::apply(body.rules, &mut source.rules)?;
    source.updated_at = cx.server.directory.now();
    save(&cx, source, Outcome::Usual).await
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let source = unmanaged(&*cx.source()?)?;
    let app = cx.app_of_source()?;
    let mut changes = vec![Change::DeleteSource(source.id)];
    changes.extend(erasure(&cx.server.directory, &app));
    let reply = cx.commit_silently(changes).await?;
    cx.server.tasks_wake.notify_one();
    Ok(reply)
}
