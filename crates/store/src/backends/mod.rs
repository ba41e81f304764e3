//! The table of storage backends, by URL scheme.
//!
//! A new backend is one new folder and one row in [`BACKENDS`]. Only this module knows which backends there are; everybody
//! else holds an `Arc<dyn Store>`.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{clock::Clock, contract::Store, error::OpenError, query::Role, vault::Vault};

mod common;
mod copy;
mod postgres;
mod sqlite;

pub use copy::{Copied, CopyStep, copy};

/// What every backend is given when it is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// Seals what is secret.
    pub vault: Arc<Vault>,
    /// How long settlements may wait for a publication whose commit they share. Longer saves commits, shorter shows
    /// outcomes earlier; a publication never waits.
    pub settle_linger: Duration,
    /// How long the answer to an idempotency key is kept for publications.
    pub idempotency_ttl: Duration,
    /// What this process does. One that makes no deliveries is handed none by a store that is shared.
    pub role: Role,
    /// What others see this process by.
    pub host: String,
}

impl OpenOptions {
    /// With the defaults: settlements linger 5 ms, idempotency keys are kept for 12 hours.
    pub fn new(clock: Arc<dyn Clock>, vault: Vault) -> Self {
        Self {
            clock,
            vault: Arc::new(vault),
            settle_linger: Duration::from_millis(5),
            idempotency_ttl: Duration::from_secs(12 * 3_600),
            role: Role::All,
            host: String::new(),
        }
    }
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions")
            .field("settle_linger", &self.settle_linger)
            .finish_non_exhaustive()
    }
}

type Opening = BoxFuture<'static, Result<Arc<dyn Store>, OpenError>>;

/// One kind of store.
pub struct Backend {
    /// What its URLs start with, without the colon.
    pub scheme: &'static str,
    /// An example of a URL, for help and errors.
    pub example: &'static str,
    open: fn(String, OpenOptions) -> Opening,
    /// Brings the schema to this version beside servers that run, or rehearses it. `None` for a file, which one process has.
    migrate: Option<fn(String, bool) -> Migrating>,
}

type Migrating = BoxFuture<'static, Result<Migrated, OpenError>>;

/// How a schema was brought to this version, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Where the store is, as it may be shown.
    pub location: String,
    /// The version it had.
    pub found: i64,
    /// The newest version this program knows.
    pub known: i64,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// All of them.
pub const BACKENDS: &[Backend] = &[
    Backend {
        scheme: "sqlite",
        example: "sqlite:./bellwire-data",
        open: |url, options| Box::pin(open_sqlite(url, options)),
        migrate: None,
    },
    Backend {
        scheme: "postgres",
        example: "postgres://user@host/database",
        open: |url, options| Box::pin(open_postgres(url, options)),
        migrate: Some(|url, dry_run| Box::pin(migrate_postgres(url, dry_run))),
    },
    Backend {
        scheme: "postgresql",
        example: "postgresql://user@host/database",
        open: |url, options| Box::pin(open_postgres(url, options)),
        migrate: Some(|url, dry_run| Box::pin(migrate_postgres(url, dry_run))),
    },
];

async fn open_sqlite(rest: String, options: OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    Ok(sqlite::Sqlite::open(&rest, options).await?)
}

async fn open_postgres(rest: String, options: OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    Ok(postgres::Postgres::open(&format!("postgres:{rest}"), options).await?)
}

async fn migrate_postgres(rest: String, dry_run: bool) -> Result<Migrated, OpenError> {
    postgres::migrate_at(&format!("postgres:{rest}"), dry_run).await
}

/// Brings the schema of the store at a URL to this version, without opening it: servers may run meanwhile. A rehearsal takes all
/// steps and takes them back. `None` for a store that is a file: opening it does the same.
///
/// # Errors
/// [`OpenError`]: too new, not there, or not to be changed.
pub async fn migrate(url: &str, dry_run: bool) -> Result<Option<Migrated>, OpenError> {
    let (backend, rest) = backend_of(url)?;
    match backend.migrate {
        None => Ok(None),
        Some(migrate) => migrate(rest.to_owned(), dry_run).await.map(Some),
    }
}

/// Opens the store at a URL, making it if it is not there. Must be called within a tokio runtime.
///
/// # Errors
/// [`OpenError`], in words for the operator.
pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    let (backend, rest) = backend_of(url)?;
    (backend.open)(rest.to_owned(), options).await
}

/// Who keeps the store at a URL, and where.
fn backend_of(url: &str) -> Result<(&'static Backend, &str), OpenError> {
    let known = || {
        BACKENDS
            .iter()
            .map(|backend| backend.example)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let unknown = || OpenError::UnknownScheme(without_password(url), known());
    let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
    let backend = BACKENDS
        .iter()
        .find(|backend| backend.scheme == scheme)
        .ok_or_else(unknown)?;
    Ok((backend, rest))
}

/// A store's URL as it may be shown: what stands before an `@` may be a password.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(without_password("mysql://me:secret@db/x"), "mysql://…@db/x");
        assert_eq!(without_password("mysql:thing"), "mysql:thing");
    }
}
