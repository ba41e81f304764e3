//! Feeds headers, URLs and bodies to every provider's verification. Nothing is trusted without the secret, no word repeats it.
#![no_main]

use std::sync::LazyLock;

use bellwire_core::time::Timestamp;
use bellwire_listen::{Covers, Request, Settings, Verifier, cloudevents, handshake, providers};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "correct-horse-battery-staple";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A verifier of every row that a secret alone, or a secret and a header, makes.
static VERIFIERS: LazyLock<Vec<Verifier>> = LazyLock::new(|| {
    let settings = || {
        [
            Settings::new().with("secret", WHSEC),
            Settings::new().with("secret", SECRET),
            Settings::new().with("secret", "44782def547aaa06c910c43932b1eb0c"),
            Settings::new().with("secret", SECRET).with("header", "x-signature"),
            Settings::new().with("clientId", SECRET),
            Settings::new().with("webhookId", SECRET),
            Settings::new().with("user", SECRET).with("pass", SECRET),
            Settings::new(),
        ]
    };
    providers::all()
        .filter(|provider| provider.covers != Covers::Nothing)
        .filter_map(|provider| settings().into_iter().find_map(|settings| Verifier::new(provider, settings).ok()))
        .collect()
});

fuzz_target!(|input: (&str, Vec<(&str, &str)>, &[u8], bool)| {
    let (query, headers, body, post) = input;
    // A name as short as a number reaches a header that some provider looks at.
    let names = [
        "authorization",
        "stripe-signature",
        "x-hub-signature-256",
        "x-slack-signature",
        "x-slack-request-timestamp",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-twilio-signature",
        "content-type",
        "plaid-verification",
        "paypal-cert-url",
        "paypal-transmission-sig",
        "box-delivery-timestamp",
        "box-signature-primary",
        "ce-specversion",
        "ce-id",
        "signature",
        "x-signature",
        "paddle-signature",
    ];
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| match name.as_bytes() {
            [one] => (names[usize::from(*one) % names.len()], value),
            _ => (name, value),
        })
        .collect();
    let url = format!("https://example.com/in/source?{query}");
    let request = Request {
        method: if post { "POST" } else { "GET" },
        url: &url,
        headers: &headers,
        body,
        received_at: Timestamp::from_secs(1_700_000_000),
        peer: None,
        fetched: None,
    };
    for verifier in VERIFIERS.iter() {
        let refused = verifier.explain(&request, &[], true).expect_err(verifier.provider().name);
        assert!(!refused.words.contains(SECRET) && !refused.words.contains(WHSEC), "{refused}");
        assert!(refused.words.len() < 1_200, "{refused}");
        let _ = handshake(verifier, &request);
    }
    let _ = cloudevents::read(&request);
});
