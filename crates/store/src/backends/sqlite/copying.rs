//! This store as one end of a copy (see [`crate::backends::copy`]): held by its lock, read and written row by row.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter, types::ValueRef};

use super::{
    backlog::Backlogs,
    books::{self, Books},
    check, connection,
    fault::Fault,
    location::{self, Lock},
    partition::{Days, Tables},
    recover::recover,
    row::number,
    schema, upkeep,
};
use crate::{
    backends::{
        OpenOptions,
        copy::{
            Batch, End, Ledger, ROWS_AT_ONCE, Side,
            table::{Row, Table, Value, names},
        },
    },
    error::{OpenError, StoreError},
    query::CheckReport,
};

/// The log is copied into the file when it has so many pages.
const LOG_PAGES: i64 = 1_000;
/// In the bookkeeping of a store that is the target of a copy.
const MARK: &str = "copying";

/// Whether there is a store at the URL's part behind `sqlite:`.
pub(in crate::backends) fn is_there(place: &str) -> bool {
    location::database_path(place).is_file()
}

/// Holds the store, which nobody else has. One that a copy was not finished into is begun anew as a new file.
pub(in crate::backends) async fn hold(
    place: &str,
    options: &OpenOptions,
    side: Side,
) -> Result<Box<dyn End>, OpenError> {
    let path = location::database_path(place);
    let location = path.display().to_string();
    let options = options.clone();
    let held = tokio::task::spawn_blocking(move || open(&path, &options, side)).await;
    match held {
        Ok(held) => Ok(Box::new(held?)),
        Err(error) => Err(OpenError::Failed {
            location,
            detail: format!("opening ended unexpectedly: {error}"),
        }),
    }
}

fn open(path: &Path, options: &OpenOptions, side: Side) -> Result<Held, OpenError> {
    let location = path.display().to_string();
    let failed = |fault: Fault| OpenError::Failed {
        location: location.clone(),
        detail: StoreError::from(fault).to_string(),
    };
    let lock = location::prepare(path)?;
    let mut connection = writer(path).map_err(failed)?;
    schema::migrate(&connection, &location)?;
    let was_unfinished = is_marked(&connection).map_err(|error| failed(error.into()))?;
    if was_unfinished && side == Side::Target {
        drop(connection);
        remove(path).map_err(failed)?;
        connection = writer(path).map_err(failed)?;
        schema::migrate(&connection, &location)?;
    }
    if side == Side::Source {
        refuse_unfinished(&connection, &location)?;
    }
    let proven = upkeep::prove_vault(&connection, &options.vault).map_err(failed)?;
    proven.map_err(OpenError::Sealed)?;
    if side == Side::Source {
        // What was out in memory when its server ended waits again.
        let mut backlogs = Backlogs::load(&connection).map_err(|error| failed(error.into()))?;
        recover(&connection, &mut backlogs, options.clock.now()).map_err(failed)?;
    }
    Ok(Held {
        location,
        was_unfinished,
        connection: Some(connection),
        tables: Tables::default(),
        _lock: lock,
    })
}

/// Nobody but this connection copies the log into the file.
fn writer(path: &Path) -> Result<Connection, Fault> {
    let connection = connection::open_writer(path)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    Ok(connection)
}

/// A store whose copy was not finished is opened by nobody.
pub(super) fn refuse_unfinished(connection: &Connection, location: &str) -> Result<(), OpenError> {
    match is_marked(connection) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::Unfinished(location.to_owned())),
        Err(error) => Err(OpenError::Failed {
            location: location.to_owned(),
            detail: error.to_string(),
        }),
    }
}

fn is_marked(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM meta WHERE key = ?1";
    let found: Option<i64> = connection.query_row(sql, [MARK], |row| row.get(0)).optional()?;
    Ok(found.is_some())
}

/// Takes away what an unfinished copy left.
fn remove(path: &Path) -> Result<(), Fault> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot remove {}: {error}", name.display());
                return Err(StoreError::Unavailable(what).into());
            }
            _ => {}
        }
    }
    let made = location::open_private(path);
    made.map_err(|error| StoreError::Unavailable(format!("cannot make {}: {error}", path.display())))?;
    Ok(())
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(act).await;
    let done =
        done.unwrap_or_else(|error| Err(StoreError::Corrupt(format!("a copy ended unexpectedly: {error}")).into()));
    Ok(done?)
}

/// A store that is held.
struct Held {
    location: String,
    was_unfinished: bool,
    connection: Option<Connection>,
    tables: Tables,
    _lock: Lock,
}

impl Held {
    /// Does something with the file, on a thread that may block.
    async fn with<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Connection, &mut Tables) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the file is closed".to_owned());
        let (connection, mut tables) = (
            self.connection.take().ok_or_else(gone)?,
            std::mem::take(&mut self.tables),
        );
        let (connection, tables, done) = blocking(move || {
            let done = act(&connection, &mut tables);
            Ok((connection, tables, done))
        })
        .await?;
        (self.connection, self.tables) = (Some(connection), tables);
        Ok(done?)
    }

    /// The same in one transaction.
    async fn write(
        &mut self,
        act: impl FnOnce(&Connection, &mut Tables) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.with(|connection, tables| {
            let transaction = connection.unchecked_transaction()?;
            act(&transaction, tables)?;
            Ok(transaction.commit()?)
        })
        .await
    }
}

#[async_trait]
impl End for Held {
    fn location(&self) -> &str {
        &self.location
    }

    async fn days(&mut self) -> Result<Days, StoreError> {
        self.with(|connection, _| Ok(Days::read(connection)?)).await
    }

    async fn page(&mut self, table: &Table, day: Option<i64>, after: Option<Row>) -> Result<Vec<Row>, StoreError> {
        let key = names(table.key_columns());
        let behind = match &after {
            None => String::new(),
            Some(_) => format!(" WHERE ({key}) > ({})", places(table.key)),
        };
        let sql = format!(
            "SELECT {} FROM {}{behind} ORDER BY {key} LIMIT {ROWS_AT_ONCE}",
            table.list(),
            table.on(day)
        );
        let columns = table.columns;
        self.with(move |connection, _| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query(params_from_iter(after.unwrap_or_default().iter().map(bound)))?;
            let mut batch = Batch::default();
            while let Some(row) = found.next()? {
                let values = (0..columns.len()).map(|at| Ok(value(row.get_ref(at)?)));
                if !batch.add(values.collect::<rusqlite::Result<_>>()?) {
                    break;
                }
            }
            Ok(batch.into_rows())
        })
        .await
    }

    async fn count(&mut self, table: &Table, day: Option<i64>) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", table.on(day));
        self.with(move |connection, _| Ok(number(connection.query_row(&sql, [], |row| row.get(0))?)))
            .await
    }

    async fn ledger(&mut self) -> Result<Ledger, StoreError> {
        self.with(|connection, _| {
            let Books { mark, last_id } = Books::read(connection)?;
            Ok(Ledger {
                nodes: vec![(0, mark, last_id)],
                largest_put: books::largest_put(connection)?,
                attempts_kept_from: books::attempts_kept_from(connection)?,
                seal: connection.query_row("SELECT value FROM meta WHERE key = 'seal'", [], |row| row.get(0))?,
            })
        })
        .await
    }

    async fn check(&mut self) -> Result<CheckReport, StoreError> {
        self.with(|connection, _| check::check(connection)).await
    }

    async fn is_unfinished(&mut self) -> Result<bool, StoreError> {
        Ok(self.was_unfinished)
    }

    async fn begin(&mut self, days: &Days) -> Result<(), StoreError> {
        let days = days.clone();
        self.write(move |connection, tables| {
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, 1)", [MARK])?;
            *tables = Tables::load(connection)?;
            for (kind, day) in days.all() {
                tables.ensure(connection, kind, day)?;
            }
            Ok(())
        })
        .await
    }

    async fn put(&mut self, table: &Table, day: Option<i64>, rows: Vec<Row>) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.on(day),
            table.list(),
            places(table.columns.len())
        );
        let of = table.of;
        self.write(move |connection, tables| {
            let mut statement = connection.prepare_cached(&sql)?;
            for row in &rows {
                statement.execute(params_from_iter(row.iter().map(bound)))?;
            }
            if let Some((kind, day)) = of.zip(day) {
                tables.count(kind, day, rows.len() as i64);
            }
            Ok(())
        })
        .await
    }

    /// One writer goes on where all of them were: it may have the ids of each, and what had no row was made.
    async fn finish(&mut self, ledger: Ledger) -> Result<(), StoreError> {
        self.write(move |connection, tables| {
            let of_all = |of: fn(&(u16, u64, u64)) -> u64| ledger.nodes.iter().map(of).max().unwrap_or(0);
            let books = Books {
                mark: of_all(|(_, mark, _)| *mark),
                last_id: of_all(|(_, _, last_id)| *last_id),
            };
            books.write(connection)?;
            books::note_put(connection, ledger.largest_put)?;
            books::set_attempts_kept_from(connection, ledger.attempts_kept_from)?;
            connection.execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('seal', ?1)",
                [&ledger.seal],
            )?;
            connection.execute_batch(
                "INSERT INTO backlog (endpoint, waiting) SELECT endpoint, count(*) FROM \
                 (SELECT endpoint FROM due UNION ALL SELECT endpoint FROM line WHERE state = 0) GROUP BY endpoint",
            )?;
            tables.tell_counts(connection)?;
            Ok(())
        })
        .await
    }

    async fn accept(&mut self) -> Result<(), StoreError> {
        self.write(|connection, _| {
            connection.execute("DELETE FROM meta WHERE key = ?1", [MARK])?;
            Ok(())
        })
        .await
    }

    async fn close(mut self: Box<Self>) {
        let connection = self.connection.take();
        // Nothing is left in the log: the file can be handled as a file.
        let closed = tokio::task::spawn_blocking(move || drop(connection)).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the file was not closed as it should");
        }
    }
}

/// Places for so many values.
fn places(count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("?{place}")).collect();
    places.join(", ")
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

fn bound(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    let value = match value {
        Value::Null => ValueRef::Null,
        Value::Number(number) => ValueRef::Integer(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
    };
    rusqlite::types::ToSqlOutput::Borrowed(value)
}
