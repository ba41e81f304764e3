//! What a source can be: a provider of the listener's table, or a schedule.
//!
//! Clients of the hosted product know some types only ([`HOSTED`]) and read no others; they are answered `generic-webhook` for
//! the rest, so that a list of sources stays readable for them.

use std::collections::BTreeMap;

use bellwire_core::source::{CRON, MONITOR};
use bellwire_listen::{Provider, Settings, SettingsError, Verifier, providers};
use http::{HeaderMap, header};

use crate::{error::ApiError, problem::Problem, state::ApiState};

/// The types that published clients read.
const HOSTED: &[&str] = &[
    "generic-webhook",
    "cron",
    "adobe-sign",
    "airwallex",
    "beehiiv",
    "brex",
    "checkbook",
    "clerk",
    "docusign",
    "easypost",
    "github",
    "guesty",
    "hubspot",
    "incident-io",
    "lithic",
    "merge",
    "meta",
    "nango",
    "nash",
    "open-ai",
    "openclaw",
    "orum-io",
    "panda-doc",
    "pleo",
    "port-io",
    "psi-fi",
    "render",
    "replicate",
    "resend",
    "rutter",
    "safebase",
    "sardine",
    "segment",
    "shopify",
    "slack",
    "stripe",
    "stych",
    "svix",
    "tailscale",
    "telnyx",
    "vapi",
    "veriff",
    "vgs",
    "zoom",
];
/// The type of a source that verifies nothing.
pub const GENERIC: &str = "generic-webhook";

/// What a source is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Its requests are a provider's.
    Provider(&'static Provider),
    /// It publishes by itself, by a schedule.
    Cron,
}

/// Names and values, as a source keeps them.
pub type Values = BTreeMap<String, Vec<String>>;

impl Kind {
    /// The kind that a request names by its type.
    ///
    /// # Errors
    /// `validation_failed`.
    pub fn asked(kind: &str) -> Result<Self, ApiError> {
        let refuse = |msg: String| ApiError::invalid(Problem::body(["type"], msg));
        if kind.eq_ignore_ascii_case(MONITOR) {
            return Err(refuse("monitors are written in the hooks file".to_owned()));
        }
        Self::of(kind).ok_or_else(|| {
            let short: String = kind.chars().take(64).collect();
            refuse(format!(
                "no source has the type `{short}`; there are `cron`, `{GENERIC}` and the providers that `bellwire source \
                 providers` lists"
            ))
        })
    }

    /// The kind of a source that there is; `None` for a monitor, which the API does not change.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            CRON => Some(Self::Cron),
            _ => providers::by_name(name).ok().map(Self::Provider),
        }
    }

    /// As a source keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider(provider) => provider.name,
            Self::Cron => CRON,
        }
    }

    /// The type that is answered.
    pub fn shown(self) -> &'static str {
        self.hosted().unwrap_or_else(|| self.name())
    }

    /// The type that published clients know it by, if they do.
    pub fn hosted(self) -> Option<&'static str> {
        let known = |name: &&'static str| HOSTED.contains(name);
        match self {
            Self::Provider(provider) => [provider.name]
                .iter()
                .chain(provider.aliases)
                .copied()
                .find(|name| known(name)),
            Self::Cron => Some(CRON),
        }
    }

    /// Whether anybody who knows its URL is believed, so that the URL is the only secret.
    pub fn is_open(self, values: &Values) -> bool {
        matches!(self, Self::Provider(provider) if provider.is_open(|name| values.contains_key(name)))
    }

    /// Whether a setting is never shown.
    pub fn is_secret(self, name: &str) -> bool {
        match self {
            Self::Provider(provider) => provider
                .settings
                .iter()
                .find(|setting| setting.name == name)
                .is_none_or(|setting| setting.secret),
            Self::Cron => false,
        }
    }

    /// Whether it can work with these settings.
    ///
    /// # Errors
    /// `validation_failed`, with the setting.
    pub fn check(self, state: &ApiState, values: &Values) -> Result<(), ApiError> {
        match self {
            Self::Provider(provider) => check_provider(provider, values),
            Self::Cron => (state.check_cron)(values).map_err(|(name, why)| problem(&name, why)),
        }
    }
}

/// Whether a client reads the hosted product's types only: the published SDKs say who they are.
pub fn reads_hosted_only(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("svix-libs/"))
}

fn problem(name: &str, msg: impl Into<String>) -> ApiError {
    ApiError::invalid(Problem::body(["config", name], msg))
}

fn check_provider(provider: &'static Provider, values: &Values) -> Result<(), ApiError> {
    let mut settings = Settings::new();
    for (name, value) in values
        .iter()
        .flat_map(|(name, all)| all.iter().map(move |value| (name, value)))
    {
        settings.add(name, value);
    }
    let Err(error) = Verifier::new(provider, settings) else {
        return Ok(());
    };
    let msg = error.to_string();
    Err(match error {
        SettingsError::Unknown { name, .. } => problem(&name, msg),
        SettingsError::Missing { name, .. } => problem(
            name,
            format!("{msg}; if nothing is to be verified, make a source of the type `{GENERIC}`"),
        ),
        SettingsError::Empty { name } | SettingsError::Value { name, .. } => problem(name, msg),
        SettingsError::Provider(_) => ApiError::invalid(Problem::body(["type"], msg)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_published_clients_read_is_a_kind_and_is_shown_as_it_was_asked_for() {
        for name in HOSTED {
            assert_eq!(Kind::asked(name).unwrap().shown(), *name);
        }
    }

    #[test]
    fn further_providers_are_shown_by_their_name_and_unknown_to_published_clients() {
        let kind = Kind::asked("gitlab").unwrap();
        assert_eq!((kind.shown(), kind.hosted()), ("gitlab", None));
        assert_eq!(Kind::asked("Facebook").unwrap().shown(), "meta");
        assert_eq!(Kind::asked("none").unwrap().shown(), GENERIC);
        assert!(Kind::asked("monitor").is_err() && Kind::asked("nobody").is_err());
    }

    #[test]
    fn only_who_says_to_be_a_published_client_is_taken_for_one() {
        let agent = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, text.parse().unwrap());
            reads_hosted_only(&headers)
        };
        assert!(agent("svix-libs/2.9.1/python"));
        assert!(!agent("curl/8.0") && !reads_hosted_only(&HeaderMap::new()));
    }
}
