//! From judged addresses to a TCP connection, directly or through the proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bellwire_core::address::{TargetHost, check_ip};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{ConnectError, Guard, proxy};

/// Addresses tried for one connection. All of an answer are judged; the rest of a long one is not tried.
const TRIES_MAX: usize = 6;

impl Guard {
    /// Tries the judged addresses in turn until one connects, each within its share of the time that is left.
    ///
    /// Returns the connection, the receiver's address, and whether the proxy is in between.
    pub(super) async fn dial(
        &self,
        host: &TargetHost,
        port: u16,
        ips: &[IpAddr],
    ) -> Result<(TcpStream, SocketAddr, bool), ConnectError> {
        let deadline = Instant::now() + self.connect_timeout;
        let tries = ips.len().min(TRIES_MAX);
        let mut failure = None;
        for (index, &ip) in ips.iter().take(tries).enumerate() {
            let share = share_of(deadline.saturating_duration_since(Instant::now()), tries - index);
            let peer = SocketAddr::new(ip, port);
            let via = self.proxy.as_ref().filter(|_| !self.exceptions.cover(host, ip));
            let timed_out = || match via {
                None => ConnectError::ConnectTimeout {
                    peer,
                    after: self.connect_timeout,
                },
                Some(proxy) => ConnectError::ProxyFailed {
                    proxy: proxy.to_string(),
                    why: format!("no connection to {peer} within {:?}", self.connect_timeout),
                },
            };
            if share.is_zero() {
                return Err(failure.unwrap_or_else(timed_out));
            }
            let outcome = match via {
                Some(proxy) => timeout(share, proxy::tunnel(proxy, &self.resolver, peer)).await,
                None => timeout(share, self.direct(peer)).await,
            };
            let error = match outcome {
                Ok(Ok(tcp)) => return Ok((tcp, peer, via.is_some())),
                Ok(Err(error)) => error,
                Err(_) => timed_out(),
            };
            failure = Some(clearer(failure, error));
        }
        // The addresses are never empty; the name is what there is to say if they were.
        Err(failure.unwrap_or_else(|| ConnectError::DnsNotFound { name: host_text(host) }))
    }

    /// Connects to one judged address and makes sure that it is the one that answers.
    async fn direct(&self, peer: SocketAddr) -> Result<TcpStream, ConnectError> {
        check_ip(peer.ip(), &self.policy)?;
        let failed = |error| ConnectError::from_io(peer, &error, self.connect_timeout);
        let tcp = TcpStream::connect(peer).await.map_err(failed)?;
        check_peer(peer, tcp.peer_addr().map_err(failed)?)?;
        tcp.set_nodelay(true).map_err(failed)?;
        Ok(tcp)
    }
}

/// Refuses a connection that leads elsewhere than to the judged address.
fn check_peer(expected: SocketAddr, actual: SocketAddr) -> Result<(), ConnectError> {
    let same = expected.ip().to_canonical() == actual.ip().to_canonical() && expected.port() == actual.port();
    if same {
        Ok(())
    } else {
        Err(ConnectError::OtherPeer { expected, actual })
    }
}

/// An equal share of the time that is left, for the next of `tries` tries.
fn share_of(left: Duration, tries: usize) -> Duration {
    left / u32::try_from(tries.max(1)).unwrap_or(u32::MAX)
}

/// The failure to report of two: a missing route to one of the addresses (IPv6, usually) says less than the others.
fn clearer(before: Option<ConnectError>, now: ConnectError) -> ConnectError {
    match (before, now) {
        (Some(before), ConnectError::HostUnreachable { .. }) => before,
        (_, now) => now,
    }
}

pub(super) fn host_text(host: &TargetHost) -> String {
    match host {
        TargetHost::Domain(name) => name.clone(),
        TargetHost::Ip(ip) => ip.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_other_than_the_judged_one_is_refused() {
        assert!(check_peer(peer("8.8.8.8:443"), peer("8.8.8.8:443")).is_ok());
        assert!(check_peer(peer("8.8.8.8:443"), peer("[::ffff:8.8.8.8]:443")).is_ok());
        for other in ["127.0.0.1:443", "8.8.8.8:80", "[::1]:443"] {
            let error = check_peer(peer("8.8.8.8:443"), peer(other)).unwrap_err();
            assert_eq!(error.reason(), "address_refused");
        }
    }

    #[test]
    fn each_try_gets_an_equal_share_of_what_is_left() {
        assert_eq!(share_of(Duration::from_secs(3), 3), Duration::from_secs(1));
        assert_eq!(share_of(Duration::from_secs(3), 1), Duration::from_secs(3));
        assert_eq!(share_of(Duration::ZERO, 2), Duration::ZERO);
    }

    #[test]
    fn a_missing_ipv6_route_does_not_hide_why_ipv4_failed() {
        let refused = ConnectError::ConnectionRefused {
            peer: peer("8.8.8.8:443"),
        };
        let unreachable = ConnectError::HostUnreachable {
            peer: peer("[2600::1]:443"),
            why: "no route".to_owned(),
        };
        assert_eq!(clearer(Some(refused.clone()), unreachable.clone()), refused);
        assert_eq!(clearer(Some(unreachable.clone()), refused.clone()), refused);
        assert_eq!(clearer(None, unreachable.clone()), unreachable);
    }
}
