//! Plaid: a JWT of ES256 that holds the hash of the body.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use ring::digest;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::{Own, unchecked};
use crate::encoding::Encoding;
use crate::jwt;
use crate::key::Algorithm;
use crate::recipe::{self, Proof};
use crate::refused::{Reason, Refused};

const HEADER: &str = "plaid-verification";
const TOLERANCE: Duration = Duration::from_secs(300);

pub(crate) static PLAID: Own = Own {
    check: unchecked,
    prove: |verifier, seen, any_age| {
        let token = seen
            .header(HEADER)?
            .ok_or_else(|| Refused::missing(format!("header {HEADER}")))?;
        let (key_index, claims) = jwt::verify(token, &verifier.keys, &[Algorithm::P256Fixed])?;
        let issued = claims.get("iat").and_then(Value::as_i64).map(Timestamp::from_secs);
        let issued = issued.ok_or_else(|| Refused::missing("the claim `iat`"))?;
        if !any_age {
            recipe::check_age(issued, seen.request.received_at, TOLERANCE)?;
        }
        let claimed = claims
            .get("request_body_sha256")
            .and_then(Value::as_str)
            .ok_or_else(|| Refused::missing("the claim `request_body_sha256`"))?;
        if !bool::from(hash(seen.request.body).as_bytes().ct_eq(claimed.as_bytes())) {
            return Err(Refused::new(
                Reason::BodyChanged,
                "the body is not the one whose hash the token holds; verify the raw bytes, before any parser touches them",
            ));
        }
        Ok(Proof {
            key_index: Some(key_index),
            signed_at: Some(issued),
            ..Proof::default()
        })
    },
    sign: |draft| {
        let claims = json!({ "iat": draft.signing.at.secs(), "request_body_sha256": hash(&draft.body) });
        let token = jwt::sign(draft, Algorithm::P256Fixed, &claims)?;
        draft.set_header(HEADER, token);
        Ok(())
    },
    recipe: None,
};

fn hash(body: &[u8]) -> String {
    Encoding::Hex.encode(digest::digest(&digest::SHA256, body).as_ref())
}
