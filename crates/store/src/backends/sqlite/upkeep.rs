//! Upkeep: expunging, sealing anew, copies of the store, its size.

use std::path::Path;

use bellwire_core::id::{AppId, Id, MessageId};
use bellwire_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    configuration::{each_endpoint, each_source},
    fault::Fault,
    location::{create_private, sync_directory},
    partition::{Kind, day_of, render},
    row::key,
    tx::Tx,
};
use crate::{
    error::StoreError,
    query::AttemptKey,
    record::{endpoint_from_record, endpoint_to_record, source_from_record, source_to_record},
    vault::Vault,
};

/// What the store's seal is sealed for.
const SEAL_CONTEXT: &str = "store";
const SEAL_TEXT: &[u8] = b"bellwire";

/// Forgets a payload; false when there is no such message.
pub(super) fn expunge_payload(tx: &mut Tx<'_>, app: AppId, id: MessageId) -> Result<bool, Fault> {
    let day = day_of(id.number());
    if !tx.tables.days().has(Kind::Message, day) {
        return Ok(false);
    }
    let sql = render(
        "SELECT payload_expires_at FROM message_{d} WHERE id = ?1 AND app = ?2",
        day,
    );
    let expires_at: Option<i64> = tx
        .connection
        .prepare_cached(&sql)?
        .query_row((key(id.number()), key(app.number())), |row| row.get(0))
        .optional()?;
    let Some(expires_at) = expires_at.map(Timestamp::from_micros) else {
        return Ok(false);
    };
    if tx.tables.days().has(Kind::Payload, expires_at.day()) {
        let sql = render("DELETE FROM payload_{d} WHERE id = ?1", expires_at.day());
        tx.connection.prepare_cached(&sql)?.execute([key(id.number())])?;
    }
    Ok(true)
}

/// Forgets an attempt's answer; false when there is no such attempt.
pub(super) fn expunge_attempt(tx: &mut Tx<'_>, wanted: AttemptKey) -> Result<bool, Fault> {
    let day = day_of(wanted.attempt.number());
    if !tx.tables.days().has(Kind::Attempt, day) {
        return Ok(false);
    }
    let sql = render(
        "UPDATE attempt_{d} SET response = NULL, response_headers = NULL WHERE msg = ?1 AND id = ?2 AND app = ?3",
        day,
    );
    let key = (
        key(wanted.message.number()),
        key(wanted.attempt.number()),
        key(wanted.app.number()),
    );
    Ok(tx.connection.prepare_cached(&sql)?.execute(key)? == 1)
}

/// Proves that the vault opens what this store's vault sealed; seals a proof in a new store.
///
/// # Errors
/// Why it does not, in words for the operator; or those of SQLite.
pub(super) fn prove_vault(connection: &Connection, vault: &Vault) -> Result<Result<(), String>, Fault> {
    let sealed: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM meta WHERE key = 'seal'", [], |row| row.get(0))
        .optional()?;
    match sealed {
        Some(sealed) => Ok(vault
            .open(&sealed, SEAL_CONTEXT)
            .map(|_| ())
            .map_err(|error| error.to_string())),
        None => put_seal(connection, vault).map(Ok),
    }
}

fn put_seal(connection: &Connection, vault: &Vault) -> Result<(), Fault> {
    let sealed = vault
        .seal(SEAL_TEXT, SEAL_CONTEXT)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('seal', ?1)", [sealed])?;
    Ok(())
}

/// Seals anew what was not sealed with the current main secret.
pub(super) fn reseal(tx: &mut Tx<'_>, vault: &Vault, limit: usize) -> Result<u64, Fault> {
    let mut outdated = Vec::new();
    each_endpoint(tx.connection, |id, environment, record| {
        if outdated.len() < limit && vault.needs_reseal(&record.sealed) {
            outdated.push((id, environment, record));
        }
        Ok(())
    })?;
    for (id, environment, record) in &outdated {
        let endpoint = endpoint_from_record(record, *environment, vault)?;
        let record = endpoint_to_record(&endpoint, *environment, vault)?;
        tx.connection
            .prepare_cached("UPDATE endpoint SET document = ?2, sealed = ?3 WHERE id = ?1")?
            .execute((id, record.document, record.sealed))?;
    }
    let mut sources = Vec::new();
    each_source(tx.connection, |id, record| {
        if outdated.len() + sources.len() < limit && vault.needs_reseal(&record.sealed) {
            sources.push((id, record));
        }
        Ok(())
    })?;
    for (id, record) in &sources {
        let record = source_to_record(&source_from_record(record, vault)?, vault)?;
        tx.connection
            .prepare_cached("UPDATE source SET document = ?2, sealed = ?3 WHERE id = ?1")?
            .execute((id, record.document, record.sealed))?;
    }
    put_seal(tx.connection, vault)?;
    Ok((outdated.len() + sources.len()) as u64)
}

/// Writes a consistent, compact copy.
pub(super) fn backup(connection: &Connection, to: &Path) -> Result<(), Fault> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("cannot back up to {}: {what}: {error}", to.display()))
    };
    let file = create_private(to).map_err(|error| failed("it cannot be made", &error))?;
    let path = to
        .to_str()
        .ok_or_else(|| failed("the path", &"it is not valid Unicode"))?;
    let copied = connection.execute("VACUUM INTO ?1", [path]);
    if let Err(error) = copied {
        let _ = std::fs::remove_file(to);
        return Err(failed("the copy failed", &error).into());
    }
    file.sync_all()
        .map_err(|error| failed("it cannot be written out", &error))?;
    sync_directory(to);
    Ok(())
}

/// Bytes on disk.
pub(super) fn bytes_on_disk(database: &Path) -> u64 {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    [database, Path::new(&log)]
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|file| file.len())
        .sum()
}
