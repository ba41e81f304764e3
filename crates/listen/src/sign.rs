//! Signing as a provider would: for tests of hooks, and for `bellwire sign --provider`.

use bellwire_core::secret::SigningKey;
use bellwire_core::sign::signature_header;
use bellwire_core::time::Timestamp;
use ring::rand::SecureRandom;
use serde_json::Value;

use crate::facts::Fact;
use crate::key::{Algorithm, Key};
use crate::place::Place;
use crate::provider::{Form, Provider, Scheme};
use crate::recipe::{Recipe, Unit};
use crate::request::{Request, Seen};
use crate::settings::{Settings, SettingsError};
use crate::template::{self, Pieces, Values};

/// What is to be signed.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL that will be called, as the provider knows it.
    pub url: &'a str,
    /// Its `content-type`; decides for Twilio what is signed.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// When it is signed.
    pub at: Timestamp,
    /// The event's id, for providers that send it in a header; made from the time when there is none.
    pub id: Option<&'a str>,
    /// The event type, for providers that send it in a header.
    pub event_type: Option<&'a str>,
    /// For providers that sign with a key pair: the private key, PKCS #8 in PEM.
    pub private_key: Option<&'a str>,
    /// Randomness, for the signatures that need it.
    pub random: &'a dyn SecureRandom,
}

/// The request that the provider would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The method.
    pub method: String,
    /// The URL; some providers add a parameter.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body; some providers write their signature into it, and then it is JSON written anew.
    pub body: Vec<u8>,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The settings do not fit.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// A key pair signs, and its private half is not here.
    #[error("this provider signs with a key pair; give its private key (PKCS #8 in PEM)")]
    PrivateKey,
    /// The key cannot be used.
    #[error("the key is not usable: {0}")]
    Key(String),
    /// The body has not the shape that carries the signature.
    #[error("the body cannot carry this provider's signature: {0}")]
    Body(&'static str),
}

/// Signs as the provider would.
///
/// # Errors
/// [`SignError`].
pub fn sign(provider: &'static Provider, settings: &Settings, signing: &Signing<'_>) -> Result<Signed, SignError> {
    let mut keys = Vec::new();
    for setting in provider.settings {
        let values = settings.all(setting.name);
        // A public key is not needed for signing.
        let needed = setting.required
            && matches!(
                setting.form,
                Form::Plain | Form::Text | Form::Ascii | Form::Hex | Form::Standard
            );
        if needed && values.is_empty() {
            return Err(SignError::Settings(SettingsError::Missing {
                provider: provider.name,
                name: setting.name,
                about: setting.about,
            }));
        }
        if values.iter().any(|value| value.trim().is_empty()) {
            return Err(SignError::Settings(SettingsError::Empty { name: setting.name }));
        }
        for text in values {
            keys.extend(Key::decode(setting, text)?);
        }
    }
    let mut draft = Draft {
        provider,
        signing,
        settings,
        keys,
        method: signing.method.to_owned(),
        url: signing.url.to_owned(),
        headers: vec![("content-type".into(), signing.content_type.to_owned())],
        body: signing.body.to_vec(),
    };
    draft.facts();
    match provider.scheme {
        Scheme::Signed(signs) => recipe(&mut draft, &signs)?,
        Scheme::Standard => standard(&mut draft)?,
        Scheme::Token(places) => {
            let secret = settings.get(provider.settings[0].name).unwrap_or_default().trim();
            let (header, prefix) = places[0];
            draft.set_header(header, format!("{prefix}{secret}"));
        }
        Scheme::Own(own) => {
            (own.check)(settings)?;
            (own.sign)(&mut draft)?;
        }
    }
    Ok(Signed {
        method: draft.method,
        url: draft.url,
        headers: draft.headers,
        body: draft.body,
    })
}

/// A request on its way to be signed.
pub(crate) struct Draft<'a> {
    provider: &'static Provider,
    pub(crate) signing: &'a Signing<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) keys: Vec<Key>,
    method: String,
    pub(crate) url: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Draft<'_> {
    pub(crate) fn set_header(&mut self, name: &str, value: String) {
        let name = name.to_ascii_lowercase();
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
    }

    pub(crate) fn add_query(&mut self, name: &str, value: &str) {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        self.url = format!("{}{separator}{name}={value}", self.url);
    }

    pub(crate) fn is_form(&self) -> bool {
        self.signing
            .content_type
            .starts_with("application/x-www-form-urlencoded")
    }

    pub(crate) fn json(&self) -> Result<Value, SignError> {
        serde_json::from_slice(&self.body).map_err(|_| SignError::Body("it is not JSON"))
    }

    /// Writes a value into the JSON body, objects on the way included.
    fn set_json(&mut self, pointer: &str, value: Value) -> Result<(), SignError> {
        let mut body = self.json()?;
        let mut place = &mut body;
        for name in pointer.split('/').skip(1) {
            let object = place.as_object_mut().ok_or(SignError::Body("it is no JSON object"))?;
            place = object
                .entry(name)
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        *place = value;
        self.body = body.to_string().into_bytes();
        Ok(())
    }

    /// The id given, or one made from the time.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let made = || format!("{prefix}-{}", self.signing.at.micros());
        self.signing.id.map_or_else(made, str::to_owned)
    }

    pub(crate) fn shared_key(&self) -> Result<&[u8], SignError> {
        let key = self.keys.first().map(Key::bytes);
        key.filter(|key| !key.is_empty())
            .ok_or_else(|| SignError::Key("there is none".into()))
    }

    pub(crate) fn private_sign(&self, algorithm: Algorithm, content: &Pieces<'_>) -> Result<Vec<u8>, SignError> {
        let key = self.signing.private_key.ok_or(SignError::PrivateKey)?;
        algorithm
            .sign(key.as_bytes(), content, self.signing.random)
            .map_err(SignError::Key)
    }

    /// Looks at the draft as a receiver will.
    pub(crate) fn with_seen<R>(&self, look: impl FnOnce(&Seen<'_>) -> R) -> R {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        look(&Seen::new(Request {
            method: &self.method,
            url: &self.url,
            headers: &headers,
            body: &self.body,
            received_at: self.signing.at,
            peer: None,
            fetched: None,
        }))
    }

    /// Id and event type, where the provider sends them in headers.
    fn facts(&mut self) {
        let id = self.id("evt");
        let event_type = self.signing.event_type.unwrap_or("test").to_owned();
        for (facts, value) in [(self.provider.id, id), (self.provider.event_type, event_type)] {
            if let Some(Fact::Header(name)) = facts.first() {
                self.set_header(name, value);
            }
        }
    }
}

/// Standard Webhooks, with every key.
pub(crate) fn standard(draft: &mut Draft<'_>) -> Result<(), SignError> {
    let mut keys = Vec::new();
    for setting in draft
        .provider
        .settings
        .iter()
        .filter(|setting| setting.form == Form::Standard)
    {
        for text in draft.settings.all(setting.name) {
            keys.push(SigningKey::parse(text.trim()).map_err(|error| SignError::Key(error.to_string()))?);
        }
    }
    let keys: Vec<_> = keys.iter().collect();
    let id = draft.id("msg");
    let at = draft.signing.at.secs();
    let signature = signature_header(&keys, &id, at, &draft.body);
    let svix = draft.provider.name != "standard-webhooks"
        && draft.provider.name != "gitlab"
        && draft.provider.name != "open-ai";
    let prefix = if svix { "svix" } else { "webhook" };
    draft.set_header(&format!("{prefix}-id"), id);
    draft.set_header(&format!("{prefix}-timestamp"), at.to_string());
    draft.set_header(&format!("{prefix}-signature"), signature);
    Ok(())
}

/// A request of a recipe.
pub(crate) fn recipe(draft: &mut Draft<'_>, recipe: &Recipe<'_>) -> Result<(), SignError> {
    // What shares the signature's header, in front of it: `t=1700000000`.
    let mut entries = Vec::new();
    let mut texts = Values::default();
    if let Some(place) = recipe.id {
        let id = draft.id("id");
        put(draft, place, &id, &mut entries, Value::from(id.clone()))?;
        texts.id = Some(id.into());
    }
    if let Some(time) = recipe.time {
        let text = time.unit.write(draft.signing.at);
        let json = match time.unit {
            Unit::Millis => Value::from(draft.signing.at.millis()),
            _ => Value::from(text.clone()),
        };
        put(draft, time.place, &text, &mut entries, json)?;
        texts.ts = Some(text.into());
    }
    let mut signatures = Vec::new();
    if recipe.algorithm.is_hmac() {
        for key in &draft.keys {
            signatures.push(
                content(draft, recipe, &texts, |pieces| {
                    recipe.algorithm.tag(key.bytes(), pieces)
                })?
                .unwrap_or_default(),
            );
        }
    } else {
        signatures.push(content(draft, recipe, &texts, |pieces| {
            draft.private_sign(recipe.algorithm, pieces)
        })??);
    }
    let signatures: Vec<String> = signatures
        .iter()
        .map(|bytes| format!("{}{}", recipe.prefix, recipe.encoding.encode(bytes)))
        .collect();
    let first = signatures.first().cloned().unwrap_or_default();
    match recipe.signature[0] {
        Place::Header(_) if recipe.signature.len() > 1 => {
            for (place, signature) in recipe.signature.iter().zip(&signatures) {
                put(draft, *place, signature, &mut entries, Value::Null)?;
            }
        }
        Place::Header(name) => {
            let value = match recipe.separator {
                Some(separator) => {
                    entries.extend(signatures);
                    entries.join(&separator.to_string())
                }
                None => first,
            };
            draft.set_header(name, value);
        }
        Place::Numbered(name) => {
            for (number, signature) in signatures.into_iter().enumerate() {
                draft.set_header(&format!("{name}{}", number + 1), signature);
            }
        }
        place => put(draft, place, &first, &mut entries, Value::from(first.clone()))?,
    }
    Ok(())
}

fn content<R>(
    draft: &Draft<'_>,
    recipe: &Recipe<'_>,
    texts: &Values<'_>,
    make: impl FnOnce(&Pieces<'_>) -> R,
) -> Result<R, SignError> {
    draft.with_seen(|seen| match template::fill(recipe.content, seen, texts) {
        Ok(pieces) => Ok(make(&pieces)),
        Err(refused) => Err(SignError::Key(refused.words)),
    })
}

/// Writes a text where a receiver looks for it.
fn put(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    text: &str,
    entries: &mut Vec<String>,
    json: Value,
) -> Result<(), SignError> {
    match place {
        Place::Header(name) => draft.set_header(name, text.to_owned()),
        Place::Numbered(name) => draft.set_header(&format!("{name}1"), text.to_owned()),
        Place::Entry(_, _, entry) => entries.push(format!("{entry}{text}")),
        Place::Query(name) => draft.add_query(name, text),
        Place::Json(pointer) => draft.set_json(pointer, json)?,
    }
    Ok(())
}
