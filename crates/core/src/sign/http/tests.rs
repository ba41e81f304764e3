//! What is signed verifies; what is changed does not, and the reason is said.

use super::*;
use crate::sign::TOLERANCE;
use proptest::prelude::*;

const NOW: i64 = 1_766_000_000;
const BODY: &[u8] = br#"{"type": "invoice.paid"}"#;
const URL: &str = "https://example.com/hooks/a?x=1";

fn symmetric(n: u8) -> SigningKey {
    SigningKey::generate_symmetric([n; 24])
}

fn asymmetric(n: u8) -> SigningKey {
    SigningKey::generate_asymmetric([n; 32]).unwrap()
}

/// A request that was signed, to be changed at will.
#[derive(Clone)]
struct Sent {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn by(keys: &[&SigningKey]) -> Self {
        let digest = content_digest(BODY);
        let mut headers = vec![
            ("content-type", "application/json"),
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1766000000"),
            ("webhook-sequence", "5"),
            ("webhook-previous-sequence", "3"),
            ("webhook-ordering-key", "customer%2042"),
            ("content-digest", &digest),
            ("user-agent", "Bellwire/1"),
        ];
        let request = Request {
            method: "POST",
            target_uri: URL,
            headers: &headers,
        };
        let signed = sign(&request, keys, "ep_1", NOW);
        headers.push(("Signature-Input", &signed.input));
        headers.push(("Signature", &signed.signature));
        Self {
            method: "POST".to_owned(),
            url: URL.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: BODY.to_vec(),
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        use_it(&Request {
            method: &self.method,
            target_uri: &self.url,
            headers: &headers,
        })
    }

    fn verify(&self, keys: &[&SigningKey]) -> Result<HttpVerified, HttpMismatch> {
        let keys: Vec<_> = keys.iter().map(|key| key.verifying()).collect();
        self.with(|request| verify(request, &self.body, &keys, NOW + 10, Some(TOLERANCE)))
    }

    fn explain(&self, keys: &[&SigningKey], others: &[&SigningKey]) -> HttpMismatch {
        let keys: Vec<_> = keys.iter().map(|key| key.verifying()).collect();
        let others: Vec<_> = others.iter().map(|key| key.verifying()).collect();
        let found = self.with(|request| explain(request, &self.body, &keys, &others, NOW, Some(TOLERANCE)));
        found.unwrap_err()
    }

    fn header(&mut self, name: &str) -> &mut String {
        let found = self
            .headers
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        &mut found.unwrap().1
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }
}

#[test]
fn every_live_key_signs_and_each_alone_verifies() {
    let (new, old) = (asymmetric(2), symmetric(1));
    let sent = Sent::by(&[&new, &old]);
    let first = sent.verify(&[&new]).unwrap();
    assert_eq!(
        (first.label.as_str(), first.algorithm, first.key),
        ("sig1", "ed25519", 0)
    );
    let second = sent.verify(&[&symmetric(9), &old]).unwrap();
    assert_eq!(
        (second.label.as_str(), second.algorithm, second.key),
        ("sig2", "hmac-sha256", 1)
    );
    assert_eq!(second.covered, COVERED);
    assert_eq!(second.created_secs, NOW);
}

#[test]
fn the_headers_read_as_the_rfc_writes_them() {
    let mut sent = Sent::by(&[&symmetric(1)]);
    let name = key_id("ep_1", &symmetric(1).verifying());
    assert!(name.starts_with("ep_1.") && name.len() == 5 + 16, "{name}");
    assert_eq!(
        *sent.header("signature-input"),
        format!(
            "sig1=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\" \"webhook-id\" \"webhook-timestamp\" \
             \"webhook-sequence\" \"webhook-previous-sequence\" \"webhook-ordering-key\");created=1766000000;keyid=\"{name}\";\
             alg=\"hmac-sha256\";tag=\"bellwire\""
        )
    );
    let none = sent.with(|request| sign(request, &[], "ep_1", NOW));
    assert_eq!((none.input.as_str(), none.signature.as_str()), ("", ""));
}

#[test]
fn keys_are_named_by_what_they_are_and_not_by_their_place() {
    let names: Vec<_> = [symmetric(1), symmetric(2), asymmetric(1)]
        .map(|key| key_id("ep_1", &key.verifying()))
        .into();
    assert!(names[0] != names[1] && names[1] != names[2]);
    let public = VerifyingKey::parse(&asymmetric(1).public_form().unwrap()).unwrap();
    assert_eq!(
        key_id("ep_1", &public),
        names[2],
        "a receiver computes it from the public half"
    );
}

#[test]
fn what_the_request_has_and_no_signature_covers_is_refused() {
    let key = symmetric(1);
    let mut sent = Sent::by(&[&key]).without("webhook-sequence");
    assert_eq!(
        sent.verify(&[&key]),
        Err(HttpMismatch::MissingComponent {
            name: "webhook-sequence".to_owned()
        })
    );
    // Signed without its number, which somebody added on the way.
    let headers = [("content-digest", content_digest(BODY))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signed = sign(
        &Request {
            method: "POST",
            target_uri: URL,
            headers: &headers,
        },
        &[&key],
        "ep_1",
        NOW,
    );
    sent.headers = vec![
        ("content-digest".to_owned(), content_digest(BODY)),
        ("signature-input".to_owned(), signed.input),
        ("signature".to_owned(), signed.signature),
    ];
    assert!(sent.verify(&[&key]).is_ok());
    sent.headers.push(("webhook-sequence".to_owned(), "5".to_owned()));
    assert_eq!(
        sent.verify(&[&key]),
        Err(HttpMismatch::NotCovered {
            names: vec!["webhook-sequence"]
        })
    );
}

#[test]
fn a_header_sent_twice_is_not_the_one_that_was_signed() {
    let key = symmetric(1);
    let mut sent = Sent::by(&[&key]);
    sent.headers.push(("Webhook-Id".to_owned(), "msg_2".to_owned()));
    assert_eq!(sent.verify(&[&key]), Err(HttpMismatch::Signature(HttpCause::Unknown)));
}

#[test]
fn age_is_judged_both_ways_unless_told_not_to() {
    let key = symmetric(1);
    let keys = [key.verifying()];
    let at = |now: i64, tolerance| Sent::by(&[&key]).with(|request| verify(request, BODY, &keys, now, tolerance));
    assert!(at(NOW + 300, Some(TOLERANCE)).is_ok() && at(NOW - 300, Some(TOLERANCE)).is_ok());
    assert!(matches!(
        at(NOW + 301, Some(TOLERANCE)),
        Err(HttpMismatch::TooOld { by_secs: 301, .. })
    ));
    assert!(matches!(
        at(NOW - 301, Some(TOLERANCE)),
        Err(HttpMismatch::TooNew { by_secs: 301, .. })
    ));
    assert!(at(NOW + 1_000_000, None).is_ok());
}

#[test]
fn missing_headers_and_nonsense_are_named() {
    let key = symmetric(1);
    let verify = |sent: Sent| sent.verify(&[&key]).unwrap_err();
    let sent = || Sent::by(&[&key]);
    assert_eq!(
        verify(sent().without("signature")),
        HttpMismatch::MissingHeader { name: "signature" }
    );
    assert_eq!(
        verify(sent().without("signature-input")),
        HttpMismatch::MissingHeader {
            name: "signature-input"
        }
    );
    assert_eq!(sent().verify(&[]), Err(HttpMismatch::NoKey));
    assert_eq!(
        verify(sent().without("content-digest")),
        HttpMismatch::MissingComponent {
            name: "content-digest".to_owned()
        }
    );
    let with = |name: &str, value: &str| {
        let mut sent = sent();
        *sent.header(name) = value.to_owned();
        verify(sent)
    };
    assert!(matches!(
        with("signature-input", "sig1=("),
        HttpMismatch::Malformed {
            name: "signature-input",
            ..
        }
    ));
    assert!(matches!(
        with("signature-input", "sig1=5"),
        HttpMismatch::Malformed { .. }
    ));
    assert_eq!(
        with("signature-input", " "),
        HttpMismatch::MissingHeader {
            name: "signature-input"
        }
    );
    assert_eq!(
        with("signature", "sig2=:aGk=:"),
        HttpMismatch::NoBytes {
            label: "sig1".to_owned()
        }
    );
    let unsupported = |component: &str| HttpMismatch::Unsupported {
        component: component.to_owned(),
    };
    for component in [
        "\"@query-param\";name=\"x\"",
        "\"webhook-id\";req",
        "\"Webhook-Id\"",
        "token",
        "\"@status\"",
    ] {
        assert_eq!(
            with("signature-input", &format!("sig1=({component})")),
            unsupported(component)
        );
    }
    assert_eq!(
        with("signature-input", "sig1=(\"webhook-id\" \"webhook-id\")"),
        HttpMismatch::Twice {
            name: "webhook-id".to_owned()
        }
    );
    let many = (0..65).map(|n| format!("s{n}=()")).collect::<Vec<_>>().join(", ");
    assert_eq!(with("signature-input", &many), HttpMismatch::TooMany { found: 65 });
    assert!(matches!(
        with("signature-input", "sig1=();alg=\"rsa-pss-sha512\""),
        HttpMismatch::Algorithm {
            given: KeyKind::Symmetric,
            ..
        }
    ));
}

#[test]
fn a_key_of_one_kind_never_checks_a_signature_of_the_other() {
    // The public key's bytes must not serve as a shared secret.
    let pair = asymmetric(1);
    let public = *pair.verifying().public().unwrap();
    let forger = VerifyingKey::from_raw(&public);
    let mut sent = Sent::by(&[&symmetric(1)]);
    let headers: Vec<_> = sent
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let request = Request {
        method: "POST",
        target_uri: URL,
        headers: &headers,
    };
    let covered: Vec<_> = COVERED
        .iter()
        .map(|name| Component::of(&request, Item::of(Bare::String((*name).to_owned()))).unwrap())
        .collect();
    let params = vec![
        ("created".to_owned(), Bare::Integer(NOW)),
        ("alg".to_owned(), Bare::String("hmac-sha256".to_owned())),
    ];
    let (base, input) = signature_base(&covered, &params);
    let forged = STANDARD.encode(hmac::sign(forger.hmac().unwrap(), base.as_bytes()));
    *sent.header("signature-input") = format!("sig1={input}");
    *sent.header("signature") = format!("sig1=:{forged}:");
    assert!(matches!(sent.verify(&[&pair]), Err(HttpMismatch::Algorithm { .. })));
}

#[test]
fn the_cause_of_a_mismatch_is_said() {
    let key = symmetric(1);
    let changed = |change: &dyn Fn(&mut Sent)| {
        let mut sent = Sent::by(&[&key]);
        change(&mut sent);
        sent.explain(&[&key], &[&symmetric(8), &symmetric(9)])
    };
    let cause = |cause| HttpMismatch::Signature(cause);
    let url = || URL.to_owned();
    assert_eq!(
        changed(&|sent| sent.url = "http://example.com/hooks/a?x=1".to_owned()),
        cause(HttpCause::TargetUri { url: url() })
    );
    assert_eq!(
        changed(&|sent| {
            sent.url = "http://10.0.0.5:8080/hooks/a/?x=1".to_owned();
            sent.headers
                .push(("X-Forwarded-Host".to_owned(), "example.com".to_owned()));
        }),
        cause(HttpCause::TargetUri { url: url() })
    );
    assert_eq!(
        changed(&|sent| sent.method = "PUT".to_owned()),
        cause(HttpCause::Method { method: "POST" })
    );
    assert_eq!(
        changed(&|sent| *sent.header("webhook-sequence") = "6".to_owned()),
        cause(HttpCause::Changed)
    );
    assert_eq!(
        changed(&|sent| sent.body = br#"{"type":"invoice.paid"}"#.to_vec()).to_string(),
        "the body is not the one that was signed: the body is the same JSON written differently: what was signed is on one line \
         with a space after `,` and `:` (as Python writes it), so it was parsed and re-serialised; verify the raw bytes, before any \
         parser or framework touches them"
    );
    let by = |signer: &SigningKey| Sent::by(&[signer]).explain(&[&key], &[&symmetric(8), &symmetric(9)]);
    assert_eq!(by(&symmetric(9)), cause(HttpCause::OtherKey { index: 1 }));
    assert_eq!(by(&symmetric(7)), cause(HttpCause::Unknown));
}

/// The places where a bit can be changed, by name.
fn places(sent: &mut Sent) -> Vec<(String, &mut String)> {
    let mut places = vec![
        ("@method".to_owned(), &mut sent.method),
        ("@target-uri".to_owned(), &mut sent.url),
    ];
    for (name, value) in &mut sent.headers {
        if COVERED.contains(&name.as_str()) || name.starts_with("Signature") {
            places.push((name.clone(), value));
        }
    }
    places
}

#[test]
fn any_changed_bit_of_any_covered_part_or_signature_is_refused() {
    for key in [symmetric(1), asymmetric(1)] {
        let whole = Sent::by(&[&key]);
        assert!(whole.verify(&[&key]).is_ok());
        let count = places(&mut whole.clone()).len();
        assert_eq!(count, COVERED.len() + 2);
        for place in 0..count {
            let length = places(&mut whole.clone())[place].1.len();
            for at in 0..length {
                // The eighth bit would leave ASCII, which no header of ours does.
                for bit in 0..7 {
                    let mut sent = whole.clone();
                    let mut places = places(&mut sent);
                    let (name, text) = &mut places[place];
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let (name, changed) = (name.clone(), String::from_utf8(bytes).unwrap());
                    **text = changed.clone();
                    assert!(sent.verify(&[&key]).is_err(), "{name} changed at {at} to {changed:?}");
                }
            }
        }
        for at in 0..whole.body.len() {
            for bit in 0..8 {
                let mut sent = whole.clone();
                sent.body[at] ^= 1 << bit;
                assert_eq!(
                    sent.verify(&[&key]),
                    Err(HttpMismatch::Digest(DigestMismatch::Body { change: None }))
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_whatever_it_says(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        id in "[!-~]([ -~]{0,20}[!-~])?",
        path in "[!-~&&[^#?]]{0,20}",
        sequence in any::<u64>(),
    ) {
        let (one, two) = (symmetric(1), asymmetric(1));
        let url = format!("https://example.com/{path}");
        let (digest, sequence) = (content_digest(&body), sequence.to_string());
        let mut headers = vec![("content-digest", digest.as_str()), ("webhook-id", &id), ("webhook-sequence", &sequence)];
        let signed = sign(&Request { method: "POST", target_uri: &url, headers: &headers }, &[&one, &two], "ep_1", NOW);
        headers.push(("signature-input", &signed.input));
        headers.push(("signature", &signed.signature));
        let request = Request { method: "POST", target_uri: &url, headers: &headers };
        for key in [&one, &two] {
            prop_assert!(verify(&request, &body, &[key.verifying()], NOW, Some(TOLERANCE)).is_ok());
        }
        prop_assert!(verify(&request, &body, &[symmetric(2).verifying()], NOW, None).is_err());
    }

    #[test]
    fn nothing_made_up_verifies_or_panics(input in "\\PC{0,80}", signature in "\\PC{0,80}", url in "\\PC{0,30}") {
        let headers = [("signature-input", input.as_str()), ("signature", signature.as_str()), ("content-digest", "")];
        let request = Request { method: "POST", target_uri: &url, headers: &headers };
        prop_assert!(explain(&request, b"", &[symmetric(1).verifying()], &[], NOW, None).is_err());
    }
}
