//! A hook: where messages come from, what is done with a request before it becomes messages, and what is done with them.

use std::time::Duration;

use bellwire_core::{
    endpoint::Throttle,
    id::{Id as _, SourceId},
    order::Ordering,
    source::{SourceRules, UID_MAX, is_uid},
    time::span::Span,
};
use bellwire_template::EXPRESSION_BYTES_MAX;

use super::{
    Shared,
    action::{self, Given},
    order, origin, verify,
};
use crate::{
    Hook,
    reading::{Field, Reading, Table, listed, shorten},
    yaml::Value,
};

/// Where messages come from: a hook has one of these.
pub(crate) const ORIGINS: &[&str] = &["verify", "cron", "monitors"];
/// The other members of a hook.
pub(crate) const MEMBERS: &[&str] = &["for_each", "event_type", "dedupe", "order", "when", "throttle", "do"];
/// How many actions a hook may have.
const ACTIONS_MAX: usize = 100;
/// The longest span of a throttle.
const THROTTLE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Reads a hook.
pub(super) fn read<'a>(
    name: &'a str,
    field: &Field<'a>,
    shared: &Shared<'a>,
    reading: &mut Reading<'a>,
) -> Option<Hook> {
    let is_named_well = is_uid(name);
    if !is_named_well {
        let what = format!(
            "`{}` cannot be a hook's name, which is a part of its URL",
            shorten(name)
        );
        let advice = format!(
            "use at most {UID_MAX} letters, digits, `-` and `_`; it may not start with `{}`",
            SourceId::PREFIX
        );
        reading.find(field.name_at, &field.path, what, advice);
    }
    let known = [ORIGINS, MEMBERS].concat();
    let table = reading.table(field.node, &field.path, "a hook", &known)?;
    reading.said(&table, MEMBERS);
    let source = source(field, &table, shared, reading);
    let rules = rules(&table, reading);
    let given = Given {
        when: table.get("when").and_then(|field| reading.expression(&field)),
        throttle: table.get("throttle").and_then(|field| throttle(&field, reading)),
        ordering: match rules.order {
            Some(_) => Ordering::Key,
            None => Ordering::None,
        },
    };
    let actions = actions(&table, &given, shared, reading);
    let (kind, settings) = source?;
    is_named_well.then(|| Hook {
        name: name.to_owned(),
        at: field.name_at,
        kind,
        settings,
        rules,
        actions,
    })
}

fn source<'a>(
    field: &Field<'a>,
    table: &Table<'a>,
    shared: &Shared<'a>,
    reading: &mut Reading<'a>,
) -> Option<verify::Source> {
    let origins: Vec<_> = ORIGINS
        .iter()
        .filter_map(|name| Some((*name, table.get(name)?)))
        .collect();
    match origins.as_slice() {
        [] => {
            verify::missing(field.name_at, &field.path, reading, ORIGINS);
            None
        }
        [("verify", field)] => verify::read(field, reading),
        [("cron", field)] => origin::cron(field, shared.around.source, reading),
        [(_, field)] => origin::monitors(field, &shared.monitors, shared.around.source, reading),
        [_, (second, field), ..] => {
            let names: Vec<&str> = origins.iter().map(|(name, _)| *name).collect();
            let what = format!("there are {}, and a hook has one of them", listed(&names));
            reading.find(
                field.name_at,
                &field.path,
                what,
                format!("make a hook of its own for `{second}`"),
            );
            None
        }
    }
}

fn rules<'a>(table: &Table<'a>, reading: &mut Reading<'a>) -> SourceRules {
    let mut expression = |name: &str| {
        let field = table.get(name)?;
        reading.expression(&field).map(str::to_owned)
    };
    let (for_each, event_type) = (expression("for_each"), expression("event_type"));
    SourceRules {
        for_each,
        event_type,
        dedupe: table.get("dedupe").and_then(|field| order::key(&field, reading)),
        order: table.get("order").and_then(|field| order::read(&field, reading)),
    }
}

/// `{key: …, every: 15m}`, or the span alone.
pub(super) fn throttle<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Throttle> {
    let least = Duration::from_millis(1);
    if !matches!(field.node.value, Value::Map(_)) {
        let every = Span(reading.span(field, least, THROTTLE_MAX)?);
        return Some(Throttle { key: None, every });
    }
    let table = reading.table(field.node, &field.path, "`throttle`", &["key", "every"])?;
    let key = table.get("key").map(|field| reading.template(&field));
    let Some(every) = table.get("every") else {
        reading.wrong(field, "it does not say how often", "add `every: 15m`");
        return None;
    };
    let every = Span(reading.span(&every, least, THROTTLE_MAX)?);
    let key = match key {
        Some(key) => Some(key?.into()),
        None => None,
    };
    Some(Throttle { key, every })
}

fn actions<'a>(
    table: &Table<'a>,
    given: &Given<'a>,
    shared: &Shared<'a>,
    reading: &mut Reading<'a>,
) -> Vec<crate::HookAction> {
    let Some(field) = table.get("do") else {
        let advice = "write `do: []` when messages are only to be kept";
        reading.find(table.at, &table.path, "it does not say what to do", advice);
        return Vec::new();
    };
    let Value::List(items) = &field.node.value else {
        let what = format!("`do` is a list of actions, and this is {}", field.node.kind());
        reading.wrong(&field, what, "begin each action with a hyphen: `- email: {…}`");
        return Vec::new();
    };
    if items.len() > ACTIONS_MAX {
        reading.wrong(&field, format!("a hook has at most {ACTIONS_MAX} actions"), "");
        return Vec::new();
    }
    let mut read: Vec<crate::HookAction> = Vec::new();
    let mut counts = action::Counts::default();
    for (at, node) in items.iter().enumerate() {
        let field = Field {
            name_at: node.at,
            node,
            path: field.path.item(at),
        };
        let Some(action) = action::read(&field, given, shared, &mut counts, reading) else {
            continue;
        };
        if let Some(same) = read.iter().find(|other| other.uid == action.uid) {
            let what = format!(
                "an action of this hook is already called `{}`, on line {}",
                action.uid, same.at.line
            );
            reading.wrong(&field, what, "give them different names");
        }
        read.push(action);
    }
    read
}

/// Both of them must hold.
pub(super) fn both<'a>(
    hook: Option<&str>,
    action: Option<&str>,
    field: &Field<'a>,
    reading: &mut Reading<'a>,
) -> Option<String> {
    let joined = match (hook, action) {
        (Some(hook), Some(action)) => format!("({}) and ({})", hook.trim(), action.trim()),
        (Some(one), None) | (None, Some(one)) => one.trim().to_owned(),
        (None, None) => return None,
    };
    if joined.len() > EXPRESSION_BYTES_MAX {
        let what = format!("`when` of the hook and of the action have more than {EXPRESSION_BYTES_MAX} bytes together");
        reading.wrong(field, what, "");
    }
    Some(joined)
}
