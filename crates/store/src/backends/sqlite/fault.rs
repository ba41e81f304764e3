//! What can go wrong inside the backend, and how it looks from outside.

use rusqlite::ErrorCode;

use crate::error::StoreError;

/// A failure of SQLite itself, or a judgement on what was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite could not do it: everything in the same transaction fails with it.
    Sql(rusqlite::Error),
    /// What was asked cannot be done; others are not affected.
    Judged(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Judged(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Judged(error) => error,
            Fault::Sql(error) => describe(&error),
        }
    }
}

/// The outside view of an error of SQLite's.
pub(super) fn describe(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Unavailable(format!("{error}; free some space")),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Corrupt(error.to_string()),
    }
}
