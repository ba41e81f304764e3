//! Why a signature does not match: the mistakes people make, tried one after the other.
//!
//! For `bellwire verify` and `bellwire receive`, where a person waits for the answer. It hashes the body some dozens
//! of times per key, so a server must not run it on requests of strangers. A cause is reported only when a signature
//! really matches under it, so it is proof, not a guess; and it reveals nothing to somebody without the secret.

use std::time::Duration;

use super::rewrite::{ESCAPES, Escapes, SPACINGS, Spacing, rewrite};
use super::signatures::Signatures;
use super::{Content, Family, Mismatch, Received, Verified, verify};
use crate::secret::VerifyingKey;

/// A place in a list, in words: 0 is the `first`.
pub fn nth(index: usize) -> String {
    match index {
        0 => "first".to_owned(),
        1 => "second".to_owned(),
        2 => "third".to_owned(),
        further => format!("{}th", further + 1),
    }
}

/// What was done differently when signing, as far as it could be found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Nothing that was tried makes it match.
    #[error("the secret is another one, or the body, id or timestamp changed on the way; compare the raw bytes")]
    Unknown,
    /// It matches with a key that was given for comparison only.
    #[error("it was made with another key, the {} of the old ones given: one that was rotated away", nth(*index))]
    OtherKey {
        /// Place in the slice of other keys, from 0.
        index: usize,
    },
    /// The secret's text was used as the key.
    #[error(
        "the sender used the secret's text as the key{}; the key is what the base64 after `whsec_` decodes to",
        if *with_prefix { ", prefix included" } else { "" }
    )]
    SecretNotDecoded {
        /// Whether `whsec_` was part of the key.
        with_prefix: bool,
    },
    /// It matches when values are taken from the other family of headers.
    #[error(
        "it matches with {}, {} and {}; the webhook-* and svix-* headers must carry the same values",
        id.names()[0], timestamp.names()[1], signature.names()[2]
    )]
    OtherHeaders {
        /// Where the id that was signed stands.
        id: Family,
        /// Where the timestamp that was signed stands.
        timestamp: Family,
        /// Where the signature that matches stands.
        signature: Family,
    },
    /// It matches another form of this body.
    #[error("{0}; verify the raw bytes, before any parser or framework touches them")]
    Body(BodyChange),
    /// The signed content has another layout.
    #[error("the sender signed {signed}; the content to sign is `id.timestamp.body`")]
    OtherContent {
        /// What was signed, in words.
        signed: &'static str,
    },
}

/// How the body that was signed differs from the one given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyChange {
    /// A line break at the end that was not signed.
    #[error("the body signed has no line break at the end: one was added")]
    NewlineAdded,
    /// A signed line break at the end is gone.
    #[error("the body signed ends with a line break: it was trimmed")]
    NewlineTrimmed,
    /// LF was signed, CRLF is here.
    #[error("the body signed has LF line breaks: they were turned into CRLF")]
    LfToCrlf,
    /// CRLF was signed, LF is here.
    #[error("the body signed has CRLF line breaks: they were turned into LF")]
    CrlfToLf,
    /// A byte order mark was added.
    #[error("the body signed has no byte order mark: one was added")]
    ByteOrderMarkAdded,
    /// A byte order mark was dropped.
    #[error("the body signed starts with a byte order mark: it was dropped")]
    ByteOrderMarkDropped,
    /// An empty body was signed.
    #[error("an empty body was signed: the sender's body was already consumed")]
    SignedEmpty,
    /// The body here is the signed one as a JSON string.
    #[error("the body signed is the text inside this JSON string: it was encoded twice")]
    EncodedTwice,
    /// The signed body is this one as a JSON string.
    #[error("the body signed is this text as a JSON string: the sender signed it encoded twice")]
    SignedEncodedTwice,
    /// The same JSON, written differently.
    #[error(
        "the body is the same JSON written differently: what was signed is {signed}, so it was parsed and re-serialised"
    )]
    JsonRewritten {
        /// Spacing and escapes of the signed form, in words.
        signed: String,
    },
}

/// [`verify()`], and when the signature does not match, the cause. `other_keys` are candidates that would not be
/// accepted (secrets rotated away, of other endpoints) and are worth naming.
///
/// # Errors
/// As [`verify()`], with the [`Cause`] found in [`Mismatch::Signature`].
pub fn explain(
    received: &Received<'_>,
    keys: &[VerifyingKey],
    other_keys: &[VerifyingKey],
    now_secs: i64,
    tolerance: Option<Duration>,
) -> Result<Verified, Mismatch> {
    match verify(received, keys, now_secs, tolerance) {
        Err(Mismatch::Signature(_)) => Err(Mismatch::Signature(cause(received, keys, other_keys)?)),
        other => other,
    }
}

fn cause(received: &Received<'_>, keys: &[VerifyingKey], other_keys: &[VerifyingKey]) -> Result<Cause, Mismatch> {
    let (family, [id, timestamp, signature]) = received.headers.chosen()?;
    let signatures = Signatures::read(signature)?;
    let content = Content::standard(id, timestamp, received.body);

    if let Some((_, index)) = signatures.matching(other_keys, &content) {
        return Ok(Cause::OtherKey { index });
    }
    for with_prefix in [false, true] {
        if signatures.matching(&undecoded(keys, with_prefix), &content).is_some() {
            return Ok(Cause::SecretNotDecoded { with_prefix });
        }
    }
    if let Some(cause) = other_headers(received, keys, family) {
        return Ok(cause);
    }
    let fits = |body: &[u8]| {
        signatures
            .matching(keys, &Content::standard(id, timestamp, body))
            .is_some()
    };
    if let Some(change) = body_change(received.body, fits) {
        return Ok(Cause::Body(change));
    }
    let (id, timestamp, body) = (id.as_bytes(), timestamp.as_bytes(), received.body);
    let layouts: [(&'static str, [&[u8]; 5]); 5] = [
        ("the body alone", [body, b"", b"", b"", b""]),
        ("`timestamp.body`, without the id", [timestamp, b".", body, b"", b""]),
        ("`id.body`, without the timestamp", [id, b".", body, b"", b""]),
        ("`timestamp.id.body`", [timestamp, b".", id, b".", body]),
        (
            "id, timestamp and body without the dots",
            [id, timestamp, body, b"", b""],
        ),
    ];
    let layout = layouts
        .into_iter()
        .find(|(_, parts)| signatures.matching(keys, &Content::of(*parts)).is_some());
    Ok(layout.map_or(Cause::Unknown, |(signed, _)| Cause::OtherContent { signed }))
}

/// The keys a sender has that took the secret's text for the key: padded and unpadded.
fn undecoded(keys: &[VerifyingKey], with_prefix: bool) -> Vec<VerifyingKey> {
    let prefix = if with_prefix {
        crate::secret::SYMMETRIC_PREFIX
    } else {
        ""
    };
    let texts = keys
        .iter()
        .filter_map(VerifyingKey::symmetric_text)
        .map(|text| format!("{prefix}{text}"));
    texts
        .flat_map(|text| [text.trim_end_matches('=').to_owned(), text])
        .map(|text| VerifyingKey::from_raw(text.as_bytes()))
        .collect()
}

fn other_headers(received: &Received<'_>, keys: &[VerifyingKey], chosen: Family) -> Option<Cause> {
    let families = [Family::Webhook, Family::Svix];
    for signature in families {
        let Some(Ok(signatures)) = received.headers.set(signature).signature.map(Signatures::read) else {
            continue;
        };
        for timestamp in families {
            for id in families {
                if [id, timestamp, signature] == [chosen; 3] {
                    continue;
                }
                let id_text = received.headers.set(id).id;
                let timestamp_text = received.headers.set(timestamp).timestamp;
                let (Some(id_text), Some(timestamp_text)) = (id_text, timestamp_text) else {
                    continue;
                };
                let content = Content::standard(id_text, timestamp_text, received.body);
                if signatures.matching(keys, &content).is_some() {
                    return Some(Cause::OtherHeaders {
                        id,
                        timestamp,
                        signature,
                    });
                }
            }
        }
    }
    None
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The first change of the body under which `fits` says that a signature matches.
pub fn body_change(body: &[u8], fits: impl Fn(&[u8]) -> bool) -> Option<BodyChange> {
    let without_newline = body
        .strip_suffix(b"\n")
        .map(|rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    if without_newline.is_some_and(&fits) {
        return Some(BodyChange::NewlineAdded);
    }
    if fits(&[body, b"\n"].concat()) || fits(&[body, b"\r\n"].concat()) {
        return Some(BodyChange::NewlineTrimmed);
    }
    let lf = with_lf(body);
    if fits(&lf) {
        return Some(BodyChange::LfToCrlf);
    }
    if fits(&with_crlf(&lf)) {
        return Some(BodyChange::CrlfToLf);
    }
    if body.strip_prefix(BYTE_ORDER_MARK).is_some_and(&fits) {
        return Some(BodyChange::ByteOrderMarkAdded);
    }
    if fits(&[BYTE_ORDER_MARK, body].concat()) {
        return Some(BodyChange::ByteOrderMarkDropped);
    }
    if serde_json::from_slice::<String>(body).is_ok_and(|inner| fits(inner.as_bytes())) {
        return Some(BodyChange::EncodedTwice);
    }
    let quoted = std::str::from_utf8(body)
        .ok()
        .and_then(|text| serde_json::to_vec(text).ok());
    if quoted.is_some_and(|quoted| fits(&quoted)) {
        return Some(BodyChange::SignedEncodedTwice);
    }
    for spacing in SPACINGS {
        for escapes in ESCAPES {
            if rewrite(body, *spacing, *escapes).is_some_and(|rewritten| fits(&rewritten)) {
                return Some(BodyChange::JsonRewritten {
                    signed: describe(*spacing, *escapes),
                });
            }
        }
    }
    // Last: an empty body is signed by mistake, and every other reading is likelier.
    fits(b"").then_some(BodyChange::SignedEmpty)
}

fn describe(spacing: Spacing, escapes: Escapes) -> String {
    match escapes.words() {
        None => spacing.words().to_owned(),
        Some(words) => format!("{}, {words}", spacing.words()),
    }
}

fn with_lf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for (i, &byte) in body.iter().enumerate() {
        if byte != b'\r' || body.get(i + 1) != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}

fn with_crlf(lf: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lf.len());
    for &byte in lf {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{SignedHeaders, TOLERANCE, signature_header};
    use super::*;
    use crate::secret::{SYMMETRIC_PREFIX, SigningKey};

    const NOW: i64 = 1_700_000_000;
    const AT: &str = "1700000000";

    fn key() -> SigningKey {
        SigningKey::generate_symmetric([1; 24])
    }

    /// The cause found when `signature` arrives with `body`.
    fn cause_of(signature: &str, body: &[u8], others: &[VerifyingKey]) -> Cause {
        let pairs = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", AT),
            ("webhook-signature", signature),
        ];
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body,
        };
        match explain(&received, &[key().verifying()], others, NOW, Some(TOLERANCE)) {
            Err(Mismatch::Signature(cause)) => cause,
            other => panic!("{other:?}"),
        }
    }

    /// The cause found when `signed` was signed and `arrived` is what the receiver verifies.
    fn cause_of_body(signed: &[u8], arrived: &[u8]) -> Cause {
        cause_of(&signature_header(&[&key()], "msg_1", NOW, signed), arrived, &[])
    }

    /// A signature over other content than the standard one, or with a raw key.
    fn signature_over(secret: &[u8], content: &[u8]) -> String {
        use base64::Engine as _;
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), content);
        format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(tag))
    }

    #[test]
    fn what_verifies_is_not_explained_away() {
        let signature = signature_header(&[&key()], "msg_1", NOW, b"{}");
        let pairs = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", AT),
            ("webhook-signature", &signature),
        ];
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: b"{}",
        };
        assert!(explain(&received, &[key().verifying()], &[], NOW, Some(TOLERANCE)).is_ok());
        assert!(matches!(
            explain(&received, &[key().verifying()], &[], NOW + 900, Some(TOLERANCE)),
            Err(Mismatch::TooOld { by_secs: 900, .. })
        ));
    }

    #[test]
    fn a_key_rotated_away_is_named_and_not_accepted() {
        let old = SigningKey::generate_symmetric([8; 24]);
        let others = [SigningKey::generate_symmetric([7; 24]).verifying(), old.verifying()];
        let signature = signature_header(&[&old], "msg_1", NOW, b"{}");
        assert_eq!(cause_of(&signature, b"{}", &others), Cause::OtherKey { index: 1 });
    }

    #[test]
    fn a_secret_used_without_decoding_is_recognised() {
        let whole = key().expose();
        let bare = whole.strip_prefix(SYMMETRIC_PREFIX).unwrap();
        let content = b"msg_1.1700000000.{}";
        let cause = |secret: &str| cause_of(&signature_over(secret.as_bytes(), content), b"{}", &[]);
        assert_eq!(cause(bare), Cause::SecretNotDecoded { with_prefix: false });
        assert_eq!(cause(&whole), Cause::SecretNotDecoded { with_prefix: true });
    }

    #[test]
    fn changed_bodies_are_recognised() {
        let cases: &[(&[u8], &[u8], BodyChange)] = &[
            (b"{}", b"{}\n", BodyChange::NewlineAdded),
            (b"{}", b"{}\r\n", BodyChange::NewlineAdded),
            (b"{}\n", b"{}", BodyChange::NewlineTrimmed),
            (b"[1,\n2]", b"[1,\r\n2]", BodyChange::LfToCrlf),
            (b"[1,\r\n2]", b"[1,\n2]", BodyChange::CrlfToLf),
            (b"{}", b"\xEF\xBB\xBF{}", BodyChange::ByteOrderMarkAdded),
            (b"\xEF\xBB\xBF{}", b"{}", BodyChange::ByteOrderMarkDropped),
            (br#"{"a":1}"#, br#""{\"a\":1}""#, BodyChange::EncodedTwice),
            (br#""{\"a\":1}""#, br#"{"a":1}"#, BodyChange::SignedEncodedTwice),
            (b"", b"{}", BodyChange::SignedEmpty),
        ];
        for (signed, arrived, change) in cases {
            assert_eq!(cause_of_body(signed, arrived), Cause::Body(change.clone()));
        }
    }

    #[test]
    fn reserialised_json_is_recognised_both_ways() {
        let compact = r#"{"b":1.10,"a":["/","é"]}"#.as_bytes();
        let forms: [(&[u8], &str); 5] = [
            ("{\"b\": 1.10, \"a\": [\"/\", \"é\"]}".as_bytes(), "on one line"),
            (br#"{"b": 1.10, "a": ["/", "\u00e9"]}"#, "Python"),
            (br#"{"b":1.10,"a":["\/","\u00e9"]}"#, "PHP"),
            (
                "{\n  \"b\": 1.10,\n  \"a\": [\n    \"/\",\n    \"é\"\n  ]\n}".as_bytes(),
                "2 spaces",
            ),
            (
                "{\n    \"b\": 1.10,\n    \"a\": [\n        \"/\",\n        \"é\"\n    ]\n}".as_bytes(),
                "4 spaces",
            ),
        ];
        for (form, words) in forms {
            match cause_of_body(form, compact) {
                Cause::Body(BodyChange::JsonRewritten { signed }) => assert!(signed.contains(words), "{signed}"),
                other => panic!("{other:?}"),
            }
            let back = cause_of_body(compact, form);
            assert!(
                matches!(back, Cause::Body(BodyChange::JsonRewritten { .. })),
                "{words}: {back:?}"
            );
        }
    }

    #[test]
    fn headers_of_the_other_family_are_tried() {
        let signature = signature_header(&[&key()], "msg_1", NOW - 5, b"{}");
        let pairs = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", AT),
            ("webhook-signature", &signature),
            ("svix-id", "msg_1"),
            ("svix-timestamp", "1699999995"),
            ("svix-signature", "v1,"),
        ];
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: b"{}",
        };
        assert_eq!(
            explain(&received, &[key().verifying()], &[], NOW, Some(TOLERANCE)),
            Err(Mismatch::Signature(Cause::OtherHeaders {
                id: Family::Webhook,
                timestamp: Family::Svix,
                signature: Family::Webhook
            }))
        );
    }

    #[test]
    fn other_layouts_of_the_signed_content_are_recognised() {
        let cause = |content: &[u8]| cause_of(&signature_over(&[1; 24], content), b"{}", &[]);
        let contents: [(&[u8], &str); 5] = [
            (b"{}", "the body alone"),
            (b"1700000000.{}", "without the id"),
            (b"msg_1.{}", "without the timestamp"),
            (b"1700000000.msg_1.{}", "timestamp.id.body"),
            (b"msg_11700000000{}", "without the dots"),
        ];
        for (content, words) in contents {
            match cause(content) {
                Cause::OtherContent { signed } => assert!(signed.contains(words), "{signed}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_unrelated_signature_has_no_known_cause() {
        assert_eq!(
            cause_of(&signature_over(b"another key", b"whatever"), b"{\"a\": 1}\r\n", &[]),
            Cause::Unknown
        );
    }

    #[test]
    fn explanations_never_contain_the_secret() {
        let secret = key().expose();
        let bare = secret.strip_prefix(SYMMETRIC_PREFIX).unwrap();
        let cause = cause_of(
            &signature_over(bare.as_bytes(), b"msg_1.1700000000.{}"),
            b"{}",
            &[key().verifying()],
        );
        let shown = format!("{cause} {cause:?} {}", Mismatch::Signature(cause.clone()));
        assert!(
            shown.contains("used the secret's text") && !shown.contains(bare),
            "{shown}"
        );
    }
}
