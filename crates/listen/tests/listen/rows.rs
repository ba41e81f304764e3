//! Every row: what it signs it trusts, and one changed bit of anything signed is refused.

use std::time::Duration;

use crate::support::{AT, Sample};
use bellwire_core::time::Timestamp;
use bellwire_listen::{Covers, Reason, Settings, Verifier, providers};
use proptest::prelude::*;

#[test]
fn every_row_trusts_what_it_signs() {
    for provider in providers::all() {
        let sample = Sample::of(provider);
        let signed = sample
            .sign()
            .unwrap_or_else(|error| panic!("{}: {error}", provider.name));
        let trusted = sample.verify(&sample.verifier(), &signed, AT);
        let trusted = trusted.unwrap_or_else(|refused| panic!("{}: {refused}\n{signed:#?}", provider.name));
        assert_eq!(trusted.covers, provider.covers);
    }
}

#[test]
fn every_row_but_none_refuses_a_request_without_its_headers() {
    for provider in providers::all().filter(|provider| !["none", "ip"].contains(&provider.name)) {
        let sample = Sample::of(provider);
        let mut signed = sample.sign().unwrap();
        signed.headers.clear();
        signed.url = crate::support::URL.into();
        signed.body = b"{}".to_vec();
        let refused = sample.verify(&sample.verifier(), &signed, AT).unwrap_err();
        assert_eq!(refused.reason, Reason::Missing, "{}: {refused}", provider.name);
    }
}

#[test]
fn one_changed_bit_of_a_covered_body_is_refused() {
    let body = |covers: Covers| covers == Covers::Body;
    for provider in providers::all().filter(|provider| body(provider.covers) || provider.name == "paypal") {
        let sample = Sample::of(provider);
        let verifier = sample.verifier();
        let signed = sample.sign().unwrap();
        for at in 0..signed.body.len() {
            for bit in 0..8 {
                let mut changed = signed.clone();
                changed.body[at] ^= 1 << bit;
                // `%2B` and `%2b` are the same field of a form, of which the fields are signed.
                let same = provider.name == "twilio"
                    && signed.body[at].eq_ignore_ascii_case(&changed.body[at])
                    && signed.body[at..].starts_with(b"B1555");
                let verdict = sample.verify(&verifier, &changed, AT);
                assert_eq!(verdict.is_ok(), same, "{}: byte {at}, bit {bit}", provider.name);
            }
        }
    }
}

#[test]
fn one_changed_bit_of_a_header_that_matters_is_refused() {
    for provider in providers::all() {
        let sample = Sample::of(provider);
        let verifier = sample.verifier();
        let signed = sample.sign().unwrap();
        for index in 0..signed.headers.len() {
            let mut without = signed.clone();
            let (name, value) = without.headers.remove(index);
            // A header that may be left out is not part of the proof.
            // Where the certificate is, is not signed: that the host is the provider's own is another test.
            if ["content-type", "paypal-cert-url"].contains(&name.as_str())
                || sample.verify(&verifier, &without, AT).is_ok()
            {
                continue;
            }
            // The name of an authentication scheme is written in any case (RFC 9110, section 11.1).
            let scheme = value.find(' ').filter(|_| name == "authorization").unwrap_or(0);
            for at in scheme..value.len() {
                for bit in 0..7 {
                    let mut bytes = value.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let mut changed = signed.clone();
                    changed.headers[index].1 = String::from_utf8(bytes).unwrap();
                    let verdict = sample.verify(&verifier, &changed, AT);
                    assert!(verdict.is_err(), "{}: {}", provider.name, changed.headers[index].1);
                }
            }
        }
    }
}

#[test]
fn one_changed_bit_of_a_secret_is_refused() {
    for provider in providers::all() {
        let sample = Sample::of(provider);
        let signed = sample.sign().unwrap();
        let Some(secret) = sample.settings.get("secret") else {
            continue;
        };
        for at in 0..secret.len() {
            for bit in 0..7 {
                let mut bytes = secret.to_owned().into_bytes();
                bytes[at] ^= 1 << bit;
                let other = String::from_utf8(bytes).unwrap();
                // The other case of a hexadecimal digit is the same key.
                if other.trim() == secret || provider.name == "adyen" && other.eq_ignore_ascii_case(secret) {
                    continue;
                }
                let mut settings = Settings::new().with("secret", other);
                for setting in provider.settings.iter().filter(|setting| setting.name != "secret") {
                    for value in sample.settings.all(setting.name) {
                        settings.add(setting.name, value);
                    }
                }
                // What is no key any more is refused even earlier.
                let Ok(verifier) = Verifier::new(provider, settings) else {
                    continue;
                };
                let verdict = sample.verify(&verifier, &signed, AT);
                assert!(verdict.is_err(), "{}: byte {at}, bit {bit}", provider.name);
            }
        }
    }
}

#[test]
fn several_secrets_are_live_at_once_and_the_one_that_signed_is_named() {
    for provider in providers::all() {
        let sample = Sample::of(provider);
        let signed = sample.sign().unwrap();
        let Some(secret) = sample.settings.get("secret") else {
            continue;
        };
        let other = match provider.settings[0].form {
            bellwire_listen::Form::Hex => "00ff".to_owned(),
            bellwire_listen::Form::Standard => "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(),
            _ => "another".to_owned(),
        };
        let mut settings = Settings::new().with("secret", other).with("secret", secret);
        for setting in provider.settings.iter().filter(|setting| setting.name != "secret") {
            for value in sample.settings.all(setting.name) {
                settings.add(setting.name, value);
            }
        }
        let verifier = Verifier::new(provider, settings).unwrap();
        let trusted = sample.verify(&verifier, &signed, AT).unwrap();
        assert_eq!(trusted.key_index, Some(1), "{}", provider.name);
    }
}

#[test]
fn an_empty_secret_is_an_error_of_the_settings() {
    for provider in providers::all() {
        for setting in provider.settings.iter().filter(|setting| setting.required) {
            for empty in ["", "  \n"] {
                let settings = Settings::new().with(setting.name, empty);
                let error = Verifier::new(provider, settings).unwrap_err().to_string();
                assert!(error.contains("empty"), "{}: {error}", provider.name);
            }
        }
    }
}

#[test]
fn rows_that_sign_a_time_refuse_what_is_a_day_old_where_the_provider_says_so() {
    let strict = [
        "standard-webhooks",
        "svix",
        "stripe",
        "calendly",
        "tailscale",
        "paddle",
        "slack",
        "zoom",
        "linear",
        "box",
        "port-io",
        "hubspot",
        "telnyx",
        "plaid",
        "hmac",
        "ed25519",
        "jwt",
    ];
    let day = Duration::from_secs(86_400);
    for name in strict {
        let sample = Sample::of(providers::by_name(name).unwrap());
        let signed = sample.sign().unwrap();
        let mut nows = vec![AT.plus(day)];
        // A token that is issued by a clock ahead is judged by its end alone.
        if name != "jwt" {
            nows.push(AT.minus(day));
        }
        for now in nows {
            let refused = sample.verify(&sample.verifier(), &signed, now).unwrap_err();
            assert_eq!(refused.reason, Reason::Clock, "{name}: {refused}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_signed_verifies_whatever_the_body(body in proptest::collection::vec(any::<u8>(), 0..200), secs in 1_000_000_000..2_000_000_000_i64) {
        let at = Timestamp::from_secs(secs);
        // Those whose signature or time is in the body need one that can carry it.
        let carried = ["ms-graph", "adyen", "aws-sns", "mailgun", "linear", "orum-io", "twilio", "paypal"];
        for provider in providers::all().filter(|provider| !carried.contains(&provider.name)) {
            let sample = Sample::of(provider);
            let signed = sample.sign_body(&body, at).unwrap();
            prop_assert!(sample.verify(&sample.verifier(), &signed, at).is_ok(), "{}", provider.name);
        }
    }
}
