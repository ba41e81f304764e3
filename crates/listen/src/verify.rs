//! A row joined with settings: what judges requests.

use std::fmt;

use crate::facts::{self, Fact, Trusted};
use crate::key::Key;
use crate::provider::{Provider, Scheme};
use crate::recipe::Proof;
use crate::refused::{Reason, Refused};
use crate::request::{Request, Seen};
use crate::settings::{Settings, SettingsError};
use crate::{own, standard};

/// Judges the requests of one source. Made once, when the source is configured: settings that cannot verify are an error then.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) provider: &'static Provider,
    pub(crate) settings: Settings,
    pub(crate) keys: Vec<Key>,
}

impl Verifier {
    /// Joins a row with settings.
    ///
    /// # Errors
    /// [`SettingsError`]: a setting is missing, empty, unknown or cannot be decoded.
    pub fn new(provider: &'static Provider, settings: Settings) -> Result<Self, SettingsError> {
        settings.check(provider)?;
        let mut keys = Vec::new();
        for setting in provider.settings {
            for text in settings.all(setting.name) {
                keys.extend(Key::decode(setting, text)?);
            }
        }
        if let Scheme::Own(own) = provider.scheme {
            (own.check)(&settings)?;
        }
        Ok(Self {
            provider,
            settings,
            keys,
        })
    }

    /// The row.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// Whether its proof says who sends. Without it whoever knows the URL is believed, so it must not be one to guess.
    #[must_use]
    pub fn proves(&self) -> bool {
        !self.provider.is_open(|name| !self.settings.all(name).is_empty())
    }

    /// Where the id for deduplication is, in words.
    #[must_use]
    pub fn id_places(&self) -> Vec<String> {
        match self.provider.id {
            [Fact::Setting(name)] => self.settings.get(name).map(str::to_owned).into_iter().collect(),
            _ => self.provider.id_places(),
        }
    }

    /// How many secrets are live: [`Trusted::key_index`] counts in them.
    #[must_use]
    pub fn secrets(&self) -> usize {
        let key = self.provider.settings.first();
        key.map_or(0, |setting| self.settings.all(setting.name).len())
    }

    /// The headers that hold a secret as it is: not to be kept with what was received. In lower case; `authorization` and
    /// cookies are not to be kept whoever sends.
    #[must_use]
    pub fn secret_headers(&self) -> Vec<String> {
        let named = self.settings.get("header").map(|name| name.trim().to_ascii_lowercase());
        let own: &[&str] = match self.provider.name {
            "gitlab" => &["x-gitlab-token"],
            // A handshake brings it.
            "asana" => &["x-hook-secret"],
            _ => &[],
        };
        let tokens = match self.provider.scheme {
            Scheme::Token(places) => places.iter().map(|(header, _)| (*header).to_owned()).collect(),
            Scheme::Own(_) if ["token", "jwt"].contains(&self.provider.name) => named.into_iter().collect(),
            _ => Vec::new(),
        };
        let own = own.iter().map(|name| (*name).to_owned());
        own.chain(tokens).collect()
    }

    /// Whether the request is the provider's: what a server asks for every request. One hash per live secret, constant-time
    /// comparison, the body untouched.
    ///
    /// # Errors
    /// [`Refused`] says why not; [`explain`] finds more.
    pub fn verify(&self, request: &Request<'_>) -> Result<Trusted, Refused> {
        let seen = Seen::new(*request);
        let proof = self.prove(&seen, false)?;
        Ok(facts::trusted(self, &seen, proof))
    }

    /// Like [`Self::verify`], however long ago it was signed: for requests kept on file.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn verify_any_age(&self, request: &Request<'_>) -> Result<Trusted, Refused> {
        let seen = Seen::new(*request);
        let proof = self.prove(&seen, true)?;
        Ok(facts::trusted(self, &seen, proof))
    }

    /// Like [`Self::verify`], and when it fails, tries the usual mistakes one after the other. `others` are secrets that are
    /// not valid and worth naming, such as one rotated away. Hashes the body some dozens of times: for people who wait for the
    /// answer, not for every request of strangers.
    ///
    /// # Errors
    /// [`Refused`], with a cause only where a signature really matches under it.
    pub fn explain(&self, request: &Request<'_>, others: &[String], any_age: bool) -> Result<Trusted, Refused> {
        let seen = Seen::new(*request);
        let proof = match self.prove(&seen, any_age) {
            Err(refused) => Err(crate::explain::cause(self, others, &seen, any_age, refused)),
            proof => proof,
        }?;
        Ok(facts::trusted(self, &seen, proof))
    }

    pub(crate) fn prove(&self, seen: &Seen<'_>, any_age: bool) -> Result<Proof, Refused> {
        match self.provider.scheme {
            Scheme::Signed(recipe) => {
                let recipe = own::with_tolerance(recipe, &self.settings);
                recipe.prove(&self.keys, seen, any_age)
            }
            Scheme::Standard => standard::prove(&self.keys, seen, any_age),
            Scheme::Token(places) => own::token::prove(self.settings.all(self.provider.settings[0].name), places, seen),
            Scheme::Own(own) => (own.prove)(self, seen, any_age),
        }
    }

    /// Candidates that cannot be decoded are no candidates.
    pub(crate) fn decode_others(&self, others: &[String]) -> Vec<Key> {
        let Some(setting) = self.provider.settings.first() else {
            return Vec::new();
        };
        let keys = others.iter().map(|text| Key::decode(setting, text).ok().flatten());
        keys.flatten().collect()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({}, {:?})", self.provider.name, self.settings)
    }
}

/// [`Verifier::verify`] in one step, for callers that judge one request.
///
/// # Errors
/// [`Refused`]; with [`Reason::Settings`] when the settings do not make a verifier.
pub fn verify(provider: &'static Provider, settings: &Settings, request: &Request<'_>) -> Result<Trusted, Refused> {
    make(provider, settings)?.verify(request)
}

/// [`Verifier::explain`] in one step.
///
/// # Errors
/// As [`verify`], with the cause where it can be found.
pub fn explain(
    provider: &'static Provider,
    settings: &Settings,
    request: &Request<'_>,
    others: &[String],
) -> Result<Trusted, Refused> {
    make(provider, settings)?.explain(request, others, false)
}

fn make(provider: &'static Provider, settings: &Settings) -> Result<Verifier, Refused> {
    Verifier::new(provider, settings.clone()).map_err(|error| Refused::new(Reason::Settings, error.to_string()))
}
