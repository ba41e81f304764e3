//! What a trusted request says about itself, and on whose word: an id that two events share loses one of them.

use crate::support::{AT, Sample};
use bellwire_listen::{Signed, Trusted, providers};

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
    assert_eq!(trusted("twilio", &headers, "MessageSid=SM1").id.as_deref(), Some("7f1a"));
    let signed_field = trusted("twilio", &headers, "EventSid=EV1");
    assert_eq!(signed_field.id.as_deref(), Some("EV1"));
    let headers = [("x-pandadoc-webhook-event-id", "550e8400")];
    assert_eq!(trusted("panda-doc", &headers, "[]").id.as_deref(), Some("550e8400"));
}
