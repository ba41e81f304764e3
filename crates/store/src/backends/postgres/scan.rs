//! Reads messages in long strides together with all that is known of their deliveries: for recovery and for the proof.

use std::collections::{HashMap, HashSet};

use super::{
    argument::args,
    columns::{key, number},
    connection::Connection,
    days::Days,
    fault::Fault,
    line::Spot,
};

/// How many messages make a stride.
const STRIDE: i64 = 10_000;

/// A delivery's row.
#[derive(Debug, Clone)]
pub(super) struct DeliveryState {
    pub state: i64,
    pub run: i32,
    pub next_at: Option<i64>,
    pub spot: Option<Spot>,
}

/// Some messages of one day, and what is known of their deliveries.
#[derive(Debug, Default)]
pub(super) struct Stride {
    /// Ids, ascending, and packed endpoints.
    pub messages: Vec<(u64, Vec<u8>)>,
    /// By message and endpoint.
    pub rows: HashMap<(u64, u64), DeliveryState>,
    /// Deliveries that were attempted.
    pub attempted: HashSet<(u64, u64)>,
}

/// The stride of a day's messages that begins with the first at or behind `from`.
pub(super) async fn stride(connection: &Connection, days: &Days, day: i64, from: u64) -> Result<Stride, Fault> {
    let mut stride = Stride::default();
    let sql = format!("SELECT id, endpoints FROM message_{day} WHERE id >= $1 ORDER BY id LIMIT {STRIDE}");
    for row in connection.rows(&sql, args![key(from)]).await? {
        stride.messages.push((number(row.get(0)), row.get(1)));
    }
    let (Some(first), Some(last)) = (stride.messages.first(), stride.messages.last()) else {
        return Ok(stride);
    };
    let (first, last) = (key(first.0), key(last.0));
    let sql = format!(
        "SELECT msg, endpoint, state, run, next_at, okey, seq, era FROM delivery_{day} WHERE msg BETWEEN $1 AND $2"
    );
    for row in connection.rows(&sql, args![first, last]).await? {
        let state = DeliveryState {
            state: i64::from(row.get::<_, i16>(2)),
            run: row.get(3),
            next_at: row.get(4),
            spot: Spot::read(&row, 5),
        };
        stride.rows.insert((number(row.get(0)), number(row.get(1))), state);
    }
    for attempt_day in days.of_attempts(number(first)) {
        let sql = format!("SELECT msg, endpoint FROM attempt_{attempt_day} WHERE msg BETWEEN $1 AND $2");
        for row in connection.rows(&sql, args![first, last]).await? {
            stride.attempted.insert((number(row.get(0)), number(row.get(1))));
        }
    }
    Ok(stride)
}
