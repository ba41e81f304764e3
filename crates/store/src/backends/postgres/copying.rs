//! This store as one end of a copy (see [`crate::backends::copy`]): held by a node's place, read and written row by row.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::{task::JoinSet, time::sleep};

use super::{
    address::Address,
    argument::{args, kept},
    books, check,
    columns::{key, number},
    connection::{Arg, Connection, Server, Statement},
    copying_row::{bound, columns_of, value},
    days::Days,
    fault::Fault,
    node::{self, House, Ownership},
    partition, schema,
    shard::shard_of,
    upkeep,
};
use crate::{
    backends::{
        OpenOptions,
        copy::{
            BYTES_AT_ONCE, End, Ledger, ROWS_AT_ONCE, Side,
            table::{HELD, Holds, QUEUE, Row, TABLES, Table, Value, names},
        },
    },
    error::{OpenError, StoreError},
    query::{CheckReport, Role},
};

/// In the bookkeeping of a store that is the target of a copy.
const MARK: &str = "copying";
/// A statement of a copy takes longer only when something is wrong: counting a day of messages is the longest.
const STATEMENT: Duration = Duration::from_secs(600);
/// How often it is said that the copy is alive.
const BEAT: Duration = Duration::from_secs(1);
/// Whoever else has the store is waited for so long: longer than a node that was killed is taken for alive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether there is a store at a URL.
pub(in crate::backends) async fn is_there(url: &str) -> Result<bool, OpenError> {
    let (server, failed) = server_at(url)?;
    let connection = server.connect().await.map_err(&failed)?;
    let standing = schema::standing(&connection, &server.address.schema).await;
    Ok(standing.map_err(&failed)?.version > 0)
}

/// Holds the store, where nobody else has it. What was out in the memory of those that are gone waits again.
pub(in crate::backends) async fn hold(url: &str, options: &OpenOptions, side: Side) -> Result<Box<dyn End>, OpenError> {
    let (server, failed) = server_at(url)?;
    let session = server.connect().await.map_err(&failed)?;
    let looked = super::look_around(&session).await.map_err(&failed)?;
    let durably = looked.map_err(|told| failed(Fault::Away(told)))?;
    super::migrate(&session, &server.address).await?;
    if side == Side::Source {
        refuse_unfinished(&session, &server.address).await?;
    }
    let schema = server.address.schema.clone();
    let house = House {
        begin: super::begin_of_writes(&schema, durably),
        server: server.clone(),
    };
    let own = take_alone(&house, &session, options).await?;
    let connection = server.connect().await.map_err(&failed)?;
    let begin = format!(
        "BEGIN; SET LOCAL search_path TO {schema}; SET LOCAL statement_timeout = {}; SET LOCAL synchronous_commit = off",
        STATEMENT.as_millis()
    );
    let session = Arc::new(session);
    let mut kept_alive = JoinSet::new();
    kept_alive.spawn(keep_alive(Arc::clone(&session), schema.clone(), own));
    let held = Held {
        location: server.address.shown.clone(),
        schema,
        own,
        session,
        connection,
        begin,
        _kept_alive: kept_alive,
    };
    let proven = held.prove(options, side).await.map_err(&failed)?;
    proven.map_err(OpenError::Sealed)?;
    Ok(Box::new(held))
}

/// Takes a node's place, where no other node is left, and keeps others out from there on. One that was killed a moment ago is
/// waited for: it is known to be gone soon.
async fn take_alone(house: &House, session: &Connection, options: &OpenOptions) -> Result<Ownership, OpenError> {
    let address = &house.server.address;
    let failed = |fault| told(address, fault);
    let now = options.clock.now();
    let patience = Instant::now() + PATIENCE;
    let (own, books) = loop {
        let joined = node::join(house, session, Role::Api, "bellwire store copy", now).await;
        let joined = joined.map_err(failed)?;
        let (own, books) = joined.ok_or_else(|| OpenError::Held(address.shown.clone()))?;
        if node::hold(house, session, own).await.map_err(failed)? {
            break (own, books);
        }
        node::leave(session, &address.schema, own).await.map_err(failed)?;
        if Instant::now() >= patience {
            return Err(OpenError::InUse(address.shown.clone()));
        }
        sleep(BEAT).await;
    };
    let brought_back = node::bring_back(house, own, books, now).await.map_err(failed)?;
    brought_back.batch("COMMIT").await.map_err(failed)?;
    Ok(own)
}

/// Says that the copy is alive, for as long as it is.
async fn keep_alive(session: Arc<Connection>, schema: String, own: Ownership) {
    let sql = format!(
        "UPDATE {schema}.member SET renewed_at = clock_timestamp(), backend = pg_backend_pid() WHERE number = $1 AND epoch = $2"
    );
    loop {
        sleep(BEAT).await;
        if let Err(fault) = session.execute(&sql, args![own.number, own.epoch]).await {
            tracing::debug!(?fault, "the copy could not say that it is alive");
        }
    }
}

/// A store whose copy was not finished is opened by nobody.
pub(super) async fn refuse_unfinished(connection: &Connection, address: &Address) -> Result<(), OpenError> {
    let sql = format!("SELECT 1 FROM {}.meta WHERE key = $1", address.schema);
    match connection.row(&sql, args![MARK]).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(OpenError::Unfinished(address.shown.clone())),
        Err(fault) => Err(told(address, fault)),
    }
}

fn told(address: &Address, fault: Fault) -> OpenError {
    OpenError::Failed {
        location: address.shown.clone(),
        detail: StoreError::from(fault).to_string(),
    }
}

/// The server at a URL, and how its failures are told.
pub(super) fn server_at(url: &str) -> Result<(Server, impl Fn(Fault) -> OpenError), OpenError> {
    let address = Address::parse(url).map_err(|detail| OpenError::Failed {
        location: crate::backends::without_password(url),
        detail,
    })?;
    let failed = {
        let address = address.clone();
        move |fault| told(&address, fault)
    };
    let server = Server::new(address).map_err(|what| failed(Fault::Away(what)))?;
    Ok((server, failed))
}

/// A store that is held.
struct Held {
    location: String,
    schema: String,
    own: Ownership,
    session: Arc<Connection>,
    connection: Connection,
    begin: String,
    _kept_alive: JoinSet<()>,
}

impl Held {
    /// Begins a transaction of the node whose place is held: it fails when another has it.
    async fn begun(&self) -> Result<&Connection, Fault> {
        self.connection.batch(&self.begin).await?;
        let own = args![self.own.number, self.own.epoch];
        let held = self.connection.rows("SELECT own($1, $2)", own).await;
        self.or_rolled_back(held).await?;
        Ok(&self.connection)
    }

    /// Ends a transaction, whichever way.
    async fn ended<T>(&self, done: Result<T, Fault>) -> Result<T, StoreError> {
        let done = self.or_rolled_back(done).await?;
        self.connection.batch("COMMIT").await?;
        Ok(done)
    }

    async fn or_rolled_back<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        if done.is_err() {
            let _ = self.connection.batch("ROLLBACK").await;
        }
        done
    }

    /// Reads in a transaction of its own.
    async fn read(&self, sql: &str, values: &[Arg<'_>]) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let connection = self.begun().await?;
        let rows = connection.rows(sql, values).await;
        self.ended(rows).await
    }

    /// That the main secret opens what is sealed here. A target that has no proof yet gets that of the source.
    async fn prove(&self, options: &OpenOptions, side: Side) -> Result<Result<(), String>, Fault> {
        let connection = self.begun().await?;
        let sealed = connection.row("SELECT sealed FROM seal", &[]).await;
        let sealed = self.ended(sealed).await?;
        Ok(match (sealed, side) {
            (Some(row), _) => upkeep::opens(&options.vault, row.get(0)),
            (None, Side::Target) => Ok(()),
            (None, Side::Source) => Err("there is no proof of the main secret in it".to_owned()),
        })
    }

    async fn empty(&self, connection: &Connection) -> Result<(), Fault> {
        for (kind, day) in partition::read(connection).await?.all() {
            partition::forget(connection, kind, day).await?;
        }
        let tables: Vec<&str> = TABLES
            .iter()
            .filter(|table| table.of.is_none())
            .map(|table| table.name)
            .collect();
        connection
            .batch(&format!("TRUNCATE {}, lane, backlog, seal", tables.join(", ")))
            .await
    }
}

#[async_trait]
impl End for Held {
    fn location(&self) -> &str {
        &self.location
    }

    async fn days(&mut self) -> Result<Days, StoreError> {
        let connection = self.begun().await?;
        let days = partition::read(connection).await;
        self.ended(days).await
    }

    async fn page(&mut self, table: &Table, day: Option<i64>, after: Option<Row>) -> Result<Vec<Row>, StoreError> {
        let connection = self.begun().await?;
        let rows = page(connection, table, day, after).await;
        self.ended(rows).await
    }

    async fn count(&mut self, table: &Table, day: Option<i64>) -> Result<u64, StoreError> {
        let rows = self
            .read(&format!("SELECT count(*) FROM {}", table.on(day)), &[])
            .await?;
        Ok(rows.first().map_or(0, |row| number(row.get(0))))
    }

    async fn ledger(&mut self) -> Result<Ledger, StoreError> {
        let nodes = self.read("SELECT number, mark, last_id FROM node ORDER BY number", &[]);
        let nodes = nodes.await?;
        let node = |row: &tokio_postgres::Row| {
            let which: i16 = row.get(0);
            (which.unsigned_abs(), number(row.get(1)), number(row.get(2)))
        };
        let seal = self.read("SELECT sealed FROM seal", &[]).await?;
        let seal = seal
            .first()
            .ok_or_else(|| StoreError::Corrupt("there is no proof of the main secret in it".to_owned()))?;
        let connection = self.begun().await?;
        let put = books::largest_put(connection).await;
        let put = self.ended(put).await?;
        let connection = self.begun().await?;
        let kept_from = books::attempts_kept_from(connection).await;
        Ok(Ledger {
            nodes: nodes.iter().map(node).collect(),
            largest_put: put,
            attempts_kept_from: self.ended(kept_from).await?,
            seal: seal.get(0),
        })
    }

    async fn check(&mut self) -> Result<CheckReport, StoreError> {
        // One snapshot, as the proof wants it.
        let begin = self.begin.replacen("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", 1);
        self.connection.batch(&begin).await?;
        let report = check::check(&self.connection).await;
        self.ended(report).await
    }

    async fn is_unfinished(&mut self) -> Result<bool, StoreError> {
        let found = self.read("SELECT 1 FROM meta WHERE key = $1", args![MARK]).await?;
        Ok(!found.is_empty())
    }

    async fn begin(&mut self, days: &Days) -> Result<(), StoreError> {
        let connection = self.begun().await?;
        let begun = async {
            let sql = "INSERT INTO meta (key, value) VALUES ($1, 1) ON CONFLICT DO NOTHING";
            connection.execute(sql, args![MARK]).await?;
            self.empty(connection).await
        };
        let begun = begun.await;
        self.ended(begun).await?;
        // A transaction for each: locks of many tables at once are more than a server may have room for.
        for (kind, day) in days.all() {
            let connection = self.begun().await?;
            let made = partition::make(connection, kind, day).await;
            self.ended(made).await?;
        }
        Ok(())
    }

    async fn put(&mut self, table: &Table, day: Option<i64>, rows: Vec<Row>) -> Result<(), StoreError> {
        let mut columns = table.columns.to_vec();
        let mut values = columns_of(table, &rows);
        if table.name == QUEUE {
            let shards: Vec<i16> = rows.iter().map(|row| shard_of(number(first(row)))).collect();
            columns.insert(0, ("shard", Holds::Small));
            values.splice(0..0, kept![shards]);
        }
        let given = if table.name == HELD {
            " OVERRIDING SYSTEM VALUE"
        } else {
            ""
        };
        let sql = format!(
            "INSERT INTO {} ({}){given} SELECT * FROM unnest({})",
            table.on(day),
            names(&columns),
            places(1, columns.len()),
        );
        let whole = [
            Statement::Plain(self.begin.clone()),
            Statement::With {
                sql: "SELECT own($1, $2)".to_owned(),
                values: kept![self.own.number, self.own.epoch],
            },
            Statement::With { sql, values },
            Statement::Plain("COMMIT".to_owned()),
        ];
        self.connection.send(&whole).await?;
        Ok(())
    }

    async fn finish(&mut self, ledger: Ledger) -> Result<(), StoreError> {
        let connection = self.begun().await?;
        let finished = write_ledger(connection, self.own, &ledger).await;
        self.ended(finished).await
    }

    async fn accept(&mut self) -> Result<(), StoreError> {
        let connection = self.begun().await?;
        let accepted = async {
            // What was committed so far became durable with whatever came after it; this waits for all of it.
            connection.batch("SET LOCAL synchronous_commit = on").await?;
            connection
                .execute("DELETE FROM meta WHERE key = $1", args![MARK])
                .await
                .map(drop)
        };
        let accepted = accepted.await;
        self.ended(accepted).await
    }

    async fn close(self: Box<Self>) {
        if let Err(fault) = node::leave(&self.session, &self.schema, self.own).await {
            tracing::debug!(?fault, "the copy could not say that it goes");
        }
    }
}

fn first(row: &[Value]) -> i64 {
    match row.first() {
        Some(Value::Number(number)) => *number,
        _ => 0,
    }
}

/// The rows behind a key. The queue's key begins with the shard, which follows from the endpoint.
async fn page(connection: &Connection, table: &Table, day: Option<i64>, after: Option<Row>) -> Result<Vec<Row>, Fault> {
    let of_queue = table.name == QUEUE;
    let shard = if of_queue { "shard, " } else { "" };
    let order = format!("{shard}{}", names(table.key_columns()));
    let mut values = Vec::new();
    if let Some(after) = after {
        if of_queue {
            values.extend(kept![shard_of(number(first(&after)))]);
        }
        for (value, (_, holds)) in after.into_iter().zip(table.key_columns()) {
            values.push(bound(value, *holds));
        }
    }
    let behind = if values.is_empty() {
        String::new()
    } else {
        format!(" WHERE ({order}) > ({})", places(1, values.len()))
    };
    let list = table.list();
    let all = format!(
        "SELECT {list} FROM {}{behind} ORDER BY {order} LIMIT {ROWS_AT_ONCE}",
        table.on(day)
    );
    let sql = if table.large.is_empty() {
        all
    } else {
        let sizes: Vec<String> = table
            .large
            .iter()
            .map(|column| format!("coalesce(octet_length({column}), 0)"))
            .collect();
        format!(
            "SELECT {list} FROM (SELECT {list}, sum({}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) \
             AS so_far, row_number() OVER (ORDER BY {order}) AS place FROM ({all}) AS page) AS sized \
             WHERE so_far <= {BYTES_AT_ONCE} OR place = 1 ORDER BY {order}",
            sizes.join(" + ")
        )
    };
    let args: Vec<Arg<'_>> = values
        .iter()
        .map(|(value, of)| (&**value as &(dyn tokio_postgres::types::ToSql + Sync), of.clone()))
        .collect();
    let rows = connection.rows(&sql, &args).await?;
    let row = |row: &tokio_postgres::Row| {
        let columns = table.columns.iter().enumerate();
        columns.map(|(at, (_, holds))| value(row, at, *holds)).collect()
    };
    Ok(rows.iter().map(row).collect())
}

/// Places for values, from one on.
fn places(from: usize, count: usize) -> String {
    let places: Vec<String> = (from..from + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

async fn write_ledger(connection: &Connection, own: Ownership, ledger: &Ledger) -> Result<(), Fault> {
    for (which, mark, last_id) in &ledger.nodes {
        let which = *which as i16;
        let sql = if which == own.number {
            "UPDATE node SET mark = $2, last_id = $3 WHERE number = $1"
        } else {
            "INSERT INTO node (number, epoch, name, renewed_at, mark, last_id) \
             VALUES ($1, 1, 'copied', clock_timestamp() - interval '1 day', $2, $3) \
             ON CONFLICT (number) DO UPDATE SET mark = excluded.mark, last_id = excluded.last_id"
        };
        connection.execute(sql, args![which, key(*mark), key(*last_id)]).await?;
    }
    let sql = "INSERT INTO meta (key, value) VALUES ('largest_put', $1), ('attempts_kept_from', $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection
        .execute(sql, args![key(ledger.largest_put), ledger.attempts_kept_from])
        .await?;
    let sql = "INSERT INTO seal (sealed) VALUES ($1)";
    connection.execute(sql, args![&*ledger.seal]).await?;
    connection
        .batch(
            "INSERT INTO backlog (endpoint, node, waiting) SELECT endpoint, 0, count(*) FROM \
             (SELECT endpoint FROM due UNION ALL SELECT endpoint FROM line WHERE state = 0) AS waits GROUP BY endpoint; \
             SELECT setval(pg_get_serial_sequence('held', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM held), false)",
        )
        .await?;
    // So many rows at once: the server's picture of the tables is that of empty ones.
    let days = partition::read(connection).await?;
    let tables = TABLES.iter().flat_map(|table| match table.of {
        None => vec![table.on(None)],
        Some(kind) => days.of(kind).map(|day| table.on(Some(day))).collect(),
    });
    let tables: Vec<String> = tables.collect();
    connection.batch(&format!("ANALYZE {}", tables.join(", "))).await
}
