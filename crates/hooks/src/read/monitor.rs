//! `monitors`: what is watched. A hook with `monitors` gets a message when one of them goes down or comes up again.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::time::format_span;
use serde_json::{Map, Value as Json};

use crate::{
    reading::{Field, Reading, Table, listed},
    yaml::Value,
};

/// What can be watched: a monitor has exactly one of these.
pub(crate) const WATCHES: &[&str] = &["http", "tcp", "certificate"];
/// The other members of a monitor.
pub(crate) const MEMBERS: &[&str] = &["every", "fails", "timeout", "days", "status", "contains"];

/// The bounds of spans are judged by who watches.
const SPAN: [Duration; 2] = [Duration::ZERO, Duration::from_secs(30 * 86_400)];
const STATUS: [u64; 2] = [100, 599];

/// A monitor.
pub(super) struct Monitor<'a> {
    /// As the source keeps it: a JSON object.
    pub json: Json,
    /// Where it is written.
    pub field: Field<'a>,
}

/// Reads all of them.
pub(super) fn read_all<'a>(top: &Table<'a>, reading: &mut Reading<'a>) -> BTreeMap<&'a str, Monitor<'a>> {
    let mut all = BTreeMap::new();
    let Some(field) = top.get("monitors") else {
        return all;
    };
    let Some(table) = reading.map(field.node, &field.path, "`monitors`") else {
        return all;
    };
    for (name, field) in table.fields() {
        if let Some(json) = read(name, &field, reading) {
            all.insert(name, Monitor { json, field });
        }
    }
    all
}

fn read<'a>(name: &str, field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Json> {
    let known = [WATCHES, MEMBERS].concat();
    let table = reading.table(field.node, &field.path, "a monitor", &known)?;
    let watches: Vec<_> = WATCHES
        .iter()
        .filter_map(|watch| Some((*watch, table.get(watch)?)))
        .collect();
    let [(watch, place)] = watches.as_slice() else {
        let advice = format!("write one of {}", listed(WATCHES));
        reading.find(field.name_at, &field.path, "a monitor watches one thing", advice);
        return None;
    };
    let mut monitor = Map::new();
    monitor.insert("name".to_owned(), name.into());
    monitor.insert((*watch).to_owned(), reading.text(place)?.into());
    for name in ["every", "timeout"] {
        if let Some(field) = table.get(name) {
            let span = reading.span(&field, SPAN[0], SPAN[1])?;
            monitor.insert(name.to_owned(), format_span(span).into());
        }
    }
    for (name, most) in [("fails", 1_000), ("days", 366)] {
        if let Some(field) = table.get(name) {
            monitor.insert(name.to_owned(), reading.number(&field, 1, most)?.into());
        }
    }
    if let Some(field) = table.get("contains") {
        monitor.insert("contains".to_owned(), reading.text(&field)?.into());
    }
    if let Some(field) = table.get("status") {
        monitor.insert("status".to_owned(), statuses(&field, reading)?);
    }
    Some(Json::Object(monitor))
}

/// One status, or a list of them.
fn statuses<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Json> {
    let Value::List(items) = &field.node.value else {
        return Some(vec![reading.number(field, STATUS[0], STATUS[1])?].into());
    };
    let statuses: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let field = Field {
                name_at: node.at,
                node,
                path: field.path.item(at),
            };
            reading.number(&field, STATUS[0], STATUS[1])
        })
        .collect();
    statuses.into_iter().collect::<Option<Vec<_>>>().map(Json::from)
}
