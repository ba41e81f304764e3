//! The settings of an action: what its kind takes, its connection's members among them, as JSON that the kind has checked.
//!
//! Names that the kind does not know are refused here, with what was probably meant; all else is the kind's to judge.

use std::collections::{BTreeMap, BTreeSet};

use bellwire_action::{Kind, Problem};
use bellwire_template::TEMPLATE_BYTES_MAX;
use serde_json::{Map, Value as Json};

use super::{Shared, action::COMMON};
use crate::{
    Surroundings,
    nearest::nearest,
    reading::{Field, Reading, Table, camel, is_named, listed, shorten, snake},
    yaml::{Node, Value},
};

/// What names the connection that an action goes by.
pub(crate) const VIA: &str = "via";

/// What names a file that holds a template, for a kind that has the setting [`HTML`].
pub(crate) const TEMPLATE: &str = "template";
pub(crate) const HTML: &str = "html";
const TEXT: &str = "text";
/// The working directory of a kind that has one.
const CWD: &str = "cwd";

/// The names that a kind's settings have, as they are written in JSON.
pub(crate) fn properties(kind: &Kind) -> BTreeSet<String> {
    let schema = (kind.schema)();
    let members = schema.get("properties").and_then(Json::as_object);
    members
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default()
}

/// The settings of an action, read.
pub(super) struct Settings {
    /// What stands for a URL, without what references were replaced by.
    pub target: String,
    /// As JSON that the kind has checked.
    pub json: Json,
    /// JSON pointers to the texts in which references were replaced.
    pub hidden: Vec<String>,
}

/// Reads settings, and has the kind check them.
pub(super) fn read<'a>(
    kind: &'static Kind,
    inside: &Table<'a>,
    shared: &Shared<'a>,
    reading: &mut Reading<'a>,
) -> Option<Settings> {
    let mut given = Given {
        kind,
        own: properties(kind),
        json: Map::new(),
        places: BTreeMap::new(),
    };
    let is_whole = given.take_written(inside, shared, reading);
    if let Some(via) = inside.get(VIA) {
        given.take_connection(&via, shared, reading)?;
    }
    if !is_whole || given.places.values().any(|field| field.node.is_unknown()) {
        return None;
    }
    // A command begins where the file lies, whatever folder the server was started in.
    let folder = shared.around.folder.to_string_lossy().into_owned();
    if given.own.contains(CWD) && !folder.is_empty() {
        let cwd = given.json.entry(CWD).or_insert_with(|| folder.clone().into());
        if let Some(relative) = cwd.as_str() {
            *cwd = std::path::Path::new(&folder).join(relative).to_string_lossy().into();
        }
    }
    let settings = Json::Object(given.json);
    match (kind.check)(&settings).and_then(|()| (kind.target)(&settings)) {
        Ok(target) => Some(Settings {
            target: reading.veil.over(&target),
            json: settings,
            hidden: replaced(&given.places),
        }),
        Err(problem) => {
            misplaced(&problem, inside, &given.places, reading);
            None
        }
    }
}

/// What was read of an action's settings so far.
struct Given<'a> {
    kind: &'static Kind,
    /// The kind's own names.
    own: BTreeSet<String>,
    json: Map<String, Json>,
    /// Where each stands.
    places: BTreeMap<String, Field<'a>>,
}

impl<'a> Given<'a> {
    /// What is written with the action; whether all of it could be read.
    fn take_written(&mut self, inside: &Table<'a>, shared: &Shared<'a>, reading: &mut Reading<'a>) -> bool {
        let mut is_whole = true;
        for (written, field) in inside.fields() {
            let name = camel(written);
            if let Some(first) = self.places.get(&name) {
                let what = format!("it is the same as on line {}", first.name_at.line);
                reading.find(field.name_at, &field.path, what, "remove one of them");
                is_whole = false;
            } else if self.own.contains(&name) {
                self.json.insert(name.clone(), field.node.to_json());
                self.places.insert(name, field);
            } else if name == TEMPLATE && self.own.contains(HTML) {
                let Some((name, text)) = template(&field, shared.around, reading) else {
                    is_whole = false;
                    continue;
                };
                self.json.insert(name.to_owned(), text.into());
                self.places.insert(name.to_owned(), field);
            } else if written != VIA && !COMMON.iter().any(|common| is_named(written, common)) {
                let known: Vec<String> = self.own.iter().map(|name| snake(name)).collect();
                let known = known
                    .iter()
                    .map(String::as_str)
                    .chain([VIA])
                    .chain(COMMON.iter().copied());
                let what = format!("`{}` has no setting `{}`", self.kind.name, shorten(written));
                reading.unknown(&field, what, written, &known.collect::<Vec<_>>());
                is_whole = false;
            }
        }
        is_whole
    }

    /// What the connection brings that is not written with the action.
    fn take_connection(&mut self, via: &Field<'a>, shared: &Shared<'a>, reading: &mut Reading<'a>) -> Option<()> {
        let name = reading.text(via)?;
        let connections = shared.connections.as_ref()?;
        let Some(connection) = connections.get(name) else {
            let known: Vec<&str> = connections.keys().copied().collect();
            let advice = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("`connections` has {}", listed(&known)),
            };
            reading.wrong(via, format!("no connection is called `{}`", shorten(name)), advice);
            return None;
        };
        let connection = connection.as_ref()?;
        let Some(leads_by) = connection.setting(self.kind.name, &self.own) else {
            let what = format!(
                "`{}` does not go by a connection to {}",
                self.kind.name, connection.lead
            );
            reading.wrong(via, what, "");
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
            self.places.entry(name.clone()).or_insert(field);
            self.json.entry(name).or_insert_with(|| entry.value.to_json());
        }
        Some(())
    }
}

/// Where references were replaced.
fn replaced(places: &BTreeMap<String, Field<'_>>) -> Vec<String> {
    let mut pointers = Vec::new();
    for (name, field) in places {
        point(field.node, &step("", name), &mut pointers);
    }
    pointers
}

fn point(node: &Node, at: &str, pointers: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) if !text.references.is_empty() => pointers.push(at.to_owned()),
        Value::List(items) => {
            for (number, item) in items.iter().enumerate() {
                point(item, &step(at, &number.to_string()), pointers);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                point(&entry.value, &step(at, &entry.key), pointers);
            }
        }
        _ => {}
    }
}

/// One step further (RFC 6901, section 3).
fn step(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
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
        let path = problem
            .path
            .iter()
            .fold(inside.path.clone(), |path, step| path.member(step));
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
        Value::Map(entries) => entries
            .iter()
            .find(|entry| is_named(step, &entry.key) || entry.key == step)
            .map(|entry| &entry.value),
        _ => None,
    }
}

/// The text of a file that holds a template, and the setting that it is: HTML, or plain text.
fn template<'a>(
    field: &Field<'a>,
    around: &Surroundings<'_>,
    reading: &mut Reading<'a>,
) -> Option<(&'static str, String)> {
    let name = reading.text(field)?;
    let path = around.folder.join(name);
    let setting = match path.extension().and_then(|extension| extension.to_str()) {
        Some("txt" | "md") => TEXT,
        _ => HTML,
    };
    let read = match (around.file)(&path) {
        Ok(bytes) if bytes.len() > TEMPLATE_BYTES_MAX => Err(format!("it has more than {TEMPLATE_BYTES_MAX} bytes")),
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(text) => Some((setting, text)),
        Err(why) => {
            let advice = "a relative path begins in the folder of the hooks file";
            reading.wrong(
                field,
                format!("cannot read the template {}: {why}", shorten(name)),
                advice,
            );
            None
        }
    }
}
