//! `v1a`: Ed25519 with a key pair (Standard Webhooks, "Asymmetric"; RFC 8032, the pure variant).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::{Content, Scheme};
use crate::secret::{KeyKind, SigningKey, VerifyingKey};

pub(super) const SCHEME: Scheme = Scheme {
    version: "v1a",
    name: "Ed25519",
    about: "Ed25519 with a key pair (whsk_): receivers hold only the public key (whpk_)",
    key_kind: KeyKind::Asymmetric,
    signature_bytes: 64,
    generate: SigningKey::generate_asymmetric,
    append,
    matches,
};

fn append(key: &SigningKey, content: &Content<'_>, header: &mut String) -> bool {
    let Some(pair) = key.ed25519() else { return false };
    header.push_str("v1a,");
    STANDARD.encode_string(pair.sign(content.whole()), header);
    true
}

fn matches(key: &VerifyingKey, content: &Content<'_>, signatures: &[&[u8]]) -> bool {
    let Some(public) = key.public() else { return false };
    let public = UnparsedPublicKey::new(&ED25519, public);
    signatures
        .iter()
        .any(|signature| public.verify(content.whole(), signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::signature_header;
    use super::*;

    const PAIR: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";

    /// Made with Node's `crypto.sign` for the same seed.
    const VECTORS: &[(&str, i64, &str, &str)] = &[
        (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ==",
        ),
        (
            "msg_ü",
            1_700_000_001,
            "{\"naïve\":\"✓ 😀\",\"n\":1.10}\n",
            "v1a,qOeBbA8gWrpm0Mso3Iog7N7WLn0WTK3X2I1e3/BdkPsRzDzlwGRQuCe/3CX5iRgjTFOhU7lPswfnEiDzH1aqBw==",
        ),
        (
            "msg_1",
            1_700_000_000,
            "",
            "v1a,3XLZHAHFQ8RMLr+6osWXZiNbN6zwkqtcFL05Mv2xH4AiZtwUDrO66ybtly1XMOdjgE68lrSxUMNFLWpJyU/FDQ==",
        ),
    ];

    #[test]
    fn signatures_equal_those_of_another_implementation() {
        let key = SigningKey::parse(PAIR).unwrap();
        for (id, timestamp, body, expected) in VECTORS {
            assert_eq!(&signature_header(&[&key], id, *timestamp, body.as_bytes()), expected);
        }
    }

    #[test]
    fn the_public_half_alone_verifies() {
        let key = SigningKey::parse(PAIR).unwrap();
        let public = VerifyingKey::parse(&key.public_form().unwrap()).unwrap();
        let content = Content::standard("msg_1", "1700000000", b"{}");
        let signature = key.ed25519().unwrap().sign(content.whole());
        assert!(matches(&public, &content, &[signature.as_ref()]));
        assert!(!matches(&public, &content, &[&signature.as_ref()[..63]]));
        assert!(!matches(
            &public,
            &Content::standard("msg_1", "1700000001", b"{}"),
            &[signature.as_ref()]
        ));
    }
}
