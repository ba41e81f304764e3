//! Environments: their settings and event types out and in, and (for the operator) making further ones.

use bellwire_core::{app::Environment, event_type::EventType, id::EnvironmentId, time::Timestamp};
use bellwire_store::{Change, directory::NamedStart, query::Order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    event_type::{EventTypeIn, EventTypeOut},
    token,
};
use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Outcome, Reply},
    error::{ApiError, INSUFFICIENT_ACCESS},
    field::{DisplayName, Ignored, Time},
    operation::{Operation, get, post},
    pagination::ListResponse,
    problem::Problem,
    query::NoQuery,
};

/// The version of the exported form.
const VERSION: i64 = 1;
/// Event types in one import.
const EVENT_TYPES_MAX: usize = 10_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/api/v1/environment/export", "v1.environment.export", Access::ADMIN)
            .summary("Export settings and event types")
            .about("What it answers can be imported elsewhere, as it is.")
            .statuses(&[200])
            .to(export),
        post("/api/v1/environment/import", "v1.environment.import", Access::ADMIN)
            .summary("Import settings and event types")
            .about("Adds and replaces; nothing is removed.")
            .statuses(&[204])
            .to(import),
        get("/api/v1/environment", "environment.list", Access::ADMIN)
            .summary("List environments")
            .about("Admins of the default environment see all, others their own.")
            .to(list),
        post("/api/v1/environment", "environment.create", Access::ADMIN)
            .summary("Make an environment")
            .about(
                "For admins of the default environment. The answer has an admin token of the new one, shown this once.",
            )
            .shows_secret()
            .to(create),
    ]
}

// -- export and import ---------------------------------------------------------------------------------------------

/// What can be carried from one environment to another.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EnvironmentOut")]
struct ExportOut {
    /// The version of this form.
    version: i64,
    #[schemars(with = "Time")]
    created_at: Timestamp,
    event_types: Vec<EventTypeOut>,
    settings: SettingsOut,
    /// Always empty: kept for clients that expect the member.
    connectors: Vec<Value>,
}

/// What is in force for a whole environment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EnvironmentSettingsOut")]
struct SettingsOut {
    /// Whether payloads must fit the schema of their event type.
    validate_payloads: bool,
}

/// What an environment is to take over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EnvironmentIn")]
struct ImportIn {
    /// Event types to add or replace.
    event_types: Option<Vec<EventTypeIn>>,
    /// Settings to change; those that are left out, and those that are not known here, stay as they are.
    settings: Option<SettingsIn>,
    /// Part of an export; ignored.
    #[serde(default, rename = "connectors")]
    #[schemars(skip)]
    _connectors: Ignored,
    /// Part of an export; ignored.
    #[serde(default, rename = "version")]
    #[schemars(skip)]
    _version: Ignored,
    /// Part of an export; ignored.
    #[serde(default, rename = "createdAt")]
    #[schemars(skip)]
    _created_at: Ignored,
}

/// Settings. Exports of other servers have more of them, so unknown ones are not refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EnvironmentSettingsIn")]
struct SettingsIn {
    /// Whether payloads must fit the schema of their event type.
    validate_payloads: Option<bool>,
}

async fn export(Call { cx, .. }: Call) -> Result<Reply<ExportOut>, ApiError> {
    let environment = own(&cx)?;
    let directory = &cx.server.directory;
    let all = directory
        .event_types(environment.id, true, NamedStart::First, Order::Ascending, usize::MAX)
        .items;
    Reply::ok(&ExportOut {
        version: VERSION,
        created_at: environment.created_at,
        event_types: all
            .iter()
            .map(|event_type| EventTypeOut::of(event_type, true))
            .collect(),
        settings: SettingsOut {
            validate_payloads: environment.validate_payloads,
        },
        connectors: Vec::new(),
    })
}

async fn import(Call { cx, body, .. }: Call<NoQuery, ImportIn>) -> Result<Reply<Nothing>, ApiError> {
    let environment = own(&cx)?;
    let directory = &cx.server.directory;
    let now = directory.now();
    let event_types = body.event_types.unwrap_or_default();
    if event_types.len() > EVENT_TYPES_MAX {
        let msg = format!(
            "there are {} event types; import at most {EVENT_TYPES_MAX} at once",
            event_types.len()
        );
        return Err(ApiError::invalid(Problem::body(["eventTypes"], msg)));
    }
    let mut changes = Vec::with_capacity(event_types.len() + 1);
    for wanted in event_types {
        let mut new = wanted.build(environment.id, now)?;
        if let Some(existing) = directory.event_type(environment.id, &new.name) {
            new.created_at = existing.created_at;
            if is_same(&existing, &new) {
                continue;
            }
        }
        changes.push(Change::PutEventType(Box::new(new)));
    }
    if let Some(validate) = body.settings.and_then(|settings| settings.validate_payloads)
        && validate != environment.validate_payloads
    {
        changes.push(Change::PutEnvironment(Environment {
            validate_payloads: validate,
            updated_at: now,
            ..environment
        }));
    }
    cx.commit_silently(changes).await
}

/// Whether an import would change nothing but the time of the last change.
fn is_same(existing: &EventType, new: &EventType) -> bool {
    *existing
        == EventType {
            updated_at: existing.updated_at,
            ..new.clone()
        }
}

/// The caller's environment.
fn own(cx: &Context) -> Result<Environment, ApiError> {
    let id = cx.environment()?;
    let found = cx.server.directory.environment(id);
    found
        .map(|found| Environment::clone(&found))
        .ok_or_else(|| ApiError::internal(format_args!("{id} is not there")))
}

// -- environments themselves ---------------------------------------------------------------------------------------

/// An environment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EnvironmentInfoOut")]
struct InfoOut {
    #[schemars(with = "String")]
    id: EnvironmentId,
    name: String,
    validate_payloads: bool,
    #[schemars(with = "Time")]
    created_at: Timestamp,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

impl From<&Environment> for InfoOut {
    fn from(environment: &Environment) -> Self {
        Self {
            id: environment.id,
            name: environment.name.clone(),
            validate_payloads: environment.validate_payloads,
            created_at: environment.created_at,
            updated_at: environment.updated_at,
        }
    }
}

/// An environment that was just made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewEnvironmentOut")]
struct NewOut {
    #[serde(flatten)]
    environment: InfoOut,
    /// An admin token of it. Shown this once.
    token: String,
}

/// What an environment is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewEnvironmentIn")]
struct NewIn {
    /// A name for people, unique on the server.
    name: DisplayName,
    /// Whether payloads must fit the schema of their event type.
    validate_payloads: Option<bool>,
}

async fn list(Call { cx, .. }: Call) -> Result<Reply<ListResponse<InfoOut>>, ApiError> {
    let caller = cx.caller()?;
    let all = token::is_operator(&cx, caller);
    let environments = cx.server.directory.environments();
    let seen = environments
        .iter()
        .filter(|environment| all || environment.id == caller.environment);
    let data = seen.map(|environment| InfoOut::from(&**environment)).collect();
    Reply::ok(&ListResponse {
        data,
        iterator: None,
        prev_iterator: None,
        done: true,
    })
}

async fn create(Call { cx, body, .. }: Call<NoQuery, NewIn>) -> Result<Reply<NewOut>, ApiError> {
    if !token::is_operator(&cx, cx.caller()?) {
        let detail = "only admins of the default environment may make environments; use such a token";
        return Err(ApiError::new(&INSUFFICIENT_ACCESS, detail));
    }
    let directory = &cx.server.directory;
    let now = directory.now();
    let environment = Environment {
        id: directory.new_id(),
        name: body.name.into(),
        validate_payloads: body.validate_payloads == Some(true),
        created_at: now,
        updated_at: now,
    };
    let (record, text) = token::first_admin(&cx, environment.id)?;
    let answer = NewOut {
        environment: InfoOut::from(&environment),
        token: text,
    };
    let changes = vec![Change::PutEnvironment(environment), Change::PutToken(Box::new(record))];
    cx.commit(changes, Outcome::Usual, &answer).await
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::Id as _;

    use super::*;

    #[test]
    fn an_export_has_everything_clients_insist_on() {
        let export = ExportOut {
            version: VERSION,
            created_at: Timestamp::from_secs(1_766_000_000),
            event_types: Vec::new(),
            settings: SettingsOut {
                validate_payloads: true,
            },
            connectors: Vec::new(),
        };
        let expected = serde_json::json!({
            "version": 1, "createdAt": "2025-12-17T19:33:20.000000Z", "eventTypes": [],
            "settings": { "validatePayloads": true }, "connectors": [],
        });
        assert_eq!(serde_json::to_value(export).unwrap(), expected);
    }

    #[test]
    fn an_export_of_another_server_is_read_and_what_is_not_known_is_left_out() {
        let body = serde_json::json!({
            "version": 1, "createdAt": "2025-12-17T19:33:20Z", "connectors": [{ "name": "x" }],
            "settings": { "colorPalette": {}, "enableChannels": true },
            "eventTypes": [{
                "name": "a.b", "description": "d", "archived": null, "deprecated": false, "schemas": null,
                "featureFlags": null, "groupName": null,
            }],
        });
        let import: ImportIn = serde_json::from_value(body).unwrap();
        assert_eq!(import.settings.unwrap().validate_payloads, None);
        assert_eq!(import.event_types.unwrap().len(), 1);
        let nulls = serde_json::json!({ "eventTypes": null, "settings": null, "connectors": null });
        assert!(serde_json::from_value::<ImportIn>(nulls).unwrap().event_types.is_none());
    }

    #[test]
    fn what_is_imported_unchanged_is_not_written_again() {
        let event_type = |at, description: &str| EventType {
            environment: EnvironmentId::from_number(1),
            name: "a".to_owned(),
            description: description.to_owned(),
            archived: false,
            deprecated: false,
            schemas: None,
            feature_flags: Vec::new(),
            group_name: None,
            created_at: Timestamp::MIN,
            updated_at: Timestamp::from_secs(at),
        };
        assert!(is_same(&event_type(1, "x"), &event_type(2, "x")));
        assert!(!is_same(&event_type(1, "x"), &event_type(1, "y")));
    }
}
