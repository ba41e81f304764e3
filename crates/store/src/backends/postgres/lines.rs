//! Reading lines: how they stand, and what waits for an endpoint.

use std::collections::HashMap;

use bellwire_core::{
    id::{EndpointId, Id, MessageId},
    time::Timestamp,
};

use super::{
    argument::{args, owned, plain},
    claim::earliest,
    columns::{key, number},
    connection::Connection,
    days::{Kind, day_of},
    fault::Fault,
    lease::Leases,
    line::{BLOCKED, HEAD},
    partition,
};
use crate::query::{Backlog, LineHead, LineQuery, LineRow, Rows};

/// The lines of an endpoint, from a key on, or behind it.
pub(super) const LINES: &str = "SELECT okey, last, succeeded, length FROM sequence \
     WHERE endpoint = $1 AND (okey > $2 OR $3 AND okey = $2) AND okey >= $2 AND NOT gone ORDER BY okey LIMIT $4";
/// The blocked lines of an endpoint, from a key on, or behind it.
pub(super) const BLOCKED_LINES: &str = "SELECT s.okey, s.last, s.succeeded, s.length \
     FROM line AS l JOIN sequence AS s ON s.endpoint = l.endpoint AND s.okey = l.okey \
     WHERE l.endpoint = $1 AND l.state = 2 AND (l.okey > $2 OR $3 AND l.okey = $2) AND l.okey >= $2 AND NOT s.gone \
     ORDER BY l.okey LIMIT $4";
/// How many lines of an endpoint are blocked.
pub(super) const COUNT_BLOCKED: &str = "SELECT count(*) FROM line WHERE endpoint = $1 AND state = 2";
/// The first of each of some lines, in the first era in which there is one. Goes from one era to the next by the key.
pub(super) const HEADS: &str = "WITH RECURSIVE eras (era) AS (SELECT min(era) FROM line WHERE endpoint = $1 \
       UNION ALL SELECT (SELECT min(line.era) FROM line WHERE endpoint = $1 AND line.era > eras.era) FROM eras WHERE era IS NOT NULL) \
     SELECT t.okey, f.seq, f.msg, f.state FROM unnest($2) AS t (okey) CROSS JOIN LATERAL \
       (SELECT first.* FROM eras CROSS JOIN LATERAL \
          (SELECT line.era, line.seq, line.msg, line.state FROM line \
           WHERE line.endpoint = $1 AND line.era = eras.era AND line.okey = t.okey ORDER BY line.seq LIMIT 1) AS first \
        ORDER BY first.era LIMIT 1) AS f";

/// How the lines of an endpoint stand.
pub(super) async fn lines(
    connection: &Connection,
    endpoint: EndpointId,
    query: &LineQuery,
) -> Result<Rows<LineRow>, Fault> {
    let endpoint = endpoint.number();
    let (from, includes) = match (&query.key, &query.after) {
        (Some(wanted), _) => (owned(wanted), true),
        (None, Some(after)) => (owned(after), false),
        (None, None) => (String::new(), true),
    };
    let is_behind = query.key.is_some() && query.after.as_ref() >= query.key.as_ref();
    if query.after.is_some() && is_behind {
        return Ok(Rows::EMPTY);
    }
    let limit = match query.key {
        Some(_) => 1,
        None => query.limit as i64 + 1,
    };
    let sql = if query.blocked { BLOCKED_LINES } else { LINES };
    let rows = connection
        .rows(sql, args![key(endpoint), from, includes, limit])
        .await?;
    let mut page = Rows::EMPTY;
    for row in rows {
        let line = LineRow {
            key: plain(row.get(0)),
            last: number(row.get(1)),
            succeeded: number(row.get(2)),
            waiting: number(row.get(3)),
            head: None,
        };
        if query.key.as_ref().is_some_and(|wanted| *wanted != line.key) {
            break;
        }
        if page.items.len() >= query.limit {
            page.more = true;
            break;
        }
        page.items.push(line);
    }
    give_heads(connection, endpoint, &mut page.items).await?;
    Ok(page)
}

async fn give_heads(connection: &Connection, endpoint: u64, lines: &mut [LineRow]) -> Result<(), Fault> {
    let keys: Vec<String> = lines
        .iter()
        .filter(|line| line.waiting > 0)
        .map(|line| owned(&line.key))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let days = partition::read(connection).await?;
    let mut heads: HashMap<String, LineHead> = HashMap::new();
    for row in connection.rows(HEADS, args![key(endpoint), keys]).await? {
        let (message, state): (u64, i16) = (number(row.get(2)), row.get(3));
        let mut next_at = None;
        if state == HEAD && days.has(Kind::Message, day_of(message)) {
            let day = day_of(message);
            let sql = format!("SELECT next_at FROM delivery_{day} WHERE msg = $1 AND endpoint = $2");
            let found = connection.row(&sql, args![key(message), key(endpoint)]).await?;
            next_at = found.and_then(|row| row.get::<_, Option<i64>>(0));
        }
        let head = LineHead {
            message: MessageId::from_number(message),
            sequence: number(row.get(1)),
            blocked: state == BLOCKED,
            next_at: next_at.map(Timestamp::from_micros),
        };
        heads.insert(plain(row.get(0)), head);
    }
    for line in lines {
        line.head = heads.remove(&line.key);
    }
    Ok(())
}

/// What waits for an endpoint. What is out has its place in the queue all the same, and is not counted.
pub(super) async fn backlog(connection: &Connection, leases: &Leases, endpoint: EndpointId) -> Result<Backlog, Fault> {
    let endpoint = endpoint.number();
    let out = leases.of(endpoint);
    let sql = "SELECT coalesce(sum(waiting), 0)::bigint FROM backlog WHERE endpoint = $1";
    let waiting = connection.row(sql, args![key(endpoint)]).await?;
    let waiting: i64 = waiting.map_or(0, |row| row.get(0));
    let blocked = connection.row(COUNT_BLOCKED, args![key(endpoint)]).await?;
    let blocked: i64 = blocked.map_or(0, |row| row.get(0));
    Ok(Backlog {
        waiting: number(waiting).saturating_sub(out.len() as u64),
        oldest_due: earliest(connection, endpoint, &out).await?,
        blocked_lines: number(blocked),
    })
}
