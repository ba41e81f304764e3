//! Tables per day in the database: which there are, making and dropping them.

use super::{argument::args, connection::Connection, days::Days, days::Kind, days::render, fault::Fault, schema};

/// Names the lock of whoever makes or drops the tables of a day.
const DAYS: i64 = 0x4277_6972_6461_7973;

/// Which there are, as the connection's present snapshot shows them.
pub(super) async fn read(connection: &Connection) -> Result<Days, Fault> {
    let rows = connection.rows("SELECT kind, day FROM day", &[]).await?;
    Ok(Days::named(rows.iter().map(|row| (row.get(0), row.get(1)))))
}

/// Makes the tables of a day, as a part of the connection's transaction.
pub(super) async fn make(connection: &Connection, kind: Kind, day: i64) -> Result<(), Fault> {
    lock(connection).await?;
    let sql = schema::of_day(connection, kind, day).await?;
    connection.batch(&sql).await?;
    let sql = "INSERT INTO day (kind, day) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    connection.execute(sql, args![kind.name(), day]).await.map(drop)
}

/// Drops the tables of a day, as a part of the connection's transaction.
pub(super) async fn forget(connection: &Connection, kind: Kind, day: i64) -> Result<(), Fault> {
    lock(connection).await?;
    for table in kind.tables() {
        connection
            .batch(&format!("DROP TABLE IF EXISTS {}", render(table, day)))
            .await?;
    }
    let sql = "DELETE FROM day WHERE kind = $1 AND day = $2";
    connection.execute(sql, args![kind.name(), day]).await.map(drop)
}

/// Nobody else makes or drops tables of a day until the connection's transaction ends.
pub(super) async fn lock(connection: &Connection) -> Result<(), Fault> {
    connection.batch(&format!("SELECT pg_advisory_xact_lock({DAYS})")).await
}
