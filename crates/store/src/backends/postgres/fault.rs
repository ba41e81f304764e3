//! What can go wrong inside the backend, and how it looks from outside.

use tokio_postgres::{Error, error::SqlState};

use super::address::with_causes;
use crate::error::StoreError;

/// What the function `own` raises when another process has taken this node's place.
pub(super) const FENCED: &str = "BW001";

/// A failure of the database or of the way to it, or a judgement on what was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database could not do it, or cannot be reached.
    Sql(Error),
    /// What was asked cannot be done; others are not affected.
    Judged(StoreError),
    /// No answer came in time, or the connection could not be made.
    Away(String),
}

impl Fault {
    /// Whether the connection is of no use any more.
    pub fn ends_the_connection(&self) -> bool {
        match self {
            Self::Sql(error) => error.is_closed() || error.as_db_error().is_none_or(|told| is_goodbye(told.code())),
            Self::Judged(_) => false,
            Self::Away(_) => true,
        }
    }

    /// Whether another process has taken this node's place.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Sql(error) if error.code().is_some_and(|code| code.code() == FENCED))
    }

    /// Whether others have what was wanted: later it may be had.
    pub fn is_about_a_lock(&self) -> bool {
        let lost = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        matches!(self, Self::Sql(error) if error.code().is_some_and(|code| lost.contains(code)))
    }

    /// Whether something was to be unique and is there already.
    pub fn is_about_something_taken(&self) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Whether a table is not there, which was when it was last looked.
    pub fn is_about_a_missing_table(&self) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
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
            Fault::Away(why) => Self::Unavailable(why),
            Fault::Sql(error) => describe(&error),
        }
    }
}

/// The server ends the connection with it.
fn is_goodbye(code: &SqlState) -> bool {
    // 57P01 to 57P05: shut down, crashed, not ready yet, dropped, idle for too long; 25P03: idle in a transaction.
    code.code().starts_with("57P") || code.code().starts_with("08") || code.code() == "25P03"
}

/// The outside view of an error of the database's.
pub(super) fn describe(error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        return StoreError::Unavailable(format!("the connection to PostgreSQL failed: {}", with_causes(error)));
    };
    let says = |advice: &str| StoreError::Unavailable(format!("PostgreSQL says: {}{advice}", told.message()));
    match told.code().code() {
        FENCED => says(""),
        "25006" => says("; it is a standby, or set to read only"),
        "53100" => says("; free some space on its disk"),
        "53300" => says("; raise its max_connections, or lower `connections` in the store's URL"),
        "42501" => says("; grant it to the user of the store's URL"),
        // Keys and event ids are looked up before they are written: somebody wrote them in between.
        "23505" | "23502" => {
            StoreError::Unavailable("another node accepted the same key at the same time; try again".to_owned())
        }
        code => {
            let is_passing = [
                "08", // the connection
                "28", // who may come in
                "3D", // the database is not there
                "40", // deadlocks and rollbacks
                "53", // out of something
                "55", // locks that could not be had, objects in use
                "57", // an operator, a timeout, a shutdown
                "58", // the system below it
                "25", // the transaction was ended
            ];
            if is_passing.iter().any(|class| code.starts_with(class)) || told.code() == &SqlState::UNDEFINED_TABLE {
                says("")
            } else {
                StoreError::Corrupt(format!("PostgreSQL says: {} ({code})", told.message()))
            }
        }
    }
}
