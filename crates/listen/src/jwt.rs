//! JSON Web Tokens in the compact form (RFC 7515), as far as receivers need them.
//!
//! The caller says which algorithms count; the token's own word is only compared with them (RFC 8725, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::encoding::Encoding;
use crate::key::{Algorithm, Key};
use crate::refused::{Refused, shorten};
use crate::sign::{Draft, SignError};

const NAMES: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HmacSha256),
    ("HS512", Algorithm::HmacSha512),
    ("ES256", Algorithm::P256Fixed),
    ("RS256", Algorithm::RsaSha256),
    ("EdDSA", Algorithm::Ed25519),
];

/// Checks the signature with one of the keys; answers the key's place and the claims, unjudged.
pub(crate) fn verify(token: &str, keys: &[Key], allowed: &[Algorithm]) -> Result<(usize, Value), Refused> {
    let malformed = || Refused::malformed("the token is no JWT: three base64url parts joined by dots");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (head, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let signature = [Encoding::Base64Url.decode(signature).ok_or_else(malformed)?];
    let head = part(head).ok_or_else(malformed)?;
    let name = head.get("alg").and_then(Value::as_str).unwrap_or_default();
    let algorithm = NAMES
        .iter()
        .find(|(known, algorithm)| *known == name && allowed.contains(algorithm));
    let (_, algorithm) = algorithm.ok_or_else(|| {
        Refused::malformed(format!(
            "the token's algorithm `{}` is not one to accept",
            shorten(name)
        ))
    })?;
    if head.get("crit").is_some() {
        // RFC 7515, section 4.1.11: what must be understood and is not, is refused.
        return Err(Refused::malformed(
            "the token has extensions (`crit`) that are not known here",
        ));
    }
    let kid = head.get("kid").and_then(Value::as_str);
    let content = vec![signed.as_bytes().into()];
    let found = keys.iter().position(|key| {
        let candidates = match key {
            Key::Jwk(jwk) => jwks(jwk, *algorithm, kid),
            Key::Bytes(bytes) => vec![bytes.clone()],
            Key::Standard(_) => Vec::new(),
        };
        candidates
            .iter()
            .any(|key| algorithm.matches(key, &content, &signature))
    });
    let key_index = found.ok_or_else(Refused::mismatch)?;
    // Only now is anything in it believed.
    let claims = part(claims).ok_or_else(malformed)?;
    Ok((key_index, claims))
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The public keys of a JWK or a JWK set that fit the algorithm and, where both have one, the key id (RFC 7517).
fn jwks(value: &Value, algorithm: Algorithm, kid: Option<&str>) -> Vec<Vec<u8>> {
    let one = std::slice::from_ref(value);
    let list = value.get("keys").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let same_id = |jwk: &&Value| match (jwk.get("kid").and_then(Value::as_str), kid) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    list.iter()
        .filter(same_id)
        .filter_map(|jwk| jwk_bytes(jwk, algorithm))
        .collect()
}

fn jwk_bytes(jwk: &Value, algorithm: Algorithm) -> Option<Vec<u8>> {
    let text = |name: &str| jwk.get(name)?.as_str();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    match (algorithm, text("kty")?) {
        (Algorithm::P256Fixed, "EC") if text("crv")? == "P-256" => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == 32 && y.len() == 32).then(|| [&[4][..], &x, &y].concat())
        }
        (Algorithm::Ed25519, "OKP") if text("crv")? == "Ed25519" => bytes("x"),
        (Algorithm::RsaSha256, "RSA") => Some(rsa(&bytes("n")?, &bytes("e")?)),
        _ => None,
    }
}

/// RSAPublicKey of PKCS #1 in DER.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let value = |tag: u8, bytes: &[u8]| {
        let length = bytes.len();
        let mut out = vec![tag];
        match u8::try_from(length) {
            Ok(short @ 0..0x80) => out.push(short),
            Ok(short) => out.extend([0x81, short]),
            Err(_) => {
                let [.., high, low] = length.to_be_bytes();
                out.extend([0x82, high, low]);
            }
        }
        out.extend_from_slice(bytes);
        out
    };
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let bytes = &bytes[start..];
        let sign: &[u8] = if bytes.first().is_none_or(|first| *first >= 0x80) {
            &[0]
        } else {
            &[]
        };
        value(0x02, &[sign, bytes].concat())
    };
    value(0x30, &[integer(modulus), integer(exponent)].concat())
}

/// Makes a token as a sender would.
pub(crate) fn sign(draft: &Draft<'_>, algorithm: Algorithm, claims: &Value) -> Result<String, SignError> {
    let name = NAMES
        .iter()
        .find(|(_, known)| *known == algorithm)
        .map_or("none", |(name, _)| name);
    let head = json!({ "alg": name, "typ": "JWT" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&head), encode(claims));
    let content = vec![signed.as_bytes().into()];
    let signature = if algorithm.is_hmac() {
        algorithm.tag(draft.shared_key()?, &content).unwrap_or_default()
    } else {
        draft.private_sign(algorithm, &content)?
    };
    Ok(format!("{signed}.{}", Encoding::Base64Url.encode(&signature)))
}
