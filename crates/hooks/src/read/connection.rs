//! `connections`: what several actions share, written once. An action that says `via: NAME` has the connection's members among
//! its settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    reading::{Reading, Table, listed},
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
pub(super) fn read_all<'a>(top: &Table<'a>, reading: &mut Reading<'a>) -> BTreeMap<&'a str, Connection<'a>> {
    let mut all = BTreeMap::new();
    let Some(field) = top.get("connections") else {
        return all;
    };
    let Some(table) = reading.map(field.node, &field.path, "`connections`") else {
        return all;
    };
    for (name, field) in table.fields() {
        let Some(members) = reading.map(field.node, &field.path, "a connection") else {
            continue;
        };
        let leads: Vec<&'static str> = LEADS
            .iter()
            .copied()
            .filter(|lead| members.get(lead).is_some())
            .collect();
        match (leads.as_slice(), field.node.entries()) {
            ([lead], Some(entries)) => {
                all.insert(name, Connection { lead, entries });
            }
            ([], _) => {
                let advice = format!("write one of {}", listed(LEADS));
                reading.find(field.name_at, &field.path, "it does not say where it leads", advice);
            }
            (several, _) => {
                let what = format!("it leads to several places: {}", listed(several));
                reading.find(field.name_at, &field.path, what, "make a connection of each");
            }
        }
    }
    all
}
