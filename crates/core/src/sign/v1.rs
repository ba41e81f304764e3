//! `v1`: HMAC-SHA256 with a shared secret (Standard Webhooks, "Symmetric"; RFC 2104).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::{Content, Scheme};
use crate::secret::{KeyKind, SigningKey, VerifyingKey};

pub(super) const SCHEME: Scheme = Scheme {
    version: "v1",
    name: "HMAC-SHA256",
    about: "HMAC-SHA256 with a shared secret (whsec_), understood by every Standard Webhooks library",
    key_kind: KeyKind::Symmetric,
    signature_bytes: 32,
    generate: |entropy| Ok(SigningKey::generate_symmetric(std::array::from_fn(|i| entropy[i]))),
    append,
    matches,
};

fn tag(key: &hmac::Key, content: &Content<'_>) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in content.parts {
        context.update(part);
    }
    context.sign()
}

fn append(key: &SigningKey, content: &Content<'_>, header: &mut String) -> bool {
    let Some(key) = key.hmac() else { return false };
    header.push_str("v1,");
    STANDARD.encode_string(tag(key, content), header);
    true
}

/// One hash, however many signatures: a hostile header cannot buy a pass over the body per entry. Whole values are
/// compared, in constant time; another length never matches (CVE-2024-21491 compared a prefix).
fn matches(key: &VerifyingKey, content: &Content<'_>, signatures: &[&[u8]]) -> bool {
    let Some(key) = key.hmac() else { return false };
    let expected = tag(key, content);
    signatures
        .iter()
        .any(|signature| expected.as_ref().ct_eq(signature).into())
}

#[cfg(test)]
mod tests {
    use super::super::signature_header;
    use super::*;

    /// Made with the Python and JavaScript packages `standardwebhooks` 1.1, which agree.
    const VECTORS: &[(&str, &str, i64, &str, &str)] = &[
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
            "msg_1",
            1_700_000_000,
            "",
            "v1,BWkxbM3LYytg96qlUhITZDXqX4KEiRQYa62SWkzC28w=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "msg_ü",
            1_700_000_001,
            "{\"naïve\":\"✓ 😀\",\"n\":1.10}\n",
            "v1,Rqf7EV5pUT/5klykAeBctTlt2nQzKCUXIx1ciE0AOfI=",
        ),
    ];

    #[test]
    fn signatures_equal_those_of_the_reference_libraries() {
        for (secret, id, timestamp, body, expected) in VECTORS {
            let key = SigningKey::parse(secret).unwrap();
            assert_eq!(&signature_header(&[&key], id, *timestamp, body.as_bytes()), expected);
        }
    }

    #[test]
    fn a_prefix_or_an_extension_of_the_signature_does_not_match() {
        let key = SigningKey::generate_symmetric([3; 24]);
        let content = Content::standard("msg_1", "1700000000", b"{}");
        let full = tag(key.hmac().unwrap(), &content);
        let full = full.as_ref();
        let key = key.verifying();
        assert!(matches(&key, &content, &[full]));
        for length in 0..full.len() {
            assert!(!matches(&key, &content, &[&full[..length]]), "prefix of {length} bytes");
        }
        assert!(!matches(&key, &content, &[&[full, b"\0"].concat()]));
        assert!(!matches(&key, &content, &[]));
    }
}
