//! An action: a kind, its settings, and what every endpoint has: `when`, `retry`, `timeout` and their like.
//!
//! It knows no kind: settings are what the kind's row says, names written `like_this` or `likeThis`. What every endpoint has
//! stands beside the kind, or among its settings where the kind has no setting of that name.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bellwire_action::{KINDS, Kind, Problem, kinds::by_name};
use bellwire_core::{
    endpoint::{ActionSettings, Format, Throttle, Workflow},
    id::{EndpointId, Id as _},
    order::Ordering,
};
use bellwire_template::{TEMPLATE_BYTES_MAX, Transformation};
use serde_json::{Map, Value as Json};

use super::{Shared, hook};
use crate::{
    HookAction, Surroundings,
    reading::{Field, Reading, Table, camel, is_named, listed, shorten, snake},
    yaml::{Node, Value},
};

/// What every action may have.
pub(crate) const COMMON: &[&str] = &[
    "name",
    "when",
    "retry",
    "timeout",
    "max_in_flight",
    "throttle",
    "transformation",
    "format",
    "disabled",
];
/// What names the connection that an action goes by.
pub(crate) const VIA: &str = "via";

/// What names a file that holds a template, for a kind that has the setting [`HTML`].
pub(crate) const TEMPLATE: &str = "template";
pub(crate) const HTML: &str = "html";
const TEXT: &str = "text";

const RETRIES_MAX: usize = 100;
const RETRY_WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
const TIMEOUT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
const AT_ONCE_MAX: u64 = 10_000;

/// What a hook gives to each of its actions.
pub(super) struct Given<'a> {
    pub when: Option<&'a str>,
    pub throttle: Option<Throttle>,
    pub ordering: Ordering,
}

/// The files whose contents are settings.
pub(super) struct Files<'a, 'b> {
    pub files: &'a mut BTreeSet<PathBuf>,
    pub around: &'a Surroundings<'b>,
}

impl Files<'_, '_> {
    /// The text of a file that holds a template, and the setting that it is: HTML, or plain text.
    fn template<'a>(&mut self, field: &Field<'a>, reading: &mut Reading<'a>) -> Option<(&'static str, String)> {
        let name = reading.text(field)?;
        let path = self.around.folder.join(name);
        let setting = match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt" | "md") => TEXT,
            _ => HTML,
        };
        self.files.insert(path.clone());
        let read = match (self.around.file)(&path) {
            Ok(bytes) if bytes.len() > TEMPLATE_BYTES_MAX => Err(format!("it has more than {TEMPLATE_BYTES_MAX} bytes")),
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(text) => Some((setting, text)),
            Err(why) => {
                let advice = "a relative path begins in the folder of the hooks file";
                reading.wrong(field, format!("cannot read the template {}: {why}", shorten(name)), advice);
                None
            }
        }
    }
}

/// How many actions of each kind there were: actions without a name are numbered.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<&'static str, usize>);

/// Reads an action.
pub(super) fn read<'a>(
    field: &Field<'a>,
    given: &Given<'a>,
    shared: &Shared<'a>,
    counts: &mut Counts,
    reading: &mut Reading<'a>,
    files: &mut Files<'_, '_>,
) -> Option<HookAction> {
    let beside = reading.map(field.node, &field.path, "an action")?;
    let (kind, inside) = kind_of(field, &beside, reading)?;
    let number = counts.0.entry(kind.name).or_default();
    *number += 1;
    let unnamed = format!("{}-{number}", kind.name);
    let inside = reading.map(inside.node, &inside.path, &format!("`{}`", kind.name))?;
    let own = properties(kind);
    let settings = settings(kind, &own, &inside, shared, reading, files);
    let common = Common { beside, inside, own };
    let uid = common.uid(unnamed, reading);
    let when = common.get("when").and_then(|field| reading.expression(&field));
    let throttle = common.get("throttle").and_then(|field| hook::throttle(&field, reading));
    let workflow = Workflow {
        filter: hook::both(given.when, when, field, reading).map(Arc::from),
        transformation: common.get("transformation").and_then(|field| transformation(&field, reading)),
        format: common.get("format").and_then(|field| format(&field, reading)).unwrap_or_default(),
        throttle: throttle.or_else(|| given.throttle.clone()),
    };
    let action = HookAction {
        uid: uid?,
        at: field.node.at,
        url: String::new(),
        action: ActionSettings::default(),
        workflow,
        ordering: given.ordering,
        retry_schedule: common.get("retry").and_then(|field| retry(&field, reading)),
        timeout: common.get("timeout").and_then(|field| reading.span(&field, TIMEOUT[0], TIMEOUT[1])),
        max_in_flight: common
            .get("max_in_flight")
            .and_then(|field| reading.number(&field, 1, AT_ONCE_MAX))
            .and_then(|number| u16::try_from(number).ok()),
        disabled: common.get("disabled").and_then(|field| reading.truth(&field)).unwrap_or_default(),
    };
    let (url, settings) = settings?;
    Some(HookAction {
        url,
        action: ActionSettings {
            kind: kind.name.into(),
            settings: Some(settings.to_string().into()),
            trusted: true,
        },
        ..action
    })
}

/// The kind that an action names, and where its settings are.
fn kind_of<'a>(field: &Field<'a>, beside: &Table<'a>, reading: &mut Reading<'a>) -> Option<(&'static Kind, Field<'a>)> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let mut found = None;
    for (name, inside) in beside.fields() {
        if COMMON.iter().any(|common| is_named(name, common)) {
            continue;
        }
        let Some(kind) = by_name(name) else {
            reading.unknown(&inside, format!("no action is called `{}`", shorten(name)), name, &names);
            return None;
        };
        if found.replace((kind, inside.clone())).is_some() {
            let advice = "begin the second one with a hyphen of its own";
            reading.find(inside.name_at, &inside.path, "there are two actions in one", advice);
            return None;
        }
    }
    if found.is_none() {
        reading.wrong(field, "it does not say what to do", format!("write one of {}", listed(&names)));
    }
    found
}

/// The names that a kind's settings have, as they are written in JSON.
pub(crate) fn properties(kind: &Kind) -> BTreeSet<String> {
    let schema = (kind.schema)();
    let members = schema.get("properties").and_then(Json::as_object);
    members.map(|members| members.keys().cloned().collect()).unwrap_or_default()
}

/// What every endpoint has, wherever it is written.
struct Common<'a> {
    beside: Table<'a>,
    inside: Table<'a>,
    /// The kind's own names.
    own: BTreeSet<String>,
}

impl<'a> Common<'a> {
    fn get(&self, name: &str) -> Option<Field<'a>> {
        let inside = || match self.own.contains(&camel(name)) {
            true => None,
            false => self.inside.get(name),
        };
        self.beside.get(name).or_else(inside)
    }

    fn uid(&self, unnamed: String, reading: &mut Reading<'a>) -> Option<String> {
        let Some(field) = self.get("name") else {
            return Some(unnamed);
        };
        let name = reading.text(&field)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.is_empty() && name.len() <= 256 && name.bytes().all(allowed) && !name.starts_with(EndpointId::PREFIX) {
            return Some(name.to_owned());
        }
        let advice = format!("use letters, digits, `-`, `_` and `.`; it may not start with `{}`", EndpointId::PREFIX);
        reading.wrong(&field, format!("`{}` cannot be an action's name", shorten(name)), advice);
        None
    }
}

/// The settings as JSON, those of the connection among them, and what stands for a URL.
fn settings<'a>(
    kind: &'static Kind,
    own: &BTreeSet<String>,
    inside: &Table<'a>,
    shared: &Shared<'a>,
    reading: &mut Reading<'a>,
    files: &mut Files<'_, '_>,
) -> Option<(String, Json)> {
    let mut settings = Map::new();
    let mut places: BTreeMap<String, Field<'a>> = BTreeMap::new();
    let mut is_whole = true;
    for (written, field) in inside.fields() {
        let name = camel(written);
        if own.contains(&name) {
            settings.insert(name.clone(), field.node.to_json());
            places.insert(name, field);
        } else if name == TEMPLATE && own.contains(HTML) {
            match files.template(&field, reading) {
                Some((name, text)) => {
                    settings.insert(name.to_owned(), text.into());
                    places.insert(name.to_owned(), field);
                }
                None => is_whole = false,
            }
        } else if written != VIA && !COMMON.iter().any(|common| is_named(written, common)) {
            let known: Vec<String> = own.iter().map(|name| snake(name)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).chain([VIA]).chain(COMMON.iter().copied()).collect();
            reading.unknown(&field, format!("`{}` has no setting `{}`", kind.name, shorten(written)), written, &known);
            is_whole = false;
        }
    }
    if let Some(via) = inside.get(VIA) {
        let name = reading.text(&via)?;
        let Some(connection) = shared.connections.get(name) else {
            let known: Vec<&str> = shared.connections.keys().copied().collect();
            let what = format!("no connection is called `{}`", shorten(name));
            match crate::nearest::nearest(name, known.iter().copied()) {
                Some(meant) => reading.wrong(&via, what, format!("did you mean `{meant}`?")),
                None => reading.wrong(&via, what, format!("`connections` has {}", listed(&known))),
            }
            return None;
        };
        let Some(leads_by) = connection.setting(kind.name, own) else {
            let what = format!("`{}` does not go by a connection to {}", kind.name, connection.lead);
            reading.wrong(&via, what, "");
            return None;
        };
        for entry in connection.entries {
            let name = match entry.key == connection.lead {
                true => leads_by.to_owned(),
                false => camel(&entry.key),
            };
            let field = Field {
                name_at: entry.at,
                node: &entry.value,
                path: via.path.clone(),
            };
            places.entry(name.clone()).or_insert(field);
            settings.entry(name).or_insert_with(|| entry.value.to_json());
        }
    }
    if !is_whole {
        return None;
    }
    let settings = Json::Object(settings);
    match (kind.check)(&settings).and_then(|()| (kind.target)(&settings)) {
        Ok(target) => Some((target, settings)),
        Err(problem) => {
            misplaced(&problem, inside, &places, reading);
            None
        }
    }
}

/// A finding where the setting stands that a problem is about.
fn misplaced<'a>(
    problem: &Problem,
    inside: &Table<'a>,
    places: &BTreeMap<String, Field<'a>>,
    reading: &mut Reading<'a>,
) {
    let mut steps = problem.path.iter();
    let found = steps.next().and_then(|name| places.get(name));
    let Some(field) = found else {
        let path = problem.path.iter().fold(inside.path.clone(), |path, step| path.member(step));
        reading.find(inside.at, &path, &problem.message, "");
        return;
    };
    let (mut node, mut path) = (field.node, field.path.clone());
    for step in steps {
        let Some(next) = step_into(node, step) else { break };
        path = match step.parse() {
            Ok(at) if matches!(node.value, Value::List(_)) => path.item(at),
            _ => path.member(step),
        };
        node = next;
    }
    reading.find(node.at, &path, &problem.message, "");
}

fn step_into<'a>(node: &'a Node, step: &str) -> Option<&'a Node> {
    match &node.value {
        Value::List(items) => items.get(step.parse::<usize>().ok()?),
        Value::Map(entries) => entries.iter().find(|entry| is_named(step, &entry.key) || entry.key == step).map(|entry| &entry.value),
        _ => None,
    }
}

/// The waits before each retry; `none`: a single attempt.
fn retry<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Vec<Duration>> {
    if field.node.written() == Some("none") {
        return Some(Vec::new());
    }
    let Value::List(items) = &field.node.value else {
        reading.wrong(field, "write the wait before each retry, such as `[10s, 1m, 10m]`", "`none` is a single attempt");
        return None;
    };
    if items.len() > RETRIES_MAX {
        reading.wrong(field, format!("there are {} waits; give at most {RETRIES_MAX}", items.len()), "");
        return None;
    }
    let waits: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let field = Field {
                name_at: node.at,
                node,
                path: field.path.item(at),
            };
            reading.span(&field, Duration::ZERO, RETRY_WAIT_MAX)
        })
        .collect();
    waits.into_iter().collect()
}

/// What is sent in the payload's place: a value whose texts are templates, or one template that writes JSON.
fn transformation<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Arc<str>> {
    let text = match &field.node.value {
        Value::Text(text) => text.text.clone(),
        _ => field.node.to_json_text(),
    };
    match Transformation::compile(&text) {
        Ok(_) => Some(text.into()),
        Err(error) => {
            reading.template_error(field, &text, &error);
            None
        }
    }
}

fn format<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Format> {
    let format = serde_json::from_value(field.node.to_json()).ok();
    if format.is_none() {
        let names = ["json", "xml", "form", "cloudevents-binary", "cloudevents-structured"];
        reading.wrong(field, format!("write one of {}", listed(&names)), "");
    }
    format
}
