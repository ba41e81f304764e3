//! Who sent a request, and which URL was called: from the connection, or from the proxy in front when it is trusted.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Uri, header};
use bellwire_core::address::Cidr;

/// The other end of a connection: the server puts it among a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Who sent it: the peer; or, when that is a trusted proxy, the last address in `X-Forwarded-For` that is none.
pub fn sender(peer: Option<Peer>, headers: &HeaderMap, proxies: &[Cidr]) -> Option<IpAddr> {
    let trusted = |address: IpAddr| proxies.iter().any(|range| range.contains(address));
    let mut address = peer?.0.ip().to_canonical();
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted(address) {
            break;
        }
        // A proxy that writes something else is not understood; the last one that is known counts.
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        address = hop.to_canonical();
    }
    Some(address)
}

/// The URL as the sender called it: below the public one, or by the request's own `Host`.
pub(crate) fn called(public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> String {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if let Some(public) = public_url {
        return format!("{}{target}", public.trim_end_matches('/'));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    format!("http://{}{target}", host.unwrap_or("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(forwarded: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_the_last_other_address_counts() {
        let peer = |text: &str| Some(Peer(SocketAddr::new(text.parse().unwrap(), 1)));
        let proxies: Vec<Cidr> = vec!["10.0.0.0/8".parse().unwrap()];
        let sender = |from: &str, forwarded: &[&'static str]| {
            sender(peer(from), &headers(forwarded), &proxies).unwrap().to_string()
        };
        assert_eq!(sender("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(sender("10.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            sender("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(sender("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(sender("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(sender("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn the_url_is_the_public_one_where_it_is_known() {
        let uri: Uri = "/in/x?a=b%20c".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", "hooks.example.com:8443".parse().unwrap());
        assert_eq!(
            called(Some("https://example.com/base/"), &uri, &headers),
            "https://example.com/base/in/x?a=b%20c"
        );
        assert_eq!(
            called(None, &uri, &headers),
            "http://hooks.example.com:8443/in/x?a=b%20c"
        );
    }
}
