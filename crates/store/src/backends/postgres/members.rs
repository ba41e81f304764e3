//! What can be seen of the nodes that take part.

use std::sync::atomic::{AtomicU64, Ordering};

use bellwire_core::time::Timestamp;

use super::{
    OWN_CONNECTIONS, Postgres,
    argument::args,
    columns::{key, number},
    connection::Connection,
    fault::Fault,
    shard::LEADING,
};
use crate::query::{NodeHealth, NodeRow};

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

/// How this node is doing among the others. Nothing is asked for it.
pub(super) fn health(store: &Postgres) -> NodeHealth {
    let cluster = &store.cluster;
    let counted = |number: &AtomicU64| number.load(Ordering::Relaxed);
    NodeHealth {
        nodes: cluster.members(),
        shards: cluster.owned.count(),
        takeovers: counted(&cluster.counted.takeovers),
        place_age: cluster.gate.alive_age(),
        configuration_age: cluster.gate.current_age(),
        connections_in_use: OWN_CONNECTIONS + store.readers.in_use() + store.claimers.in_use(),
        connections_max: store.house.server.address.connections,
        said: counted(&cluster.counted.said),
        heard: counted(&cluster.counted.heard),
    }
}

/// Whether another node than this one keeps an older version of the configuration in memory.
pub(super) async fn is_behind(connection: &Connection, own: i16, version: u64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM member WHERE number <> $1 AND version < $2 AND NOT gone";
    Ok(connection.row(sql, args![own, key(version)]).await?.is_some())
}
