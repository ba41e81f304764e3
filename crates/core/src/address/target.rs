//! A URL that was judged, taken apart for sending.

use std::fmt;
use std::net::IpAddr;

/// How to speak to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port when the URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The host of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// A DNS name: ASCII, lower case, no trailing dot. Its addresses are not judged yet.
    Domain(String),
    /// An address, judged when the target was made, to be judged again when it is called.
    Ip(IpAddr),
}

/// A URL that passed [`check_url`](super::check_url), the only way to get one. The fragment is dropped; nobody sends it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    scheme: Scheme,
    host: TargetHost,
    port: u16,
    authority: String,
    path_and_query: String,
}

impl Target {
    pub(super) fn new(scheme: Scheme, host: TargetHost, port: u16, path_and_query: String) -> Self {
        let name = match &host {
            TargetHost::Domain(name) => name.clone(),
            TargetHost::Ip(IpAddr::V4(v4)) => v4.to_string(),
            TargetHost::Ip(IpAddr::V6(v6)) => format!("[{v6}]"),
        };
        let authority = if port == scheme.default_port() {
            name
        } else {
            format!("{name}:{port}")
        };
        Self {
            scheme,
            host,
            port,
            authority,
            path_and_query,
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host to resolve, or the address to connect to.
    pub fn host(&self) -> &TargetHost {
        &self.host
    }

    /// The port to connect to, explicit or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Host` header (HTTP/1.1) or `:authority` (HTTP/2): the host, IPv6 in brackets, and the port
    /// unless it is the scheme's own (RFC 9110 section 7.2).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The request target in origin form: the path, which starts with `/`, and the query if there is one
    /// (RFC 9112 section 3.2.1). Printable ASCII only.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

/// Scheme and authority only: paths and queries of webhook URLs often hold secrets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

/// The same as [`Display`](fmt::Display), for the same reason.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
