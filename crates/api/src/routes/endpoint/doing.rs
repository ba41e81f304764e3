//! What an endpoint does with a message: the members `url`, `kind` and `action`, and the rules between them.

use bellwire_action::{Callee, KINDS, Kind, Problem as ActionProblem, Reach, settings::hide_at};
use bellwire_core::{
    address::{AddressError, AddressPolicy, check_host, check_url},
    endpoint::{ActionSettings, Endpoint, HTTP},
};
use serde_json::{Map, Value};

use crate::{
    error::{ApiError, URL_REFUSED},
    field::Patch,
    problem::Problem,
    state::ApiState,
};

/// What is asked of an endpoint's action; what is left out stays as it is.
#[derive(Debug, Default)]
pub(super) struct Doing {
    pub url: Option<String>,
    pub kind: Option<String>,
    pub action: Patch<Map<String, Value>>,
    /// The endpoint is replaced as a whole: a URL that messages are posted to has to be said again.
    pub replaces: bool,
}

impl Doing {
    /// Makes the change. Settings belong to a kind: with another kind, those that were there are gone.
    ///
    /// # Errors
    /// `validation_failed`, `url_refused`; nothing is changed then.
    pub fn apply(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        let was = &endpoint.action;
        let same_kind = self.kind.as_deref().is_none_or(|kind| kind == &*was.kind);
        let settings = match self.action {
            Patch::Set(settings) => Some(Value::Object(settings)),
            Patch::Keep if same_kind => return self.keep(state, endpoint),
            Patch::Keep | Patch::Clear => None,
        };
        let kind = self.kind.as_deref().unwrap_or(&was.kind);
        let row = row(kind)?;
        if row.reach == Reach::Machine {
            let msg = format!(
                "only the operator's hooks file may say `{kind}`: it touches the machine; there are {}",
                names(|row| row.reach == Reach::Calls)
            );
            return Err(ApiError::invalid(Problem::body(["kind"], msg)));
        }
        let Some(settings) = settings.or_else(|| (kind != HTTP).then(|| Value::Object(Map::new()))) else {
            let was_plain = was.is_http() && was.settings.is_none();
            let kept = (was_plain && !self.replaces).then(|| endpoint.url.clone());
            endpoint.url = posted_to(state, self.url.or(kept))?;
            endpoint.action = ActionSettings::default();
            return Ok(());
        };
        (row.check)(&settings).map_err(refused)?;
        if let Some(called) = (row.calls)(&settings).map_err(refused)? {
            judge(&called.what, &state.address_policy).map_err(|why| url_refused(&["action", called.setting], why))?;
        }
        let target = (row.target)(&settings).map_err(refused)?;
        described_by(self.url, kind, &target)?;
        endpoint.url = target;
        endpoint.action = ActionSettings {
            kind: kind.into(),
            settings: Some(settings.to_string().into()),
            trusted: false,
            hidden: Default::default(),
        };
        Ok(())
    }

    /// Kind and settings stay.
    fn keep(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        let action = &endpoint.action;
        if !action.is_http() || action.settings.is_some() {
            return described_by(self.url, &action.kind, &endpoint.url);
        }
        let kept = Some(endpoint.url.clone()).filter(|url| !url.is_empty() && !self.replaces);
        if self.url.is_some() || kept.is_none() {
            endpoint.url = posted_to(state, self.url.or(kept))?;
        }
        Ok(())
    }
}

/// The settings of an action without what is secret.
pub(super) fn shown(action: &ActionSettings) -> Option<Value> {
    let settings: Value = serde_json::from_str(action.settings.as_deref()?).ok()?;
    // What an older or newer version wrote is not shown: nobody knows what of it is secret.
    let row = KINDS.iter().find(|row| row.name == &*action.kind)?;
    let mut shown = (row.shown)(&settings);
    hide_at(&mut shown, &action.hidden);
    Some(shown)
}

fn row(kind: &str) -> Result<&'static Kind, ApiError> {
    bellwire_action::by_name(kind).ok_or_else(|| {
        let short: String = kind.chars().take(60).collect();
        let msg = format!("there is no kind `{short}`; there are {}", names(|_| true));
        ApiError::invalid(Problem::body(["kind"], msg))
    })
}

fn names(which: impl Fn(&Kind) -> bool) -> String {
    let names: Vec<_> = KINDS.iter().filter(|row| which(row)).map(|row| row.name).collect();
    names.join(", ")
}

fn posted_to(state: &ApiState, url: Option<String>) -> Result<String, ApiError> {
    let Some(url) = url else {
        let problem = Problem::at("body", ["url"], "missing", "this member is required");
        return Err(ApiError::invalid(problem));
    };
    match check_url(&url, &state.address_policy) {
        Ok(_) => Ok(url),
        Err(error) => Err(url_refused(&["url"], error.to_string())),
    }
}

/// Whether an action that anybody wrote may call this, as far as that can be said without resolving a name. What calls judges it
/// again, by the same rules.
fn judge(callee: &Callee, policy: &AddressPolicy) -> Result<(), String> {
    let judged = match callee {
        Callee::Url(url) => check_url(url, policy).map(drop),
        Callee::Server { host, port, usual } => check_host(host, policy).and_then(|_| {
            if usual.contains(port) || policy.allows_port(*port) {
                Ok(())
            } else {
                Err(AddressError::Port { port: *port })
            }
        }),
        Callee::Local => {
            return Err(
                "only the operator's hooks file may name a database file or a socket of this machine; name a server"
                    .to_owned(),
            );
        }
    };
    judged.map_err(|error| error.to_string())
}

fn url_refused(path: &[&str], msg: String) -> ApiError {
    ApiError::problems(&URL_REFUSED, vec![Problem::body(path.iter().copied(), msg)])
}

/// The `url` of an endpoint that does something else is what it was answered with, if it is given at all.
fn described_by(url: Option<String>, kind: &str, target: &str) -> Result<(), ApiError> {
    match url {
        Some(url) if url != target => {
            let msg = format!("an endpoint that does `{kind}` by its `action` has no URL of its own; leave `url` out");
            Err(ApiError::invalid(Problem::body(["url"], msg)))
        }
        _ => Ok(()),
    }
}

fn refused(problem: ActionProblem) -> ApiError {
    let path = std::iter::once("action").chain(problem.path.iter().map(String::as_str));
    ApiError::invalid(Problem::body(path, problem.message.clone()))
}
