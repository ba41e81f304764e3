//! Upkeep: expunging, sealing anew, tables made ahead, size.

use bellwire_core::id::{AppId, Id, MessageId};
use bellwire_core::time::Timestamp;

use super::{
    argument::{args, kept},
    columns::key,
    configuration::{endpoint_records, source_records},
    connection::Connection,
    days::{Kind, day_of},
    fault::Fault,
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
pub(super) async fn expunge_payload(tx: &mut Tx, app: AppId, id: MessageId) -> Result<bool, Fault> {
    let day = day_of(id.number());
    if !tx.has(Kind::Message, day).await? {
        return Ok(false);
    }
    let sql = format!("SELECT payload_expires_at FROM message_{day} WHERE id = $1 AND app = $2");
    let found = tx.row(&sql, args![key(id.number()), key(app.number())]).await?;
    let Some(expires_at) = found.map(|row| Timestamp::from_micros(row.get(0))) else {
        return Ok(false);
    };
    if tx.has(Kind::Payload, expires_at.day()).await? {
        let sql = format!("DELETE FROM payload_{} WHERE id = $1", expires_at.day());
        tx.queue(sql, kept![key(id.number())]);
    }
    Ok(true)
}

/// Forgets an attempt's answer; false when there is no such attempt.
pub(super) async fn expunge_attempt(tx: &mut Tx, wanted: AttemptKey) -> Result<bool, Fault> {
    let day = day_of(wanted.attempt.number());
    if !tx.has(Kind::Attempt, day).await? {
        return Ok(false);
    }
    let sql = format!(
        "UPDATE attempt_{day} SET response = NULL, response_headers = NULL WHERE msg = $1 AND id = $2 AND app = $3"
    );
    let args = args![
        key(wanted.message.number()),
        key(wanted.attempt.number()),
        key(wanted.app.number()),
    ];
    Ok(tx.execute(&sql, args).await? == 1)
}

/// Proves that the vault opens what this store's vault sealed; seals a proof in a new store.
///
/// # Errors
/// Why it does not, in words for the operator; or those of the database.
pub(super) async fn prove_vault(connection: &Connection, vault: &Vault) -> Result<Result<(), String>, Fault> {
    // Of two that make the proof at the same time the second one finds that of the first.
    let sql = "INSERT INTO seal (sealed) VALUES ($1) ON CONFLICT DO NOTHING";
    connection.execute(sql, args![seal(vault)?]).await?;
    let found = connection.row("SELECT sealed FROM seal", &[]).await?;
    let opened = found.map(|row| vault.open(row.get(0), SEAL_CONTEXT));
    Ok(opened.transpose().map(drop).map_err(|error| error.to_string()))
}

fn seal(vault: &Vault) -> Result<Vec<u8>, StoreError> {
    vault
        .seal(SEAL_TEXT, SEAL_CONTEXT)
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Whether the vault opens the proof.
///
/// # Errors
/// Why it does not.
pub(super) fn opens(vault: &Vault, proof: &[u8]) -> Result<(), String> {
    vault
        .open(proof, SEAL_CONTEXT)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn put_seal(tx: &mut Tx, vault: &Vault) -> Result<(), Fault> {
    let sql = "INSERT INTO seal (sealed) VALUES ($1) ON CONFLICT (one) DO UPDATE SET sealed = excluded.sealed";
    tx.queue(sql, kept![seal(vault)?]);
    Ok(())
}

/// Seals anew what was not sealed with the current main secret.
pub(super) async fn reseal(tx: &mut Tx, vault: &Vault, limit: usize) -> Result<u64, Fault> {
    let endpoints = endpoint_records(tx.flushed().await?).await?;
    let mut sealed = 0;
    for (id, environment, record) in endpoints {
        if sealed < limit && vault.needs_reseal(&record.sealed) {
            let endpoint = endpoint_from_record(&record, environment, vault)?;
            let record = endpoint_to_record(&endpoint, environment, vault)?;
            let sql = "UPDATE endpoint SET document = $2, sealed = $3 WHERE id = $1";
            tx.queue(sql, kept![id, record.document, record.sealed]);
            sealed += 1;
        }
    }
    let sources = source_records(tx.flushed().await?).await?;
    for (id, record) in sources {
        if sealed < limit && vault.needs_reseal(&record.sealed) {
            let record = source_to_record(&source_from_record(&record, vault)?, vault)?;
            let sql = "UPDATE source SET document = $2, sealed = $3 WHERE id = $1";
            tx.queue(sql, kept![id, record.document, record.sealed]);
            sealed += 1;
        }
    }
    put_seal(tx, vault)?;
    Ok(sealed as u64)
}

/// Makes the tables of tomorrow, so that nobody waits for them at midnight.
pub(super) async fn make_ahead(tx: &mut Tx) -> Result<(), Fault> {
    let today = tx.now.day();
    let keys = tx.now.plus(tx.idempotency_ttl).day();
    for (kind, day) in [
        (Kind::Message, today),
        (Kind::Message, today + 1),
        (Kind::Attempt, today),
        (Kind::Attempt, today + 1),
        (Kind::Idempotent, keys),
        (Kind::Idempotent, keys + 1),
    ] {
        tx.ensure(kind, day).await?;
    }
    Ok(())
}

/// Bytes on the database's disk.
pub(super) async fn bytes_on_disk(connection: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c \
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'";
    let row = connection.row(sql, &[]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}
