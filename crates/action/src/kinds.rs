//! The table of kinds. A further kind is a file here and a row.

use serde_json::Value;

use crate::{Event, PlanError, Problem};

/// Who may say that an endpoint is of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It only calls others: whoever may write endpoints.
    Calls,
    /// It touches this machine (commands, files): the operator's hooks file alone.
    Machine,
}

/// A kind of action: what an endpoint's `kind` may be.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in the API, in files and in the dashboard.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Who may ask for it.
    pub reach: Reach,
    /// Whether settings are usable: everything is compiled that can be.
    pub check: fn(&Value) -> Result<(), Problem>,
    /// The settings without what is secret, to be shown.
    pub shown: fn(&Value) -> Value,
    /// What would be done with a message, without what is secret.
    pub preview: fn(&Value, &Event<'_>) -> Result<Value, PlanError>,
    /// The JSON Schema of the settings.
    pub schema: fn() -> Value,
}

/// All kinds, in the order of documentation. The kind `http` without settings (a signed POST) is the deliverer's own.
pub static KINDS: &[Kind] = &[];

/// The kind of that name.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
