//! Where messages come from when nobody calls: `cron` and `monitors`.

use std::collections::BTreeMap;

use bellwire_core::source::{CRON as CRON_KIND, MONITOR as MONITOR_KIND};

use super::{Named, monitor::Monitor, verify::Source};
use crate::{
    nearest::nearest,
    reading::{Field, Reading, camel, listed, shorten},
    surroundings::SourceCheck,
    yaml::Value,
};

/// The members of `cron`.
pub(crate) const CRON: &[&str] = &["schedule", "timezone", "payload", "content_type"];

/// `cron: "0 6 * * 1"`, or `{schedule: …, timezone: …, payload: …, content_type: …}`.
pub(super) fn cron<'a>(field: &Field<'a>, check: SourceCheck<'_>, reading: &mut Reading<'a>) -> Option<Source> {
    let mut settings = BTreeMap::new();
    let mut places = BTreeMap::new();
    if let Some(schedule) = field.node.written() {
        settings.insert("schedule".to_owned(), vec![schedule.to_owned()]);
        places.insert("schedule".to_owned(), field.clone());
    } else {
        let table = reading.table(field.node, &field.path, "`cron`", CRON)?;
        if table.get("schedule").is_none() {
            reading.wrong(
                field,
                "it does not say when",
                "add a schedule, such as `schedule: \"0 6 * * 1\"`",
            );
            return None;
        }
        for name in CRON {
            let Some(field) = table.get(name) else { continue };
            let text = match &field.node.value {
                // What is not a text is JSON.
                Value::Text(text) => text.text.clone(),
                _ if *name == "payload" => field.node.to_json_text(),
                _ => reading.text(&field)?.to_owned(),
            };
            settings.insert(camel(name), vec![text]);
            places.insert(camel(name), field);
        }
    }
    if let Err((name, why)) = check(CRON_KIND, &settings) {
        reading.wrong(places.get(&name).unwrap_or(field), why, "");
        return None;
    }
    Some((CRON_KIND.to_owned(), settings))
}

/// `monitors: all`, or the names of some.
pub(super) fn monitors<'a>(
    field: &Field<'a>,
    known: &Named<'a, Monitor>,
    check: SourceCheck<'_>,
    reading: &mut Reading<'a>,
) -> Option<Source> {
    let known = known.as_ref()?;
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
        let Some(monitor) = known.get(name) else {
            let advice = match nearest(name, known.keys().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", listed(&known.keys().copied().collect::<Vec<_>>())),
            };
            reading.wrong(field, format!("no monitor is called `{}`", shorten(name)), advice);
            return None;
        };
        watched.push(monitor.as_ref()?.json.to_string());
    }
    let settings = BTreeMap::from([(MONITOR_KIND.to_owned(), watched)]);
    if let Err((_, why)) = check(MONITOR_KIND, &settings) {
        reading.wrong(field, why, "");
        return None;
    }
    Some((MONITOR_KIND.to_owned(), settings))
}
