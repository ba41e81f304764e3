//! Versions of the configuration: what each one touched, and what that is by now.
//!
//! Whoever changes something raises the version in the same transaction, and so waits for whoever else does. A node reads what
//! was touched since the version it has; one that was away for too long reads everything.

use std::{collections::HashSet, sync::Arc};

use bellwire_core::id::{AppId, EndpointId, EnvironmentId, Id, SourceId, TokenId};
use serde::{Deserialize, Serialize};

use super::{
    argument::{args, kept, owned},
    cluster::Cluster,
    columns::{key, number},
    configuration,
    connection::Connection,
    fault::Fault,
    tx::Tx,
};
use crate::{
    contract::{Change, News},
    error::StoreError,
    vault::Vault,
};

/// So many versions are remembered. A multiple of this is when older ones are forgotten.
const REMEMBERED: u64 = 4_096;

/// What a change touched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Touched {
    #[serde(rename = "v")]
    Environment(u64),
    #[serde(rename = "a")]
    App(u64),
    #[serde(rename = "e")]
    Endpoint(u64),
    #[serde(rename = "y")]
    EventType(u64, String),
    #[serde(rename = "t")]
    Token(u64),
    #[serde(rename = "s")]
    Source(u64),
}

impl Touched {
    fn by(change: &Change) -> Option<Self> {
        Some(match change {
            Change::PutEnvironment(new) => Self::Environment(new.id.number()),
            Change::PutApp(new) => Self::App(new.id.number()),
            Change::DeleteApp(id) => Self::App(id.number()),
            Change::PutEndpoint(new) => Self::Endpoint(new.id.number()),
            Change::DeleteEndpoint(id) => Self::Endpoint(id.number()),
            Change::PutEventType(new) => Self::EventType(new.environment.number(), new.name.clone()),
            Change::DeleteEventType { environment, name } => Self::EventType(environment.number(), name.clone()),
            Change::PutToken(new) => Self::Token(new.id.number()),
            Change::DeleteToken(id) => Self::Token(id.number()),
            Change::PutSource(new) => Self::Source(new.id.number()),
            Change::DeleteSource(id) => Self::Source(id.number()),
            Change::PutTask(_) => return None,
        })
    }
}

/// Raises the version, where something is changed. Whoever changes something next waits for this transaction.
///
/// # Errors
/// Those of the database; and that another node changed something that is not in force here yet.
pub(super) async fn raise(tx: &mut Tx, changes: &[Change], cluster: &Arc<Cluster>) -> Result<Option<u64>, Fault> {
    let touched: Vec<Touched> = changes.iter().filter_map(Touched::by).collect();
    if touched.is_empty() {
        return Ok(None);
    }
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'configuration' RETURNING value";
    let raised = tx.row(sql, &[]).await?;
    let version = raised.map_or(0, |row| number(row.get(0)));
    if cluster.in_force().is_some_and(|in_force| in_force + 1 != version) {
        // Uniqueness and the like was judged by what is in force here.
        return Err(StoreError::Unavailable(
            "another node changed the configuration at the same moment; try again".to_owned(),
        )
        .into());
    }
    let touched = serde_json::to_string(&touched)
        .map_err(|error| StoreError::Corrupt(format!("a change cannot be written: {error}")))?;
    let sql = "INSERT INTO change (version, touched) VALUES ($1, $2)";
    tx.queue(sql, kept![key(version), owned(&touched)]);
    if version.is_multiple_of(REMEMBERED) {
        let sql = "DELETE FROM change WHERE version <= $1";
        tx.queue(sql, kept![key(version.saturating_sub(REMEMBERED))]);
    }
    Ok(Some(version))
}

/// The version, as the connection's snapshot shows it.
pub(super) async fn version(connection: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT value FROM meta WHERE key = 'configuration'";
    Ok(connection.row(sql, &[]).await?.map_or(0, |row| number(row.get(0))))
}

/// What changed since a version.
pub(super) async fn since(connection: &Connection, vault: &Vault, since: u64) -> Result<News, Fault> {
    let version = version(connection).await?;
    if version <= since {
        return Ok(News {
            version: since,
            ..News::default()
        });
    }
    let sql = "SELECT touched FROM change WHERE version > $1 ORDER BY version";
    let rows = connection.rows(sql, args![key(since)]).await?;
    if rows.len() as u64 != version - since {
        return everything(connection, vault).await;
    }
    let mut seen = HashSet::new();
    let mut changes = Vec::new();
    for row in &rows {
        let touched: Vec<Touched> = super::row::json("a change", row.get(0))?;
        for one in touched {
            if seen.insert(one.clone()) {
                changes.push(now(connection, vault, one).await?);
            }
        }
    }
    Ok(News {
        version,
        changes,
        whole: false,
    })
}

/// What was touched, as it is now.
async fn now(connection: &Connection, vault: &Vault, touched: Touched) -> Result<Change, Fault> {
    Ok(match touched {
        Touched::Environment(id) => match configuration::one(connection, "environment", id).await? {
            Some(found) => Change::PutEnvironment(found),
            // None is ever deleted.
            None => return Err(StoreError::NotFound("an environment that was put").into()),
        },
        Touched::App(id) => match configuration::one(connection, "app", id).await? {
            Some(found) => Change::PutApp(found),
            None => Change::DeleteApp(AppId::from_number(id)),
        },
        Touched::Token(id) => match configuration::one(connection, "token", id).await? {
            Some(found) => Change::PutToken(Box::new(found)),
            None => Change::DeleteToken(TokenId::from_number(id)),
        },
        Touched::EventType(environment, name) => {
            match configuration::event_type(connection, environment, &name).await? {
                Some(found) => Change::PutEventType(Box::new(found)),
                None => Change::DeleteEventType {
                    environment: EnvironmentId::from_number(environment),
                    name,
                },
            }
        }
        Touched::Endpoint(id) => match configuration::endpoint(connection, vault, id).await? {
            Some(found) => Change::PutEndpoint(Box::new(found)),
            None => Change::DeleteEndpoint(EndpointId::from_number(id)),
        },
        Touched::Source(id) => match configuration::source(connection, vault, id).await? {
            Some(found) => Change::PutSource(Box::new(found)),
            None => Change::DeleteSource(SourceId::from_number(id)),
        },
    })
}

async fn everything(connection: &Connection, vault: &Vault) -> Result<News, Fault> {
    let all = configuration::configuration(connection, vault).await?;
    let mut changes: Vec<Change> = all.environments.into_iter().map(Change::PutEnvironment).collect();
    changes.extend(all.apps.into_iter().map(Change::PutApp));
    changes.extend(all.endpoints.into_iter().map(|one| Change::PutEndpoint(Box::new(one))));
    changes.extend(all.event_types.into_iter().map(|one| Change::PutEventType(Box::new(one))));
    changes.extend(all.tokens.into_iter().map(|one| Change::PutToken(Box::new(one))));
    changes.extend(all.sources.into_iter().map(|one| Change::PutSource(Box::new(one))));
    Ok(News {
        version: all.version,
        changes,
        whole: true,
    })
}
