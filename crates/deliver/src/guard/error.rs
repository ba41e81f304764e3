//! Why a connection was not made, named for people.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bellwire_core::address::AddressError;
use thiserror::Error;

/// Why a connection was not made. [`reason`](Self::reason) is the stable name; the text says with which value and what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL or an address behind its name may not be called.
    #[error(transparent)]
    AddressRefused(#[from] AddressError),
    /// The connection led to another address than the one that was judged.
    #[error("connected to {actual} instead of {expected}, and closed it; check the network between")]
    OtherPeer {
        /// The address that was judged.
        expected: SocketAddr,
        /// The address that answered.
        actual: SocketAddr,
    },
    /// The name has no address.
    #[error("host name {name} was not found in the DNS; check its spelling and its A and AAAA records")]
    DnsNotFound {
        /// The name.
        name: String,
    },
    /// The DNS servers could not answer.
    #[error("look-up of {name} failed ({why}); check the name's DNS servers, or dns in the configuration")]
    DnsFailed {
        /// The name.
        name: String,
        /// What they said.
        why: String,
    },
    /// The DNS servers did not answer in time.
    #[error("look-up of {name} took longer than {after:?}; check the name's DNS servers, or dns in the configuration")]
    DnsTimeout {
        /// The name.
        name: String,
        /// The time they had.
        after: Duration,
    },
    /// Nothing listens there, or a firewall rejects.
    #[error("connection to {peer} was refused; check that the receiver is running and listens on this port")]
    ConnectionRefused {
        /// The address.
        peer: SocketAddr,
    },
    /// Nothing answered in time.
    #[error("connection to {peer} was not answered within {after:?}; check that a firewall lets us through")]
    ConnectTimeout {
        /// The last address tried.
        peer: SocketAddr,
        /// The time that all tries had together.
        after: Duration,
    },
    /// No route to the host or its network.
    #[error("{peer} is unreachable ({why}); check the address and the routes of this network")]
    HostUnreachable {
        /// The address.
        peer: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// The other side dropped the connection while it was being made.
    #[error("{peer} reset the connection while it was being made; check what stands in front of the receiver")]
    ConnectionReset {
        /// The address.
        peer: SocketAddr,
    },
    /// Any other failure of the system, such as too many open files.
    #[error("connection to {peer} failed ({why}); check this machine's network and limits")]
    ConnectFailed {
        /// The address.
        peer: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// The certificate's time is over.
    #[error("certificate of {host} has expired; renew it")]
    TlsCertificateExpired {
        /// The host that was asked for.
        host: String,
    },
    /// The certificate's time has not come, or a clock is wrong.
    #[error("certificate of {host} is not valid yet; check its dates and this machine's clock")]
    TlsCertificateNotYetValid {
        /// The host that was asked for.
        host: String,
    },
    /// The certificate's chain ends in no root that we trust.
    #[error(
        "certificate of {host} is not signed by a trusted authority; send the whole chain, or add its root to ca_file"
    )]
    TlsCertificateUnknownIssuer {
        /// The host that was asked for.
        host: String,
    },
    /// The certificate is for other names.
    #[error("certificate of {host} is not valid for this name{}; get one that names it", presented(.names))]
    TlsWrongName {
        /// The host that was asked for.
        host: String,
        /// The names in the certificate.
        names: Vec<String>,
    },
    /// The certificate is refused for another reason.
    #[error("certificate of {host} is not acceptable ({why}); replace it")]
    TlsCertificateInvalid {
        /// The host that was asked for.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The handshake failed.
    #[error("TLS handshake with {host} failed ({why}); check that the port speaks TLS 1.2 or 1.3")]
    TlsFailed {
        /// The host that was asked for.
        host: String,
        /// What went wrong.
        why: String,
    },
    /// The handshake was not finished in time.
    #[error("TLS handshake with {host} took longer than {after:?}; check that the port speaks TLS")]
    TlsTimeout {
        /// The host that was asked for.
        host: String,
        /// The time it had.
        after: Duration,
    },
    /// The proxy could not be reached, or did not do what it was asked.
    #[error("proxy {proxy} failed ({why}); check proxy in the configuration")]
    ProxyFailed {
        /// Host and port of the proxy.
        proxy: String,
        /// What went wrong.
        why: String,
    },
    /// What connects by itself would pass the proxy by.
    #[error(
        "{host} would have to be reached through proxy {proxy}, which the client of this database cannot; name it in no_proxy if it \
         may be reached directly"
    )]
    NotThroughProxy {
        /// Who was to be reached.
        host: String,
        /// Host and port of the proxy.
        proxy: String,
    },
    /// The proxy wants other credentials.
    #[error("proxy {proxy} asks for a user name and password, or refused them; check proxy in the configuration")]
    ProxyAuthRequired {
        /// Host and port of the proxy.
        proxy: String,
    },
}

impl ConnectError {
    /// The stable name of the failure, as attempts record it and the documentation's pages are called.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AddressRefused(_) | Self::OtherPeer { .. } => "address_refused",
            Self::DnsNotFound { .. } => "dns_not_found",
            Self::DnsFailed { .. } => "dns_failed",
            Self::DnsTimeout { .. } => "dns_timeout",
            Self::ConnectionRefused { .. } => "connection_refused",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::HostUnreachable { .. } => "host_unreachable",
            Self::ConnectionReset { .. } => "connection_reset",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::TlsCertificateExpired { .. } => "tls_certificate_expired",
            Self::TlsCertificateNotYetValid { .. } => "tls_certificate_not_yet_valid",
            Self::TlsCertificateUnknownIssuer { .. } => "tls_certificate_unknown_issuer",
            Self::TlsWrongName { .. } => "tls_wrong_name",
            Self::TlsCertificateInvalid { .. } => "tls_certificate_invalid",
            Self::TlsFailed { .. } => "tls_failed",
            Self::TlsTimeout { .. } => "tls_timeout",
            Self::ProxyFailed { .. } | Self::NotThroughProxy { .. } => "proxy_failed",
            Self::ProxyAuthRequired { .. } => "proxy_auth_required",
        }
    }

    /// From the system's error when connecting to `peer`.
    pub(super) fn from_io(peer: SocketAddr, error: &io::Error, timeout: Duration) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::ConnectionRefused { peer },
            Kind::TimedOut => Self::ConnectTimeout { peer, after: timeout },
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
                Self::HostUnreachable {
                    peer,
                    why: error.to_string(),
                }
            }
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::ConnectionReset { peer },
            _ => Self::ConnectFailed {
                peer,
                why: error.to_string(),
            },
        }
    }
}

/// The first few names of a certificate, for the message.
fn presented(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
    let more = if names.len() > shown.len() { " …" } else { "" };
    format!(" but for {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_names() {
        use io::ErrorKind as Kind;
        let peer = SocketAddr::from(([8, 8, 8, 8], 443));
        for (kind, reason) in [
            (Kind::ConnectionRefused, "connection_refused"),
            (Kind::TimedOut, "connect_timeout"),
            (Kind::HostUnreachable, "host_unreachable"),
            (Kind::NetworkUnreachable, "host_unreachable"),
            (Kind::ConnectionReset, "connection_reset"),
            (Kind::PermissionDenied, "connect_failed"),
            (Kind::Other, "connect_failed"),
        ] {
            let error = ConnectError::from_io(peer, &io::Error::from(kind), Duration::from_secs(3));
            assert_eq!(error.reason(), reason);
            assert!(error.to_string().contains("8.8.8.8:443"), "{error}");
        }
    }

    #[test]
    fn a_wrong_name_says_which_names_the_certificate_has() {
        let wrong = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            ConnectError::TlsWrongName {
                host: "h.example".to_owned(),
                names,
            }
            .to_string()
        };
        let start = "certificate of h.example is not valid for this name";
        assert_eq!(wrong(&[]), format!("{start}; get one that names it"));
        assert_eq!(
            wrong(&["a", "b"]),
            format!("{start} but for a, b; get one that names it")
        );
        assert_eq!(
            wrong(&["a", "b", "c", "d", "e"]),
            format!("{start} but for a, b, c, d …; get one that names it")
        );
    }
}
