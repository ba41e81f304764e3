//! Rows of a copy as values of statements, and back.

use tokio_postgres::types::{ToSql, Type};

use super::argument::{Argument, kept, owned, plain};
use crate::backends::copy::table::{Holds, Row, Table, Value};

/// A value and its type, to be kept until it is sent.
type Kept = (Box<dyn ToSql + Sync + Send>, Type);

/// What a row's column holds.
pub(super) fn value(row: &tokio_postgres::Row, at: usize, holds: Holds) -> Value {
    let found = match holds {
        Holds::Big => row.get::<_, Option<i64>>(at).map(Value::Number),
        Holds::Medium => row
            .get::<_, Option<i32>>(at)
            .map(|kept| Value::Number(i64::from(kept as u32))),
        Holds::Small => row
            .get::<_, Option<i16>>(at)
            .map(|kept| Value::Number(i64::from(kept as u16))),
        Holds::Flag => row
            .get::<_, Option<bool>>(at)
            .map(|kept| Value::Number(i64::from(kept))),
        Holds::Text => row.get::<_, Option<String>>(at).map(|kept| Value::Text(plain(kept))),
        Holds::Bytes => row.get::<_, Option<Vec<u8>>>(at).map(Value::Bytes),
    };
    found.unwrap_or(Value::Null)
}

/// One value.
pub(super) fn bound(value: Value, holds: Holds) -> Kept {
    fn one<T: Argument + Send + 'static>(value: T) -> Kept {
        let its_type = T::TYPE;
        (Box::new(value), its_type)
    }
    match holds {
        Holds::Big => one(big(&value)),
        Holds::Medium => one(medium(&value)),
        Holds::Small => one(small(&value)),
        Holds::Flag => one(flag(&value)),
        Holds::Text => one(text(&value)),
        Holds::Bytes => one(bytes(value)),
    }
}

/// The columns of rows, each as one list.
pub(super) fn columns_of(table: &Table, rows: &[Row]) -> Vec<Kept> {
    fn list<T: Argument + Send + 'static>(rows: &[Row], at: usize, of: fn(&Value) -> Option<T>) -> Vec<Kept> {
        let list: Vec<Option<T>> = rows.iter().map(|row| row.get(at).and_then(of)).collect();
        kept![list]
    }
    let column = |(at, (_, holds)): (usize, &(&str, Holds))| match holds {
        Holds::Big => list(rows, at, big),
        Holds::Medium => list(rows, at, medium),
        Holds::Small => list(rows, at, small),
        Holds::Flag => list(rows, at, flag),
        Holds::Text => list(rows, at, text),
        Holds::Bytes => list(rows, at, |value| bytes(value.clone())),
    };
    table.columns.iter().enumerate().flat_map(column).collect()
}

fn big(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// Numbers without a sign, in as many bits.
fn medium(value: &Value) -> Option<i32> {
    big(value).map(|number| number as u32 as i32)
}

fn small(value: &Value) -> Option<i16> {
    big(value).map(|number| number as u16 as i16)
}

fn flag(value: &Value) -> Option<bool> {
    big(value).map(|number| number != 0)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(owned(text)),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
