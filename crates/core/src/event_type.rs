//! Event types: what kinds of events there are, and which of them an endpoint wants.

use serde::{Deserialize, Serialize};

use crate::{id::EnvironmentId, time::Timestamp};

/// A kind of event that an environment's owner publishes, such as `invoice.paid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// The environment it belongs to.
    pub environment: EnvironmentId,
    /// A dotted name, unique in the environment.
    pub name: String,
    /// What it means, for the people who subscribe.
    pub description: String,
    /// Hidden from lists, no longer offered; messages of it are still accepted.
    pub archived: bool,
    /// Still offered, but better not used for new things.
    pub deprecated: bool,
    /// JSON Schemas by version number (`"1"`, `"2"`…); the highest is in force.
    pub schemas: Option<serde_json::Map<String, serde_json::Value>>,
    /// Shown only to applications with this flag.
    pub feature_flags: Vec<String>,
    /// A heading to list it under.
    pub group_name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl EventType {
    /// The JSON Schema in force: the one with the highest version number.
    pub fn current_schema(&self) -> Option<&serde_json::Value> {
        let schemas = self.schemas.as_ref()?;
        let (_, schema) = schemas
            .iter()
            .max_by_key(|(version, _)| (version.parse::<u64>().unwrap_or(0), *version))?;
        Some(schema)
    }
}

/// Whether a filter entry of an endpoint covers an event type.
///
/// An entry is a name (`invoice.paid`), or a name's beginning and a star (`invoice.*` covers `invoice.paid` and
/// `invoice.paid.late`, not `invoice`); a lone `*` covers all.
pub fn filter_covers(entry: &str, event_type: &str) -> bool {
    match entry.strip_suffix('*') {
        None => entry == event_type,
        Some("") => true,
        Some(beginning) => event_type.len() > beginning.len() && event_type.starts_with(beginning),
    }
}

/// Whether text may be an entry of an endpoint's event type filter: a name, a name and `.*`, or a lone star.
pub fn is_filter_entry(text: &str) -> bool {
    text == "*" || crate::name::is_name(text.strip_suffix(".*").unwrap_or(text), crate::name::EVENT_TYPE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_what_lies_below_and_not_the_name_itself() {
        for (entry, name, covers) in [
            ("invoice.paid", "invoice.paid", true),
            ("invoice.paid", "invoice.paid.late", false),
            ("invoice.*", "invoice.paid", true),
            ("invoice.*", "invoice.paid.late", true),
            ("invoice.*", "invoice", false),
            ("invoice.*", "invoice.", false),
            ("invoice.*", "invoices.paid", false),
            ("*", "anything", true),
        ] {
            assert_eq!(filter_covers(entry, name), covers, "{entry} and {name}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end_behind_a_dot() {
        assert!(is_filter_entry("a.*") && is_filter_entry("*") && is_filter_entry("a.b_c-d"));
        assert!(!is_filter_entry("a*") && !is_filter_entry("*.a") && !is_filter_entry("a.*.b") && !is_filter_entry(""));
    }
}
