//! Where messages come from when nobody calls: `cron` and `monitors`.

use std::collections::BTreeMap;

use super::{monitor::Monitor, verify::Source};
use crate::{
    nearest::nearest,
    reading::{Field, Reading, listed, shorten},
    yaml::Value,
};

/// The members of `cron`.
pub(crate) const CRON: &[&str] = &["schedule", "payload", "content_type"];

/// `cron: "0 6 * * 1"`, or `{schedule: …, payload: …, content_type: …}`.
pub(super) fn cron<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Source> {
    let mut settings = BTreeMap::new();
    let mut put = |name: &str, value: String| settings.insert(name.to_owned(), vec![value]);
    if field.node.written().is_some() {
        put("schedule", schedule(field, reading)?);
        return Some(("cron".to_owned(), settings));
    }
    let table = reading.table(field.node, &field.path, "`cron`", CRON)?;
    let Some(at) = table.get("schedule") else {
        reading.wrong(
            field,
            "it does not say when",
            "add a schedule, such as `schedule: \"0 6 * * 1\"`",
        );
        return None;
    };
    put("schedule", schedule(&at, reading)?);
    if let Some(payload) = table.get("payload") {
        let text = match &payload.node.value {
            Value::Text(text) => text.text.clone(),
            _ => payload.node.to_json().to_string(),
        };
        put("payload", text);
    }
    if let Some(content_type) = table.get("content_type") {
        put("contentType", reading.text(&content_type)?.to_owned());
    }
    Some(("cron".to_owned(), settings))
}

fn schedule<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<String> {
    reading.text(field).map(str::to_owned)
}

/// `monitors: all`, or the names of some.
pub(super) fn monitors<'a>(
    field: &Field<'a>,
    known: &BTreeMap<&'a str, Monitor>,
    reading: &mut Reading<'a>,
) -> Option<Source> {
    if known.is_empty() {
        let advice = "describe what is watched under `monitors` at the top of the file";
        reading.wrong(field, "there are no monitors", advice);
        return None;
    }
    let names = match field.node.written() {
        Some("all") => known.keys().copied().collect(),
        _ => reading.texts(field)?,
    };
    let mut watched = Vec::new();
    for name in names {
        let Some(Monitor(monitor)) = known.get(name) else {
            let advice = match nearest(name, known.keys().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", listed(&known.keys().copied().collect::<Vec<_>>())),
            };
            reading.wrong(field, format!("no monitor is called `{}`", shorten(name)), advice);
            return None;
        };
        watched.push(monitor.to_string());
    }
    let settings = BTreeMap::from([("monitor".to_owned(), watched)]);
    Some(("monitor".to_owned(), settings))
}
