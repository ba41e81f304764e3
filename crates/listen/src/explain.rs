//! Why a signature does not match: the mistakes people make, tried one after the other.
//!
//! A cause is reported only when a signature really matches under it, so it is proof and not a guess.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use bellwire_core::sign::{BodyChange, body_change, nth};

use crate::encoding::{ENCODINGS, unhex};
use crate::key::{HMACS, Key};
use crate::own;
use crate::provider::{Covers, Form, Scheme};
use crate::recipe::{Material, Recipe};
use crate::refused::{Reason, Refused, shorten};
use crate::request::{Request, Seen};
use crate::standard;
use crate::template::{self, Pieces, Values};
use crate::verify::Verifier;

/// The better reason, or the one that [`Verifier::prove`] gave.
pub(crate) fn cause(
    verifier: &Verifier,
    other_texts: &[String],
    seen: &Seen<'_>,
    any_age: bool,
    refused: Refused,
) -> Refused {
    if refused.reason == Reason::Clock && verifier.prove(seen, true).is_ok() {
        let words = format!("the signature is right, but {}", refused.words);
        return Refused::new(Reason::Clock, words);
    }
    let others = verifier.decode_others(other_texts);
    let found = match verifier.provider.scheme {
        Scheme::Signed(recipe) => {
            let recipe = own::with_tolerance(recipe, &verifier.settings);
            Search::new(verifier, &others, seen, recipe).run(&refused)
        }
        Scheme::Standard => standard::explain(&verifier.keys, &others, seen, any_age).err(),
        Scheme::Token(places) => token(verifier, places, seen, &refused),
        Scheme::Own(own) => own.recipe.and_then(|recipe| {
            let custom = recipe(&verifier.settings).ok()?;
            Search::new(verifier, &others, seen, custom.recipe()).run(&refused)
        }),
    };
    found
        .or_else(|| whole(verifier, other_texts, seen, &refused))
        .unwrap_or(refused)
}

fn old_secret(index: usize) -> Refused {
    let words = format!(
        "it was signed with an old secret, the {} of those given; add it to the live ones, or wait until the provider uses the \
         new one",
        nth(index)
    );
    Refused::new(Reason::OldSecret, words)
}

/// What can be tried whatever the scheme is: another secret, another body.
fn whole(verifier: &Verifier, others: &[String], seen: &Seen<'_>, refused: &Refused) -> Option<Refused> {
    if ![Reason::Mismatch, Reason::BodyChanged].contains(&refused.reason) {
        return None;
    }
    let name = verifier.provider.settings.first()?.name;
    let proves = |text: &String| {
        let settings = verifier.settings.replaced(name, text);
        Verifier::new(verifier.provider, settings).is_ok_and(|other| other.prove(seen, true).is_ok())
    };
    if let Some(index) = others.iter().position(proves) {
        return Some(old_secret(index));
    }
    let fits = |body: &[u8]| {
        let seen = Seen::new(Request { body, ..seen.request });
        verifier.provider.covers == Covers::Body && verifier.prove(&seen, true).is_ok()
    };
    body_change(seen.request.body, fits).map(body_changed)
}

fn body_changed(change: BodyChange) -> Refused {
    Refused::new(
        Reason::BodyChanged,
        format!("{change}; verify the raw bytes, before any parser or framework touches them"),
    )
}

/// Spaces, a missing prefix or quotes around a token.
fn token(verifier: &Verifier, places: &[(&str, &str)], seen: &Seen<'_>, refused: &Refused) -> Option<Refused> {
    if refused.reason != Reason::Mismatch {
        return None;
    }
    let secrets = verifier.settings.all(verifier.provider.settings[0].name);
    let (header, prefix) = places
        .iter()
        .find(|(header, _)| seen.header(header).is_ok_and(|value| value.is_some()))?;
    let value = seen.header(header).ok()??;
    let sent = value.strip_prefix(prefix).unwrap_or(value);
    let bare = |text: &str| {
        let text = text.trim().trim_matches(['"', '\'']);
        text.strip_prefix("Bearer ").unwrap_or(text).to_owned()
    };
    secrets.iter().any(|secret| bare(secret) == bare(sent)).then(|| {
        Refused::new(
            Reason::SecretForm,
            format!("header {header} holds the same secret with other quotes, spaces or prefix; settings take it bare"),
        )
    })
}

struct Search<'a> {
    verifier: &'a Verifier,
    others: &'a [Key],
    seen: &'a Seen<'a>,
    recipe: Recipe<'a>,
    material: Option<Material<'a>>,
    values: Values<'a>,
}

impl<'a> Search<'a> {
    fn new(verifier: &'a Verifier, others: &'a [Key], seen: &'a Seen<'a>, recipe: Recipe<'a>) -> Self {
        let material = recipe.material(seen, true).ok();
        let values = match &material {
            Some(material) => material.values.clone(),
            None => Values {
                id: recipe.id.and_then(|place| place.one(seen).ok()?),
                ts: recipe.time.and_then(|time| time.place.one(seen).ok()?),
            },
        };
        Self {
            verifier,
            others,
            seen,
            recipe,
            material,
            values,
        }
    }

    fn run(&self, refused: &Refused) -> Option<Refused> {
        let Some(material) = &self.material else {
            return self.encoding();
        };
        if refused.reason != Reason::Mismatch {
            return None;
        }
        let signatures = &material.signatures;
        let content = self.content(self.recipe.content, self.seen)?;
        if let Some(index) = self.recipe.matching(self.others, &content, signatures) {
            return Some(old_secret(index));
        }
        self.secret_form(&content, signatures)
            .or_else(|| self.body(signatures))
            .or_else(|| self.url(signatures))
            .or_else(|| self.layout(signatures))
            .or_else(|| self.encoding())
    }

    fn content<'s>(&'s self, template: &'s str, seen: &'s Seen<'s>) -> Option<Pieces<'s>> {
        template::fill(template, seen, &self.values).ok()
    }

    /// The secret pasted with something around it, or decoded when its text counts, or the other way round.
    fn secret_form(&self, content: &Pieces<'_>, signatures: &[Vec<u8>]) -> Option<Refused> {
        if !self.recipe.algorithm.is_hmac() {
            return None;
        }
        let setting = self.verifier.provider.settings.first()?;
        let fits = |key: &[u8]| !key.is_empty() && self.recipe.algorithm.matches(key, content, signatures);
        for text in self.verifier.settings.all(setting.name) {
            let trimmed = text.trim();
            let bare = trimmed.trim_matches(['"', '\'', ' ']);
            let unprefixed = bare.find(['_', ':']).map_or(bare, |at| &bare[at + 1..]);
            let candidates: [(Option<Vec<u8>>, &str); 8] = [
                (Some(bare.as_bytes().to_vec()), "it is in quotes; give it bare"),
                (
                    Some(text.as_bytes().to_vec()),
                    "the sender's key has the spaces or line break around it",
                ),
                (
                    Some(format!("{trimmed}\n").into_bytes()),
                    "the sender's key ends with a line break",
                ),
                (
                    Some(unprefixed.as_bytes().to_vec()),
                    "the sender's key has not its prefix",
                ),
                (
                    Some(format!("whsec_{trimmed}").into_bytes()),
                    "it lacks its prefix `whsec_`: copy it whole",
                ),
                (
                    unhex(bare),
                    "the sender uses the bytes that it is the hexadecimal form of",
                ),
                (
                    STANDARD_PAD_INDIFFERENT.decode(bare).ok(),
                    "the sender uses the bytes that it is the base64 form of",
                ),
                (
                    STANDARD_PAD_INDIFFERENT.decode(unprefixed).ok(),
                    "the sender uses the bytes that the base64 after its prefix is of",
                ),
            ];
            let text_key = (setting.form == Form::Hex).then(|| trimmed.as_bytes().to_vec());
            let found = candidates
                .into_iter()
                .chain([(
                    text_key,
                    "the sender uses its text as the key; it is hexadecimal and must be decoded",
                )])
                .find(|(key, _)| key.as_deref().is_some_and(fits));
            if let Some((_, words)) = found {
                return Some(Refused::new(
                    Reason::SecretForm,
                    format!("the secret is right but has another form: {words}"),
                ));
            }
        }
        None
    }

    fn body(&self, signatures: &[Vec<u8>]) -> Option<Refused> {
        let fits = |body: &[u8]| {
            let seen = Seen::new(Request {
                body,
                ..self.seen.request
            });
            self.matches(self.recipe.content, &seen, signatures)
        };
        body_change(self.seen.request.body, fits).map(body_changed)
    }

    fn matches(&self, template: &str, seen: &Seen<'_>, signatures: &[Vec<u8>]) -> bool {
        let values = self.values.clone();
        template::fill(template, seen, &values).is_ok_and(|content| {
            self.recipe
                .matching(&self.verifier.keys, &content, signatures)
                .is_some()
        })
    }

    /// Another scheme, slash or query than the URL called.
    fn url(&self, signatures: &[Vec<u8>]) -> Option<Refused> {
        if !["url", "url:decoded"]
            .iter()
            .any(|place| template::uses(self.recipe.content, place))
        {
            return None;
        }
        let url = self.seen.request.url;
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        };
        let mut candidates = vec![
            url.replacen("http://", "https://", 1),
            url.replacen("https://", "http://", 1),
            path.to_owned(),
        ];
        candidates.push(format!("{}{query}", path.trim_end_matches('/')));
        candidates.push(format!("{path}/{query}"));
        let signed = candidates.into_iter().find(|url| {
            let seen = Seen::new(Request {
                url,
                ..self.seen.request
            });
            self.matches(self.recipe.content, &seen, signatures)
        })?;
        Some(Refused::new(
            Reason::UrlChanged,
            format!("the URL signed is {signed}; set the public URL so that it is the one the provider calls"),
        ))
    }

    /// Another algorithm or another content.
    fn layout(&self, signatures: &[Vec<u8>]) -> Option<Refused> {
        let other = |words: String| Some(Refused::new(Reason::OtherContent, words));
        for (_, algorithm) in HMACS
            .iter()
            .filter(|(_, algorithm)| *algorithm != self.recipe.algorithm)
        {
            let recipe = Recipe {
                algorithm: *algorithm,
                ..self.recipe
            };
            // Signatures of another length were not decoded: read them for this algorithm.
            let Ok(material) = recipe.material(self.seen, true) else {
                continue;
            };
            let content = self.content(self.recipe.content, self.seen)?;
            if recipe.algorithm.is_hmac() && self.recipe.algorithm.is_hmac() {
                let fits = |key: &Key| algorithm.matches(key.bytes(), &content, &material.signatures);
                if self.verifier.keys.iter().any(fits) {
                    return other(format!(
                        "it was signed with {} instead of {}",
                        algorithm.words(),
                        self.recipe.algorithm.words()
                    ));
                }
            }
        }
        let layouts = [
            "{body}",
            "{ts}.{body}",
            "{ts}:{body}",
            "{ts}{body}",
            "{body}{ts}",
            "{id}.{ts}.{body}",
            "{url}{body}",
            "{body}{url}",
        ];
        let found = layouts
            .into_iter()
            .filter(|layout| *layout != self.recipe.content)
            .find(|layout| self.matches(layout, self.seen, signatures))?;
        other(format!(
            "the sender signed `{found}`; this provider signs `{}`: is it the right provider and version?",
            self.recipe.content
        ))
    }

    /// A signature that is right, in another encoding or of another algorithm's length.
    fn encoding(&self) -> Option<Refused> {
        let entries = self.recipe.entries(self.seen).ok()?;
        let content = self.content(self.recipe.content, self.seen)?;
        for encoding in ENCODINGS {
            let decoded: Vec<_> = entries.iter().filter_map(|text| encoding.decode(text)).collect();
            for (_, algorithm) in HMACS.iter().filter(|_| self.recipe.algorithm.is_hmac()) {
                let fits = |key: &Key| algorithm.matches(key.bytes(), &content, &decoded);
                if decoded.is_empty() || !self.verifier.keys.iter().any(fits) {
                    continue;
                }
                let words: Cow<'_, str> = if *encoding == self.recipe.encoding {
                    format!(
                        "it was signed with {} instead of {}",
                        algorithm.words(),
                        self.recipe.algorithm.words()
                    )
                    .into()
                } else {
                    format!(
                        "the signature is right but written as {} (`{}`); it must be {}",
                        encoding.words(),
                        shorten(&entries[0]),
                        self.recipe.encoding.words()
                    )
                    .into()
                };
                let reason = if *encoding == self.recipe.encoding {
                    Reason::OtherContent
                } else {
                    Reason::WrongEncoding
                };
                return Some(Refused::new(reason, words));
            }
        }
        None
    }
}
