//! How two versions of a thing differ, without what is secret in them.

use std::collections::{BTreeMap, BTreeSet};

use bellwire_core::{
    app::Token,
    endpoint::Endpoint,
    id::AppId,
    source::Source,
    task::{Job, Task},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Changed, HIDDEN, Subject};
use crate::{contract::Change, directory::Directory, record};

/// Members that say nothing about what somebody did.
const UNTOLD: &[&str] = &["id", "created_at", "updated_at"];
/// The most bytes of a text that are kept.
const TEXT_BYTES_MAX: usize = 4_000;

/// What is told of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What was changed.
    pub about: Subject,
    /// Whose it is.
    pub app: Option<AppId>,
    /// What is different.
    pub changes: Vec<Changed>,
}

/// A thing as it is told of: what may be seen, and what may only be compared.
#[derive(Debug, Default)]
struct Shown {
    members: Map<String, Value>,
    secrets: BTreeMap<String, String>,
}

impl Shown {
    fn of(thing: &impl Serialize) -> Self {
        let members = match serde_json::to_value(thing) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        Self {
            members,
            secrets: BTreeMap::new(),
        }
    }

    fn of_endpoint(endpoint: &Endpoint) -> Self {
        let mut shown = Self::of(&record::open_members(endpoint));
        let headers = endpoint.headers.iter();
        shown.secrets = headers
            .map(|(name, value)| (format!("headers.{name}"), value.clone()))
            .collect();
        let keys: String = endpoint.keys.iter().map(|live| live.key.expose()).collect();
        shown.secrets.insert("signing_keys".to_owned(), keys);
        if let Some(settings) = &endpoint.action.settings {
            shown.secrets.insert("settings".to_owned(), settings.to_string());
        }
        shown
    }

    fn of_source(source: &Source) -> Self {
        let mut shown = Self::of(&record::open_members_of_source(source));
        let settings = source.settings.iter();
        shown.secrets = settings
            .map(|(name, values)| (format!("settings.{name}"), values.join("\n")))
            .collect();
        shown.secrets.insert("url_token".to_owned(), source.token.clone());
        shown
    }

    fn of_token(token: &Token) -> Self {
        let mut shown = Self::of(token);
        shown.members.remove("hash");
        shown
    }

    fn of_task(task: &Task) -> Self {
        let mut shown = Self::default();
        if let Ok(job) = serde_json::to_value(&task.job) {
            shown.members.insert("job".to_owned(), job);
        }
        if let Ok(status) = serde_json::to_value(task.status) {
            shown.members.insert("status".to_owned(), status);
        }
        shown
    }
}

/// What a change would change, told from how things stand before it. `None` for what is nobody's doing.
pub fn told(directory: &Directory, change: &Change) -> Option<Told> {
    let (about, app, before, after) = match change {
        Change::PutEnvironment(new) => {
            let before = directory.environment(new.id).map(|old| Shown::of(&*old));
            let about = subject("environment", new.id.to_string(), &new.name);
            (about, None, before, Some(Shown::of(new)))
        }
        Change::PutApp(new) => {
            let before = directory.app_by_id(new.id).map(|old| Shown::of(&*old));
            let about = subject("application", new.id.to_string(), name(&new.uid, &new.name));
            (about, Some(new.id), before, Some(Shown::of(new)))
        }
        Change::DeleteApp(id) => {
            let old = directory.app_by_id(*id)?;
            let about = subject("application", id.to_string(), name(&old.uid, &old.name));
            (about, Some(*id), Some(Shown::of(&*old)), None)
        }
        Change::PutEndpoint(new) => {
            let before = directory.endpoint_by_id(new.id);
            let before = before.map(|old| Shown::of_endpoint(&old.endpoint));
            let after = Some(Shown::of_endpoint(new));
            (of_endpoint(new), Some(new.app), before, after)
        }
        Change::DeleteEndpoint(id) => {
            let old = directory.endpoint_by_id(*id)?;
            let before = Some(Shown::of_endpoint(&old.endpoint));
            (of_endpoint(&old.endpoint), Some(old.endpoint.app), before, None)
        }
        Change::PutEventType(new) => {
            let before = directory.event_type(new.environment, &new.name);
            let before = before.map(|old| Shown::of(&*old));
            let about = subject("event_type", new.name.clone(), &new.name);
            (about, None, before, Some(Shown::of(&**new)))
        }
        Change::DeleteEventType { environment, name } => {
            let old = directory.event_type(*environment, name)?;
            let about = subject("event_type", name.clone(), name);
            (about, None, Some(Shown::of(&*old)), None)
        }
        Change::PutToken(new) => {
            let before = directory.token(new.id).map(|old| Shown::of_token(&old));
            let about = subject("token", new.id.to_string(), &new.name);
            (about, new.app, before, Some(Shown::of_token(new)))
        }
        Change::DeleteToken(id) => {
            let old = directory.token(*id)?;
            let about = subject("token", id.to_string(), &old.name);
            (about, old.app, Some(Shown::of_token(&old)), None)
        }
        Change::PutSource(new) => {
            let before = directory.source_by_id(new.id).map(|old| Shown::of_source(&old));
            let about = subject("source", new.id.to_string(), name(&new.uid, &new.name));
            (about, Some(new.app), before, Some(Shown::of_source(new)))
        }
        Change::DeleteSource(id) => {
            let old = directory.source_by_id(*id)?;
            let about = subject("source", id.to_string(), name(&old.uid, &old.name));
            (about, Some(old.app), Some(Shown::of_source(&old)), None)
        }
        Change::PutTask(new) => {
            let app = match &new.job {
                Job::Replay { app, .. } | Job::EraseApp { app } => *app,
                Job::Report { .. } => return None,
            };
            let about = subject("task", new.id.to_string(), "");
            (about, Some(app), None, Some(Shown::of_task(new)))
        }
        Change::Note(_) => return None,
    };
    let changes = differences(&about.id, before, after);
    Some(Told { about, app, changes })
}

fn subject(kind: &str, id: String, name: &str) -> Subject {
    Subject {
        kind: kind.to_owned(),
        id,
        name: name.to_owned(),
    }
}

fn of_endpoint(endpoint: &Endpoint) -> Subject {
    subject("endpoint", endpoint.id.to_string(), name(&endpoint.uid, &endpoint.url))
}

fn name<'a>(uid: &'a Option<String>, otherwise: &'a str) -> &'a str {
    uid.as_deref().unwrap_or(otherwise)
}

/// The members that differ, by name.
fn differences(about: &str, before: Option<Shown>, after: Option<Shown>) -> Vec<Changed> {
    let (old, new) = (before.unwrap_or_default(), after.unwrap_or_default());
    let changed = |member: &str, before: Value, after: Value| Changed {
        about: about.to_owned(),
        member: member.to_owned(),
        before,
        after,
    };
    let members: BTreeSet<&String> = old.members.keys().chain(new.members.keys()).collect();
    let open = members.into_iter().filter(|member| !UNTOLD.contains(&member.as_str()));
    let open = open.filter_map(|member| {
        let value = |shown: &Shown| shown.members.get(member).cloned().unwrap_or_default();
        let (before, after) = (value(&old), value(&new));
        (before != after).then(|| changed(member, short(before), short(after)))
    });
    let names: BTreeSet<&String> = old.secrets.keys().chain(new.secrets.keys()).collect();
    let secret = names.into_iter().filter_map(|member| {
        let (before, after) = (old.secrets.get(member), new.secrets.get(member));
        let hidden = |value: Option<&String>| value.map_or(Value::Null, |_| Value::from(HIDDEN));
        (before != after).then(|| changed(member, hidden(before), hidden(after)))
    });
    open.chain(secret).collect()
}

/// A value that is not too long to be kept.
fn short(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value,
    };
    if text.len() <= TEXT_BYTES_MAX {
        return value;
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Value::from(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(members: Value, secrets: &[(&str, &str)]) -> Option<Shown> {
        let Value::Object(members) = members else {
            panic!("an object is wanted")
        };
        let secrets = secrets
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Some(Shown {
            members,
            secrets: secrets.collect(),
        })
    }

    fn told(before: Option<Shown>, after: Option<Shown>) -> Vec<(String, Value, Value)> {
        let all = differences("ep_1", before, after);
        all.into_iter().map(|one| (one.member, one.before, one.after)).collect()
    }

    #[test]
    fn only_members_that_differ_are_told() {
        let before = shown(json!({ "url": "a", "paused": false, "updated_at": 1 }), &[]);
        let after = shown(json!({ "url": "b", "paused": false, "updated_at": 2 }), &[]);
        assert_eq!(told(before, after), [("url".to_owned(), json!("a"), json!("b"))]);
    }

    #[test]
    fn a_secret_is_told_to_have_changed_and_never_shown() {
        let before = shown(json!({}), &[("signing_keys", "whsec_old"), ("headers.x", "same")]);
        let after = shown(json!({}), &[("signing_keys", "whsec_new"), ("headers.x", "same")]);
        let changes = told(before, after);
        assert_eq!(changes, [("signing_keys".to_owned(), json!(HIDDEN), json!(HIDDEN))]);
    }

    #[test]
    fn what_was_made_was_nothing_before_and_what_is_gone_is_nothing_after() {
        let thing = || shown(json!({ "url": "a" }), &[("signing_keys", "k")]);
        let made = told(None, thing());
        assert!(made.iter().all(|(_, before, _)| before.is_null()) && made.len() == 2);
        let gone = told(thing(), None);
        assert!(gone.iter().all(|(_, _, after)| after.is_null()) && gone.len() == 2);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let Value::String(cut) = short(Value::from("ä".repeat(3_000))) else {
            panic!("it stays a text")
        };
        assert!(cut.len() <= TEXT_BYTES_MAX + 3 && cut.ends_with('…'));
    }
}
