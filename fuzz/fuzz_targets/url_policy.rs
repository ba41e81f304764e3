//! Feeds endpoint URLs to the URL policy. What passes must be public and must pass again as it would be sent.
#![no_main]

use bellwire_core::address::{AddressPolicy, TargetHost, URL_BYTES_MAX, check_ip, check_url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let policy = AddressPolicy::default();
    let Ok(target) = check_url(text, &policy) else { return };
    match target.host() {
        TargetHost::Ip(ip) => assert!(check_ip(*ip, &policy).is_ok(), "{ip} passed"),
        TargetHost::Domain(name) => {
            assert!(
                name.contains('.') && !name.starts_with('.') && !name.ends_with('.'),
                "{name} passed"
            );
            assert!(name.parse::<std::net::IpAddr>().is_err(), "{name} is an address");
        }
    }
    let port = target.port();
    assert!(port == 80 || port == 443 || port >= 1024, "port {port} passed");
    assert!(target.path_and_query().starts_with('/'));
    assert!(target.path_and_query().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(
        target
            .authority()
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'@')
    );
    // Encoding makes some URLs longer than they may be given.
    let sent = format!("{target}{}", target.path_and_query());
    if sent.len() <= URL_BYTES_MAX {
        assert_eq!(check_url(&sent, &policy), Ok(target));
    }
});
