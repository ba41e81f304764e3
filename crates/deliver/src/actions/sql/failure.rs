//! What databases say, in the words that attempts keep.

use bellwire_core::attempt::Failure;
use mysql_async::{DriverError, IoError};
use rusqlite::ffi;
use tokio_postgres::error::SqlState;

use crate::guard::ConnectError;

/// The longest text of a database that is kept, in characters.
const TEXT_CHARS_MAX: usize = 600;

/// What sort of trouble a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Auth,
    Busy,
    Connect,
    Constraint,
    Failed,
    Syntax,
    Timeout,
    Type,
    Undefined,
}

impl Trouble {
    fn reason(self) -> &'static str {
        match self {
            Self::Auth => "sql_auth",
            Self::Busy => "sql_busy",
            Self::Connect => "sql_connect",
            Self::Constraint => "sql_constraint",
            Self::Failed => "sql_failed",
            Self::Syntax => "sql_syntax",
            Self::Timeout => "sql_timeout",
            Self::Type => "sql_type",
            Self::Undefined => "sql_undefined",
        }
    }

    fn said(self, text: &str) -> Failure {
        let mut chars = text.chars();
        let mut detail: String = chars.by_ref().take(TEXT_CHARS_MAX).collect();
        if chars.next().is_some() {
            detail.push('…');
        }
        Failure {
            reason: self.reason(),
            detail,
        }
    }
}

/// There is no connection, for a reason of ours or of the network.
pub(super) fn not_connected(error: &ConnectError) -> Failure {
    Failure {
        reason: error.reason(),
        detail: error.to_string(),
    }
}

/// There is no connection to a socket of this machine, or the server broke it off.
pub(super) fn broken(what: &str) -> Failure {
    Trouble::Connect.said(what)
}

/// The server does not speak TLS, and has to.
pub(super) fn no_tls() -> Failure {
    broken(
        "the server does not offer TLS; set it up there, or write sslmode=disable where the data may be read on its way",
    )
}

pub(super) fn postgres(error: &tokio_postgres::Error) -> Failure {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        return Trouble::Connect.said(&format!("the connection to PostgreSQL broke: {cause}"));
    };
    let mut text = format!("PostgreSQL says: {} ({})", said.message(), said.code().code());
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text = format!("{text}; {more}");
    }
    of_sql_state(said.code()).said(&text)
}

fn of_sql_state(state: &SqlState) -> Trouble {
    match state.code() {
        "57014" => Trouble::Timeout,
        "42501" => Trouble::Auth,
        "42601" => Trouble::Syntax,
        "42804" | "42846" | "42P18" | "42883" => Trouble::Type,
        "3D000" => Trouble::Connect,
        "40001" | "40P01" | "55P03" | "57P03" => Trouble::Busy,
        code => match code.get(..2) {
            Some("08" | "57") => Trouble::Connect,
            Some("28") => Trouble::Auth,
            Some("53") => Trouble::Busy,
            Some("23") => Trouble::Constraint,
            Some("22") => Trouble::Type,
            Some("42" | "3F") => Trouble::Undefined,
            _ => Trouble::Failed,
        },
    }
}

pub(super) fn sqlite(error: &rusqlite::Error) -> Failure {
    let text = format!("SQLite says: {error}");
    let trouble = match error {
        rusqlite::Error::SqliteFailure(said, _) => of_sqlite(said.extended_code, &text),
        rusqlite::Error::SqlInputError { msg, .. } => of_sqlite(ffi::SQLITE_ERROR, msg),
        _ => Trouble::Failed,
    };
    trouble.said(&text)
}

fn of_sqlite(code: i32, text: &str) -> Trouble {
    match (code, code & 0xff) {
        (ffi::SQLITE_CONSTRAINT_DATATYPE, _) | (_, ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG) => Trouble::Type,
        (_, ffi::SQLITE_CONSTRAINT) => Trouble::Constraint,
        (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => Trouble::Busy,
        (_, ffi::SQLITE_INTERRUPT) => Trouble::Timeout,
        (_, ffi::SQLITE_CANTOPEN | ffi::SQLITE_NOTADB) => Trouble::Connect,
        (_, ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH) => Trouble::Auth,
        // Both are one code to SQLite; only its words tell them apart.
        (_, ffi::SQLITE_ERROR) if text.contains("syntax error") || text.contains("incomplete input") => Trouble::Syntax,
        (_, ffi::SQLITE_ERROR) => Trouble::Undefined,
        _ => Trouble::Failed,
    }
}

pub(super) fn mysql(error: &mysql_async::Error) -> Failure {
    use mysql_async::Error;
    let trouble = match error {
        Error::Server(said) => {
            let text = format!("MySQL says: {} ({})", said.message, said.code);
            return of_mysql(said.code).said(&text);
        }
        Error::Io(IoError::Io(_) | IoError::Tls(_)) => Trouble::Connect,
        Error::Driver(DriverError::StmtParamsMismatch { .. }) => Trouble::Syntax,
        Error::Driver(_) => Trouble::Connect,
        Error::Other(_) | Error::Url(_) => Trouble::Failed,
    };
    trouble.said(&format!("the connection to MySQL broke: {error}"))
}

fn of_mysql(code: u16) -> Trouble {
    match code {
        1044 | 1045 | 1142 | 1143 | 1227 | 1251 | 1698 | 3118 => Trouble::Auth,
        1040 | 1205 | 1213 | 1226 | 1290 => Trouble::Busy,
        1046 | 1049 | 1053 | 1129 | 1130 => Trouble::Connect,
        1022 | 1048 | 1062 | 1216 | 1217 | 1364 | 1451 | 1452 | 1557 | 3819 | 4025 => Trouble::Constraint,
        1064 => Trouble::Syntax,
        1317 | 1969 | 3024 => Trouble::Timeout,
        1264 | 1265 | 1292 | 1366 | 1367 | 1406 | 1411 | 3140 | 3141 => Trouble::Type,
        1054 | 1109 | 1146 | 1305 => Trouble::Undefined,
        _ => Trouble::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_of_a_database_are_cut() {
        let failure = Trouble::Failed.said(&"ä".repeat(2_000));
        assert_eq!(failure.detail.chars().count(), TEXT_CHARS_MAX + 1);
    }

    #[test]
    fn states_are_told_apart_as_far_as_somebody_would_act_differently() {
        for (state, trouble) in [
            ("23505", Trouble::Constraint),
            ("22P02", Trouble::Type),
            ("42P01", Trouble::Undefined),
            ("42703", Trouble::Undefined),
            ("42P10", Trouble::Undefined),
            ("42601", Trouble::Syntax),
            ("42501", Trouble::Auth),
            ("28P01", Trouble::Auth),
            ("57014", Trouble::Timeout),
            ("57P01", Trouble::Connect),
            ("53300", Trouble::Busy),
            ("40P01", Trouble::Busy),
            ("XX000", Trouble::Failed),
        ] {
            assert_eq!(of_sql_state(&SqlState::from_code(state)), trouble, "{state}");
        }
    }
}
