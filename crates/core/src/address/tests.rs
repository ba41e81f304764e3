//! What is refused and what is let through, and properties over all spellings of an address.

mod tables;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use tables::{ACCEPTED, REFUSED_HOSTS, REFUSED_TEXTS};

fn strict() -> AddressPolicy {
    AddressPolicy::default()
}

fn allowing(ranges: &[&str]) -> AddressPolicy {
    AddressPolicy {
        allow_private: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        ..strict()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_tables_are_as_large_as_promised() {
    assert!(REFUSED_HOSTS.len() + REFUSED_TEXTS.len() >= 150);
    assert!(ACCEPTED.len() >= 30);
}

#[test]
fn refused_hosts_are_refused_with_either_scheme() {
    for host in REFUSED_HOSTS {
        for text in [
            format!("http://{host}"),
            format!("https://{host}/"),
            format!("HTTP://{host}/a?b#c"),
        ] {
            let answer = check_url(&text, &strict());
            assert!(answer.is_err(), "{text:?} was let through as {answer:?}");
        }
    }
}

#[test]
fn refused_hosts_are_refused_with_a_port_of_their_own() {
    for host in REFUSED_HOSTS
        .iter()
        .filter(|host| !host.contains(':') || host.ends_with(']'))
    {
        let text = format!("http://{host}:8080/");
        let answer = check_url(&text, &strict());
        assert!(answer.is_err(), "{text:?} was let through as {answer:?}");
    }
}

#[test]
fn refused_texts_are_refused() {
    for text in REFUSED_TEXTS {
        let answer = check_url(text, &strict());
        assert!(answer.is_err(), "{text:?} was let through as {answer:?}");
    }
}

#[test]
fn public_urls_are_let_through_and_taken_apart() {
    for (text, authority, path_and_query) in ACCEPTED {
        let target = check_url(text, &strict()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (target.authority(), target.path_and_query()),
            (*authority, *path_and_query),
            "{text}"
        );
    }
}

#[test]
fn a_target_is_judged_again_by_a_stricter_policy() {
    let open = AddressPolicy {
        ports: vec![88],
        ..allowing(&["0.0.0.0/0"])
    };
    for text in [
        "http://127.0.0.1",
        "https://localhost",
        "https://example.com:88",
        "https://db.internal",
    ] {
        let target = check_url(text, &open).unwrap();
        assert_eq!(check_target(&target, &open), Ok(()), "{text}");
        assert!(check_target(&target, &strict()).is_err(), "{text}");
    }
    let target = check_url("http://example.com", &open).unwrap();
    assert_eq!(
        check_target(
            &target,
            &AddressPolicy {
                https_only: true,
                ..strict()
            }
        ),
        Err(AddressError::HttpsOnly)
    );
}

#[test]
fn a_target_has_the_parts_that_sending_needs() {
    let target = check_url("https://Hooks.Example.com:8443/a?b=c#d", &strict()).unwrap();
    assert_eq!(target.scheme(), Scheme::Https);
    assert_eq!(target.host(), &TargetHost::Domain("hooks.example.com".to_owned()));
    assert_eq!(target.port(), 8443);
    let target = check_url("http://[2606:4700::1111]", &strict()).unwrap();
    assert_eq!(target.host(), &TargetHost::Ip(ip("2606:4700::1111")));
    assert_eq!(target.port(), 80);
}

#[test]
fn nothing_prints_the_path_or_query_of_a_target() {
    let target = check_url("https://example.com/T0/B0/canary?token=canary", &strict()).unwrap();
    assert_eq!(target.to_string(), "https://example.com");
    assert_eq!(format!("{target:?}"), "Target(https://example.com)");
}

#[test]
fn errors_never_repeat_user_info_paths_or_queries() {
    for text in [
        "https://canary:canary@example.com/",
        "https://example.com:22/canary?canary",
        "ftp://x/canary",
    ] {
        let error = check_url(text, &strict()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn messages_say_what_failed_with_which_value_and_what_to_do() {
    let cases = [
        (
            "https://10.0.0.7",
            "endpoint URL names private address 10.0.0.7; allow the range in allow_private",
        ),
        (
            "https://2130706433",
            "endpoint URL names loopback address 127.0.0.1; allow the range in allow_private",
        ),
        (
            "https://[fe80::1]",
            "endpoint URL names link-local address fe80::1; allow the range in allow_private",
        ),
        (
            "https://example.com:22",
            "endpoint URL uses port 22; use 80, 443 or 1024-65535, or allow the port in allow_ports",
        ),
        (
            "https://intranet",
            "endpoint host `intranet` has no dot; use a full domain name, or allow its range in allow_private",
        ),
        (
            "https://metadata.google.internal",
            "endpoint host `metadata.google.internal` is a private name (.internal); \
             use a public one, or allow its range in allow_private",
        ),
        (
            "https://a b",
            "endpoint URL contains a space at byte 9; percent-encode or remove it",
        ),
        (
            "https://a\u{200b}b",
            "endpoint URL contains the character U+200B at byte 9; percent-encode or remove it",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(check_url(text, &strict()).unwrap_err().to_string(), message);
    }
    let error = check_resolved(&[ip("10.0.0.7")], &strict()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "endpoint URL resolves to private address 10.0.0.7; allow the range in allow_private"
    );
}

#[test]
fn length_is_bounded_in_bytes() {
    let longest = format!(
        "https://example.com/{}",
        "a".repeat(URL_BYTES_MAX - "https://example.com/".len())
    );
    assert!(check_url(&longest, &strict()).is_ok());
    let error = check_url(&format!("{longest}a"), &strict()).unwrap_err();
    assert_eq!(
        error,
        AddressError::TooLong {
            bytes: URL_BYTES_MAX + 1,
            max: URL_BYTES_MAX
        }
    );
}

#[test]
fn names_are_bounded_like_the_dns_bounds_them() {
    assert!(check_url(&format!("https://{}.com", "a".repeat(63)), &strict()).is_ok());
    assert!(check_url(&format!("https://{}.com", "a".repeat(64)), &strict()).is_err());
    let name = |length: usize| format!("{}{}", "a.".repeat((length - 3) / 2), "com");
    assert!(check_url(&format!("https://{}", name(253)), &strict()).is_ok());
    assert!(check_url(&format!("https://{}", name(255)), &strict()).is_err());
}

#[test]
fn https_only_refuses_http() {
    let policy = AddressPolicy {
        https_only: true,
        ..strict()
    };
    assert_eq!(check_url("http://example.com", &policy), Err(AddressError::HttpsOnly));
    assert_eq!(check_url("HTTP://example.com", &policy), Err(AddressError::HttpsOnly));
    assert!(check_url("https://example.com", &policy).is_ok());
}

#[test]
fn configured_ports_are_added_and_port_0_never_is() {
    let policy = AddressPolicy {
        ports: vec![0, 88],
        ..strict()
    };
    assert!(check_url("https://example.com:88", &policy).is_ok());
    assert!(check_url("https://example.com:443", &policy).is_ok());
    assert_eq!(
        check_url("https://example.com:89", &policy),
        Err(AddressError::Port { port: 89 })
    );
    assert_eq!(
        check_url("https://example.com:0", &policy),
        Err(AddressError::Port { port: 0 })
    );
}

#[test]
fn allow_private_lets_its_range_through_and_nothing_else() {
    let policy = allowing(&["10.0.0.0/8", "::1/128"]);
    for text in [
        "http://10.1.2.3",
        "http://167772161",
        "http://[::ffff:10.0.0.1]",
        "http://[::1]:8080",
        "http://8.8.8.8",
    ] {
        assert!(check_url(text, &policy).is_ok(), "{text}");
    }
    for text in [
        "http://127.0.0.1",
        "http://192.168.0.1",
        "http://[fe80::1]",
        "http://[::ffff:127.0.0.1]",
        "http://0",
    ] {
        assert!(check_url(text, &policy).is_err(), "{text}");
    }
}

#[test]
fn allow_private_lets_short_names_through_to_be_resolved() {
    let policy = allowing(&["127.0.0.0/8"]);
    for (text, name) in [
        ("http://localhost:8080/x", "localhost"),
        ("http://localhost.", "localhost"),
        ("http://receiver", "receiver"),
        ("http://db.private", "db.private"),
        ("http://svc.ns.svc.cluster.local:3000", "svc.ns.svc.cluster.local"),
    ] {
        let target = check_url(text, &policy).unwrap();
        assert_eq!(target.host(), &TargetHost::Domain(name.to_owned()));
    }
    for text in [
        "http://",
        "http://.",
        "http://a..b",
        "http://u@localhost",
        "http://localhost:22",
        "http://lo cal",
    ] {
        assert!(check_url(text, &policy).is_err(), "{text}");
    }
}

#[test]
fn allowing_all_of_ipv6_does_not_open_ipv4_through_it() {
    let policy = allowing(&["::/0"]);
    assert!(check_ip(ip("fe80::1"), &policy).is_ok());
    for inner in [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "::ffff:10.0.0.1",
    ] {
        assert!(check_ip(ip(inner), &policy).is_err(), "{inner}");
    }
}

#[test]
fn extra_denied_refuses_public_ranges_in_every_spelling() {
    let policy = AddressPolicy {
        extra_denied: vec!["52.0.0.0/8".parse().unwrap()],
        ..strict()
    };
    for text in [
        "https://52.1.2.3",
        "https://[::ffff:52.1.2.3]",
        "https://[64:ff9b::52.1.2.3]",
        "https://0x34010203",
    ] {
        let error = check_url(text, &policy).unwrap_err();
        assert!(error.to_string().contains("denied address"), "{error}");
    }
    assert!(check_url("https://53.1.2.3", &policy).is_ok());
    let policy = AddressPolicy {
        extra_denied: vec!["64:ff9b::/96".parse().unwrap()],
        ..strict()
    };
    assert!(check_ip(ip("64:ff9b::8.8.8.8"), &policy).is_err());
    assert!(check_ip(ip("8.8.8.8"), &policy).is_ok());
}

#[test]
fn the_narrower_of_allowed_and_denied_decides_and_a_tie_refuses() {
    let with = |allowed: &str, denied: &str| AddressPolicy {
        extra_denied: vec![denied.parse().unwrap()],
        ..allowing(&[allowed])
    };
    assert!(check_ip(ip("10.0.0.5"), &with("10.0.0.0/8", "10.0.0.5")).is_err());
    assert!(check_ip(ip("10.0.0.6"), &with("10.0.0.0/8", "10.0.0.5")).is_ok());
    assert!(check_ip(ip("52.1.2.3"), &with("52.1.2.3", "52.0.0.0/8")).is_ok());
    assert!(check_ip(ip("10.0.0.5"), &with("10.0.0.0/8", "10.0.0.0/8")).is_err());
    assert!(check_ip(ip("::ffff:10.0.0.5"), &with("10.0.0.0/8", "10.0.0.5")).is_err());
}

#[test]
fn one_bad_address_refuses_the_whole_answer() {
    for bad in [
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "fd00::1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
    ] {
        for answer in [[ip("8.8.8.8"), ip(bad)], [ip(bad), ip("8.8.8.8")]] {
            let error = check_resolved(&answer, &strict()).unwrap_err();
            assert!(
                matches!(error, AddressError::Resolves { ip: named, .. } if named == ip(bad)),
                "{error}"
            );
        }
    }
}

#[test]
fn a_good_answer_is_returned_in_order_and_each_address_once() {
    let answer = [
        ip("8.8.8.8"),
        ip("2606:4700::1111"),
        ip("::ffff:8.8.8.8"),
        ip("1.1.1.1"),
    ];
    let checked = check_resolved(&answer, &strict()).unwrap();
    assert_eq!(checked, [ip("8.8.8.8"), ip("2606:4700::1111"), ip("1.1.1.1")]);
}

#[test]
fn an_empty_answer_is_not_found() {
    assert_eq!(check_resolved(&[], &strict()), Err(AddressError::NotFound));
}

#[test]
fn a_policy_reads_from_configuration() {
    let policy: AddressPolicy =
        serde_json::from_str(r#"{"allow_private": ["10.0.0.0/8", "::1"], "https_only": true}"#).unwrap();
    assert!(policy.https_only && policy.allows_private() && policy.ports.is_empty());
    assert!(serde_json::from_str::<AddressPolicy>(r#"{"allow_privat": []}"#).is_err());
}

/// Every textual form of an IPv4 address that some URL parser understands.
fn spellings(v4: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = v4.octets();
    let bits = v4.to_bits();
    let (low16, low24) = (bits & 0xffff, bits & 0xff_ffff);
    let [.., g, h] = v4.to_ipv6_mapped().segments();
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("0x{bits:x}"),
        format!("0X{bits:08X}"),
        format!("0{bits:o}"),
        format!("{a}.{low24}"),
        format!("{a}.{b}.{low16}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0{b:o}.{low16}"),
        format!("0{a:o}.0x{low24:x}"),
        format!("{a}。{b}．{c}｡{d}"),
        format!("{bits}").chars().map(fullwidth).collect(),
        format!("[::ffff:{v4}]"),
        format!("[::ffff:{g:x}:{h:x}]"),
        format!("[0:0:0:0:0:FFFF:{g:04X}:{h:04X}]"),
        format!("[::{v4}]"),
        format!("[64:ff9b::{v4}]"),
        format!("[64:ff9b:0:0:0:0:{g:x}:{h:x}]"),
        format!("[2002:{g:x}:{h:x}::]"),
    ]
}

fn fullwidth(digit: char) -> char {
    char::from_u32(u32::from(digit) - u32::from('0') + 0xff10).unwrap()
}

/// Any address of the ranges that are not public, each range equally likely.
fn special_v4() -> impl Strategy<Value = Ipv4Addr> {
    let ranges = [
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("168.63.129.16", 32),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.0.2.0", 24),
        ("192.31.196.0", 24),
        ("192.52.193.0", 24),
        ("192.88.99.0", 24),
        ("192.168.0.0", 16),
        ("192.175.48.0", 24),
        ("198.18.0.0", 15),
        ("198.51.100.0", 24),
        ("203.0.113.0", 24),
        ("224.0.0.0", 4),
        ("240.0.0.0", 4),
    ];
    (prop::sample::select(ranges.to_vec()), any::<u32>()).prop_map(|((base, prefix), noise)| {
        let base = base.parse::<Ipv4Addr>().unwrap().to_bits();
        Ipv4Addr::from_bits(base | noise.checked_shr(prefix).unwrap_or(0))
    })
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        let _ = check_url(&text, &strict());
        let _ = check_url(&format!("https://{text}"), &allowing(&["0.0.0.0/0", "::/0"]));
    }

    #[test]
    fn url_like_text_gets_an_answer_and_what_passes_can_be_sent(
        text in r"(https?|ftp)?:?/{0,3}([a-z0-9.@:%\[\]-]{0,30}|[0-9a-fx.:]{0,20})(:[0-9]{0,6})?(/[!-~é]{0,20})?(\?[!-~]{0,20})?"
    ) {
        if let Ok(target) = check_url(&text, &strict()) {
            prop_assert!(target.path_and_query().starts_with('/'));
            prop_assert!(target.path_and_query().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(target.authority().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@'));
            if let TargetHost::Ip(ip) = target.host() {
                prop_assert!(check_ip(*ip, &strict()).is_ok());
            }
        }
    }

    #[test]
    fn what_passes_once_passes_again_as_it_is_sent(text in r"https://[a-zA-Z0-9.-]{1,20}\.[a-z]{2,5}(:[0-9]{4})?/[!-~]{0,20}") {
        if let Ok(target) = check_url(&text, &strict()) {
            let again = check_url(&format!("{target}{}", target.path_and_query()), &strict());
            prop_assert_eq!(again, Ok(target));
        }
    }

    #[test]
    fn special_ipv4_is_refused_in_every_spelling(v4 in special_v4()) {
        prop_assert!(check_ip(IpAddr::V4(v4), &strict()).is_err());
        for spelling in spellings(v4) {
            for text in [format!("http://{spelling}/"), format!("https://{spelling}:8443")] {
                let answer = check_url(&text, &strict());
                prop_assert!(answer.is_err(), "{} was let through as {:?}", text, answer);
            }
        }
    }

    #[test]
    fn public_ipv4_means_the_same_address_in_every_spelling(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        prop_assume!(check_ip(IpAddr::V4(v4), &strict()).is_ok());
        for spelling in spellings(v4).iter().filter(|spelling| !spelling.starts_with('[')) {
            let target = check_url(&format!("https://{spelling}"), &strict());
            prop_assert_eq!(target.unwrap().host().clone(), TargetHost::Ip(IpAddr::V4(v4)));
        }
    }

    #[test]
    fn ipv6_outside_the_global_block_is_judged_by_the_ipv4_inside_or_refused(bits in any::<u128>()) {
        let v6 = Ipv6Addr::from_bits(bits);
        prop_assume!(v6.segments()[0] >> 13 != 1);
        prop_assert!(check_ip(IpAddr::V6(v6), &strict()).is_err() || v6.segments()[..2] == [0x64, 0xff9b]);
    }

    #[test]
    fn one_special_address_anywhere_refuses_the_answer(bad in special_v4(), good in prop::collection::vec(any::<u32>(), 0..6), at in any::<prop::sample::Index>()) {
        let mut answer: Vec<IpAddr> = good.into_iter().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).collect();
        answer.insert(at.index(answer.len() + 1), IpAddr::V4(bad));
        prop_assert!(check_resolved(&answer, &strict()).is_err());
    }

    #[test]
    fn a_range_holds_exactly_the_addresses_with_its_prefix(base in any::<u32>(), prefix in 0u8..=32, other in any::<u32>()) {
        let range = Cidr::new(IpAddr::V4(Ipv4Addr::from_bits(base)), prefix);
        let same = prefix == 0 || base >> (32 - prefix) == other >> (32 - prefix);
        prop_assert_eq!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(other))), same);
        prop_assert_eq!(range.to_string().parse::<Cidr>(), Ok(range));
    }
}

#[test]
fn a_host_alone_is_judged_like_one_in_a_url() {
    let strict = AddressPolicy::default();
    for (host, found) in [
        ("Mail.Example.com.", TargetHost::Domain("mail.example.com".to_owned())),
        ("8.8.8.8", TargetHost::Ip("8.8.8.8".parse().unwrap())),
        ("2600::1", TargetHost::Ip("2600::1".parse().unwrap())),
    ] {
        assert_eq!(check_host(host, &strict), Ok(found), "{host}");
    }
    for host in [
        "",
        "localhost",
        "mail",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "::1",
        "::ffff:10.0.0.1",
        "[::1]",
        "fd00::1",
        "db.internal",
        "a b.example.com",
        "a.example.com\r\n",
        "a%2eexample.com",
        "a/b.example.com",
        "u@a.example.com",
        "a..example.com",
    ] {
        assert!(check_host(host, &strict).is_err(), "{host:?}");
    }
}
