//! Names: what the DNS says is judged, and nothing refused is connected to.

use std::net::IpAddr;
use std::time::Duration;

use bellwire_deliver::guard::{Guard, GuardConfig};

use crate::dns::{A, AAAA, Answer, DnsServer};
use crate::support::{Street, allowing, config, guard, target};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Connects to `http://hook.example` on the street's port, and says why it did not work.
async fn reason(guard: &Guard, street: &Street) -> &'static str {
    let target = target(&format!("http://hook.example:{}/", street.port));
    guard.connect(&target).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_connected_to_at_its_address() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let target = target(&format!("http://hook.example:{}/", street.port));
    let connected = guard(&dns).connect(&target).await.unwrap();
    assert_eq!(connected.peer, street.receiver.local_addr().unwrap());
    assert!(!connected.http2 && !connected.proxied && !connected.io.is_tls());
    assert_eq!((dns.asked("hook.example", A), dns.asked("hook.example", AAAA)), (1, 1));
    street.assert_traps_untouched().await;
}

#[tokio::test]
async fn a_name_that_moves_to_a_private_address_is_refused_from_then_on() {
    let street = Street::new().await;
    let dns = DnsServer::start(|question| match question.before {
        0 => Answer::Ips(ips(&["127.0.0.2"])),
        _ => Answer::Ips(ips(&["127.0.0.1"])),
    })
    .await;
    let guard = guard(&dns);
    let target = target(&format!("http://hook.example:{}/", street.port));
    assert!(guard.connect(&target).await.is_ok());
    let error = guard.connect(&target).await.unwrap_err();
    assert_eq!(error.reason(), "address_refused");
    assert_eq!(
        error.to_string(),
        "endpoint URL resolves to loopback address 127.0.0.1; allow the range in allow_private"
    );
    assert_eq!(dns.asked("hook.example", A), 2);
    street.assert_traps_untouched().await;
}

#[tokio::test]
async fn a_private_address_beside_a_good_one_refuses_both() {
    for answer in [
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "169.254.169.254"],
    ] {
        let (street, dns) = (Street::new().await, DnsServer::always(&answer).await);
        assert_eq!(reason(&guard(&dns), &street).await, "address_refused");
        street.receiver_untouched().await.assert_traps_untouched().await;
    }
}

#[tokio::test]
async fn a_private_ipv6_address_refuses_a_good_ipv4_address() {
    for bad in [
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "4000::1",
    ] {
        let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2", bad]).await);
        assert_eq!(reason(&guard(&dns), &street).await, "address_refused", "{bad}");
        street.receiver_untouched().await.assert_traps_untouched().await;
    }
}

#[tokio::test]
async fn a_private_ipv4_address_refuses_a_good_ipv6_address() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2", "::1"]).await);
    let guard = Guard::new(GuardConfig {
        policy: allowing(&["::1"]),
        ..config(&dns)
    })
    .unwrap();
    assert_eq!(reason(&guard, &street).await, "address_refused");
    street.receiver_untouched().await.assert_traps_untouched().await;
}

#[tokio::test]
async fn an_alias_into_private_space_is_refused() {
    let street = Street::new().await;
    let dns = DnsServer::start(|_| Answer::Alias("db.corp.internal", ips(&["127.0.0.1"]))).await;
    assert_eq!(reason(&guard(&dns), &street).await, "address_refused");
    street.assert_traps_untouched().await;
}

#[tokio::test]
async fn an_alias_that_has_to_be_followed_is_judged_where_it_ends() {
    let street = Street::new().await;
    let dns = DnsServer::start(|question| match question.name {
        "hook.example" => Answer::Alias("inner.example", Vec::new()),
        _ => Answer::Ips(ips(&["127.0.0.1"])),
    })
    .await;
    assert_eq!(reason(&guard(&dns), &street).await, "address_refused");
    street.assert_traps_untouched().await;
}

#[tokio::test]
async fn an_alias_to_a_good_address_is_called() {
    let street = Street::new().await;
    let dns = DnsServer::start(|_| Answer::Alias("lb.example.net", ips(&["127.0.0.2"]))).await;
    let target = target(&format!("http://hook.example:{}/", street.port));
    assert!(guard(&dns).connect(&target).await.is_ok());
}

#[tokio::test]
async fn names_that_do_not_exist_or_have_no_address_are_not_found() {
    let street = Street::new().await;
    let dns = DnsServer::start(|_| Answer::NxDomain).await;
    assert_eq!(reason(&guard(&dns), &street).await, "dns_not_found");
    let dns = DnsServer::always(&[]).await;
    assert_eq!(reason(&guard(&dns), &street).await, "dns_not_found");
}

#[tokio::test]
async fn a_failing_dns_server_is_named_as_such() {
    let street = Street::new().await;
    let dns = DnsServer::start(|_| Answer::ServFail).await;
    assert_eq!(reason(&guard(&dns), &street).await, "dns_failed");
}

#[tokio::test]
async fn a_silent_dns_server_times_out() {
    let street = Street::new().await;
    let dns = DnsServer::start(|_| Answer::Silence).await;
    let guard = Guard::new(GuardConfig {
        dns_timeout: Duration::from_millis(100),
        ..config(&dns)
    })
    .unwrap();
    assert_eq!(reason(&guard, &street).await, "dns_timeout");
}

#[tokio::test]
async fn a_dns_server_that_ignores_aaaa_does_not_stop_deliveries() {
    let street = Street::new().await;
    let dns = DnsServer::start(|question| match question.kind {
        AAAA => Answer::Silence,
        _ => Answer::Ips(ips(&["127.0.0.2"])),
    })
    .await;
    let guard = Guard::new(GuardConfig {
        dns_timeout: Duration::from_millis(500),
        ..config(&dns)
    })
    .unwrap();
    let target = target(&format!("http://hook.example:{}/", street.port));
    assert!(guard.connect(&target).await.is_ok());
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_refuses() {
    let street = Street::new().await;
    let dns = DnsServer::always(&["127.0.0.3", "127.0.0.2"]).await;
    let guard = Guard::new(GuardConfig {
        policy: allowing(&["127.0.0.2", "127.0.0.3"]),
        ..config(&dns)
    })
    .unwrap();
    let target = target(&format!("http://hook.example:{}/", street.port));
    assert_eq!(
        guard.connect(&target).await.unwrap().peer,
        street.receiver.local_addr().unwrap()
    );
}

#[tokio::test]
async fn localhost_is_resolved_without_the_dns_when_its_addresses_are_allowed() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let guard = Guard::new(GuardConfig {
        policy: allowing(&["127.0.0.0/8", "::1"]),
        ..config(&dns)
    })
    .unwrap();
    let found = guard
        .resolve(&target(&format!("http://localhost:{}/", street.port)))
        .await
        .unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert_eq!((dns.asked("localhost", A), dns.asked("localhost", AAAA)), (0, 0));
}

#[tokio::test]
async fn short_names_are_refused_without_a_question_unless_private_ranges_are_allowed() {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    let strict = Guard::new(GuardConfig {
        policy: allowing(&[]),
        ..config(&dns)
    })
    .unwrap();
    let short = target("http://receiver:8080/");
    assert_eq!(strict.resolve(&short).await.unwrap_err().reason(), "address_refused");
    assert_eq!(dns.asked("receiver", A), 0);
    assert_eq!(guard(&dns).resolve(&short).await.unwrap(), ips(&["127.0.0.2"]));
}

#[test]
fn a_guard_can_be_made_before_a_runtime_is_running() {
    assert!(Guard::new(GuardConfig::default()).is_ok());
}
