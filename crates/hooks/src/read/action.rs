//! An action: a kind, its settings, and what every endpoint has: `when`, `retry`, `timeout` and their like.
//!
//! It knows no kind: settings are what the kind's row says, names written `like_this` or `likeThis`. What every endpoint has
//! stands beside the kind, or among its settings where the kind has no setting of that name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bellwire_action::{KINDS, Kind, by_name};
use bellwire_core::{
    endpoint::{ActionSettings, Format, Throttle, Workflow},
    id::{EndpointId, Id as _},
    order::Ordering,
};
use bellwire_template::Transformation;

use super::{Shared, hook, settings};
use crate::{
    HookAction,
    reading::{Field, Reading, Table, camel, is_named, listed, shorten},
    yaml::Value,
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
    "paused",
    "disabled",
];

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
) -> Option<HookAction> {
    let beside = reading.map(field.node, &field.path, "an action")?;
    let (kind, inside) = kind_of(field, &beside, reading)?;
    let number = counts.0.entry(kind.name).or_default();
    *number += 1;
    let unnamed = format!("{}-{number}", kind.name);
    let inside = reading.map(inside.node, &inside.path, &format!("`{}`", kind.name))?;
    let settings = settings::read(kind, &inside, shared, reading);
    let own = settings::properties(kind);
    for table in [&beside, &inside] {
        let foreign: Vec<&str> = COMMON
            .iter()
            .copied()
            .filter(|name| !own.contains(&camel(name)))
            .collect();
        reading.once(table, &foreign);
        reading.said(table, &foreign);
    }
    let common = Common { beside, inside, own };
    let uid = common.uid(unnamed, reading);
    let when = common.get("when").and_then(|field| reading.expression(&field));
    let throttle = common.get("throttle").and_then(|field| hook::throttle(&field, reading));
    let workflow = Workflow {
        filter: hook::both(given.when, when, field, reading).map(Arc::from),
        transformation: common
            .get("transformation")
            .and_then(|field| transformation(&field, reading)),
        format: common
            .get("format")
            .and_then(|field| format(&field, reading))
            .unwrap_or_default(),
        throttle: throttle.or_else(|| given.throttle.clone()),
        ..Workflow::default()
    };
    let action = HookAction {
        uid: uid?,
        at: field.node.at,
        url: String::new(),
        action: ActionSettings::default(),
        workflow,
        ordering: given.ordering,
        retry_schedule: common.get("retry").and_then(|field| retry(&field, reading)),
        timeout: common
            .get("timeout")
            .and_then(|field| reading.span(&field, TIMEOUT[0], TIMEOUT[1])),
        max_in_flight: common
            .get("max_in_flight")
            .and_then(|field| reading.number(&field, 1, AT_ONCE_MAX))
            .and_then(|number| u16::try_from(number).ok()),
        paused: common.truth("paused", reading),
        disabled: common.truth("disabled", reading),
    };
    let settings = settings?;
    Some(HookAction {
        url: settings.target,
        action: ActionSettings {
            kind: kind.name.into(),
            settings: Some(settings.json.to_string().into()),
            trusted: true,
            hidden: settings.hidden.into(),
        },
        ..action
    })
}

/// The kind that an action names, and where its settings are.
fn kind_of<'a>(field: &Field<'a>, beside: &Table<'a>, reading: &mut Reading<'a>) -> Option<(&'static Kind, Field<'a>)> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let known = [&names[..], COMMON].concat();
    let mut found = None;
    for (name, inside) in beside.fields() {
        if COMMON.iter().any(|common| is_named(name, common)) {
            continue;
        }
        let Some(kind) = by_name(name) else {
            reading.unknown(
                &inside,
                format!("no action is called `{}`", shorten(name)),
                name,
                &known,
            );
            return None;
        };
        if found.replace((kind, inside.clone())).is_some() {
            let advice = "begin the second one with a hyphen of its own";
            reading.find(inside.name_at, &inside.path, "there are two actions in one", advice);
            return None;
        }
    }
    if found.is_none() {
        reading.wrong(
            field,
            "it does not say what to do",
            format!("write one of {}", listed(&names)),
        );
    }
    found
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

    fn truth(&self, name: &str, reading: &mut Reading<'a>) -> bool {
        self.get(name)
            .and_then(|field| reading.truth(&field))
            .unwrap_or_default()
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
        let advice = format!(
            "use letters, digits, `-`, `_` and `.`; it may not start with `{}`",
            EndpointId::PREFIX
        );
        reading.wrong(
            &field,
            format!("`{}` cannot be an action's name", shorten(name)),
            advice,
        );
        None
    }
}

/// The waits before each retry; `none`: a single attempt.
fn retry<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Vec<Duration>> {
    if field.node.written() == Some("none") {
        return Some(Vec::new());
    }
    let Value::List(items) = &field.node.value else {
        reading.wrong(
            field,
            "write the wait before each retry, such as `[10s, 1m, 10m]`",
            "`none` is a single attempt",
        );
        return None;
    };
    if items.len() > RETRIES_MAX {
        reading.wrong(
            field,
            format!("there are {} waits; give at most {RETRIES_MAX}", items.len()),
            "",
        );
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
    if field.node.is_unknown() {
        return None;
    }
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
