//! What is shown of a test, to people and programs.

use bellwire_hooks::{Desired, Hook};
use bellwire_intake::judge::Coming;
use bellwire_store::ArrivalPlace;
use bellwire_template::Read;
use serde_json::{Value, json};

use super::action::{Match, Outcome};
use crate::cli::{
    exit::Failure,
    out::{Out, Tone},
    pretty,
};

/// The longest text of a stranger's that is shown in a line, in characters.
const LINE_CHARS: usize = 200;

/// What people see: nothing of what a reference of the file was replaced by.
struct Page<'a> {
    desired: &'a Desired,
    out: &'a mut Out,
}

impl Page<'_> {
    fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.out.line(&self.desired.veiled(text))
    }
}

/// Everything that happened, or would.
#[derive(Default)]
pub(super) struct Shown {
    pub steps: Vec<String>,
    messages: Vec<(Value, String, Vec<Outcome>)>,
    refused: Option<(u16, &'static str, String)>,
}

impl Shown {
    /// A message and what its actions would do.
    pub fn add(&mut self, coming: &Coming, outcomes: Vec<Outcome>) {
        self.messages.push((described(coming), in_a_line(coming), outcomes));
    }

    /// It was refused.
    pub fn refuse(&mut self, status: u16, reason: &'static str, words: String) {
        self.refused = Some((status, reason, words));
    }

    /// Prints all of it.
    ///
    /// # Errors
    /// When the request was refused, or an action that matches could not act.
    pub fn print(mut self, desired: &Desired, hook: &Hook, out: &mut Out) -> Result<(), Failure> {
        let outcomes = self.messages.iter_mut().flat_map(|(_, _, outcomes)| outcomes);
        outcomes.for_each(|outcome| outcome.veil_errors(desired));
        if out.is_json() {
            out.line(&desired.veiled_json(self.to_json(hook)).to_string())?;
        } else {
            self.print_lines(hook, &mut Page { desired, out })?;
        }
        if let Some((status, reason, words)) = self.refused {
            let words = desired.veiled_error(&words);
            return Err(Failure::Failed(format!("refused with {status} ({reason}): {words}")));
        }
        let cannot = self
            .messages
            .iter()
            .flat_map(|(_, _, outcomes)| outcomes)
            .find_map(|outcome| match &outcome.preview {
                Some(Err(error)) => Some(format!("{} could not act: {error}", outcome.name)),
                _ => None,
            });
        cannot.map_or(Ok(()), |text| Err(Failure::Failed(text)))
    }

    fn print_lines(&self, hook: &Hook, page: &mut Page<'_>) -> Result<(), Failure> {
        for step in &self.steps {
            page.line(&pretty::line(step, LINE_CHARS * 4))?;
        }
        if self.refused.is_some() {
            return Ok(());
        }
        for (at, (_, line, outcomes)) in self.messages.iter().enumerate() {
            page.line(&format!("message {} of {}: {line}", at + 1, self.messages.len()))?;
            for outcome in outcomes {
                print_outcome(outcome, page)?;
            }
        }
        if hook.actions.is_empty() && !self.messages.is_empty() {
            page.line("  kept; the hook has no actions")?;
        }
        page.out.note("nothing was done");
        Ok(())
    }

    fn to_json(&self, hook: &Hook) -> Value {
        let messages = self.messages.iter().map(|(message, _, outcomes)| {
            let mut message = message.clone();
            message["actions"] = outcomes.iter().map(outcome_json).collect();
            message
        });
        let refused = self
            .refused
            .as_ref()
            .map(|(status, reason, words)| json!({ "status": status, "reason": reason, "words": words }));
        json!({
            "hook": hook.name,
            "accepted": self.refused.is_none(),
            "refused": refused,
            "steps": self.steps,
            "messages": messages.collect::<Vec<_>>(),
        })
    }
}

fn described(coming: &Coming) -> Value {
    let place = coming.place.as_ref().map(|place| match place {
        ArrivalPlace::Sequence { number, .. } => json!({ "sequence": number }),
        ArrivalPlace::Version(version) => json!({ "version": version }),
    });
    json!({
        "type": coming.event_type,
        "id": coming.event_id,
        "orderingKey": coming.ordering_key,
        "order": place,
        "item": coming.item.as_ref().map(|item| item.index),
    })
}

fn in_a_line(coming: &Coming) -> String {
    let text = |text: &str| pretty::line(text, LINE_CHARS);
    let mut line = format!("type {}", text(&coming.event_type));
    match &coming.event_id {
        Some(id) => line.push_str(&format!(", id {}", text(id))),
        None => line.push_str(", no id"),
    }
    if let Some(key) = &coming.ordering_key {
        line.push_str(&format!(", about {}", text(key)));
    }
    match &coming.place {
        Some(ArrivalPlace::Sequence { number, .. }) => line.push_str(&format!(", number {number}")),
        Some(ArrivalPlace::Version(version)) => line.push_str(&format!(", version {}", text(version))),
        None => {}
    }
    line
}

fn print_outcome(outcome: &Outcome, page: &mut Page<'_>) -> Result<(), Failure> {
    let (tone, words) = match &outcome.matches {
        Match::Always => (Tone::Good, "matches".to_owned()),
        Match::Holds(when, reads) => (Tone::Good, format!("matches: {when}{}", told(reads))),
        Match::Fails(when, reads) => (Tone::Dim, format!("does not match: {when}{}", told(reads))),
        Match::Broken(when, error) => (
            Tone::Bad,
            format!("does not match: {when} cannot be evaluated: {error}"),
        ),
        Match::Disabled => (Tone::Dim, "disabled".to_owned()),
    };
    page.line(&format!(
        "  {} ({}): {}",
        outcome.name,
        outcome.target,
        page.out.tint(tone, &words)
    ))?;
    for remark in &outcome.remarks {
        page.line(&format!("    {}", pretty::line(remark, LINE_CHARS)))?;
    }
    match &outcome.preview {
        Some(Ok(preview)) => {
            let text = serde_json::to_string_pretty(&page.desired.veiled_json(preview.clone())).unwrap_or_default();
            for line in text.lines() {
                page.line(&format!("    {line}"))?;
            }
            Ok(())
        }
        Some(Err(error)) => page.line(&format!(
            "    {}",
            page.out.tint(Tone::Bad, &format!("could not act: {error}"))
        )),
        None => Ok(()),
    }
}

/// `; type is "a", body.b is missing`.
fn told(reads: &[Read]) -> String {
    let each = reads.iter().map(|read| match &read.value {
        Some(value) => format!("{} is {value}", read.path),
        None => format!("{} is missing", read.path),
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() {
        String::new()
    } else {
        format!("; {}", each.join(", "))
    }
}

fn outcome_json(outcome: &Outcome) -> Value {
    let (matches, when, reads, error) = match &outcome.matches {
        Match::Always => (true, None, &[][..], None),
        Match::Holds(when, reads) => (true, Some(when), &reads[..], None),
        Match::Fails(when, reads) => (false, Some(when), &reads[..], None),
        Match::Broken(when, error) => (false, Some(when), &[][..], Some(error)),
        Match::Disabled => (false, None, &[][..], None),
    };
    let reads = reads
        .iter()
        .map(|read| json!({ "path": read.path, "value": read.value }));
    let (preview, cannot) = match &outcome.preview {
        Some(Ok(preview)) => (Some(preview), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    json!({
        "name": outcome.name,
        "kind": outcome.kind,
        "target": outcome.target,
        "matches": matches,
        "disabled": outcome.matches == Match::Disabled,
        "when": when,
        "read": reads.collect::<Vec<_>>(),
        "remarks": outcome.remarks,
        "preview": preview,
        "error": error.or(cannot),
    })
}
