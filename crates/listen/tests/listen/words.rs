//! The mistakes people make, and what they are told: the cause is proved, named, and never repeats a secret.

use std::time::Duration;

use crate::support::{AT, Sample, pairs, request};
use bellwire_listen::{Reason, Refused, Request, Settings, Signed, Verifier, providers};

fn why(provider: &str, settings: Settings, signed: &Signed, others: &[String]) -> Refused {
    let verifier = Verifier::new(providers::by_name(provider).unwrap(), settings).unwrap();
    let headers = pairs(signed);
    verifier.explain(&request(signed, &headers), others, false).unwrap_err()
}

fn signed(provider: &str) -> (Sample, Signed) {
    let sample = Sample::of(providers::by_name(provider).unwrap());
    let signed = sample.sign().unwrap();
    (sample, signed)
}

fn secret(text: &str) -> Settings {
    Settings::new().with("secret", text)
}

/// Every row whose proof is an HMAC of a recipe.
const RECIPES: &[&str] = &[
    "github", "shopify", "stripe", "slack", "paddle", "docusign", "square", "hubspot", "vercel", "zendesk",
];

#[test]
fn a_secret_rotated_away_is_named() {
    for name in RECIPES.iter().chain(&["svix", "twilio", "telegram"]) {
        let (sample, signed) = signed(name);
        let old = sample.settings.get("secret").unwrap().to_owned();
        let new = if *name == "svix" {
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
        } else {
            "new-one"
        };
        let refused = why(name, secret(new), &signed, std::slice::from_ref(&old));
        assert_eq!(refused.reason, Reason::OldSecret, "{name}: {refused}");
        assert!(!refused.words.contains(&old), "{refused}");
        let refused = why(name, secret(new), &signed, &[]);
        assert_eq!(refused.reason, Reason::Mismatch, "{name}: {refused}");
    }
}

#[test]
fn a_body_that_was_re_serialised_is_named() {
    for name in RECIPES.iter().chain(&["svix"]) {
        let (sample, mut signed) = signed(name);
        let value: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
        // Other spacing, the order kept.
        signed.body = String::from_utf8(signed.body)
            .unwrap()
            .replace("\":", "\": ")
            .into_bytes();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&signed.body).unwrap(),
            value
        );
        let refused = why(name, sample.settings.clone(), &signed, &[]);
        assert_eq!(refused.reason, Reason::BodyChanged, "{name}: {refused}");
        assert!(refused.words.contains("re-serialised"), "{refused}");
    }
}

#[test]
fn a_changed_body_is_named_for_schemes_of_their_own_too() {
    for (name, setting) in [("twilio", "secret"), ("plaid", "jwk")] {
        let (sample, mut signed) = signed(name);
        signed.body.push(b'\n');
        let settings = Settings::new().with(setting, sample.settings.get(setting).unwrap());
        let refused = why(name, settings, &signed, &[]);
        assert_eq!(refused.reason, Reason::BodyChanged, "{name}: {refused}");
        assert!(refused.words.contains("line break"), "{refused}");
    }
}

#[test]
fn a_line_break_that_was_added_is_named() {
    let (sample, mut signed) = signed("github");
    signed.body.push(b'\n');
    let refused = why("github", sample.settings, &signed, &[]);
    assert_eq!(refused.reason, Reason::BodyChanged);
    assert!(refused.words.contains("line break"), "{refused}");
}

#[test]
fn another_encoding_is_named() {
    for (from, to, encoding) in [("github", "shopify", "base64"), ("shopify", "github", "hexadecimal")] {
        let (_, mut signed) = signed(from);
        let index = signed
            .headers
            .iter()
            .position(|(name, _)| name.contains("256"))
            .unwrap();
        let text = signed.headers[index].1.trim_start_matches("sha256=").to_owned();
        let (header, prefix) = if to == "github" {
            ("x-hub-signature-256", "sha256=")
        } else {
            ("x-shopify-hmac-sha256", "")
        };
        signed.headers[index] = (header.into(), format!("{prefix}{text}"));
        let refused = why(to, secret("sec_ret0123456789"), &signed, &[]);
        assert_eq!(refused.reason, Reason::WrongEncoding, "{refused}");
        assert!(refused.words.contains(encoding), "{refused}");
    }
}

#[test]
fn a_secret_in_another_form_is_named() {
    // What the sender's key is, and what was pasted.
    for (key, pasted, words) in [
        ("hunter2", "\"hunter2\"", "quotes"),
        ("hunter2", "whsec_hunter2", "prefix"),
        ("whsec_hunter2", "hunter2", "prefix"),
        ("hunter2", "68756e74657232", "hexadecimal"),
        ("hunter2", "aHVudGVyMg==", "base64"),
    ] {
        let mut sample = Sample::of(providers::by_name("stripe").unwrap());
        sample.settings = secret(key);
        let signed = sample.sign().unwrap();
        let refused = why("stripe", secret(pasted), &signed, &[]);
        assert_eq!(refused.reason, Reason::SecretForm, "{pasted}: {refused}");
        assert!(refused.words.contains(words), "{refused}");
        assert!(!refused.words.contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_secret_with_spaces_around_it_is_taken_as_it_was_meant() {
    let (sample, signed) = signed("github");
    let pasted = format!(" {}\n", sample.settings.get("secret").unwrap());
    let verifier = Verifier::new(sample.provider, secret(&pasted)).unwrap();
    assert!(verifier.verify(&request(&signed, &pairs(&signed))).is_ok());
}

#[test]
fn a_clock_that_is_off_is_named_in_minutes_and_the_signature_judged_beside() {
    let (sample, signed) = signed("slack");
    let verifier = sample.verifier();
    let headers = pairs(&signed);
    for (now, words) in [
        (AT.plus(Duration::from_secs(420)), "7 min ago"),
        (AT.minus(Duration::from_secs(420)), "7 min in the future"),
    ] {
        let request = Request {
            received_at: now,
            ..request(&signed, &headers)
        };
        let refused = verifier.explain(&request, &[], false).unwrap_err();
        assert_eq!(refused.reason, Reason::Clock);
        assert!(
            refused.words.contains(words) && refused.words.contains("the signature is right"),
            "{refused}"
        );
        assert!(verifier.verify_any_age(&request).is_ok());
    }
    let mut forged = signed.clone();
    forged.body.push(b' ');
    let request = Request {
        received_at: AT.plus(Duration::from_secs(420)),
        ..request(&forged, &headers)
    };
    let refused = verifier.explain(&request, &[], false).unwrap_err();
    assert!(!refused.words.contains("the signature is right"), "{refused}");
}

#[test]
fn a_url_that_is_not_the_one_called_is_named() {
    let (sample, mut signed) = signed("square");
    signed.url = signed.url.replace("https://", "http://");
    let refused = why("square", sample.settings, &signed, &[]);
    assert_eq!(refused.reason, Reason::UrlChanged);
    assert!(refused.words.contains("https://example.com/in/source?a=b"), "{refused}");
}

#[test]
fn another_algorithm_and_another_content_are_named() {
    let (sample, mut signed) = signed("vercel");
    let sha1 = signed
        .headers
        .iter()
        .find(|(name, _)| name == "x-vercel-signature")
        .unwrap()
        .1
        .clone();
    signed
        .headers
        .push(("x-hub-signature-256".into(), format!("sha256={sha1}")));
    let refused = why("github", sample.settings.clone(), &signed, &[]);
    assert_eq!(refused.reason, Reason::OtherContent, "{refused}");
    assert!(refused.words.contains("HMAC-SHA1"), "{refused}");

    let (_, mut signed) = self::signed("github");
    let hex = signed
        .headers
        .iter()
        .find(|(name, _)| name == "x-hub-signature-256")
        .unwrap()
        .1
        .replace("sha256", "v0");
    signed.headers.push(("x-slack-signature".into(), hex));
    signed
        .headers
        .push(("x-slack-request-timestamp".into(), AT.secs().to_string()));
    let refused = why("slack", sample.settings, &signed, &[]);
    assert_eq!(refused.reason, Reason::OtherContent, "{refused}");
    assert!(refused.words.contains("`{body}`"), "{refused}");
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let (sample, signed) = signed("stripe");
    let with = |value: &str| {
        let mut signed = signed.clone();
        signed.headers = vec![("stripe-signature".into(), value.into())];
        why("stripe", sample.settings.clone(), &signed, &[])
    };
    let at = AT.secs();
    for (value, reason, words) in [
        (format!("v1={}", "0".repeat(64)), Reason::Missing, "`t=`"),
        (format!("t={at}"), Reason::MalformedHeader, "`v1=`"),
        (format!("t={at}000,v1=00"), Reason::MalformedHeader, "milliseconds"),
        ("t=now,v1=00".to_owned(), Reason::MalformedHeader, "whole number"),
        (
            format!("t={at},v1=zz"),
            Reason::MalformedHeader,
            "lower-case hexadecimal",
        ),
        (format!("t={at},v1=00ff"), Reason::MalformedHeader, "2 bytes"),
        (
            format!("t={at}{}", ",v1=00".repeat(65)),
            Reason::MalformedHeader,
            "65 signatures",
        ),
    ] {
        let refused = with(&value);
        assert_eq!(refused.reason, reason, "{value}: {refused}");
        assert!(refused.words.contains(words), "{value}: {refused}");
    }
    let mut twice = signed.clone();
    twice.headers.push(twice.headers.last().unwrap().clone());
    let refused = why("stripe", sample.settings.clone(), &twice, &[]);
    assert!(refused.words.contains("more than once"), "{refused}");
}

#[test]
fn a_token_with_another_prefix_is_named() {
    let (_, mut signed) = signed("telegram");
    let index = signed
        .headers
        .iter()
        .position(|(name, _)| name.contains("telegram"))
        .unwrap();
    signed.headers[index].1 = "\"hunter2\"".into();
    let refused = why("telegram", secret("hunter2"), &signed, &[]);
    assert_eq!(refused.reason, Reason::SecretForm, "{refused}");
    assert!(!refused.words.contains("hunter2"), "{refused}");
}

#[test]
fn settings_that_protect_nothing_are_refused() {
    let hmac = providers::by_name("hmac").unwrap();
    let base = || secret("s").with("header", "x-sig");
    for (settings, words) in [
        (base().with("content", "{ts}"), "change the body"),
        (base().with("content", "{ts}.{body}"), "setting `ts`"),
        (base().with("ts", "header:x-ts"), "nothing signs it"),
        (base().with("alg", "md5"), "md5"),
        (base().with("encoding", "rot13"), "rot13"),
        (base().with("unknown", "1"), "no setting"),
        (base().with("content", "{nonsense}{body}"), "nonsense"),
    ] {
        let error = Verifier::new(hmac, settings).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let jwt = providers::by_name("jwt").unwrap();
    let both = secret("s").with("jwk", "{}");
    assert!(Verifier::new(jwt, both).unwrap_err().to_string().contains("either"));
    assert!(Verifier::new(jwt, Settings::new()).is_err());
    assert!(!format!("{:?}", secret("hunter2")).contains("hunter2"));
}
