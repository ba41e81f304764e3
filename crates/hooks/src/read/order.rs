//! `order`: in which order messages about one thing are accepted and acted upon.

use std::time::Duration;

use bellwire_core::{source::SourceOrder, time::span::Span};
use bellwire_template::KeyExpression;

use crate::reading::{Field, Reading};

/// The members of `order`.
pub(crate) const ORDER: &[&str] = &["by", "sequence", "version", "wait", "start"];

/// Reads `order`.
pub(super) fn read<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<SourceOrder> {
    let table = reading.table(field.node, &field.path, "`order`", ORDER)?;
    let sequence = table.get("sequence");
    let version = table.get("version");
    if let (Some(_), Some(version)) = (&sequence, &version) {
        let advice = "a number without gaps is a `sequence`; a time, or a number with gaps, is a `version`";
        reading.find(
            version.name_at,
            &version.path,
            "there are both `sequence` and `version`",
            advice,
        );
        return None;
    }
    for name in ["wait", "start"] {
        if let (None, Some(field)) = (&sequence, table.get(name)) {
            reading.find(
                field.name_at,
                &field.path,
                format!("`{name}` is about a `sequence`, and there is none"),
                "",
            );
            return None;
        }
    }
    let Some(by) = table.get("by") else {
        let advice = "say what a message is about, such as `by: body.customer.id`";
        reading.wrong(field, "it does not say what messages are put in order by", advice);
        return None;
    };
    let by = key(&by, reading);
    let wait = table
        .get("wait")
        .map(|field| reading.span(&field, Duration::ZERO, SourceOrder::WAIT_MAX));
    let start = table.get("start").map(|field| reading.number(&field, 0, u64::MAX));
    let sequence = sequence.map(|field| reading.expression(&field).map(str::to_owned));
    let version = version.map(|field| key(&field, reading));
    Some(SourceOrder {
        by: by?,
        sequence: all(sequence)?,
        start: all(start)?,
        wait: all(wait)?.map(Span),
        version: all(version)?,
    })
}

/// An expression whose value names something.
pub(super) fn key<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<String> {
    let text = reading.text(field)?;
    match KeyExpression::compile(text) {
        Ok(_) => Some(text.to_owned()),
        Err(error) => {
            reading.expression_error(field, text, &error);
            None
        }
    }
}

/// What may be left out, but not be wrong.
fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}
