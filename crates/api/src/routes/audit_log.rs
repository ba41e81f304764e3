//! `GET /api/v1/audit`: what people changed.

use bellwire_core::{
    id::{AppId, AuditId, TokenId},
    time::Timestamp,
};
use bellwire_store::{
    audit::{ActorKind, AuditEntry, AuditFilter},
    query::Order,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    auth::Access,
    call::{Call, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    pagination::{Limit, ListResponse, Ordering, page},
    problem::Problem,
};

/// What the operator's own token is called where a token's id is asked for.
const OPERATOR: &str = "operator";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/audit", "audit.list", Access::READ)
            .summary("List what people changed, newest first")
            .about(
                "Every change of the configuration, what was done to deliveries by hand, and every look at a signing secret: who, when, \
                 from where, by which operation, and what was before and is after. Secrets are never shown. Kept for 400 days.",
            )
            .to(list),
    ]
}

/// Which entries.
#[derive(Debug, Deserialize, JsonSchema)]
struct AuditQuery {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Which way the list runs.
    order: Option<Ordering>,
    /// From then on…
    since: Option<Time>,
    /// …and before then.
    until: Option<Time>,
    /// About this application: its id or uid.
    app: Option<String>,
    /// By the token with this id, or `operator`.
    token: Option<String>,
    /// By this operation, as in `operation`.
    operation: Option<String>,
    /// About the thing with this id.
    about: Option<String>,
}

/// Something that somebody did.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AuditOut {
    #[schemars(with = "String")]
    id: AuditId,
    #[schemars(with = "Time")]
    at: Timestamp,
    /// The operation of the API, as in the OpenAPI document.
    operation: String,
    actor: ActorOut,
    /// From which address.
    peer: Option<String>,
    #[schemars(with = "Option<String>")]
    app_id: Option<AppId>,
    about: Vec<SubjectOut>,
    /// What is different since.
    changes: Vec<ChangedOut>,
}

/// Who.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditActorOut")]
struct ActorOut {
    /// `token`, `operator` or `hooks_file`.
    #[schemars(with = "String")]
    kind: ActorKind,
    #[schemars(with = "Option<String>")]
    token_id: Option<TokenId>,
    /// The token's name as it was then.
    name: String,
    scope: String,
}

/// To what.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditSubjectOut")]
struct SubjectOut {
    kind: String,
    id: String,
    name: String,
}

/// One member, before and after.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditChangedOut")]
struct ChangedOut {
    /// The id of what it is a member of.
    about: String,
    member: String,
    /// Null when it was not there; `"(hidden)"` for a secret.
    before: Value,
    /// Null when it is no longer there; `"(hidden)"` for a secret.
    after: Value,
}

impl From<AuditEntry> for AuditOut {
    fn from(entry: AuditEntry) -> Self {
        let about = entry.about.into_iter().map(|subject| SubjectOut {
            kind: subject.kind,
            id: subject.id,
            name: subject.name,
        });
        let changes = entry.changes.into_iter().map(|changed| ChangedOut {
            about: changed.about,
            member: changed.member,
            before: changed.before,
            after: changed.after,
        });
        Self {
            id: entry.id,
            at: entry.at,
            operation: entry.operation,
            actor: ActorOut {
                kind: entry.actor.kind,
                token_id: entry.actor.token,
                name: entry.actor.name,
                scope: entry.actor.scope,
            },
            peer: entry.peer,
            app_id: entry.app,
            about: about.collect(),
            changes: changes.collect(),
        }
    }
}

async fn list(Call { cx, query, .. }: Call<AuditQuery>) -> Result<Reply<ListResponse<AuditOut>>, ApiError> {
    let order = query.order.map_or(Order::Descending, Order::from);
    let page = page::<AuditId>(query.limit, query.iterator.as_deref(), order)?;
    let app = query.app.map(|name| app_named(&cx, &name)).transpose()?;
    let token = query.token.map(|text| match text.as_str() {
        OPERATOR => Ok(None),
        text => text.parse().map(Some).map_err(|error| {
            let msg = format!("{error}; give a token's id, or `{OPERATOR}`");
            ApiError::invalid(Problem::query("token", msg))
        }),
    });
    let filter = AuditFilter {
        app,
        token: token.transpose()?,
        operation: query.operation,
        about: query.about,
        since: query.since.map(|Time(at)| at),
        until: query.until.map(|Time(at)| at),
    };
    let rows = cx.server.store.audit(cx.environment()?, filter, page).await?;
    Reply::ok(&ListResponse::new(rows, |row| row.id.to_string(), AuditOut::from))
}

/// An application by id or uid. One that is gone is known by its id.
fn app_named(cx: &crate::call::Context, name: &str) -> Result<AppId, ApiError> {
    if let Some(app) = cx.find_app(name)? {
        return Ok(app.id);
    }
    name.parse().map_err(|_| ApiError::not_found("application", name))
}
