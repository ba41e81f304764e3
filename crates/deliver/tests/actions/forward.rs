//! The kind `forward`.

use std::time::Duration;

use bellwire_core::{
    secret::SigningKey,
    sign::{self, Received, SignedHeaders},
};
use serde_json::json;

use crate::{
    house::{House, NOW, endpoint, message, reason},
    receiver::{Receiver, Reply},
};

const RAW: &str = "{\"b\": 1.0,\r\n  \"a\":12345678901234567890 }";

#[tokio::test]
async fn bytes_and_headers_go_on_as_they_came() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "")).await;
    let settings = json!({"url": format!("{}/in?k=v", receiver.url()), "headers": {"x-from": "{{ type }}"}});
    let outcome = house.act(endpoint("forward", &settings), message(RAW)).await;
    assert_eq!((reason(&outcome), outcome.signature.as_str()), ("", ""));
    assert_eq!(outcome.url, "forward:described");
    let seen = receiver.only();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.text()),
        ("POST", "/in?k=v", RAW)
    );
    assert_eq!(seen.header("stripe-signature"), "t=1,v1=00");
    assert_eq!(seen.header("x-from"), "invoice.paid");
    assert_eq!(seen.header("host"), receiver.address.to_string());
    assert_eq!(seen.header("content-length"), RAW.len().to_string());
}

#[tokio::test]
async fn what_is_signed_anew_verifies_with_the_key_of_the_endpoint() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(200, &[], "")).await;
    let settings = json!({"url": receiver.url(), "sign": true});
    let outcome = house.act(endpoint("forward", &settings), message(RAW)).await;
    let seen = receiver.only();
    let pairs = seen
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let received = Received {
        headers: SignedHeaders::from_pairs(pairs),
        body: &seen.body,
    };
    let key = SigningKey::generate_symmetric([7; 24]).verifying();
    sign::verify(&received, &[key], NOW.secs(), Some(Duration::from_secs(300))).unwrap();
    assert!(outcome.signature.contains(seen.header("webhook-signature")));
    assert_eq!(seen.header("stripe-signature"), "t=1,v1=00");
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_the_endpoint_as_ever() {
    let house = House::open().await;
    let receiver = Receiver::answering(Reply(410, &[], "")).await;
    let outcome = house
        .act(endpoint("forward", &json!({"url": receiver.url()})), message(RAW))
        .await;
    assert_eq!((reason(&outcome), outcome.status_code), ("status_gone", 410));
}
