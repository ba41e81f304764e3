//! `monitors`: what is watched. A hook with `monitors` gets a message when one of them goes down or comes up again.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::time::format_span;
use serde_json::{Map, Value as Json};

use crate::reading::{Field, Reading, Table, listed};

/// What can be watched: a monitor has exactly one of these.
pub(crate) const WATCHES: &[&str] = &["http", "tcp", "certificate"];
/// The other members of a monitor.
pub(crate) const MEMBERS: &[&str] = &["every", "fails", "timeout", "days"];

const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(7 * 86_400)];
const TIMEOUT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
const FAILS_MAX: u64 = 100;
const DAYS_MAX: u64 = 365;

/// A monitor, as the source keeps it: a JSON object.
pub(super) struct Monitor(pub Json);

/// Reads all of them.
pub(super) fn read_all<'a>(top: &Table<'a>, reading: &mut Reading<'a>) -> BTreeMap<&'a str, Monitor> {
    let mut all = BTreeMap::new();
    let Some(field) = top.get("monitors") else {
        return all;
    };
    let Some(table) = reading.map(field.node, &field.path, "`monitors`") else {
        return all;
    };
    for (name, field) in table.fields() {
        if let Some(monitor) = read(name, &field, reading) {
            all.insert(name, Monitor(monitor));
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
    let spans = [("every", EVERY), ("timeout", TIMEOUT)];
    for (name, [least, most]) in spans {
        if let Some(field) = table.get(name) {
            let span = reading.span(&field, least, most)?;
            monitor.insert(name.to_owned(), format_span(span).into());
        }
    }
    for (name, most) in [("fails", FAILS_MAX), ("days", DAYS_MAX)] {
        if let Some(field) = table.get(name) {
            monitor.insert(name.to_owned(), reading.number(&field, 1, most)?.into());
        }
    }
    Some(Json::Object(monitor))
}
