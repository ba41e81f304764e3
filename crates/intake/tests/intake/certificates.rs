//! Proofs that need a certificate from the provider's own host, and subscriptions that are confirmed by a visit.

use bellwire_intake::FetchError;
use bellwire_listen::{Settings, Signing, providers, sign};
use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;

use super::world::World;

const RSA: &str = include_str!("../../../listen/tests/data/rsa.pem");
const CERTIFICATE: &str = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-test.pem";

fn signed(body: &str) -> Bytes {
    let signing = Signing {
        method: "POST",
        url: "https://hooks.example.com/in/sns",
        content_type: "text/plain; charset=UTF-8",
        body: body.as_bytes(),
        at: super::world::NOON,
        id: Some("1"),
        event_type: None,
        private_key: Some(RSA),
        random: &SystemRandom::new(),
    };
    sign(providers::by_name("aws-sns").unwrap(), &Settings::new(), &signing)
        .unwrap()
        .body
        .into()
}

fn certificate() -> Bytes {
    let pair = KeyPair::from_pem(RSA).unwrap();
    let params = CertificateParams::new(vec!["sns.us-east-1.amazonaws.com".to_owned()]).unwrap();
    params.self_signed(&pair).unwrap().pem().into()
}

/// That of [`signed`].
const TOPIC: &[(&str, &str)] = &[("topicArn", "arn:aws:sns:us-east-1:123456789012:test")];

const TEXT: &[(&str, &str)] = &[("content-type", "text/plain; charset=UTF-8")];

#[tokio::test]
async fn a_certificate_is_fetched_once_and_its_lack_is_nobodys_fault_but_ours() {
    let world = World::new().await;
    let source = world.source("sns", "aws-sns", TOPIC, "{}").await;
    let body = signed(r#"{"Type":"Notification","Message":"hello"}"#);
    let at = |found| world.outside.at.lock().unwrap().insert(CERTIFICATE.to_owned(), found);
    at(Err(FetchError::Unreachable("down".to_owned())));
    let answer = world.ask("POST", "/in/sns", TEXT, body.clone()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "certificate_unavailable")
    );
    at(Ok(certificate()));
    world.clock.advance(std::time::Duration::from_secs(60));
    for _ in 0..3 {
        assert_eq!(world.ask("POST", "/in/sns", TEXT, body.clone()).await.status, 200);
    }
    assert_eq!(world.outside.asked.lock().unwrap().len(), 2);
    assert_eq!(world.messages(&source).await.len(), 1);
    let forged = String::from_utf8(body.to_vec())
        .unwrap()
        .replace("-test.pem", "-forged.pem");
    assert_eq!(world.ask("POST", "/in/sns", TEXT, forged).await.status, 401);
}

#[tokio::test]
async fn a_subscription_is_confirmed_in_the_background() {
    let world = World::new().await;
    let source = world.source("sns", "aws-sns", TOPIC, "{}").await;
    world
        .outside
        .at
        .lock()
        .unwrap()
        .insert(CERTIFICATE.to_owned(), Ok(certificate()));
    let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
    let body = signed(&format!(
        r#"{{"Type":"SubscriptionConfirmation","Message":"m","SubscribeURL":"{url}","Token":"t"}}"#
    ));
    for _ in 0..2 {
        assert_eq!(world.ask("POST", "/in/sns", TEXT, body.clone()).await.status, 200);
    }
    let visits = || {
        world
            .outside
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| *asked == url)
            .count()
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let visited = async {
        while visits() == 0 {
            world.outside.came.notified().await;
        }
        stop.cancel();
    };
    tokio::join!(world.intake.run(stop.clone()), visited);
    assert_eq!(visits(), 1);
    let list = world.refused(&source).await;
    assert_eq!(
        list[0].reason, "unconfirmed",
        "there is nothing at that URL, and people are told"
    );
}

#[tokio::test]
async fn a_source_that_believes_every_account_is_reached_by_its_token_alone_and_confirms_nothing() {
    let world = World::new().await;
    let source = world.source("sns", "aws-sns", &[], "{}").await;
    let found = Ok(certificate());
    world.outside.at.lock().unwrap().insert(CERTIFICATE.to_owned(), found);
    let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
    let body = signed(&format!(
        r#"{{"Type":"SubscriptionConfirmation","Message":"m","SubscribeURL":"{url}","Token":"t"}}"#
    ));
    assert_eq!(world.ask("POST", "/in/sns", TEXT, body.clone()).await.status, 404);
    assert_eq!(world.ask("POST", "/in/token-sns", TEXT, body).await.status, 200);
    world.finish().await;
    assert!(!world.outside.asked.lock().unwrap().iter().any(|asked| asked == url));
    let verdict = world.messages(&source).await[0]
        .inbound
        .clone()
        .unwrap()
        .verdict
        .clone();
    assert!(verdict.contains("topicArn"), "{verdict}");
}
