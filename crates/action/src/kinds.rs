//! The table of kinds. A further kind is a file here and a row.

use schemars::JsonSchema;
use serde_json::Value;

use crate::{Event, PlanError, Problem, chat, email, file, forward, http, publish, run, settings, sql};

/// Who may say that an endpoint is of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It only calls others: whoever may write endpoints.
    Calls,
    /// It touches this machine (commands, files) or other applications: the operator's hooks file alone.
    Machine,
}

/// What an action calls, to be judged when its settings are saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The setting that says so.
    pub setting: &'static str,
    /// What that is.
    pub what: Callee,
}

/// See [`Called`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// A URL.
    Url(String),
    /// A server that does not speak HTTP.
    Server {
        /// A name or an address, IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Ports that servers of its sort have, and that may be called besides those of the policy.
        usual: &'static [u16],
    },
    /// A file or a socket of this machine, which only the operator may name.
    Local,
}

/// The settings of a kind, compiled: what each file of a kind is about.
pub trait Compiled: Sized {
    /// The settings as they are written, for their schema.
    type Form: JsonSchema;

    /// Reads and compiles them.
    ///
    /// # Errors
    /// What cannot be used, with its path.
    fn read(settings: &Value) -> Result<Self, Problem>;

    /// Hides what is secret, in settings that need not be readable.
    fn hide(shown: &mut Value);

    /// Where the effect is, in a word or two and without what is secret: `run:/opt/page.sh`. An endpoint's URL, where it has
    /// no other.
    fn target(&self) -> String;

    /// What it calls, if it calls anything.
    fn calls(&self) -> Option<Called> {
        None
    }

    /// What would be done with a message, without what is secret.
    ///
    /// # Errors
    /// As making the plan.
    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError>;
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
    /// Where the effect is, without what is secret ([`Compiled::target`]).
    pub target: fn(&Value) -> Result<String, Problem>,
    /// What it calls ([`Compiled::calls`]).
    pub calls: fn(&Value) -> Result<Option<Called>, Problem>,
    /// What would be done with a message, without what is secret.
    pub preview: fn(&Value, &Event<'_>) -> Result<Value, PlanError>,
    /// The JSON Schema of the settings.
    pub schema: fn() -> Value,
}

impl Kind {
    /// The row of a kind with these settings.
    const fn of<S: Compiled>(name: &'static str, summary: &'static str, reach: Reach) -> Self {
        Self {
            name,
            summary,
            reach,
            check: |settings| S::read(settings).map(drop),
            shown: |settings| {
                let mut shown = settings.clone();
                S::hide(&mut shown);
                shown
            },
            target: |settings| S::read(settings).map(|settings| settings.target()),
            calls: |settings| S::read(settings).map(|settings| settings.calls()),
            preview: |settings, event| {
                let settings = S::read(settings).map_err(|problem| PlanError::new("action", problem))?;
                settings.preview(event)
            },
            schema: settings::schema::<S::Form>,
        }
    }
}

/// All kinds, in the order of documentation. The kind `http` without settings (a signed POST) is the deliverer's own.
pub static KINDS: &[Kind] = &[
    Kind::of::<http::Settings>("http", "calls a URL with a request made from the message", Reach::Calls),
    Kind::of::<forward::Settings>("forward", "passes on what came in, bytes and headers", Reach::Calls),
    Kind::of::<chat::Settings>(
        "chat",
        "says something on Slack, Discord, Teams, Mattermost or Telegram",
        Reach::Calls,
    ),
    Kind::of::<run::Settings>(run::NAME, "runs a command on this machine", Reach::Machine),
    Kind::of::<file::Settings>("file", "appends a line to a file on this machine", Reach::Machine),
    Kind::of::<publish::Settings>(
        "publish",
        "publishes to the endpoints of an application",
        Reach::Machine,
    ),
    Kind::of::<email::Settings>("email", "writes a letter and hands it to a mail server", Reach::Calls),
    Kind::of::<sql::Settings>(
        "sql",
        "writes a row into a database, or runs a statement in it, once for each message",
        Reach::Calls,
    ),
];

/// The kind of that name.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
