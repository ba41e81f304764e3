//! The one verifier that most rows are data for: a signature in some place, over some content, with some algorithm.

use std::time::Duration;

use bellwire_core::time::Timestamp;

use crate::encoding::{ENCODINGS, Encoding};
use crate::key::{Algorithm, Key};
use crate::place::Place;
use crate::refused::{Reason, Refused, shorten};
use crate::request::Seen;
use crate::template::{self, Pieces, Values};

/// Signatures looked at in one request; bounds the work that a forged header causes.
const SIGNATURES_MAX: usize = 64;
/// Past this a number cannot be seconds: milliseconds since 1970 passed it in 1973.
const SECONDS_MAX: i64 = 100_000_000_000;

/// How a provider signs, as data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<'a> {
    pub(crate) algorithm: Algorithm,
    /// Where signatures stand: those of every place count.
    pub(crate) signature: &'a [Place<'a>],
    /// What separates several entries of one value.
    pub(crate) separator: Option<char>,
    /// What an entry starts with; entries without it are skipped.
    pub(crate) prefix: &'a str,
    pub(crate) encoding: Encoding,
    /// What is signed, in the language of [`template`].
    pub(crate) content: &'a str,
    /// Where `{id}` is.
    pub(crate) id: Option<Place<'a>>,
    /// Where `{ts}` is.
    pub(crate) time: Option<Time<'a>>,
}

/// When it was signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) unit: Unit,
    /// How old or new it may be; none where the provider does not say and retries with the first time.
    pub(crate) tolerance_secs: Option<u64>,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    /// Seconds, or milliseconds when the number cannot be seconds.
    Either,
    Rfc3339,
}

impl Recipe<'static> {
    /// HMAC-SHA256 of the body, hexadecimal: what rows are laid over.
    pub(crate) const HMAC: Self = Recipe {
        algorithm: Algorithm::HmacSha256,
        signature: &[],
        separator: None,
        prefix: "",
        encoding: Encoding::Hex,
        content: "{body}",
        id: None,
        time: None,
    };
}

/// A proof that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Proof {
    pub(crate) key_index: Option<usize>,
    pub(crate) signed_at: Option<Timestamp>,
    /// The id that the proof was made with; it goes before any that the row names.
    pub(crate) id: Option<ProvenId>,
}

/// An id that a proof knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenId {
    pub(crate) text: String,
    /// It is part of what was signed: nobody else can have written it.
    pub(crate) is_signed: bool,
}

/// Everything of a request that a recipe looks at.
pub(crate) struct Material<'a> {
    pub(crate) signatures: Vec<Vec<u8>>,
    pub(crate) values: Values<'a>,
    pub(crate) signed_at: Option<Timestamp>,
}

impl<'a> Recipe<'a> {
    /// Whether one of the keys signed this request.
    pub(crate) fn prove(&self, keys: &[Key], seen: &Seen<'a>, any_age: bool) -> Result<Proof, Refused> {
        let material = self.material(seen, any_age)?;
        let content = template::fill(self.content, seen, &material.values)?;
        let found = self.matching(keys, &content, &material.signatures);
        let key_index = found.ok_or_else(Refused::mismatch)?;
        Ok(Proof {
            key_index: Some(key_index),
            signed_at: material.signed_at,
            id: None,
        })
    }

    pub(crate) fn matching(&self, keys: &[Key], content: &Pieces<'_>, signatures: &[Vec<u8>]) -> Option<usize> {
        keys.iter()
            .position(|key| self.algorithm.matches(key.bytes(), content, signatures))
    }

    /// Reads time, id and signatures.
    pub(crate) fn material(&self, seen: &Seen<'a>, any_age: bool) -> Result<Material<'a>, Refused> {
        let mut values = Values::default();
        let mut signed_at = None;
        if let Some(time) = &self.time {
            let text = time.place.one(seen)?.ok_or_else(|| Refused::missing(time.place))?;
            let at = time.unit.read(&text).map_err(|words| {
                Refused::malformed(format!("the time in {} {words}: `{}`", time.place, shorten(&text)))
            })?;
            if let Some(tolerance) = time.tolerance_secs.filter(|_| !any_age) {
                check_age(at, seen.request.received_at, Duration::from_secs(tolerance))?;
            }
            values.ts = Some(text);
            signed_at = Some(at);
        }
        if let Some(place) = &self.id {
            values.id = place.one(seen)?;
        }
        Ok(Material {
            signatures: self.signatures(seen)?,
            values,
            signed_at,
        })
    }

    fn signatures(&self, seen: &Seen<'a>) -> Result<Vec<Vec<u8>>, Refused> {
        let entries = self.entries(seen)?;
        if entries.len() > SIGNATURES_MAX {
            return Err(Refused::malformed(format!(
                "the request has {} signatures; at most {SIGNATURES_MAX} are looked at",
                entries.len()
            )));
        }
        let decode = |text: &String| {
            let bytes = self.encoding.decode(text)?;
            let fits = self
                .algorithm
                .signature_bytes()
                .is_none_or(|length| length == bytes.len());
            fits.then_some(bytes)
        };
        let decoded: Vec<_> = entries.iter().filter_map(decode).collect();
        if decoded.is_empty() {
            return Err(self.undecodable(&entries[0]));
        }
        Ok(decoded)
    }

    /// The texts of the signatures, prefixes removed; at least one.
    pub(crate) fn entries(&self, seen: &Seen<'a>) -> Result<Vec<String>, Refused> {
        let mut values = Vec::new();
        for place in self.signature {
            values.extend(place.all(seen)?);
        }
        if values.is_empty() {
            let places: Vec<_> = self.signature.iter().map(ToString::to_string).collect();
            return Err(Refused::missing(places.join(" or ")));
        }
        let entries: Vec<String> = values
            .iter()
            .flat_map(|value| match self.separator {
                Some(separator) => value.split(separator).map(str::trim).collect(),
                None => vec![value.as_ref()],
            })
            .filter_map(|entry| entry.strip_prefix(self.prefix))
            .map(str::to_owned)
            .collect();
        if entries.is_empty() {
            let value = shorten(&values[0]);
            let words = format!(
                "{} has no entry that starts with `{}`: `{value}`; check that this is the provider and version that signs",
                self.signature[0], self.prefix
            );
            return Err(Refused::malformed(words));
        }
        Ok(entries)
    }

    /// Why a text is no signature of this recipe.
    fn undecodable(&self, text: &str) -> Refused {
        let place = &self.signature[0];
        let expected = self.encoding.words();
        let other = ENCODINGS.iter().filter(|other| **other != self.encoding).find(|other| {
            let length = other.decode(text).map(|bytes| bytes.len());
            length.is_some() && length == self.algorithm.signature_bytes()
        });
        if let Some(other) = other {
            return Refused::new(
                Reason::WrongEncoding,
                format!("the signature in {place} is {}; it must be {expected}", other.words()),
            );
        }
        let found = self.encoding.decode(text).map(|bytes| bytes.len());
        match (found, self.algorithm.signature_bytes()) {
            (Some(found), Some(expected)) => Refused::malformed(format!(
                "the signature in {place} has {found} bytes; {} makes {expected}: it is cut, or of another algorithm",
                self.algorithm.words()
            )),
            _ => Refused::malformed(format!(
                "the signature in {place} is not {expected}: `{}`",
                shorten(text)
            )),
        }
    }
}

impl Unit {
    /// The point in time that a text means.
    pub(crate) fn read(self, text: &str) -> Result<Timestamp, &'static str> {
        if self == Self::Rfc3339 {
            return text.parse().map_err(|_| "is not RFC 3339 with a zone");
        }
        // Only digits: a sign would mean before 1970, and "+1" is a second spelling.
        let number = text
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<i64>().ok())
            .flatten()
            .ok_or("is not a whole number")?;
        match self {
            Self::Seconds if number > SECONDS_MAX => Err("looks like milliseconds; it must be seconds"),
            Self::Millis if number < SECONDS_MAX => Err("looks like seconds; it must be milliseconds"),
            Self::Seconds => Ok(Timestamp::from_secs(number)),
            Self::Either if number <= SECONDS_MAX => Ok(Timestamp::from_secs(number)),
            _ => Ok(Timestamp::from_millis(number)),
        }
    }

    /// The text for a point in time.
    pub(crate) fn write(self, at: Timestamp) -> String {
        match self {
            Self::Seconds | Self::Either => at.secs().to_string(),
            Self::Millis => at.millis().to_string(),
            Self::Rfc3339 => Timestamp::from_secs(at.secs()).to_string(),
        }
    }
}

/// Refuses what was signed longer ago, or further in the future, than allowed.
pub(crate) fn check_age(signed_at: Timestamp, now: Timestamp, tolerance: Duration) -> Result<(), Refused> {
    let (old, new) = (now.since(signed_at), signed_at.since(now));
    if old.max(new) <= tolerance {
        return Ok(());
    }
    let (by, words) = if old > tolerance {
        (
            old,
            "ago: the receiver's clock is ahead, or this is an old request sent again",
        )
    } else {
        (
            new,
            "in the future: the receiver's clock is behind, or the sender's ahead",
        )
    };
    Err(Refused::new(
        Reason::Clock,
        format!(
            "it was signed {} {words}; at most {} are allowed",
            span(by),
            span(tolerance)
        ),
    ))
}

/// A span as people say it: `7 min`, `45 s`, `3 h`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs @ 7200..172_800 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}
