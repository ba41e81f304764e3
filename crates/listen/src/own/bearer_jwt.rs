//! The form `jwt`: a token in a header, of a shared secret or a public key, with a time it ends (RFC 7519).

use bellwire_core::time::Timestamp;
use serde_json::{Value, json};

use super::Own;
use crate::jwt;
use crate::key::{Algorithm, Key};
use crate::recipe::Proof;
use crate::refused::{Reason, Refused};
use crate::settings::SettingsError;

/// How far the clocks may differ.
const LEEWAY_SECS: i64 = 60;

pub(crate) static JWT: Own = Own {
    check: |settings| match (settings.get("secret"), settings.get("jwk")) {
        (None, None) => Err(SettingsError::Missing {
            provider: "jwt",
            name: "secret",
            about: "the shared secret of HS256, or `jwk`: the public key",
        }),
        // A public key that is taken for a shared secret is the oldest hole of JWT.
        (Some(_), Some(_)) => Err(SettingsError::Value {
            name: "secret",
            why: "give either `secret` or `jwk`".into(),
        }),
        _ => Ok(()),
    },
    prove: |verifier, seen, any_age| {
        let header = verifier.settings.get("header").unwrap_or("authorization");
        let value = seen
            .header(header)?
            .ok_or_else(|| Refused::missing(format!("header {header}")))?;
        let bearer = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map_or(value, |(_, token)| token.trim());
        let shared = verifier.keys.iter().any(|key| matches!(key, Key::Bytes(_)));
        let algorithms: &[Algorithm] = if shared {
            &[Algorithm::HmacSha256, Algorithm::HmacSha512]
        } else {
            &[Algorithm::P256Fixed, Algorithm::RsaSha256, Algorithm::Ed25519]
        };
        let (key_index, claims) = jwt::verify(token, &verifier.keys, algorithms)?;
        if !any_age {
            check_times(&claims, seen.request.received_at.secs())?;
        }
        for (setting, claim) in [("issuer", "iss"), ("audience", "aud")] {
            if let Some(expected) = verifier.settings.get(setting) {
                let found = match claims.get(claim) {
                    Some(Value::Array(list)) => list.iter().any(|one| one == expected),
                    Some(one) => one == expected,
                    None => false,
                };
                if !found {
                    let words = format!("the claim `{claim}` is not the {setting} in the settings");
                    return Err(Refused::new(Reason::Mismatch, words));
                }
            }
        }
        Ok(Proof {
            key_index: Some(key_index),
            signed_at: claims.get("iat").and_then(Value::as_i64).map(Timestamp::from_secs),
            ..Proof::default()
        })
    },
    sign: |draft| {
        let at = draft.signing.at.secs();
        let mut claims = json!({ "iat": at, "exp": at + 300 });
        for (setting, claim) in [("issuer", "iss"), ("audience", "aud")] {
            if let Some(value) = draft.settings.get(setting) {
                claims[claim] = value.into();
            }
        }
        let algorithm = match draft.settings.get("secret") {
            Some(_) => Algorithm::HmacSha256,
            None => Algorithm::P256Fixed,
        };
        let token = jwt::sign(draft, algorithm, &claims)?;
        let header = draft.settings.get("header").unwrap_or("authorization").to_owned();
        draft.set_header(&header, format!("Bearer {token}"));
        Ok(())
    },
    recipe: None,
};

fn check_times(claims: &Value, now: i64) -> Result<(), Refused> {
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let clock = |words: &str| Err(Refused::new(Reason::Clock, words.to_owned()));
    let ends =
        time("exp").ok_or_else(|| Refused::missing("the claim `exp`: a token that never ends can be sent again"))?;
    if now > ends.saturating_add(LEEWAY_SECS) {
        return clock(
            "the token has ended (`exp`): the receiver's clock is ahead, or this is an old request sent again",
        );
    }
    if time("nbf").is_some_and(|begins| now < begins.saturating_sub(LEEWAY_SECS)) {
        return clock("the token is not valid yet (`nbf`): the receiver's clock is behind");
    }
    Ok(())
}
