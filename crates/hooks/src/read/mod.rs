//! From the text of a file to what it asks for.
//!
//! [`read`] composes the YAML, replaces references and reads the file's parts: [`connection`], [`monitor`] and [`hook`], which
//! reads where messages come from ([`verify`], [`origin`]), in which order ([`order`]) and what is done ([`action`], [`settings`]). All of it
//! is read whatever is wrong elsewhere, so that one run tells everything.

pub(crate) mod action;
pub(crate) mod connection;
pub(crate) mod hook;
pub(crate) mod monitor;
pub(crate) mod order;
pub(crate) mod origin;
pub(crate) mod settings;
mod verify;

use std::collections::{BTreeMap, HashSet};

use self::{connection::Connection, monitor::Monitor};
use crate::{
    Desired, Finding, Mark, Surroundings,
    finding::Path,
    reading::{FINDINGS_MAX, Reading, Table, shorten},
    surroundings::Resolver,
    yaml::{Node, Value, compose},
};

/// How many hooks a file may have.
const HOOKS_MAX: usize = 1_000;

/// The names at the top of a file.
pub(crate) const TOP: &[&str] = &["version", "connections", "monitors", "hooks"];

/// Names at the top that begin so are the file's own: anchors have their place there.
pub(crate) const OWN: &str = "x-";

/// What is described under a name, `None` where that is wrong; nothing at all where all of it is. What is wrong was said, and
/// nothing else is said about it.
type Named<'a, T> = Option<BTreeMap<&'a str, Option<T>>>;

/// What the hooks of a file share.
struct Shared<'a> {
    connections: Named<'a, Connection<'a>>,
    monitors: Named<'a, Monitor>,
    around: &'a Surroundings<'a>,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub(crate) fn read(text: &str, around: &Surroundings<'_>) -> Result<Desired, Vec<Finding>> {
    read_all(text, around).map_err(|mut findings| {
        // The parser ends a last line that nothing ends, and what is missing there stands on the line after it.
        let end = Mark::end_of(text);
        for finding in &mut findings {
            finding.at = finding.at.min(end);
        }
        findings
    })
}

fn read_all(text: &str, around: &Surroundings<'_>) -> Result<Desired, Vec<Finding>> {
    let mut root = match compose(text) {
        Ok(Some(root)) => root,
        // A file that is just being written is empty for a moment: that must not be the end of every hook.
        Ok(None) => {
            let advice = "write `hooks: {}` when there are to be none";
            return Err(vec![whole("there is nothing in the file", advice)]);
        }
        Err(broken) => {
            return Err(vec![Finding {
                at: broken.at,
                path: String::new(),
                what: broken.what,
                advice: broken.advice,
            }]);
        }
    };
    let mut resolver = Resolver::new(around);
    resolver.resolve(&mut root, &Path::default());
    let mut reading = Reading::new(text, resolver.veil, resolver.findings);
    let hooks = document(&root, &mut reading, around);
    if reading.findings.is_empty() {
        return Ok(Desired {
            hooks,
            veil: reading.veil,
        });
    }
    let mut findings = reading.findings;
    findings.sort();
    // What an alias stands for is read in each of its places, and is wrong in one.
    let mut said = HashSet::new();
    findings.retain(|finding| said.insert((finding.at, finding.what.clone())));
    if findings.len() > FINDINGS_MAX {
        let at = findings[FINDINGS_MAX].at;
        findings.truncate(FINDINGS_MAX);
        findings.push(Finding {
            at,
            ..whole("there is more; mend these first", "")
        });
    }
    Err(findings)
}

fn whole(what: &str, advice: &str) -> Finding {
    Finding {
        at: Mark::START,
        path: String::new(),
        what: what.to_owned(),
        advice: advice.to_owned(),
    }
}

fn document<'a>(root: &'a Node, reading: &mut Reading<'a>, around: &'a Surroundings<'a>) -> Vec<crate::Hook> {
    let Some(top) = reading.map(root, &Path::default(), "the file") else {
        return Vec::new();
    };
    for (name, field) in top
        .fields()
        .filter(|(name, _)| !TOP.contains(name) && !name.starts_with(OWN))
    {
        reading.unknown(&field, format!("the file has no `{}`", shorten(name)), name, TOP);
    }
    if let Some(version) = top.get("version")
        && !is_one(version.node)
    {
        reading.wrong(
            &version,
            "this program reads version 1 of the file",
            "write `version: 1`, or leave it out",
        );
    }
    let shared = Shared {
        connections: connection::read_all(&top, reading),
        monitors: monitor::read_all(&top, around.source, reading),
        around,
    };
    let Some(hooks) = hooks_of(&top, reading) else {
        return Vec::new();
    };
    monitor::unused(&shared.monitors, &hooks, reading);
    let mut read = Vec::new();
    for (at, (name, field)) in hooks.fields().enumerate() {
        if at == HOOKS_MAX {
            reading.find(
                field.name_at,
                &hooks.path,
                format!("there are more than {HOOKS_MAX} hooks"),
                "",
            );
            break;
        }
        read.extend(hook::read(name, &field, &shared, reading));
    }
    read
}

fn is_one(node: &Node) -> bool {
    match &node.value {
        Value::Number(number, _) => number.as_f64() == Some(1.0),
        _ => node.written() == Some("1"),
    }
}

fn hooks_of<'a>(top: &Table<'a>, reading: &mut Reading<'a>) -> Option<Table<'a>> {
    match top.get("hooks") {
        Some(hooks) => reading.map(hooks.node, &hooks.path, "`hooks`"),
        None => {
            let advice = "write `hooks: {}` when there are to be none";
            reading.find(top.at, &top.path, "there is no `hooks` in the file", advice);
            None
        }
    }
}

#[cfg(test)]
mod tests;
