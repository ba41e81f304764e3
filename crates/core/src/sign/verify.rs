//! Verification of Standard Webhooks, with the reason when it fails.
//!
//! Pure: headers, body, keys and the current time go in. [`verify()`] is what a server runs on every request: one hash
//! per shared secret whatever the header holds, whole values compared in constant time. What was probably done wrong
//! is found by [`super::explain()`], which costs far more and is for people.
//!
//! Deliberately absent: parsing of the body (verify first), replay memory (the id is the receiver's to remember).

use std::time::Duration;

use super::received::{Family, Received};
use super::signatures::{Signatures, shorten};
use super::{Content, Mismatch};
use crate::secret::VerifyingKey;

/// How far a timestamp may lie in the past or the future: five minutes, as in the reference libraries.
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// Past this a timestamp cannot be seconds: the year 5138. Milliseconds since 1970 passed it in 1973.
const SECONDS_MAX: i64 = 100_000_000_000;

/// A signature that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Version of the scheme (`v1`, `v1a`).
    pub version: &'static str,
    /// Which of the keys, by its place in the slice given.
    pub key: usize,
    /// Which headers were used.
    pub family: Family,
    /// When the sender signed, Unix time in seconds.
    pub timestamp_secs: i64,
}

/// Verifies a request against every live key. `now_secs` is Unix time; `tolerance` is [`TOLERANCE`] for a server, or
/// `None` to leave the timestamp's age unjudged (a request kept on file).
///
/// # Errors
/// [`Mismatch`]; a signature that merely does not match is [`super::Cause::Unknown`] here, ask [`super::explain()`].
pub fn verify(
    received: &Received<'_>,
    keys: &[VerifyingKey],
    now_secs: i64,
    tolerance: Option<Duration>,
) -> Result<Verified, Mismatch> {
    let first = keys.first().ok_or(Mismatch::NoKey)?;
    if let Some(name) = received.headers.duplicate {
        return Err(Mismatch::DuplicateHeader { name });
    }
    let (family, [id, timestamp, signature]) = received.headers.chosen()?;
    let timestamp_secs = read_timestamp(timestamp)?;
    if let Some(tolerance) = tolerance {
        check_age(timestamp_secs, now_secs, tolerance.as_secs())?;
    }
    let signatures = Signatures::read(signature)?;
    let content = Content::standard(id, timestamp, received.body);
    if let Some((version, key)) = signatures.matching(keys, &content) {
        return Ok(Verified {
            version,
            key,
            family,
            timestamp_secs,
        });
    }
    Err(signatures.why_not(keys, first.kind()))
}

fn read_timestamp(text: &str) -> Result<i64, Mismatch> {
    let shown = || Mismatch::TimestampNotNumber { value: shorten(text) };
    // Only digits: what `parse` also takes ("+1") is not what senders write, and a sign means before 1970.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(shown());
    }
    let value = text.parse::<i64>().map_err(|_| shown())?;
    if value > SECONDS_MAX {
        Err(Mismatch::TimestampInMilliseconds { value })
    } else {
        Ok(value)
    }
}

fn check_age(timestamp_secs: i64, now_secs: i64, tolerance_secs: u64) -> Result<(), Mismatch> {
    let by_secs = now_secs.abs_diff(timestamp_secs);
    if by_secs <= tolerance_secs {
        Ok(())
    } else if timestamp_secs < now_secs {
        Err(Mismatch::TooOld {
            by_secs,
            tolerance_secs,
        })
    } else {
        Err(Mismatch::TooNew {
            by_secs,
            tolerance_secs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, Malformed, SCHEMES, SIGNATURES_MAX, SignedHeaders, signature_header};
    use super::*;
    use crate::secret::{KeyKind, SigningKey};
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"type":"invoice.paid"}"#;

    fn symmetric() -> SigningKey {
        SigningKey::generate_symmetric([1; 24])
    }

    fn asymmetric() -> SigningKey {
        SigningKey::generate_asymmetric([2; 32]).unwrap()
    }

    fn check(signature: &str, timestamp: &str, keys: &[&SigningKey]) -> Result<Verified, Mismatch> {
        let pairs = [
            ("Webhook-Id", "msg_1"),
            ("webhook-timestamp", timestamp),
            ("WEBHOOK-SIGNATURE", signature),
        ];
        let keys: Vec<_> = keys.iter().map(|key| key.verifying()).collect();
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: BODY,
        };
        verify(&received, &keys, NOW, Some(TOLERANCE))
    }

    fn signed(keys: &[&SigningKey]) -> String {
        signature_header(keys, "msg_1", NOW, BODY)
    }

    #[test]
    fn a_request_of_the_python_library_verifies() {
        let headers = SignedHeaders::from_pairs([
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]);
        let key = VerifyingKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let received = Received {
            headers,
            body: br#"{"test": 2432232314}"#,
        };
        let verified = verify(&received, std::slice::from_ref(&key), 1_614_265_331, Some(TOLERANCE)).unwrap();
        assert_eq!(
            verified,
            Verified {
                version: "v1",
                key: 0,
                family: Family::Webhook,
                timestamp_secs: 1_614_265_330
            }
        );
        assert!(
            verify(&received, &[key], NOW, None).is_ok(),
            "without tolerance an old request still verifies"
        );
    }

    #[test]
    fn svix_headers_serve_when_the_webhook_headers_are_incomplete() {
        let signature = signed(&[&symmetric()]);
        let pairs = [
            ("webhook-id", "msg_1"),
            ("svix-id", "msg_1"),
            ("svix-timestamp", " 1700000000\t"),
            ("svix-signature", &signature),
        ];
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: BODY,
        };
        let verified = verify(&received, &[symmetric().verifying()], NOW, Some(TOLERANCE)).unwrap();
        assert_eq!(verified.family, Family::Svix);
    }

    #[test]
    fn rotation_accepts_any_live_key_on_either_side() {
        let [old, new, newest] = [[1; 24], [2; 24], [3; 24]].map(SigningKey::generate_symmetric);
        let pair = asymmetric();
        let header = signed(&[&newest, &pair, &new, &old]);
        for key in [&newest, &new, &old, &pair] {
            assert_eq!(check(&header, "1700000000", &[key]).unwrap().key, 0, "{key:?}");
        }
        let by_old = signed(&[&old]);
        assert_eq!(check(&by_old, "1700000000", &[&newest, &pair, &old]).unwrap().key, 2);
        assert_eq!(
            check(&by_old, "1700000000", &[&newest, &new]),
            Err(Mismatch::Signature(Cause::Unknown))
        );
    }

    #[test]
    fn unknown_versions_and_malformed_entries_beside_a_match_are_ignored() {
        let header = format!("v9,AAAA nonsense v1,zzz {}", signed(&[&symmetric()]));
        assert!(check(&header, "1700000000", &[&symmetric()]).is_ok());
    }

    #[test]
    fn missing_and_empty_headers_are_named() {
        let names = |pairs: &[(&'static str, &'static str)]| {
            let headers = SignedHeaders::from_pairs(pairs.iter().copied());
            match verify(
                &Received { headers, body: BODY },
                &[symmetric().verifying()],
                NOW,
                Some(TOLERANCE),
            ) {
                Err(Mismatch::MissingHeader { names }) => names,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(names(&[]), ["webhook-id", "webhook-timestamp", "webhook-signature"]);
        assert_eq!(
            names(&[
                ("webhook-id", "a"),
                ("webhook-timestamp", "1"),
                ("webhook-signature", " ")
            ]),
            ["webhook-signature"]
        );
        assert_eq!(
            names(&[("svix-id", "a"), ("svix-signature", "v1,")]),
            ["svix-timestamp"]
        );
    }

    #[test]
    fn a_repeated_header_is_refused_instead_of_chosen_from() {
        let signature = signed(&[&symmetric()]);
        let pairs = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1700000000"),
            ("webhook-signature", signature.as_str()),
            ("Webhook-Id", "msg_2"),
        ];
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body: BODY,
        };
        assert_eq!(
            verify(&received, &[symmetric().verifying()], NOW, Some(TOLERANCE)),
            Err(Mismatch::DuplicateHeader { name: "webhook-id" })
        );
    }

    #[test]
    fn timestamps_are_judged_to_the_second_and_both_ways() {
        let key = symmetric();
        let at = |timestamp: i64| {
            let header = signature_header(&[&key], "msg_1", timestamp, BODY);
            check(&header, &timestamp.to_string(), &[&key]).map(|verified| verified.timestamp_secs)
        };
        assert_eq!(at(NOW - 300), Ok(NOW - 300));
        assert_eq!(at(NOW + 300), Ok(NOW + 300));
        assert_eq!(
            at(NOW - 301),
            Err(Mismatch::TooOld {
                by_secs: 301,
                tolerance_secs: 300
            })
        );
        assert_eq!(
            at(NOW + 301),
            Err(Mismatch::TooNew {
                by_secs: 301,
                tolerance_secs: 300
            })
        );
    }

    #[test]
    fn a_timestamp_that_is_not_whole_seconds_is_refused() {
        for bad in [
            "now",
            "1700000000.5",
            "+1700000000",
            "-1",
            "17 00",
            "0x65",
            "99999999999999999999",
            "１７",
        ] {
            let result = check(&signed(&[&symmetric()]), bad, &[&symmetric()]);
            assert!(
                matches!(result, Err(Mismatch::TimestampNotNumber { .. })),
                "{bad}: {result:?}"
            );
        }
        assert_eq!(
            check("v1,AA==", "1700000000000", &[&symmetric()]),
            Err(Mismatch::TimestampInMilliseconds {
                value: 1_700_000_000_000
            })
        );
    }

    #[test]
    fn malformed_signatures_say_how() {
        let malformed = |signature: &str| match check(signature, "1700000000", &[&symmetric()]) {
            Err(Mismatch::Malformed(why)) => why,
            other => panic!("{signature}: {other:?}"),
        };
        assert_eq!(malformed("sha256=abcdef"), Malformed::NoVersion);
        assert_eq!(malformed("v1,***"), Malformed::NotBase64("v1"));
        assert_eq!(
            malformed("v1,"),
            Malformed::Length {
                version: "v1",
                found: 0,
                expected: 32
            }
        );
        assert_eq!(
            malformed("v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            Malformed::UrlSafe("v1")
        );
        assert_eq!(
            malformed(&format!("v1,{}", "0f".repeat(32))),
            Malformed::Hexadecimal("v1")
        );
        assert_eq!(
            malformed("v1,g0hM9SsE"),
            Malformed::Length {
                version: "v1",
                found: 6,
                expected: 32
            }
        );
        assert_eq!(
            malformed("v1a,g0hM9SsE"),
            Malformed::Length {
                version: "v1a",
                found: 6,
                expected: 64
            }
        );
    }

    #[test]
    fn unknown_versions_wrong_kinds_of_key_and_no_key_are_told_apart() {
        assert_eq!(
            check("v2,AAAA v3,BBBB", "1700000000", &[&symmetric()]),
            Err(Mismatch::UnknownVersion {
                found: vec!["v2".into(), "v3".into()]
            })
        );
        assert_eq!(
            check(&signed(&[&symmetric()]), "1700000000", &[&asymmetric()]),
            Err(Mismatch::KeyKind {
                versions: vec!["v1"],
                given: KeyKind::Asymmetric
            })
        );
        assert_eq!(check("v1,AAAA", "1700000000", &[]), Err(Mismatch::NoKey));
    }

    #[test]
    fn a_header_of_very_many_signatures_is_refused() {
        let entry = signed(&[&symmetric()]);
        let many = |count: usize| vec![entry.as_str(); count].join(" ");
        assert!(check(&many(SIGNATURES_MAX), "1700000000", &[&symmetric()]).is_ok());
        assert_eq!(
            check(&many(SIGNATURES_MAX + 1), "1700000000", &[&symmetric()]),
            Err(Mismatch::TooManySignatures {
                found: SIGNATURES_MAX + 1
            })
        );
    }

    #[test]
    fn what_a_stranger_sent_is_shown_short_and_escaped() {
        let hostile = "\u{1b}[31m".repeat(100);
        let shown = check("v1,AAAA", &hostile, &[&symmetric()]).unwrap_err().to_string();
        assert!(shown.len() < 400 && !shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn changing_any_byte_of_anything_signed_is_noticed() {
        for key in [symmetric(), asymmetric()] {
            let signature = signed(&[&key]);
            let originals: [&[u8]; 4] = [b"msg_1", b"1700000000", signature.as_bytes(), BODY];
            for (which, original) in originals.iter().enumerate() {
                for i in 0..original.len() {
                    let mut parts = originals.map(<[u8]>::to_vec);
                    parts[which][i] ^= 1;
                    let text = |i: usize| std::str::from_utf8(&parts[i]).unwrap();
                    let pairs = [
                        ("webhook-id", text(0)),
                        ("webhook-timestamp", text(1)),
                        ("webhook-signature", text(2)),
                    ];
                    let received = Received {
                        headers: SignedHeaders::from_pairs(pairs),
                        body: &parts[3],
                    };
                    let result = verify(&received, &[key.verifying()], NOW, None);
                    assert!(result.is_err(), "part {which}, byte {i} of {key:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_signed_verifies(
            entropy in any::<[u8; 32]>(),
            id in "[a-zA-Z0-9_]{1,64}",
            timestamp in 0..SECONDS_MAX,
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for scheme in SCHEMES {
                let key = scheme.generate(entropy).unwrap();
                let signature = signature_header(&[&key], &id, timestamp, &body);
                let text = timestamp.to_string();
                let pairs = [("webhook-id", id.as_str()), ("webhook-timestamp", &text), ("webhook-signature", &signature)];
                let received = Received { headers: SignedHeaders::from_pairs(pairs), body: &body };
                let verified = verify(&received, &[key.verifying()], timestamp, Some(TOLERANCE)).unwrap();
                prop_assert_eq!(verified.version, scheme.version);
            }
        }

        #[test]
        fn a_body_with_one_byte_changed_does_not_verify(
            entropy in any::<[u8; 32]>(),
            body in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255u8,
        ) {
            for scheme in SCHEMES {
                let key = scheme.generate(entropy).unwrap();
                let signature = signature_header(&[&key], "msg_1", NOW, &body);
                let mut changed = body.clone();
                changed[at.index(body.len())] ^= flip;
                let pairs = [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signature.as_str())];
                let received = Received { headers: SignedHeaders::from_pairs(pairs), body: &changed };
                prop_assert_eq!(verify(&received, &[key.verifying()], NOW, None), Err(Mismatch::Signature(Cause::Unknown)));
            }
        }

        #[test]
        fn any_header_text_is_judged_without_a_panic(signature in "(v1,|v1a,|v2,)?.{0,100}", timestamp in ".{0,20}") {
            let _ = check(&signature, &timestamp, &[&symmetric(), &asymmetric()]);
        }
    }
}
