//! What a trusted request says about itself, and on whose word: an id that two events share loses one of them.

use crate::support::{AT, Sample};
use bellwire_listen::{Reason, Settings, Signed, Trusted, providers};

/// Signs a body as the provider would and adds headers, which nothing signs.
fn trusted(provider: &str, headers: &[(&str, &str)], body: &str) -> Trusted {
    let sample = Sample::of(providers::by_name(provider).unwrap());
    let mut signed: Signed = sample.sign_body(body.as_bytes(), AT).unwrap();
    for (name, value) in headers {
        signed.headers.retain(|(other, _)| other != name);
        signed.headers.push(((*name).to_owned(), (*value).to_owned()));
    }
    sample.verify(&sample.verifier(), &signed, AT).unwrap()
}

#[test]
fn what_several_events_share_is_no_id() {
    let veriff = r#"{"id":"s1","attemptId":"a1","action":"started","code":7001}"#;
    assert_eq!(trusted("veriff", &[], veriff).id, None);
    let delivery = [("x-wc-webhook-delivery-id", "56ee99e4b7cd1d9e1b5bdd0d3b2b7f7a")];
    assert_eq!(trusted("woocommerce", &delivery, r#"{"id":7}"#).id, None);
}

#[test]
fn an_id_that_customers_write_into_the_body_is_none_of_zendesks() {
    let headers = [("x-zendesk-webhook-invocation-id", "01HX")];
    let trusted = trusted("zendesk", &headers, r#"{"id":"ticket-7","type":"t"}"#);
    assert_eq!(trusted.id.as_deref(), Some("01HX"));
}

#[test]
fn the_ids_by_which_twilio_and_pandadoc_repeat_are_known() {
    let headers = [("i-twilio-idempotency-token", "7f1a")];
    assert_eq!(
        trusted("twilio", &headers, "MessageSid=SM1").id.as_deref(),
        Some("7f1a")
    );
    let signed_field = trusted("twilio", &headers, "EventSid=EV1");
    assert_eq!(signed_field.id.as_deref(), Some("EV1"));
    let headers = [("x-pandadoc-webhook-event-id", "550e8400")];
    assert_eq!(trusted("panda-doc", &headers, "[]").id.as_deref(), Some("550e8400"));
}

#[test]
fn the_id_is_that_of_the_headers_that_were_verified() {
    let id = |provider, unsigned| trusted(provider, &[(unsigned, "evil1")], "{}");
    for (provider, unsigned) in [("svix", "webhook-id"), ("standard-webhooks", "svix-id")] {
        let trusted = id(provider, unsigned);
        assert_eq!(
            (trusted.id.as_deref(), trusted.id_is_signed),
            (Some("evt-1"), true),
            "{provider}"
        );
    }
}

#[test]
fn a_generic_form_has_the_id_that_its_settings_name_and_no_other() {
    let mut sample = Sample::of(providers::by_name("hmac").unwrap());
    let id = |sample: &Sample| {
        let mut signed = sample.sign_body(br#"{"id":"customer-7","type":"t"}"#, AT).unwrap();
        signed.headers.push(("webhook-id".into(), "r1".into()));
        signed.headers.push(("ce-id".into(), "r1".into()));
        let trusted = sample.verify(&sample.verifier(), &signed, AT).unwrap();
        (trusted.id, trusted.id_is_signed)
    };
    assert_eq!(
        id(&sample),
        (Some("evt-1".to_owned()), true),
        "x-id is part of the content"
    );
    let settings = || Settings::new().with("secret", "s").with("header", "x-sig");
    sample.settings = settings();
    assert_eq!(id(&sample), (None, false));
    sample.settings = settings().with("id", "header:x-event-id");
    assert_eq!(id(&sample), (Some("evt-1".to_owned()), false), "nothing signs it");
    sample.settings = settings().with("id", "json:/id");
    assert_eq!(id(&sample), (Some("evt-1".to_owned()), true));
}

#[test]
fn a_request_of_several_events_is_known_by_all_of_them() {
    let event = |id: u32| format!(r#"{{"eventId":{id},"subscriptionId":1,"occurredAt":5,"subscriptionType":"t{id}"}}"#);
    let id = |ids: &[u32]| {
        let list: Vec<_> = ids.iter().map(|id| event(*id)).collect();
        trusted("hubspot", &[], &format!("[{}]", list.join(","))).id
    };
    assert_eq!(id(&[1, 2]).as_deref(), Some("1/1/5,2/1/5"));
    assert_ne!(id(&[1, 2]), id(&[1, 3]));
    assert_eq!(
        trusted("hubspot", &[], r#"[{"eventId":1}]"#).id,
        None,
        "a part of it is none"
    );
    let whole = trusted("hubspot", &[], &format!("[{},{}]", event(1), event(2)));
    let second = whole.of_item(providers::by_name("hubspot").unwrap(), event(2).as_bytes());
    assert_eq!(
        (second.id.as_deref(), second.event_type.as_deref()),
        (Some("2/1/5"), Some("t2"))
    );
}

#[test]
fn a_topic_that_nobody_named_proves_nothing_and_is_not_confirmed_unless_armed() {
    let mut sample = Sample::of(providers::by_name("aws-sns").unwrap());
    let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription";
    let message = serde_json::json!({ "Type": "SubscriptionConfirmation", "Token": "1", "SubscribeURL": url });
    sample.body = message.to_string().into_bytes();
    let signed = sample.sign().unwrap();
    for (settings, proves, confirmed) in [
        (Settings::new(), false, false),
        (Settings::new().with("armed", "true"), false, true),
        (
            Settings::new().with("topicArn", "arn:aws:sns:us-east-1:123456789012:test"),
            true,
            true,
        ),
    ] {
        sample.settings = settings;
        let trusted = sample.verify(&sample.verifier(), &signed, AT).unwrap();
        assert_eq!(sample.verifier().proves(), proves);
        assert_eq!(trusted.confirm.is_some(), confirmed);
        assert_eq!(trusted.unconfirmed.is_some(), !confirmed);
    }
}

#[test]
fn a_signature_of_the_other_version_is_refused_and_the_settings_are_not_blamed() {
    let sample = Sample::of(providers::by_name("svix").unwrap());
    let mut signed = sample.sign().unwrap();
    let header = signed
        .headers
        .iter_mut()
        .find(|(name, _)| name == "svix-signature")
        .unwrap();
    let zeros = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [0; 64]);
    header.1 = format!("v1a,{zeros}");
    let refused = sample.verify(&sample.verifier(), &signed, AT).unwrap_err();
    assert_eq!(refused.reason, Reason::OtherContent);
}
