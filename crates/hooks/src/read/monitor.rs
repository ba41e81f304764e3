//! `monitors`: what is watched. A hook with `monitors` gets a message when one of them goes down or comes up again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bellwire_core::{source::MONITOR, time::format_span};
use serde_json::{Map, Value as Json};

use super::Named;
use crate::{
    finding::{Mark, Path},
    reading::{Field, Reading, Table, listed},
    surroundings::SourceCheck,
    yaml::{Node, Value},
};

/// What can be watched: a monitor has exactly one of these.
pub(crate) const WATCHES: &[&str] = &["http", "tcp", "certificate"];
/// The other members of a monitor.
pub(crate) const MEMBERS: &[&str] = &["every", "fails", "timeout", "days", "status", "contains"];

/// The bounds of spans are judged by who watches.
const SPAN: [Duration; 2] = [Duration::ZERO, Duration::from_secs(30 * 86_400)];
const STATUS: [u64; 2] = [100, 599];

/// A monitor.
pub(super) struct Monitor {
    /// As the source keeps it: a JSON object.
    pub json: Json,
    /// Where its name stands.
    at: Mark,
}

/// Reads all of them.
pub(super) fn read_all<'a>(top: &Table<'a>, check: SourceCheck<'_>, reading: &mut Reading<'a>) -> Named<'a, Monitor> {
    let Some(field) = top.get("monitors") else {
        return Some(BTreeMap::new());
    };
    let table = reading.map(field.node, &field.path, "`monitors`")?;
    let monitors = table.fields().map(|(name, field)| {
        let json = read(name, &field, reading).filter(|json| is_usable(json, &field, check, reading));
        let at = field.name_at;
        (name, json.map(|json| Monitor { json, at }))
    });
    Some(monitors.collect())
}

/// Whether who watches can use it; a finding says why not.
fn is_usable(json: &Json, field: &Field<'_>, check: SourceCheck<'_>, reading: &mut Reading<'_>) -> bool {
    let alone = BTreeMap::from([(MONITOR.to_owned(), vec![json.to_string()])]);
    match check(MONITOR, &alone) {
        Ok(()) => true,
        Err((_, why)) => {
            reading.wrong(field, why, "");
            false
        }
    }
}

/// A finding about each monitor that no hook names: nobody would look at it. Nothing is said where a hook names what is not there.
pub(super) fn unused<'a>(monitors: &Named<'a, Monitor>, hooks: &Table<'a>, reading: &mut Reading<'a>) {
    let Some(monitors) = monitors else { return };
    let mut named = BTreeSet::new();
    for (_, hook) in hooks.fields() {
        let entries = hook.node.entries().unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.key == "monitors") {
            match (&entry.value.value, entry.value.written()) {
                (Value::List(items), _) => named.extend(items.iter().map(Node::written)),
                (_, written) => drop(named.insert(written)),
            }
        }
    }
    // `all` is nobody's name, and what is wrong is said elsewhere.
    let is_known = |name: &Option<&str>| name.is_some_and(|name| monitors.contains_key(name));
    if hooks.fields().next().is_none() || !named.iter().all(is_known) {
        return;
    }
    for (name, monitor) in monitors {
        if let Some(monitor) = monitor
            && !named.contains(&Some(*name))
        {
            let path = Path::default().member("monitors").member(name);
            let advice = format!("nobody looks at it; write `monitors: [{name}]` in a hook, or remove it");
            reading.find(monitor.at, &path, "no hook names this monitor", advice);
        }
    }
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
    if items.is_empty() {
        reading.wrong(field, "the list is empty", "");
        return None;
    }
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
