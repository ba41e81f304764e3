//! Mail servers and databases are reached by the same rules as receivers.

use bellwire_deliver::guard::{Certificate, Guard, GuardConfig, Service};
use tokio::io::AsyncWriteExt;

use crate::dns::DnsServer;
use crate::support::{Street, config, guard, round_trip};
use crate::tls::{Authority, serve};

fn service(host: &str, port: u16) -> Service<'_> {
    Service { host, port, usual: &[] }
}

#[tokio::test]
async fn one_bad_address_in_the_answer_refuses_all_of_them() {
    let dns = DnsServer::always(&["127.0.0.2", "127.0.0.1"]).await;
    let street = Street::new().await;
    let error = guard(&dns)
        .open(service("mail.example", street.port))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "address_refused");
    let error = guard(&dns)
        .judge(service("mail.example", street.port))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "address_refused");
    street.receiver_untouched().await.assert_traps_untouched().await;
}

#[tokio::test]
async fn ports_are_those_of_the_policy_and_of_the_service() {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    let guard = guard(&dns);
    for (port, usual, is_allowed) in [
        (25, &[465, 587][..], false),
        (465, &[465, 587], true),
        (22, &[], false),
        (5432, &[], true),
    ] {
        let service = Service {
            host: "mail.example",
            port,
            usual,
        };
        assert_eq!(guard.judge(service).await.is_ok(), is_allowed, "{port}");
    }
}

#[tokio::test]
async fn tls_begins_when_it_is_asked_to_with_the_name_that_was_meant() {
    let (authority, dns) = (Authority::new(), DnsServer::always(&["127.0.0.2"]).await);
    let trusting = GuardConfig {
        extra_roots: vec![authority.pem.clone()],
        ..config(&dns)
    };
    let trusting = Guard::new(trusting).unwrap();
    for (name, certificate, reason) in [
        ("mail.example", Certificate::Verified, None),
        ("other.example", Certificate::Verified, Some("tls_wrong_name")),
        ("other.example", Certificate::Any, None),
    ] {
        let street = Street::new().await;
        let mut server = authority.server(&[name], |_| {});
        // Such servers know no protocol of ours.
        server.alpn_protocols = vec![b"postgresql".to_vec()];
        let port = street.port;
        let greetings = serve(street.receiver, server, 1);
        let opened = trusting.open(service("mail.example", port)).await.unwrap();
        match (trusting.secure(opened, certificate).await, reason) {
            (Ok(mut stream), None) => {
                round_trip(&mut stream).await;
                stream.shutdown().await.unwrap();
                drop(stream);
                assert_eq!(greetings.await.unwrap()[0].name.as_deref(), Some("mail.example"));
            }
            (Err(error), Some(reason)) => assert_eq!(error.reason(), reason),
            (outcome, reason) => panic!("{outcome:?} instead of {reason:?}"),
        }
    }
}
