//! What a person gives for a source: named values, some of them secret, some with several values at once.

use std::collections::BTreeMap;
use std::fmt;

use bellwire_core::time::Timestamp;

use crate::handshake::ARMED;
use crate::provider::Provider;

/// The settings of one source, by the names of its provider's row. A name may have several values: all live secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These settings and one more value. The newest secret comes first.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// Adds a value of a name.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.values.entry(name.to_owned()).or_default().push(value.into());
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// Every value of a name.
    #[must_use]
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// These settings with one name's values replaced.
    pub(crate) fn replaced(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.values.insert(name.to_owned(), vec![value.to_owned()]);
        other
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether the names fit the row, and no value is empty.
    pub(crate) fn check(&self, provider: &Provider) -> Result<(), SettingsError> {
        for name in self.names() {
            if !provider.settings.iter().any(|setting| setting.name == name) {
                return Err(SettingsError::Unknown {
                    provider: provider.name,
                    name: crate::refused::shorten(name),
                    known: provider.settings.iter().map(|setting| setting.name).collect(),
                });
            }
        }
        for setting in provider.settings {
            if self.all(setting.name).iter().any(|value| value.trim().is_empty()) {
                return Err(SettingsError::Empty { name: setting.name });
            }
        }
        let armed = self.get(ARMED).filter(|armed| *armed != "false");
        if let Some(until) = armed.filter(|armed| *armed != "true") {
            until.parse::<Timestamp>().map_err(|error| SettingsError::Value {
                name: ARMED,
                why: format!("{error}; or write `true`, for the next handshake only"),
            })?;
        }
        for setting in provider.settings {
            // While armed, the handshake is about to bring it.
            let expected = setting.name == "secret" && armed.is_some();
            if setting.required && !expected && self.all(setting.name).is_empty() {
                return Err(SettingsError::Missing {
                    provider: provider.name,
                    name: setting.name,
                    about: setting.about,
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.values.iter().map(|(name, values)| (name, values.len()));
        f.write_str("Settings")?;
        f.debug_map().entries(counts).finish()
    }
}

/// Why settings do not make a verifier. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No provider of that name.
    #[error("no provider is called `{0}`; docs/providers.md has the table, and `hmac` and its like are for others")]
    Provider(String),
    /// A setting the row does not have.
    #[error("`{provider}` has no setting `{name}`; it has {}", known.join(", "))]
    Unknown {
        /// The provider.
        provider: &'static str,
        /// What was given.
        name: String,
        /// What exists.
        known: Vec<&'static str>,
    },
    /// A required setting is absent.
    #[error("`{provider}` needs the setting `{name}`: {about}")]
    Missing {
        /// The provider.
        provider: &'static str,
        /// The setting.
        name: &'static str,
        /// What it is.
        about: &'static str,
    },
    /// A value is empty: anybody could sign with an empty secret.
    #[error("the setting `{name}` is empty; anybody could sign with an empty secret")]
    Empty {
        /// The setting.
        name: &'static str,
    },
    /// A value cannot be read.
    #[error("the setting `{name}` is not usable: {why}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
}
