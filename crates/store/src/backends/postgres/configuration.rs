//! The configuration and the tasks: JSON documents with the columns that are looked up or must be unique.

use std::sync::Arc;

use bellwire_core::{
    app::{App, Environment, Token},
    decide::Health,
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, EndpointId, EnvironmentId, Id, TaskId},
    source::Source,
    task::{Task, TaskStatus},
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    argument::{args, kept, owned},
    books, change,
    cluster::Cluster,
    columns::{key, number},
    connection::Connection,
    days::Kind,
    fault::Fault,
    paging::Walk,
    partition, refused, row,
    tx::Tx,
};
use crate::{
    contract::{Change, StoredAnswer},
    error::StoreError,
    query::{Configuration, Page, Rows},
    record::{Record, endpoint_from_record, endpoint_to_record, source_from_record, source_to_record},
    vault::Vault,
};

fn write_json(what: &str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(format!("{what} cannot be written: {error}")))
}

async fn documents<T: DeserializeOwned>(connection: &Connection, table: &'static str) -> Result<Vec<T>, Fault> {
    let rows = connection.rows(&format!("SELECT document FROM {table}"), &[]).await?;
    rows.iter().map(|found| row::json(table, found.get(0))).collect()
}

/// All of the configuration.
pub(super) async fn configuration(connection: &Connection, vault: &Vault) -> Result<Configuration, Fault> {
    let environments: Vec<Environment> = documents(connection, "environment").await?;
    let apps: Vec<App> = documents(connection, "app").await?;
    let tokens: Vec<Token> = documents(connection, "token").await?;
    let event_types: Vec<EventType> = documents(connection, "event_type").await?;
    let mut endpoints = Vec::new();
    for (_, environment, record) in endpoint_records(connection).await? {
        endpoints.push(endpoint_from_record(&record, environment, vault)?);
    }
    let mut sources = Vec::new();
    for (_, record) in source_records(connection).await? {
        sources.push(source_from_record(&record, vault)?);
    }
    let sql = "SELECT endpoint, failing_since FROM endpoint_health";
    let health = connection.rows(sql, &[]).await?.into_iter().map(|found| {
        let health = Health {
            failing_since: Some(Timestamp::from_micros(found.get(1))),
        };
        (EndpointId::from_number(number(found.get(0))), health)
    });
    Ok(Configuration {
        environments,
        apps,
        endpoints,
        event_types,
        tokens,
        sources,
        health: health.collect(),
        largest_number: books::largest_put(connection).await?,
        version: change::version(connection).await?,
    })
}

/// One document of a table, by its id.
pub(super) async fn one<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    id: u64,
) -> Result<Option<T>, Fault> {
    let sql = format!("SELECT document FROM {table} WHERE id = $1");
    let found = connection.row(&sql, args![key(id)]).await?;
    found.map(|found| row::json(table, found.get(0))).transpose()
}

/// One event type.
pub(super) async fn event_type(
    connection: &Connection,
    environment: u64,
    name: &str,
) -> Result<Option<EventType>, Fault> {
    let sql = "SELECT document FROM event_type WHERE environment = $1 AND name = $2";
    let found = connection.row(sql, args![key(environment), owned(name)]).await?;
    found.map(|found| row::json("event_type", found.get(0))).transpose()
}

/// One endpoint.
pub(super) async fn endpoint(connection: &Connection, vault: &Vault, id: u64) -> Result<Option<Endpoint>, Fault> {
    let sql = format!("{ENDPOINTS} WHERE endpoint.id = $1");
    let Some(found) = connection.row(&sql, args![key(id)]).await? else {
        return Ok(None);
    };
    let (_, environment, record) = endpoint_record(found);
    Ok(Some(endpoint_from_record(&record, environment, vault)?))
}

/// One source.
pub(super) async fn source(connection: &Connection, vault: &Vault, id: u64) -> Result<Option<Source>, Fault> {
    let sql = "SELECT document, sealed FROM source WHERE id = $1";
    let Some(found) = connection.row(sql, args![key(id)]).await? else {
        return Ok(None);
    };
    let record = Record {
        document: found.get(0),
        sealed: found.get(1),
    };
    Ok(Some(source_from_record(&record, vault)?))
}

const ENDPOINTS: &str = "SELECT endpoint.id, app.environment, endpoint.document, endpoint.sealed \
     FROM endpoint JOIN app ON app.id = endpoint.app";

fn endpoint_record(found: tokio_postgres::Row) -> (i64, EnvironmentId, Record) {
    let record = Record {
        document: found.get(2),
        sealed: found.get(3),
    };
    (found.get(0), EnvironmentId::from_number(number(found.get(1))), record)
}

/// The records of all endpoints, with the environment that each is sealed for.
pub(super) async fn endpoint_records(connection: &Connection) -> Result<Vec<(i64, EnvironmentId, Record)>, Fault> {
    let rows = connection.rows(ENDPOINTS, &[]).await?;
    Ok(rows.into_iter().map(endpoint_record).collect())
}

/// The records of all sources.
pub(super) async fn source_records(connection: &Connection) -> Result<Vec<(i64, Record)>, Fault> {
    let rows = connection.rows("SELECT id, document, sealed FROM source", &[]).await?;
    let record = |found: tokio_postgres::Row| {
        let record = Record {
            document: found.get(1),
            sealed: found.get(2),
        };
        (found.get(0), record)
    };
    Ok(rows.into_iter().map(record).collect())
}

/// Makes changes, one after the other, and keeps the answer they are given. Answers the version of the configuration that has
/// them, where it is another one.
pub(super) async fn apply(
    tx: &mut Tx,
    vault: &Vault,
    cluster: &Arc<Cluster>,
    changes: Vec<Change>,
    answer: Option<StoredAnswer>,
) -> Result<Option<u64>, Fault> {
    let version = change::raise(tx, &changes, cluster).await?;
    if let Some(largest) = changes.iter().filter_map(Change::number).max() {
        books::note_put(tx, largest);
    }
    for change in changes {
        apply_one(tx, vault, change).await?;
    }
    if let Some(answer) = answer {
        keep_answer(tx, &answer).await?;
    }
    Ok(version)
}

async fn apply_one(tx: &mut Tx, vault: &Vault, change: Change) -> Result<(), Fault> {
    match change {
        Change::PutEnvironment(new) => put_environment(tx, &new).await?,
        Change::PutApp(new) => put_app(tx, &new).await?,
        Change::DeleteApp(id) => delete_app(tx, id).await?,
        Change::PutEndpoint(new) => put_endpoint(tx, vault, &new).await?,
        Change::DeleteEndpoint(id) => {
            let id = key(id.number());
            tx.queue("DELETE FROM endpoint_health WHERE endpoint = $1", kept![id]);
            forget_lines(tx, vec![id]);
            tx.queue("DELETE FROM endpoint WHERE id = $1", kept![id]);
        }
        Change::PutEventType(new) => {
            let sql = "INSERT INTO event_type (environment, name, document) VALUES ($1, $2, $3) \
                 ON CONFLICT (environment, name) DO UPDATE SET document = excluded.document";
            let document = write_json("an event type", &new)?;
            tx.queue(sql, kept![key(new.environment.number()), owned(&new.name), document]);
        }
        Change::DeleteEventType { environment, name } => {
            let sql = "DELETE FROM event_type WHERE environment = $1 AND name = $2";
            tx.queue(sql, kept![key(environment.number()), owned(&name)]);
        }
        Change::PutToken(new) => {
            let sql = "INSERT INTO token (id, app, document) VALUES ($1, $2, $3) \
                 ON CONFLICT (id) DO UPDATE SET app = excluded.app, document = excluded.document";
            let app = new.app.map(|app| key(app.number()));
            tx.queue(sql, kept![key(new.id.number()), app, write_json("a token", &new)?]);
        }
        Change::DeleteToken(id) => tx.queue("DELETE FROM token WHERE id = $1", kept![key(id.number())]),
        Change::PutSource(new) => put_source(tx, vault, &new).await?,
        Change::DeleteSource(id) => {
            refused::forget(tx, id);
            tx.queue("DELETE FROM source WHERE id = $1", kept![key(id.number())]);
        }
        Change::PutTask(new) => {
            // One that has ended stays as it ended.
            let sql = "INSERT INTO task (id, environment, status, document) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, status = excluded.status, \
                 document = excluded.document WHERE task.status = $5";
            let values = kept![
                key(new.id.number()),
                key(new.environment.number()),
                status_name(new.status),
                write_json("a task", &new)?,
                status_name(TaskStatus::Running),
            ];
            tx.queue(sql, values);
        }
    }
    Ok(())
}

/// Refuses a name that another row has: one that a statement finds by owner, name and not by this id.
async fn refuse_if_taken(
    tx: &mut Tx,
    sql: &'static str,
    owner: i64,
    name: &str,
    id: i64,
    what: &'static str,
) -> Result<(), Fault> {
    let is_taken = tx.row(sql, args![owner, owned(name), id]).await?.is_some();
    Ok(refuse_if(is_taken, what, name)?)
}

fn refuse_if(clash: bool, what: &'static str, value: &str) -> Result<(), StoreError> {
    if clash {
        Err(StoreError::Conflict {
            what,
            value: value.to_owned(),
        })
    } else {
        Ok(())
    }
}

async fn put_environment(tx: &mut Tx, new: &Environment) -> Result<(), Fault> {
    let id = key(new.id.number());
    let taken = "SELECT 1 FROM environment WHERE $1 = 0 AND name = $2 AND id <> $3";
    refuse_if_taken(tx, taken, 0, &new.name, id, "environment name").await?;
    let sql = "INSERT INTO environment (id, name, document) VALUES ($1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document";
    let document = write_json("an environment", new)?;
    tx.queue(sql, kept![id, owned(&new.name), document]);
    Ok(())
}

async fn put_app(tx: &mut Tx, new: &App) -> Result<(), Fault> {
    let (id, environment) = (key(new.id.number()), key(new.environment.number()));
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM app WHERE environment = $1 AND uid = $2 AND id <> $3";
        refuse_if_taken(tx, taken, environment, uid, id, "application uid").await?;
    }
    let sql = "INSERT INTO app (id, environment, uid, document) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, uid = excluded.uid, document = excluded.document";
    let uid = new.uid.as_deref().map(owned);
    tx.queue(sql, kept![id, environment, uid, write_json("an application", new)?]);
    Ok(())
}

/// Forgets the numbers of endpoints' lines: at once where nobody is in line, otherwise with the last one in line.
fn forget_lines(tx: &mut Tx, endpoints: Vec<i64>) {
    super::line::lock(tx, endpoints.iter().copied().map(number));
    for sql in [
        "DELETE FROM sequence WHERE endpoint = ANY ($1) AND length = 0",
        "UPDATE sequence SET gone = true WHERE endpoint = ANY ($1)",
    ] {
        tx.queue(sql, kept![endpoints.clone()]);
    }
}

async fn delete_app(tx: &mut Tx, id: AppId) -> Result<(), Fault> {
    let id = key(id.number());
    let rows = tx.rows("SELECT id FROM endpoint WHERE app = $1", args![id]).await?;
    let endpoints: Vec<i64> = rows.iter().map(|found| found.get(0)).collect();
    forget_lines(tx, endpoints.clone());
    tx.queue(
        "DELETE FROM endpoint_health WHERE endpoint = ANY ($1)",
        kept![endpoints],
    );
    for sql in [
        "DELETE FROM endpoint WHERE app = $1",
        "DELETE FROM token WHERE app = $1",
        "DELETE FROM app WHERE id = $1",
    ] {
        tx.queue(sql, kept![id]);
    }
    Ok(())
}

async fn put_endpoint(tx: &mut Tx, vault: &Vault, new: &Endpoint) -> Result<(), Fault> {
    let (id, app) = (key(new.id.number()), key(new.app.number()));
    let environment = tx.row("SELECT environment FROM app WHERE id = $1", args![app]).await?;
    let environment: i64 = environment
        .map(|found| found.get(0))
        .ok_or(StoreError::NotFound("the application"))?;
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM endpoint WHERE app = $1 AND uid = $2 AND id <> $3";
        refuse_if_taken(tx, taken, app, uid, id, "endpoint uid").await?;
    }
    if new.disabled.is_none() {
        // Enabled again: how it did before no longer counts.
        let sql = "DELETE FROM endpoint_health WHERE endpoint = $1 \
             AND EXISTS (SELECT 1 FROM endpoint WHERE id = $1 AND document::json ->> 'disabled' IS NOT NULL)";
        tx.queue(sql, kept![id]);
    }
    let record = endpoint_to_record(new, EnvironmentId::from_number(number(environment)), vault)?;
    let sql = "INSERT INTO endpoint (id, app, uid, document, sealed) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET app = excluded.app, uid = excluded.uid, document = excluded.document, \
         sealed = excluded.sealed";
    let uid = new.uid.as_deref().map(owned);
    tx.queue(sql, kept![id, app, uid, record.document, record.sealed]);
    Ok(())
}

async fn put_source(tx: &mut Tx, vault: &Vault, new: &Source) -> Result<(), Fault> {
    let (id, environment) = (key(new.id.number()), key(new.environment.number()));
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM source WHERE environment = $1 AND uid = $2 AND id <> $3";
        refuse_if_taken(tx, taken, environment, uid, id, "source uid").await?;
    }
    let record = source_to_record(new, vault)?;
    let sql = "INSERT INTO source (id, environment, uid, document, sealed) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, uid = excluded.uid, \
         document = excluded.document, sealed = excluded.sealed";
    let uid = new.uid.as_deref().map(owned);
    tx.queue(sql, kept![id, environment, uid, record.document, record.sealed]);
    Ok(())
}

async fn keep_answer(tx: &mut Tx, answer: &StoredAnswer) -> Result<(), Fault> {
    // Two requests with the same key may have come here side by side: only the first takes effect.
    let days: Vec<i64> = tx.days.from(Kind::Idempotent, tx.now.day()).collect();
    for day in days {
        let sql = format!("SELECT 1 FROM idempotent_{day} WHERE key = $1 AND expires_at > $2");
        let args = args![&answer.key[..], tx.now.micros()];
        let is_taken = tx.row(&sql, args).await?.is_some();
        refuse_if(is_taken, "idempotency key", "of this request")?;
    }
    let day = answer.expires_at.day();
    tx.ensure(Kind::Idempotent, day).await?;
    let sql = format!(
        "INSERT INTO idempotent_{day} (key, body_hash, status, answer, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key) DO UPDATE SET body_hash = excluded.body_hash, msg = NULL, status = excluded.status, \
         answer = excluded.answer, expires_at = excluded.expires_at"
    );
    let values = kept![
        answer.key.to_vec(),
        answer.body_hash.to_vec(),
        answer.status as i16,
        answer.body.clone(),
        answer.expires_at.micros(),
    ];
    tx.queue(sql, values);
    Ok(())
}

/// The answer kept under a key.
pub(super) async fn answer(
    connection: &Connection,
    wanted: [u8; 32],
    now: Timestamp,
) -> Result<Option<StoredAnswer>, Fault> {
    let days = partition::read(connection).await?;
    for day in days.from(Kind::Idempotent, now.day()) {
        let sql = format!(
            "SELECT body_hash, status, answer, expires_at FROM idempotent_{day} \
             WHERE key = $1 AND status IS NOT NULL AND expires_at > $2"
        );
        let Some(found) = connection.row(&sql, args![&wanted[..], now.micros()]).await? else {
            continue;
        };
        return Ok(Some(StoredAnswer {
            key: wanted,
            body_hash: found.get::<_, &[u8]>(0).try_into().unwrap_or([0; 32]),
            status: found.get::<_, i16>(1) as u16,
            body: found.get::<_, Option<Vec<u8>>>(2).unwrap_or_default(),
            expires_at: Timestamp::from_micros(found.get(3)),
        }));
    }
    Ok(None)
}

fn status_name(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Running => "running",
        TaskStatus::Finished => "finished",
        TaskStatus::Failed => "failed",
        TaskStatus::Cancelled => "cancelled",
    }
}

/// One task.
pub(super) async fn task(connection: &Connection, id: TaskId) -> Result<Option<Task>, Fault> {
    let found = connection
        .row("SELECT document FROM task WHERE id = $1", args![key(id.number())])
        .await?;
    found.map(|found| row::json("a task", found.get(0))).transpose()
}

/// Tasks that fit.
pub(super) async fn tasks(
    connection: &Connection,
    environment: Option<EnvironmentId>,
    status: Option<TaskStatus>,
    page: Page,
) -> Result<Rows<Task>, Fault> {
    let mut walk = Walk::new(page);
    let span = walk.span();
    let sql = tasks_sql(environment.is_some(), status.is_some(), walk.ascending());
    let args = args![
        environment.map(|environment| key(environment.number())),
        status.map(status_name),
        span.first_key(),
        span.end_key(),
        page.limit as i64 + 1,
    ];
    for found in connection.rows(&sql, args).await? {
        if walk.push(row::json("a task", found.get(0))?).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}

/// The statement that walks tasks.
pub(super) fn tasks_sql(of_environment: bool, of_status: bool, ascending: bool) -> String {
    let environment = if of_environment {
        "environment = $1"
    } else {
        "$1 IS NULL"
    };
    let status = if of_status { "status = $2" } else { "$2 IS NULL" };
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT document FROM task WHERE {environment} AND {status} AND id >= $3 AND id < $4 ORDER BY id {direction} LIMIT $5"
    )
}
