//! The questions providers ask first, and what they are answered.

use crate::support::{AT, Sample, pairs, request};
use bellwire_listen::{Answer, Request, Settings, Signing, Verifier, acknowledge, handshake, providers, sign};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

const SECRET: &str = "sec_ret0123456789";

fn verifier(provider: &str, settings: Settings) -> Verifier {
    Verifier::new(providers::by_name(provider).unwrap(), settings).unwrap()
}

fn ask(verifier: &Verifier, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    handshake(
        verifier,
        &Request {
            method,
            url,
            headers,
            body: body.as_bytes(),
            received_at: AT,
            peer: None,
            fetched: None,
        },
    )
}

/// The answer to a signed body; and that the same unsigned gets none.
fn ask_signed(sample: &Sample, body: &str) -> Option<Answer> {
    let verifier = sample.verifier();
    assert_eq!(ask(&verifier, "POST", crate::support::URL, &[], body), None);
    let signing = Signing {
        method: "POST",
        url: crate::support::URL,
        content_type: "application/json",
        body: body.as_bytes(),
        at: AT,
        id: None,
        event_type: None,
        private_key: sample.private_key.as_deref(),
        random: &SystemRandom::new(),
    };
    let signed = sign(sample.provider, &sample.settings, &signing).unwrap();
    let headers = pairs(&signed);
    handshake(&verifier, &request(&signed, &headers))
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn secret() -> Settings {
    Settings::new().with("secret", SECRET)
}

#[test]
fn slack_zoom_and_discord_are_answered_when_they_signed() {
    let slack = Sample::of(providers::by_name("slack").unwrap());
    let answer = ask_signed(&slack, r#"{"type":"url_verification","challenge":"abc","token":"x"}"#).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abc"[..]));
    assert_eq!(ask_signed(&slack, r#"{"type":"event_callback"}"#), None);

    let zoom = Sample::of(providers::by_name("zoom").unwrap());
    let answer = ask_signed(
        &zoom,
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"q9"}}"#,
    )
    .unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let expected: String = ring::hmac::sign(&key, b"q9")
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        json_of(&answer),
        json!({ "plainToken": "q9", "encryptedToken": expected })
    );

    let discord = Sample::of(providers::by_name("discord").unwrap());
    let answer = ask_signed(&discord, r#"{"type":1}"#).unwrap();
    assert_eq!(json_of(&answer), json!({ "type": 1 }));
    assert_eq!(ask_signed(&discord, r#"{"type":2}"#), None);
}

#[test]
fn discords_webhook_events_are_no_pings_and_both_are_answered_204() {
    let discord = Sample::of(providers::by_name("discord").unwrap());
    let ping = ask_signed(&discord, r#"{"version":1,"application_id":"1","type":0}"#).unwrap();
    assert_eq!((ping.status, ping.body.as_slice()), (204, &b""[..]));
    let event = r#"{"version":1,"application_id":"1","type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{}}}"#;
    assert_eq!(ask_signed(&discord, event), None);
    let signed = discord.sign_body(event.as_bytes(), AT).unwrap();
    let headers = pairs(&signed);
    let trusted = discord.verify(&discord.verifier(), &signed, AT).unwrap();
    assert_eq!(trusted.event_type.as_deref(), Some("APPLICATION_AUTHORIZED"));
    assert_eq!(acknowledge(discord.provider, &request(&signed, &headers)).status, 204);
    let interaction = discord.sign_body(br#"{"type":2,"id":"7"}"#, AT).unwrap();
    let headers = pairs(&interaction);
    assert_eq!(
        acknowledge(discord.provider, &request(&interaction, &headers)).status,
        200
    );
}

#[test]
fn of_several_secrets_the_one_that_signed_zooms_question_answers_it() {
    let mut zoom = Sample::of(providers::by_name("zoom").unwrap());
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"q9"}}"#;
    let signed = zoom.sign_body(body.as_bytes(), AT).unwrap();
    let headers = pairs(&signed);
    let alone = handshake(&zoom.verifier(), &request(&signed, &headers)).unwrap();
    zoom.settings = Settings::new().with("secret", "newer").with("secret", SECRET);
    let of_two = handshake(&zoom.verifier(), &request(&signed, &headers)).unwrap();
    assert_eq!(json_of(&of_two), json_of(&alone));
}

#[test]
fn challenges_in_the_query_are_echoed_as_plain_text() {
    let dropbox = verifier("dropbox", secret());
    let answer = ask(&dropbox, "GET", "https://h/in/x?challenge=a%3Cb%3E", &[], "").unwrap();
    assert_eq!(answer.body, b"a<b>");
    for header in [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert!(answer.headers.contains(&(header.0.into(), header.1.into())));
    }
    let graph = verifier("ms-graph", secret());
    let answer = ask(
        &graph,
        "POST",
        "https://h/in/x?validationToken=Validation%3A+me",
        &[],
        "",
    )
    .unwrap();
    assert_eq!(answer.body, b"Validation: me");
    assert_eq!(ask(&graph, "POST", "https://h/in/x", &[], "{}"), None);
    let long = format!("https://h/in/x?challenge={}", "a".repeat(2000));
    assert_eq!(ask(&dropbox, "GET", &long, &[], ""), None);
}

#[test]
fn meta_gets_its_challenge_back_only_with_the_verify_token() {
    let meta = verifier("meta", secret().with("verifyToken", "tok"));
    let url = |token: &str| format!("https://h/in/x?hub.mode=subscribe&hub.challenge=115&hub.verify_token={token}");
    assert_eq!(ask(&meta, "GET", &url("tok"), &[], "").unwrap().body, b"115");
    assert_eq!(ask(&meta, "GET", &url("other"), &[], "").unwrap().status, 403);
}

#[test]
fn x_gets_the_tokens_hmac() {
    // HMAC-SHA256 of the token with the consumer secret, base64.
    let x = verifier("x", secret());
    let answer = ask(&x, "GET", "https://h/in/x?crc_token=abc", &[], "").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        ring::hmac::sign(&key, b"abc"),
    );
    assert_eq!(json_of(&answer), json!({ "response_token": format!("sha256={tag}") }));
    // The same key signs events: a challenge must not have one signed.
    let forged = ask(&x, "GET", "https://h/in/x?crc_token=%7B%22a%22%3A1%7D", &[], "").unwrap();
    assert_eq!(forged.status, 400);
}

#[test]
fn okta_trello_and_adobe_are_answered() {
    let okta = verifier("okta", secret());
    let answer = ask(
        &okta,
        "GET",
        "https://h/",
        &[("X-Okta-Verification-Challenge", "q")],
        "",
    )
    .unwrap();
    assert_eq!(json_of(&answer), json!({ "verification": "q" }));

    let trello = verifier("trello", secret());
    assert_eq!(ask(&trello, "HEAD", "https://h/", &[], "").unwrap().status, 200);
    assert_eq!(ask(&trello, "POST", "https://h/", &[], "{}"), None);

    let adobe = verifier("adobe-sign", Settings::new().with("clientId", "CB1"));
    let headers = [("X-AdobeSign-ClientId", "CB1")];
    let echoed = ("x-adobesign-clientid".to_owned(), "CB1".to_owned());
    assert!(
        ask(&adobe, "GET", "https://h/", &headers, "")
            .unwrap()
            .headers
            .contains(&echoed)
    );
    assert_eq!(
        ask(&adobe, "GET", "https://h/", &[("X-AdobeSign-ClientId", "CB2")], ""),
        None
    );
    let event = Request {
        method: "POST",
        url: "https://h/",
        headers: &headers,
        body: b"{}",
        received_at: AT,
        peer: None,
        fetched: None,
    };
    assert!(acknowledge(adobe.provider(), &event).headers.contains(&echoed));
    let adyen = providers::by_name("adyen").unwrap();
    assert_eq!(acknowledge(adyen, &event).body, b"[accepted]");
}

#[test]
fn a_secret_that_a_request_brings_is_kept_only_while_armed() {
    let asks = |verifier: &Verifier, provider: &str| {
        if provider == "asana" {
            ask(verifier, "POST", "https://h/", &[("X-Hook-Secret", "new")], "").unwrap()
        } else {
            ask(verifier, "POST", "https://h/", &[], r#"{"verification_token":"new"}"#).unwrap()
        }
    };
    for provider in ["asana", "notion"] {
        let refused = asks(&verifier(provider, secret()), provider);
        assert_eq!((refused.status, refused.keep), (403, None), "{provider}");
        let armed = asks(&verifier(provider, secret().with("armed", "true")), provider);
        assert_eq!(
            (armed.status, armed.keep),
            (200, Some(("secret", "new".into()))),
            "{provider}"
        );
    }
    // A time is as good until it comes.
    for (until, status) in [("2100-01-01T00:00:00Z", 200), ("2020-01-01T00:00:00Z", 403)] {
        let timed = verifier("asana", secret().with("armed", until));
        assert_eq!(asks(&timed, "asana").status, status, "{until}");
    }
    let unread = Settings::new().with("armed", "yes");
    let error = Verifier::new(providers::by_name("asana").unwrap(), unread).unwrap_err();
    assert!(error.to_string().contains("`armed` is not usable"), "{error}");
    // Before the first handshake there is no secret; nothing is trusted then.
    let armed = verifier("asana", Settings::new().with("armed", "true"));
    let event = [("x-hook-signature", "00".repeat(32))];
    let event: Vec<_> = event.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let unsigned = Request {
        method: "POST",
        url: "https://h/",
        headers: &event,
        body: b"{}",
        received_at: AT,
        peer: None,
        fetched: None,
    };
    assert!(armed.verify(&unsigned).is_err());
    assert!(Verifier::new(armed.provider(), Settings::new()).is_err());
    let answer = asks(&armed, "asana");
    assert!(answer.headers.contains(&("x-hook-secret".into(), "new".into())));
}

#[test]
fn cloudevents_origins_are_allowed_as_the_settings_say() {
    let headers = [("WebHook-Request-Origin", "eventemitter.example.com")];
    let open = verifier("none", Settings::new());
    let answer = ask(&open, "OPTIONS", "https://h/", &headers, "").unwrap();
    for (name, value) in [
        ("webhook-allowed-origin", "eventemitter.example.com"),
        ("webhook-allowed-rate", "*"),
    ] {
        assert!(answer.headers.contains(&(name.into(), value.into())));
    }
    let narrow = verifier("none", Settings::new().with("allowedOrigin", "other.example.com"));
    assert_eq!(ask(&narrow, "OPTIONS", "https://h/", &headers, "").unwrap().status, 403);
    assert_eq!(ask(&open, "OPTIONS", "https://h/", &[], ""), None);
}

#[test]
fn a_subscription_of_sns_is_confirmed_only_on_its_own_hosts() {
    let mut sample = Sample::of(providers::by_name("aws-sns").unwrap());
    sample.settings = Settings::new().with("topicArn", "arn:aws:sns:us-east-1:123456789012:test");
    for (url, confirmed) in [
        ("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription", true),
        ("https://evil.example/?Action=ConfirmSubscription", false),
    ] {
        let message = json!({ "Type": "SubscriptionConfirmation", "Token": "1", "SubscribeURL": url });
        sample.body = message.to_string().into_bytes();
        let signed = sample.sign().unwrap();
        let trusted = sample.verify(&sample.verifier(), &signed, AT).unwrap();
        assert_eq!(trusted.confirm.as_deref(), confirmed.then_some(url));
    }
}
