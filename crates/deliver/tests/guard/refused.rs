//! Addresses as hosts: no resolver is asked about them, so the guard has to judge them itself.

use std::net::Ipv4Addr;

use bellwire_core::address::{AddressPolicy, check_url};
use bellwire_deliver::guard::{ConnectError, Guard, GuardConfig};

use crate::dns::{A, DnsServer};
use crate::support::{Street, config, guard, target};

#[tokio::test]
async fn addresses_are_judged_again_by_the_guard_that_connects() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let guard = guard(&dns);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        for scheme in ["http", "https"] {
            let error = guard
                .connect(&target(&format!("{scheme}://{host}:{}/", street.port)))
                .await
                .unwrap_err();
            assert_eq!(error.reason(), "address_refused", "{host}");
        }
    }
    street.receiver_untouched().await.assert_traps_untouched().await;
}

#[tokio::test]
async fn every_special_address_is_refused_before_a_packet_is_sent() {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    let guard = guard(&dns);
    for host in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "[4000::1]",
        "[ff02::1]",
        "[2001::1]",
        "[2001:db8::1]",
        "[3fff::1]",
    ] {
        let error = guard.connect(&target(&format!("http://{host}/"))).await.unwrap_err();
        assert!(matches!(error, ConnectError::AddressRefused(_)), "{host}: {error}");
    }
}

#[tokio::test]
async fn names_that_look_like_addresses_never_reach_the_resolver() {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    for bits in [0x7f00_0001_u32, 0x0a00_0001, 0xa9fe_a9fe] {
        let v4 = Ipv4Addr::from_bits(bits);
        let error = guard(&dns)
            .resolve(&target(&format!("http://{v4}./")))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "address_refused");
        assert_eq!(dns.asked(&v4.to_string(), A), 0);
    }
}

#[tokio::test]
async fn a_stricter_policy_holds_for_targets_made_before_it() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let https_only = AddressPolicy {
        https_only: true,
        ..crate::support::policy()
    };
    let guard = Guard::new(GuardConfig {
        policy: https_only,
        ..config(&dns)
    })
    .unwrap();
    let error = guard
        .connect(&target(&format!("http://hook.example:{}/", street.port)))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "address_refused");
    let ports = AddressPolicy {
        ports: vec![22],
        ..Default::default()
    };
    let ssh = check_url("https://hook.example:22/", &ports).unwrap();
    assert_eq!(guard.connect(&ssh).await.unwrap_err().reason(), "address_refused");
    street.receiver_untouched().await.assert_traps_untouched().await;
}
