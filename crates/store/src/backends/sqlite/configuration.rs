//! The configuration and the tasks: JSON documents with the columns that are looked up or must be unique.

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
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    books,
    fault::Fault,
    paging::Walk,
    partition::{Days, Kind, render},
    refused,
    row::{key, number},
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

fn read_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what} cannot be read: {error}")))
}

fn documents<T: DeserializeOwned>(connection: &Connection, table: &'static str) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare(&format!("SELECT document FROM {table}"))?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?;
        all.push(read_json(table, text.as_str().unwrap_or(""))?);
    }
    Ok(all)
}

/// All of the configuration.
pub(super) fn configuration(connection: &Connection, vault: &Vault) -> Result<Configuration, Fault> {
    let environments: Vec<Environment> = documents(connection, "environment")?;
    let apps: Vec<App> = documents(connection, "app")?;
    let tokens: Vec<Token> = documents(connection, "token")?;
    let event_types: Vec<EventType> = documents(connection, "event_type")?;
    let mut endpoints = Vec::new();
    each_endpoint(connection, |_, environment, record| {
        endpoints.push(endpoint_from_record(&record, environment, vault)?);
        Ok(())
    })?;
    let mut sources = Vec::new();
    each_source(connection, |_, record| {
        sources.push(source_from_record(&record, vault)?);
        Ok(())
    })?;
    let mut statement = connection.prepare("SELECT endpoint, failing_since FROM endpoint_health")?;
    let health = statement.query_map([], |row| {
        let health = Health {
            failing_since: Some(Timestamp::from_micros(row.get(1)?)),
        };
        Ok((EndpointId::from_number(number(row.get(0)?)), health))
    })?;
    let health = health.collect::<rusqlite::Result<_>>()?;
    Ok(Configuration {
        largest_number: books::largest_put(connection)?,
        version: 0,
        environments,
        apps,
        endpoints,
        event_types,
        tokens,
        sources,
        health,
    })
}

/// Visits the records of all endpoints, with the environment that each is sealed for.
pub(super) fn each_endpoint(
    connection: &Connection,
    mut visit: impl FnMut(i64, EnvironmentId, Record) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(
        "SELECT endpoint.id, app.environment, endpoint.document, endpoint.sealed FROM endpoint JOIN app ON app.id = endpoint.app",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record = Record {
            document: row.get(2)?,
            sealed: row.get(3)?,
        };
        visit(row.get(0)?, EnvironmentId::from_number(number(row.get(1)?)), record)?;
    }
    Ok(())
}

/// Visits the records of all sources.
pub(super) fn each_source(
    connection: &Connection,
    mut visit: impl FnMut(i64, Record) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare("SELECT id, document, sealed FROM source")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record = Record {
            document: row.get(1)?,
            sealed: row.get(2)?,
        };
        visit(row.get(0)?, record)?;
    }
    Ok(())
}

/// Makes changes, one after the other, and keeps the answer they are given.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    vault: &Vault,
    changes: Vec<Change>,
    answer: Option<StoredAnswer>,
) -> Result<(), Fault> {
    if let Some(largest) = changes.iter().filter_map(Change::number).max() {
        books::note_put(tx.connection, largest)?;
    }
    for change in changes {
        apply_one(tx.connection, vault, change)?;
    }
    answer.map_or(Ok(()), |answer| keep_answer(tx, &answer))
}

fn apply_one(connection: &Connection, vault: &Vault, change: Change) -> Result<(), Fault> {
    match change {
        Change::PutEnvironment(new) => {
            let taken = "SELECT 1 FROM environment WHERE name = ?1 AND id <> ?2";
            refuse_if(
                connection
                    .prepare_cached(taken)?
                    .exists((&new.name, key(new.id.number())))?,
                "environment name",
                &new.name,
            )?;
            let sql = "INSERT INTO environment (id, name, document) VALUES (?1, ?2, ?3)
                ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document";
            connection.execute(
                sql,
                params![key(new.id.number()), new.name, write_json("an environment", &new)?],
            )?;
        }
        Change::PutApp(new) => put_app(connection, &new)?,
        Change::DeleteApp(id) => delete_app(connection, id)?,
        Change::PutEndpoint(new) => put_endpoint(connection, vault, &new)?,
        Change::DeleteEndpoint(id) => {
            connection.execute("DELETE FROM endpoint_health WHERE endpoint = ?1", [key(id.number())])?;
            forget_lines(connection, key(id.number()))?;
            connection.execute("DELETE FROM endpoint WHERE id = ?1", [key(id.number())])?;
        }
        Change::PutEventType(new) => {
            let sql = "INSERT OR REPLACE INTO event_type (environment, name, document) VALUES (?1, ?2, ?3)";
            connection.execute(
                sql,
                params![
                    key(new.environment.number()),
                    new.name,
                    write_json("an event type", &new)?
                ],
            )?;
        }
        Change::DeleteEventType { environment, name } => {
            let sql = "DELETE FROM event_type WHERE environment = ?1 AND name = ?2";
            connection.execute(sql, (key(environment.number()), name))?;
        }
        Change::PutToken(new) => {
            let sql = "INSERT OR REPLACE INTO token (id, app, document) VALUES (?1, ?2, ?3)";
            let app = new.app.map(|app| key(app.number()));
            connection.execute(sql, params![key(new.id.number()), app, write_json("a token", &new)?])?;
        }
        Change::DeleteToken(id) => {
            connection.execute("DELETE FROM token WHERE id = ?1", [key(id.number())])?;
        }
        Change::PutSource(new) => put_source(connection, vault, &new)?,
        Change::DeleteSource(id) => {
            refused::forget(connection, id)?;
            connection.execute("DELETE FROM source WHERE id = ?1", [key(id.number())])?;
        }
        Change::PutTask(new) => {
            // One that has ended stays as it ended.
            let sql = "INSERT INTO task (id, environment, status, document) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, status = excluded.status,
                       document = excluded.document WHERE task.status = ?5";
            connection.execute(
                sql,
                params![
                    key(new.id.number()),
                    key(new.environment.number()),
                    status_name(new.status),
                    write_json("a task", &new)?,
                    status_name(TaskStatus::Running)
                ],
            )?;
        }
    }
    Ok(())
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

fn put_app(connection: &Connection, new: &App) -> Result<(), Fault> {
    let (id, environment) = (key(new.id.number()), key(new.environment.number()));
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM app WHERE environment = ?1 AND uid = ?2 AND id <> ?3";
        refuse_if(
            connection.prepare_cached(taken)?.exists((environment, uid, id))?,
            "application uid",
            uid,
        )?;
    }
    let sql = "INSERT OR REPLACE INTO app (id, environment, uid, document) VALUES (?1, ?2, ?3, ?4)";
    connection
        .prepare_cached(sql)?
        .execute(params![id, environment, new.uid, write_json("an application", new)?])?;
    Ok(())
}

/// Forgets the numbers of an endpoint's lines: at once where nobody is in line, otherwise with the last one in line.
fn forget_lines(connection: &Connection, endpoint: i64) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM sequence WHERE endpoint = ?1 AND length = 0",
        "UPDATE sequence SET gone = 1 WHERE endpoint = ?1",
    ] {
        connection.execute(sql, [endpoint])?;
    }
    Ok(())
}

fn delete_app(connection: &Connection, id: AppId) -> Result<(), Fault> {
    let mut statement = connection.prepare("SELECT id FROM endpoint WHERE app = ?1")?;
    let endpoints: Vec<i64> = statement
        .query_map([key(id.number())], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for endpoint in endpoints {
        forget_lines(connection, endpoint)?;
    }
    for sql in [
        "DELETE FROM endpoint_health WHERE endpoint IN (SELECT id FROM endpoint WHERE app = ?1)",
        "DELETE FROM endpoint WHERE app = ?1",
        "DELETE FROM token WHERE app = ?1",
        "DELETE FROM app WHERE id = ?1",
    ] {
        connection.execute(sql, [key(id.number())])?;
    }
    Ok(())
}

fn put_endpoint(connection: &Connection, vault: &Vault, new: &Endpoint) -> Result<(), Fault> {
    let (id, app) = (key(new.id.number()), key(new.app.number()));
    let environment: Option<i64> = connection
        .prepare_cached("SELECT environment FROM app WHERE id = ?1")?
        .query_row([app], |row| row.get(0))
        .optional()?;
    let environment = environment.ok_or(StoreError::NotFound("the application"))?;
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM endpoint WHERE app = ?1 AND uid = ?2 AND id <> ?3";
        refuse_if(
            connection.prepare_cached(taken)?.exists((app, uid, id))?,
            "endpoint uid",
            uid,
        )?;
    }
    if new.disabled.is_none() {
        // Enabled again: how it did before no longer counts.
        let sql = "DELETE FROM endpoint_health WHERE endpoint = ?1 \
             AND (SELECT json_extract(document, '$.disabled') IS NOT NULL FROM endpoint WHERE id = ?1)";
        connection.prepare_cached(sql)?.execute([id])?;
    }
    let record = endpoint_to_record(new, EnvironmentId::from_number(number(environment)), vault)?;
    let sql = "INSERT OR REPLACE INTO endpoint (id, app, uid, document, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection
        .prepare_cached(sql)?
        .execute(params![id, app, new.uid, record.document, record.sealed])?;
    Ok(())
}

fn put_source(connection: &Connection, vault: &Vault, new: &Source) -> Result<(), Fault> {
    let (id, environment) = (key(new.id.number()), key(new.environment.number()));
    if let Some(uid) = &new.uid {
        let taken = "SELECT 1 FROM source WHERE environment = ?1 AND uid = ?2 AND id <> ?3";
        refuse_if(
            connection.prepare_cached(taken)?.exists((environment, uid, id))?,
            "source uid",
            uid,
        )?;
    }
    let record = source_to_record(new, vault)?;
    let sql = "INSERT OR REPLACE INTO source (id, environment, uid, document, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection
        .prepare_cached(sql)?
        .execute(params![id, environment, new.uid, record.document, record.sealed])?;
    Ok(())
}

const FIND_ANSWER: &str = "SELECT body_hash, status, answer, expires_at FROM idempotent_{d} WHERE key = ?1";

fn keep_answer(tx: &mut Tx<'_>, answer: &StoredAnswer) -> Result<(), Fault> {
    // Two requests with the same key may have come here side by side: only the first takes effect.
    let days: Vec<i64> = tx.tables.days().from(Kind::Idempotent, tx.now.day()).collect();
    for day in days {
        let sql = tx
            .tables
            .sql("SELECT 1 FROM idempotent_{d} WHERE key = ?1 AND expires_at > ?2", day);
        let taken = tx
            .connection
            .prepare_cached(sql)?
            .exists((&answer.key[..], tx.now.micros()))?;
        refuse_if(taken, "idempotency key", "of this request")?;
    }
    let day = answer.expires_at.day();
    tx.ensure(Kind::Idempotent, day)?;
    let sql = tx.tables.sql(
        "INSERT OR REPLACE INTO idempotent_{d} (key, body_hash, status, answer, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        day,
    );
    tx.connection.prepare_cached(sql)?.execute(params![
        &answer.key[..],
        &answer.body_hash[..],
        answer.status,
        answer.body,
        answer.expires_at.micros(),
    ])?;
    Ok(())
}

/// The answer kept under a key.
pub(super) fn answer(connection: &Connection, wanted: [u8; 32], now: Timestamp) -> Result<Option<StoredAnswer>, Fault> {
    for day in Days::read(connection)?.from(Kind::Idempotent, now.day()) {
        let mut statement = connection.prepare_cached(&render(FIND_ANSWER, day))?;
        let found = statement.query_row([&wanted[..]], |row| {
            let Some(status) = row.get(1)? else { return Ok(None) };
            Ok(Some(StoredAnswer {
                key: wanted,
                body_hash: row.get(0)?,
                status,
                body: row.get(2)?,
                expires_at: Timestamp::from_micros(row.get(3)?),
            }))
        });
        if let Some(found) = found.optional()?.flatten().filter(|found| found.expires_at > now) {
            return Ok(Some(found));
        }
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
pub(super) fn task(connection: &Connection, id: TaskId) -> Result<Option<Task>, Fault> {
    let document: Option<String> = connection
        .prepare_cached("SELECT document FROM task WHERE id = ?1")?
        .query_row([key(id.number())], |row| row.get(0))
        .optional()?;
    Ok(document.map(|text| read_json("a task", &text)).transpose()?)
}

/// Tasks that fit.
pub(super) fn tasks(
    connection: &Connection,
    environment: Option<EnvironmentId>,
    status: Option<TaskStatus>,
    page: Page,
) -> Result<Rows<Task>, Fault> {
    let mut walk = Walk::new(page);
    let span = walk.span();
    let mut statement =
        connection.prepare_cached(&tasks_sql(environment.is_some(), status.is_some(), walk.ascending()))?;
    let mut rows = statement.query(params![
        environment.map(|environment| key(environment.number())),
        status.map(status_name),
        span.first_key(),
        span.end_key(),
    ])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?;
        if walk.push(read_json("a task", text.as_str().unwrap_or(""))?).is_break() {
            break;
        }
    }
    Ok(walk.into_rows())
}

/// The statement that walks tasks.
pub(super) fn tasks_sql(of_environment: bool, of_status: bool, ascending: bool) -> String {
    let environment = if of_environment {
        "environment = ?1"
    } else {
        "?1 IS NULL"
    };
    let status = if of_status { "status = ?2" } else { "?2 IS NULL" };
    let direction = if ascending { "ASC" } else { "DESC" };
    format!(
        "SELECT document FROM task WHERE {environment} AND {status} AND id >= ?3 AND id < ?4 ORDER BY id {direction}"
    )
}
