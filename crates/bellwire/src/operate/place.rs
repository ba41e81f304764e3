//! Where the embedded store's file is, for commands that handle it as a file.
//!
//! The rule is the store's own and documented there: what a URL names is a file when it ends like one, otherwise
//! `bellwire.db` in that directory.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use crate::{cli::Failure, config::Config};

/// The file of the configured store.
///
/// # Errors
/// When the store is no file.
pub(crate) fn database_file(config: &Config) -> Result<PathBuf, Failure> {
    let url = config.storage.url();
    let Some(place) = url.strip_prefix("sqlite:") else {
        return Err(Failure::usage(
            "this command works on embedded stores (sqlite:…); use the database's own tools for others",
        ));
    };
    let path = Path::new(place.strip_prefix("//").unwrap_or(place));
    let named_as_file = path
        .extension()
        .is_some_and(|end| ["db", "sqlite", "sqlite3"].iter().any(|known| end == *known));
    Ok(if path.is_file() || (named_as_file && !path.is_dir()) {
        path.to_owned()
    } else {
        path.join("bellwire.db")
    })
}

/// Like [`database_file`], for commands that must not make a store where there is none.
///
/// # Errors
/// Also when the file is not there.
pub(super) fn existing_file(config: &Config) -> Result<PathBuf, Failure> {
    let file = database_file(config)?;
    if file.is_file() {
        Ok(file)
    } else {
        Err(Failure::Usage(format!(
            "there is no store at {}; say where it is with --data or --store",
            file.display()
        )))
    }
}

/// That the configured store is there, for commands that work on whatever store and must not make one. A store in a database is
/// looked for when it is opened.
///
/// # Errors
/// When its file is not there.
pub(super) fn must_be_there(config: &Config) -> Result<(), Failure> {
    if config.storage.url().starts_with("sqlite:") {
        existing_file(config)?;
    }
    Ok(())
}

/// Whether a server (or another command) has the store open.
pub(super) fn is_in_use(database: &Path) -> bool {
    let lock = File::open(database.with_extension("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The files that SQLite keeps beside the database, by what is appended to its name.
pub(super) const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// The path with something appended to its name.
pub(super) fn appended(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
