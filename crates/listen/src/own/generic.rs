//! The generic forms `hmac` and `ed25519`: a recipe that a person writes in settings.

use bellwire_core::time::parse_span;

use super::Own;
use crate::encoding::Encoding;
use crate::key::{Algorithm, HMACS};
use crate::place::Place;
use crate::recipe::{Proof, ProvenId, Recipe, Time, Unit};
use crate::refused::{Reason, Refused, shorten};
use crate::request::Seen;
use crate::settings::{Settings, SettingsError};
use crate::verify::Verifier;
use crate::{sign, template};

/// A recipe and the place it borrows.
pub(crate) struct Custom<'a> {
    place: [Place<'a>; 1],
    recipe: Recipe<'a>,
}

impl Custom<'_> {
    pub(crate) fn recipe(&self) -> Recipe<'_> {
        Recipe {
            signature: &self.place,
            ..self.recipe
        }
    }

    /// Proves the request; the event's id is where the settings say.
    fn prove(&self, verifier: &Verifier, seen: &Seen<'_>, any_age: bool) -> Result<Proof, Refused> {
        let recipe = self.recipe();
        let proof = recipe.prove(&verifier.keys, seen, any_age)?;
        let id = recipe.id.map(|place| place.one(seen)).transpose()?.flatten();
        let is_signed = template::uses(recipe.content, "id") || matches!(recipe.id, Some(Place::Json(_)));
        Ok(Proof {
            id: id.filter(|text| !text.is_empty()).map(|text| ProvenId {
                text: text.into_owned(),
                is_signed,
            }),
            ..proof
        })
    }
}

pub(crate) static HMAC: Own = Own {
    check: |settings| hmac(settings).map(drop),
    prove: |verifier, seen, any_age| {
        hmac(&verifier.settings)
            .map_err(refused)?
            .prove(verifier, seen, any_age)
    },
    sign: |draft| {
        let settings = draft.settings;
        sign::recipe(draft, &hmac(settings)?.recipe())
    },
    recipe: Some(hmac),
};

pub(crate) static ED25519: Own = Own {
    check: |settings| ed25519(settings).map(drop),
    prove: |verifier, seen, any_age| {
        ed25519(&verifier.settings)
            .map_err(refused)?
            .prove(verifier, seen, any_age)
    },
    sign: |draft| {
        let settings = draft.settings;
        sign::recipe(draft, &ed25519(settings)?.recipe())
    },
    recipe: Some(ed25519),
};

fn refused(error: SettingsError) -> Refused {
    Refused::new(Reason::Settings, error.to_string())
}

fn hmac(settings: &Settings) -> Result<Custom<'_>, SettingsError> {
    let name = settings.get("alg").unwrap_or("sha256").trim();
    let known = HMACS.iter().find(|(known, _)| *known == name);
    let (_, algorithm) = known.ok_or_else(|| SettingsError::Value {
        name: "alg",
        why: format!("`{}` is none of sha256, sha1, sha512", shorten(name)),
    })?;
    custom(settings, *algorithm)
}

fn ed25519(settings: &Settings) -> Result<Custom<'_>, SettingsError> {
    custom(settings, Algorithm::Ed25519)
}

fn custom(settings: &Settings, algorithm: Algorithm) -> Result<Custom<'_>, SettingsError> {
    let wrong = |name: &'static str| move |why: String| SettingsError::Value { name, why };
    let header = settings.get("header").unwrap_or_default().trim();
    // A bare name is a header; `query:sig` and its like are written out.
    let place = if header.contains(':') {
        Place::parse(header).map_err(wrong("header"))?
    } else {
        Place::Header(header)
    };
    let encoding = settings.get("encoding").unwrap_or("hex").trim();
    let encoding = Encoding::by_name(encoding).ok_or_else(|| {
        wrong("encoding")(format!(
            "`{}` is none of hex, hex-upper, base64, base64url",
            shorten(encoding)
        ))
    })?;
    let content = settings.get("content").unwrap_or("{body}");
    template::check(content).map_err(wrong("content"))?;
    let separator = match settings.get("separator") {
        None => None,
        Some(text) => {
            let mut chars = text.chars();
            let one = chars.next().filter(|_| chars.next().is_none());
            Some(one.ok_or_else(|| wrong("separator")("it must be one character".into()))?)
        }
    };
    let id = settings.get("id").map(Place::parse).transpose().map_err(wrong("id"))?;
    if template::uses(content, "id") && id.is_none() {
        return Err(wrong("content")(
            "it has {id}; say where that is with the setting `id`".into(),
        ));
    }
    let time = time(settings)?;
    if template::uses(content, "ts") && time.is_none() {
        return Err(wrong("content")(
            "it has {ts}; say where that is with the setting `ts`".into(),
        ));
    }
    let loose = |time: &Time<'_>| !template::uses(content, "ts") && !matches!(time.place, Place::Json(_));
    if time.as_ref().is_some_and(loose) {
        return Err(wrong("ts")("nothing signs it; put {ts} into `content`".into()));
    }
    Ok(Custom {
        place: [place],
        recipe: Recipe {
            algorithm,
            signature: &[],
            separator,
            prefix: settings.get("prefix").unwrap_or_default(),
            encoding,
            content,
            id,
            time,
        },
    })
}

fn time(settings: &Settings) -> Result<Option<Time<'_>>, SettingsError> {
    let wrong = |name: &'static str| move |why: String| SettingsError::Value { name, why };
    let Some(place) = settings.get("ts") else {
        return Ok(None);
    };
    let unit = match settings.get("tsUnit").unwrap_or("s").trim() {
        "s" => Unit::Seconds,
        "ms" => Unit::Millis,
        "rfc3339" => Unit::Rfc3339,
        other => {
            return Err(wrong("tsUnit")(format!(
                "`{}` is none of s, ms, rfc3339",
                shorten(other)
            )));
        }
    };
    let tolerance = settings.get("tolerance").unwrap_or("300s");
    let tolerance = parse_span(tolerance).map_err(|error| wrong("tolerance")(error.to_string()))?;
    Ok(Some(Time {
        place: Place::parse(place).map_err(wrong("ts"))?,
        unit,
        tolerance_secs: Some(tolerance.as_secs()),
    }))
}
