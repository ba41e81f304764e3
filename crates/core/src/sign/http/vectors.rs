//! The test vectors of RFC 9421, appendix B.2: the signature bases of all that sign `test-request` without component
//! parameters, and the signatures of the two algorithms that are ours.

use super::base::{Component, signature_base};
use super::fields::{Member, dictionary};
use super::verify::given;
use super::*;

const BODY: &[u8] = br#"{"hello": "world"}"#;
/// `test-shared-secret`, appendix B.1.5.
const SHARED: &str = "whsec_uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
/// `test-key-ed25519`, appendix B.1.4: the seed, as it stands in the private key.
const PAIR: &str = "whsk_n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=";
/// Its public half, as it stands in the public key.
const PUBLIC: &str = "whpk_JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

/// `test-request`, appendix B.2.
const HEADERS: &[(&str, &str)] = &[
    ("Host", "example.com"),
    ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("Content-Type", "application/json"),
    (
        "Content-Digest",
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    ),
    ("Content-Length", "18"),
];
const REQUEST: Request<'static> = Request {
    method: "POST",
    target_uri: "https://example.com/foo?param=Value&Pet=dog",
    headers: HEADERS,
};

/// The base of an entry of `signature-input`, and the entry written back.
fn base_of(input: &str) -> (String, String) {
    let members = dictionary(input).unwrap();
    let [(_, Member::Inner(items, params))] = members.as_slice() else {
        panic!("{input}");
    };
    let components: Vec<_> = items
        .iter()
        .map(|item| Component::of(&REQUEST, item.clone()).unwrap())
        .collect();
    signature_base(&components, params)
}

#[test]
fn the_base_of_a_minimal_signature_is_its_parameters_alone() {
    // B.2.1.
    let input = r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#;
    let (base, written) = base_of(&format!("sig-b21={input}"));
    assert_eq!(base, format!("\"@signature-params\": {input}"));
    assert_eq!(written, input);
}

#[test]
fn the_base_of_full_coverage_is_that_of_the_rfc() {
    // B.2.3.
    let input = r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#;
    let expected = r#""date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@query": ?param=Value&Pet=dog
"@authority": example.com
"content-type": application/json
"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
"content-length": 18
"@signature-params": "#;
    assert_eq!(base_of(&format!("sig-b23={input}")).0, format!("{expected}{input}"));
}

const B25_INPUT: &str = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
const B25_SIGNATURE: &str = "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=";
const B26_INPUT: &str = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
const B26_SIGNATURE: &str = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";

#[test]
fn signatures_are_those_of_the_rfc() {
    // B.2.5 and B.2.6: both algorithms always give the same signature.
    let (base, _) = base_of(&format!("sig-b25={B25_INPUT}"));
    let expected = format!(
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n\
         \"@signature-params\": {B25_INPUT}"
    );
    assert_eq!(base, expected);
    let key = SigningKey::parse(SHARED).unwrap();
    assert_eq!(STANDARD.encode(raw_signature(&key, base.as_bytes())), B25_SIGNATURE);

    let (base, _) = base_of(&format!("sig-b26={B26_INPUT}"));
    let key = SigningKey::parse(PAIR).unwrap();
    assert_eq!(key.public_form().as_deref(), Some(PUBLIC));
    assert_eq!(STANDARD.encode(raw_signature(&key, base.as_bytes())), B26_SIGNATURE);
}

#[test]
fn requests_of_the_rfc_match_their_keys_and_do_not_pass_for_webhooks() {
    let cases = [
        ("sig-b25", B25_INPUT, B25_SIGNATURE, SHARED),
        ("sig-b26", B26_INPUT, B26_SIGNATURE, PUBLIC),
    ];
    for (label, input, signature, key) in cases {
        let (input, signature) = (format!("{label}={input}"), format!("{label}=:{signature}:"));
        let mut headers = HEADERS.to_vec();
        headers.push(("Signature-Input", &input));
        headers.push(("Signature", &signature));
        let request = Request {
            headers: &headers,
            ..REQUEST
        };
        let keys = [
            SigningKey::generate_symmetric([1; 24]).verifying(),
            VerifyingKey::parse(key).unwrap(),
        ];
        assert_eq!(
            given(&request).unwrap()[0].matching(&request, &keys),
            Ok(Some(1)),
            "{label}"
        );
        assert!(
            matches!(
                verify(&request, BODY, &keys, 1_618_884_473, None),
                Err(HttpMismatch::NotCovered { .. })
            ),
            "they leave the body uncovered"
        );
    }
}
