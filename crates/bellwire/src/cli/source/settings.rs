//! The options that say what a source is, and what its type needs.

use bellwire_listen::providers;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::{exit::Failure, input, provider};

/// The type of a schedule.
const CRON: &str = "cron";

/// What a new source is.
#[derive(Args)]
#[command(next_help_heading = "What it is")]
pub struct NewSettings {
    /// Whose webhooks come in, such as github or stripe, or a generic form such as hmac; `source providers` lists them
    #[arg(long, value_name = "NAME", value_parser = provider::one_of(types()), hide_possible_values = true)]
    #[arg(required_unless_present = "schedule", conflicts_with = "schedule")]
    provider: Option<String>,
    #[command(flatten)]
    values: ChangedSettings,
}

/// Values of settings.
#[derive(Args)]
#[command(next_help_heading = "What it is")]
pub struct ChangedSettings {
    /// Its secret (or, for some providers, public key): the text, @file, or - for standard input. Repeat while several are
    /// live, the newest first; those not named are no longer valid
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// A further setting, the value as text or @file; repeat for each, and for several values. Without a value it is removed
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
    setting: Vec<(String, String)>,
    /// Publish by a schedule, such as '*/5 * * * *'
    #[arg(long, value_name = "CRON", conflicts_with = "secret")]
    schedule: Option<String>,
    /// What a schedule publishes: the text, @file, or - for standard input
    #[arg(long, value_name = "TEXT")]
    payload: Option<String>,
    /// What the payload is; application/json when not given
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

/// Every type a source can have.
fn types() -> Vec<&'static str> {
    let mut all = provider::names();
    all.push(CRON);
    all
}

impl NewSettings {
    /// The type, and the settings by name.
    ///
    /// # Errors
    /// A usage failure when a file cannot be read, or a provider has no secret.
    pub fn read(&self) -> Result<(&str, Map<String, Value>), Failure> {
        let kind = self.provider.as_deref().unwrap_or(CRON);
        Ok((kind, self.values.read(Some(kind))?))
    }
}

impl ChangedSettings {
    /// Whether it matters of which provider the source is.
    pub fn has_secrets(&self) -> bool {
        !self.secret.is_empty()
    }

    /// The settings by name; null for those to be removed.
    ///
    /// # Errors
    /// A usage failure when a file cannot be read, or the type has no secret.
    pub fn read(&self, kind: Option<&str>) -> Result<Map<String, Value>, Failure> {
        let mut config = Map::new();
        if !self.secret.is_empty() {
            let name = key_of(kind.unwrap_or_default())?;
            let secrets: Result<Vec<_>, _> = self.secret.iter().map(|secret| without_break(secret)).collect();
            config.insert(name.to_owned(), several(secrets?));
        }
        let mut names: Vec<&str> = self.setting.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        for name in names {
            let values = self.setting.iter().filter(|(known, _)| known == name);
            let values: Result<Vec<_>, _> = values
                .filter(|(_, value)| !value.is_empty())
                .map(|(_, value)| without_break(value))
                .collect();
            config.insert(name.to_owned(), several(values?));
        }
        let payload = self.payload.as_deref().map(input::text).transpose()?;
        for (name, value) in [
            ("schedule", self.schedule.clone()),
            ("payload", payload),
            ("contentType", self.content_type.clone()),
        ] {
            if let Some(value) = value {
                config.insert(name.to_owned(), value.into());
            }
        }
        Ok(config)
    }
}

/// What the key of a type is called: its first secret setting, or else the first that must be given.
fn key_of(kind: &str) -> Result<&'static str, Failure> {
    let settings = providers::by_name(kind).map_or(&[][..], |provider| provider.settings);
    let secret = settings.iter().find(|setting| setting.secret);
    let key = secret.or_else(|| settings.iter().find(|setting| setting.required));
    key.map(|setting| setting.name)
        .ok_or_else(|| Failure::Usage(format!("a source of the type `{kind}` has no secret")))
}

/// An argument's value; the line break that an editor leaves at the end of a file is no part of a secret.
fn without_break(argument: &str) -> Result<String, Failure> {
    let mut text = input::text(argument)?;
    if (argument == "-" || argument.starts_with('@')) && text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// One value as such, several as a list, none as null.
fn several(mut values: Vec<String>) -> Value {
    match values.len() {
        0 => Value::Null,
        1 => json!(values.remove(0)),
        _ => json!(values),
    }
}
