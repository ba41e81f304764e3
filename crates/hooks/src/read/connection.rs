//! `connections`: what several actions share, written once. An action that says `via: NAME` has the connection's members among
//! its settings.

use std::collections::{BTreeMap, BTreeSet};

use bellwire_action::KINDS;

use super::{Named, settings};
use crate::{
    nearest::nearest,
    reading::{Field, Reading, Table, camel, listed, shorten, snake},
    yaml::Entry,
};

/// The members that say what a connection leads to: each has exactly one.
pub(crate) const LEADS: &[&str] = &[
    "smtp",
    "http",
    "sql",
    "slack",
    "discord",
    "teams",
    "mattermost",
    "telegram",
];

const HTTP: &str = "http";
const URL: &str = "url";

/// A connection.
pub(super) struct Connection<'a> {
    /// What it leads to: one of [`LEADS`].
    pub lead: &'static str,
    /// Its members.
    pub entries: &'a [Entry],
}

impl Connection<'_> {
    /// The setting of a kind that says where it leads; nothing when the kind does not go by such a connection. A kind's `url` is
    /// what a connection of the kind's own name leads to; of all other kinds it is one to HTTP.
    pub fn setting(&self, kind: &str, own: &BTreeSet<String>) -> Option<&'static str> {
        if own.contains(self.lead) {
            return Some(self.lead);
        }
        let leads_by_url = match LEADS.contains(&kind) {
            true => kind == self.lead,
            false => self.lead == HTTP,
        };
        (leads_by_url && own.contains(URL)).then_some(URL)
    }
}

/// Reads all of them.
pub(super) fn read_all<'a>(top: &Table<'a>, reading: &mut Reading<'a>) -> Named<'a, Connection<'a>> {
    let Some(field) = top.get("connections") else {
        return Some(BTreeMap::new());
    };
    let table = reading.map(field.node, &field.path, "`connections`")?;
    Some(
        table
            .fields()
            .map(|(name, field)| (name, read(&field, reading)))
            .collect(),
    )
}

fn read<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Connection<'a>> {
    let members = reading.map(field.node, &field.path, "a connection")?;
    let leads: Vec<&'static str> = LEADS
        .iter()
        .copied()
        .filter(|lead| members.get(lead).is_some())
        .collect();
    match leads.as_slice() {
        [lead] => {
            let connection = Connection {
                lead,
                entries: field.node.entries()?,
            };
            is_usable(&connection, &members, reading).then_some(connection)
        }
        [] => {
            let meant = |(name, field): (&str, Field<'a>)| Some((field, nearest(name, LEADS.iter().copied())?));
            let (at, advice) = match members.fields().find_map(meant) {
                Some((written, meant)) => (written.name_at, format!("did you mean `{meant}`?")),
                None => (field.name_at, format!("write one of {}", listed(LEADS))),
            };
            reading.find(at, &field.path, "it does not say where it leads", advice);
            None
        }
        several => {
            let what = format!("it leads to several places: {}", listed(several));
            reading.find(field.name_at, &field.path, what, "make a connection of each");
            None
        }
    }
}

/// Whether every member is a setting of some action that goes by it; findings say which is not.
fn is_usable<'a>(connection: &Connection<'a>, members: &Table<'a>, reading: &mut Reading<'a>) -> bool {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for kind in KINDS {
        let own = settings::properties(kind);
        if connection.setting(kind.name, &own).is_some() {
            known.extend(own);
        }
    }
    let mut is_usable = true;
    for (written, field) in members.fields().filter(|(written, _)| *written != connection.lead) {
        if !known.contains(&camel(written)) {
            let known: Vec<String> = known.iter().map(|name| snake(name)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let what = format!(
                "no action that goes by `{}` has a setting `{}`",
                connection.lead,
                shorten(written)
            );
            reading.unknown(&field, what, written, &known);
            is_usable = false;
        }
    }
    is_usable
}
