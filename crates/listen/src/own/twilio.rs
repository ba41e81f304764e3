//! Twilio: the URL and the sorted form fields; for other bodies the URL, which holds the body's hash.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ring::digest;
use subtle::ConstantTimeEq as _;

use super::{Own, unchecked};
use crate::encoding::Encoding;
use crate::key::{Algorithm, Key};
use crate::recipe::Proof;
use crate::refused::{Reason, Refused, shorten};
use crate::request::Seen;

const HEADER: &str = "x-twilio-signature";
/// Sent when a shared key signs instead of the auth token: `key=…,algorithm=HMAC_SHA256`.
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

pub(crate) static TWILIO: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let text = seen
            .header(HEADER)?
            .ok_or_else(|| Refused::missing(format!("header {HEADER}")))?;
        let algorithm = algorithm(seen)?;
        let length = algorithm.signature_bytes();
        let signature = Encoding::Base64
            .decode(text)
            .filter(|bytes| Some(bytes.len()) == length);
        let signature = [signature.ok_or_else(|| {
            let words = format!(
                "header {HEADER} is not base64 of an {}: `{}`",
                algorithm.words(),
                shorten(text)
            );
            Refused::malformed(words)
        })?];
        let fields = fields(seen)?;
        let find = |url: &str| {
            let content = vec![Cow::Borrowed(url.as_bytes()), Cow::Borrowed(fields.as_bytes())];
            let matches = |key: &Key| algorithm.matches(key.bytes(), &content, &signature);
            verifier.keys.iter().position(matches)
        };
        let candidates = urls(seen.request.url);
        if let Some(key_index) = candidates.iter().find_map(|url| find(url)) {
            return Ok(Proof {
                key_index: Some(key_index),
                signed_at: None,
                ..Proof::default()
            });
        }
        Err(Refused::new(
            Reason::Mismatch,
            format!(
                "the signature does not match for {}: the auth token is another one, or Twilio called another URL \
                 (scheme, host, path and query must be those that Twilio is configured with)",
                shorten(seen.request.url)
            ),
        ))
    },
    sign: |draft| {
        let key = draft.shared_key()?.to_vec();
        let form = draft.is_form();
        if !form && !draft.body.is_empty() {
            let hash = Encoding::Hex.encode(digest::digest(&digest::SHA256, &draft.body).as_ref());
            draft.add_query("bodySHA256", &hash);
        }
        let url = draft.url.clone();
        let tag = draft.with_seen(|seen| {
            let fields = fields(seen).unwrap_or_default();
            let content = vec![url.as_bytes().into(), fields.into_bytes().into()];
            Algorithm::HmacSha1.tag(&key, &content).unwrap_or_default()
        });
        draft.set_header(HEADER, Encoding::Base64.encode(&tag));
        Ok(())
    },
    recipe: None,
};

/// What the request says that signed it; the auth token signs with SHA-1.
fn algorithm(seen: &Seen<'_>) -> Result<Algorithm, Refused> {
    let settings = seen.header(SETTINGS)?.unwrap_or_default();
    let named = settings
        .split(',')
        .find_map(|entry| entry.trim().strip_prefix("algorithm="));
    match named.map(str::trim) {
        None | Some("" | "HMAC_SHA1") => Ok(Algorithm::HmacSha1),
        Some("HMAC_SHA256") => Ok(Algorithm::HmacSha256),
        Some(other) => {
            let words = format!(
                "header {SETTINGS} names the algorithm `{}`, which is not known",
                shorten(other)
            );
            Err(Refused::malformed(words))
        }
    }
}

/// What is signed after the URL: nothing when the URL holds the hash of the body, which is checked here.
fn fields(seen: &Seen<'_>) -> Result<String, Refused> {
    if let Some(expected) = seen.query("bodySHA256") {
        let found = Encoding::Hex.encode(digest::digest(&digest::SHA256, seen.request.body).as_ref());
        if !bool::from(found.as_bytes().ct_eq(expected.as_bytes())) {
            return Err(Refused::new(
                Reason::BodyChanged,
                "the body is not the one whose hash is `bodySHA256` in the URL; verify the raw bytes",
            ));
        }
        return Ok(String::new());
    }
    if seen.request.body.is_empty() {
        return Ok(String::new());
    }
    let kind = seen.header("content-type")?.unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Refused::missing(
            "query parameter bodySHA256, which covers a body that is no form",
        ));
    }
    // Fields by name; several values of one name once each, sorted, as Twilio's libraries do.
    let fields: BTreeSet<(String, String)> = seen.form().into_iter().collect();
    Ok(fields.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

/// The URL as called, and with the scheme's own port added or removed: Twilio signs either.
fn urls(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    if let Some((scheme, rest)) = url.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, tail) = rest.split_at(end);
        let port = if scheme.eq_ignore_ascii_case("http") {
            ":80"
        } else {
            ":443"
        };
        match host.rsplit_once(':') {
            Some((name, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                urls.push(format!("{scheme}://{name}{tail}"));
            }
            _ => urls.push(format!("{scheme}://{host}{port}{tail}")),
        }
    }
    urls
}
