//! The signature doctor: one request, what it is to be verified with, and what is wrong, in words.
//!
//! For people who paste a request: it tries the mistakes that are usually made, which takes some dozens of hashes over the body.
//! Pure, and it keeps nothing. Fetching a provider's certificate is the caller's to offer, or not.

use std::time::Duration;

use bellwire_core::{
    secret::VerifyingKey,
    sign::{Cause, Mismatch, Received, SignedHeaders, TOLERANCE, explain, http},
    time::Timestamp,
};

use crate::{Request, Verifier};

/// What a request is verified with.
pub enum With<'a> {
    /// Standard Webhooks, as Bellwire signs: with these keys. The others are not valid, and worth naming.
    Standard {
        /// Those that are valid.
        keys: &'a [VerifyingKey],
        /// Those that are not.
        others: &'a [VerifyingKey],
    },
    /// A provider's way, with its settings. The secrets are not valid, and worth naming.
    Provider {
        /// The provider with its settings.
        verifier: &'a Verifier,
        /// Secrets that are not valid.
        others: &'a [String],
    },
}

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// The URL that was called, where that is known: HTTP message signatures and some providers cover it.
    pub url: Option<&'a str>,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The raw body.
    pub body: &'a [u8],
    /// When it is judged.
    pub now: Timestamp,
    /// Do not judge its age.
    pub any_age: bool,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Whether the signature is right.
    pub valid: bool,
    /// What was looked at: `v1`, `v1a`, `http-message-signatures`, or the provider's name.
    pub scheme: String,
    /// Why not, for programs: the names of [`crate::Reason`].
    pub reason: Option<&'static str>,
    /// For people: what matched, or what is wrong and what to do.
    pub words: String,
    /// When it was signed, where that is known.
    pub signed_at: Option<Timestamp>,
}

/// Judges a request: by the headers of the scheme, and by its HTTP message signatures where it has some and the URL is known.
/// At least one diagnosis.
pub fn diagnose(with: &With<'_>, asked: &Asked<'_>) -> Vec<Diagnosis> {
    match with {
        With::Standard { keys, others } => standard(keys, others, asked),
        With::Provider { verifier, others } => vec![provider(verifier, others, asked)],
    }
}

fn standard(keys: &[VerifyingKey], others: &[VerifyingKey], asked: &Asked<'_>) -> Vec<Diagnosis> {
    let has = |name: &str| asked.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let tolerance: Option<Duration> = (!asked.any_age).then_some(TOLERANCE);
    let now = asked.now.secs();
    let mut all = Vec::new();
    let url = asked.url.filter(|_| has(http::SIGNATURE_INPUT));
    if url.is_none() || has("webhook-signature") || has("svix-signature") {
        let received = Received {
            headers: SignedHeaders::from_pairs(asked.headers.iter().copied()),
            body: asked.body,
        };
        all.push(match explain(&received, keys, others, now, tolerance) {
            Ok(verified) => Diagnosis {
                valid: true,
                scheme: verified.version.to_owned(),
                reason: None,
                words: format!("the signature is right, made with key number {}", verified.key + 1),
                signed_at: Some(Timestamp::from_secs(verified.timestamp_secs)),
            },
            Err(mismatch) => Diagnosis {
                valid: false,
                scheme: "standard-webhooks".to_owned(),
                reason: Some(reason(&mismatch)),
                words: mismatch.to_string(),
                signed_at: None,
            },
        });
    }
    if let Some(url) = url {
        let request = http::Request {
            method: asked.method,
            target_uri: url,
            headers: asked.headers,
        };
        let scheme = "http-message-signatures".to_owned();
        all.push(
            match http::explain(&request, asked.body, keys, others, now, tolerance) {
                Ok(verified) => Diagnosis {
                    valid: true,
                    scheme,
                    reason: None,
                    words: format!(
                        "{} over {} parts of the request is right",
                        verified.algorithm,
                        verified.covered.len()
                    ),
                    signed_at: Some(Timestamp::from_secs(verified.created_secs)),
                },
                Err(mismatch) => Diagnosis {
                    valid: false,
                    scheme,
                    reason: Some("mismatch"),
                    words: mismatch.to_string(),
                    signed_at: None,
                },
            },
        );
    }
    all
}

/// The name of a reason, as [`crate::Reason::name`] has them.
fn reason(mismatch: &Mismatch) -> &'static str {
    match mismatch {
        Mismatch::NoKey => "settings",
        Mismatch::MissingHeader { .. } => "missing",
        Mismatch::TooOld { .. } | Mismatch::TooNew { .. } => "clock",
        Mismatch::Signature(Cause::OtherKey { .. }) => "old-secret",
        Mismatch::Signature(Cause::SecretNotDecoded { .. }) | Mismatch::KeyKind { .. } => "secret-form",
        Mismatch::Signature(Cause::Body(_)) => "body-changed",
        Mismatch::Signature(Cause::OtherContent { .. } | Cause::OtherHeaders { .. }) => "other-content",
        Mismatch::Signature(_) => "mismatch",
        _ => "malformed-header",
    }
}

fn provider(verifier: &Verifier, others: &[String], asked: &Asked<'_>) -> Diagnosis {
    let request = Request {
        method: asked.method,
        url: asked.url.unwrap_or_default(),
        headers: asked.headers,
        body: asked.body,
        received_at: asked.now,
        peer: None,
        fetched: None,
    };
    let scheme = verifier.provider().name.to_owned();
    match verifier.explain(&request, others, asked.any_age) {
        Ok(trusted) => Diagnosis {
            valid: true,
            scheme,
            reason: None,
            words: format!("the signature is right; it covers {}", trusted.covers),
            signed_at: trusted.signed_at,
        },
        Err(refused) => Diagnosis {
            valid: false,
            scheme,
            reason: Some(refused.reason.name()),
            words: refused.words,
            signed_at: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, providers};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const HEADERS: [(&str, &str); 3] = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    const BODY: &str = r#"{"test": 2432232314}"#;

    fn asked<'a>(headers: &'a [(&'a str, &'a str)], body: &'a str) -> Asked<'a> {
        Asked {
            method: "POST",
            url: None,
            headers,
            body: body.as_bytes(),
            now: Timestamp::from_secs(1_614_265_400),
            any_age: false,
        }
    }

    fn ask(secret: &str, body: &str) -> Diagnosis {
        let keys = [VerifyingKey::parse(secret).unwrap()];
        let others = [VerifyingKey::parse(SECRET).unwrap()];
        let with = With::Standard {
            keys: &keys,
            others: &others,
        };
        diagnose(&with, &asked(&HEADERS, body)).remove(0)
    }

    #[test]
    fn a_signature_that_is_right_is_said_to_be() {
        let found = ask(SECRET, BODY);
        assert!(found.valid && found.scheme == "v1", "{found:?}");
        assert_eq!(found.signed_at, Some(Timestamp::from_secs(1_614_265_330)));
    }

    #[test]
    fn what_is_wrong_is_named_for_programs_and_people() {
        let rewritten = ask(SECRET, r#"{"test":2432232314}"#);
        assert_eq!(rewritten.reason, Some("body-changed"));
        assert!(
            rewritten.words.contains("same JSON written differently"),
            "{rewritten:?}"
        );
        let rotated = ask("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", BODY);
        assert_eq!(rotated.reason, Some("old-secret"));
        let keys = [VerifyingKey::parse(SECRET).unwrap()];
        let with = With::Standard {
            keys: &keys,
            others: &[],
        };
        let missing = diagnose(&with, &asked(&[], BODY)).remove(0);
        assert_eq!((missing.valid, missing.reason), (false, Some("missing")));
    }

    #[test]
    fn a_providers_request_is_judged_by_its_own_rules() {
        let github = providers::by_name("github").unwrap();
        let verifier = Verifier::new(github, Settings::new().with("secret", "hunter2")).unwrap();
        let with = With::Provider {
            verifier: &verifier,
            others: &[],
        };
        let found = diagnose(&with, &asked(&[("x-hub-signature-256", "sha256=00")], BODY)).remove(0);
        assert_eq!((found.valid, found.scheme.as_str()), (false, "github"));
        assert!(found.reason.is_some() && !found.words.contains("hunter2"));
    }
}
