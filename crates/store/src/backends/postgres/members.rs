//! What can be seen of the nodes that take part.

use bellwire_core::time::Timestamp;

use super::{
    argument::args,
    columns::{key, number},
    connection::Connection,
    fault::Fault,
    shard::LEADING,
};
use crate::query::NodeRow;

/// All of them, by their number.
pub(super) async fn nodes(connection: &Connection, own: i16) -> Result<Vec<NodeRow>, Fault> {
    let sql = "SELECT m.number, m.epoch, m.role, m.host, (extract(epoch FROM m.since) * 1000000)::bigint, \
         (extract(epoch FROM m.renewed_at) * 1000000)::bigint, coalesce(m.version, 0), count(s.number)::integer, \
         coalesce(bool_or(s.number = $1), false) \
         FROM member AS m LEFT JOIN shard AS s ON s.node = m.number GROUP BY m.number ORDER BY m.number";
    let node = |row: &tokio_postgres::Row| {
        let which: i16 = row.get(0);
        NodeRow {
            number: which.unsigned_abs(),
            epoch: number(row.get(1)),
            role: row.get::<_, &str>(2).parse().unwrap_or_default(),
            host: row.get(3),
            since: Timestamp::from_micros(row.get(4)),
            seen_at: Timestamp::from_micros(row.get(5)),
            version: number(row.get(6)),
            shards: row.get::<_, i32>(7).unsigned_abs(),
            leads: row.get(8),
            is_self: which == own,
        }
    };
    Ok(connection.rows(sql, args![LEADING]).await?.iter().map(node).collect())
}

/// Whether another node than this one keeps an older version of the configuration in memory.
pub(super) async fn is_behind(connection: &Connection, own: i16, version: u64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM member WHERE number <> $1 AND version < $2 AND NOT gone";
    Ok(connection.row(sql, args![own, key(version)]).await?.is_some())
}
