//! The one connector of all outgoing traffic.
//!
//! Every connection that Bellwire opens to somebody else's server is opened here, by the actions of this crate; nothing
//! else in the house opens one. The rules are `bellwire_core::address`; this module makes them hold on the wire:
//!
//! 1. a [`Target`] is judged again, under the policy of this guard;
//! 2. a name gets one A and AAAA look-up, and one bad address in the answer refuses all of it;
//! 3. we connect to the very addresses that were judged, never to a name, and compare the peer's address afterwards;
//! 4. TLS is spoken with the original name, so a judged address cannot stand in for another host;
//! 5. a proxy, if there is one, is told the judged address and never the name.
//!
//! Receivers are reached by [`Guard::connect`], mail servers and databases by [`Guard::open`]. One library (MySQL's) opens its
//! connections itself: to the addresses that [`Guard::judge`] gives, and to no others.
//!
//! It deliberately speaks no HTTP beyond a proxy's CONNECT, follows no redirect, keeps no pool, and reads no proxy
//! settings from the environment. Only connections that the guard opened may be pooled.

mod connect;
mod error;
mod proxy;
mod resolve;
mod service;
mod stream;
mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bellwire_core::address::{AddressError, AddressPolicy, Scheme, Target, TargetHost, check_resolved, check_target};
pub use error::ConnectError;
pub use proxy::{ProxyConfig, ProxyConfigError, ProxyCredentials, ProxyKind};
pub use service::{Certificate, Opened, Service};
pub use stream::Stream;
use thiserror::Error;

use proxy::Exceptions;
use resolve::Resolver;
use tls::Connectors;

/// Settings of a [`Guard`]. [`Default`] is the strict policy, the system's DNS servers and no proxy.
#[derive(Clone)]
pub struct GuardConfig {
    /// Where we may call.
    pub policy: AddressPolicy,
    /// DNS servers to ask over UDP, and over TCP when an answer is too long. Empty: those of the system.
    pub dns: Vec<SocketAddr>,
    /// For all tries of opening one connection together, a proxy's handshake included. 3 s.
    pub connect_timeout: Duration,
    /// For the TLS handshake. 5 s.
    pub tls_timeout: Duration,
    /// For the look-up of a name, A and AAAA together. 2 s.
    pub dns_timeout: Duration,
    /// The proxy to go through. It is the operator's choice, so its own address is not judged.
    pub proxy: Option<ProxyConfig>,
    /// Where the proxy is not used: names with everything below them (`example.com`, `.example.com`), addresses,
    /// ranges (`10.0.0.0/8`), or `*`.
    pub no_proxy: Vec<String>,
    /// Certificates to trust as roots besides the public ones: PEM bundles or single DER certificates.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            dns: Vec::new(),
            connect_timeout: Duration::from_secs(3),
            tls_timeout: Duration::from_secs(5),
            dns_timeout: Duration::from_secs(2),
            proxy: None,
            no_proxy: Vec::new(),
            extra_roots: Vec::new(),
        }
    }
}

impl fmt::Debug for GuardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardConfig")
            .field("policy", &self.policy)
            .field("dns", &self.dns)
            .field("connect_timeout", &self.connect_timeout)
            .field("tls_timeout", &self.tls_timeout)
            .field("dns_timeout", &self.dns_timeout)
            .field("proxy", &self.proxy)
            .field("no_proxy", &self.no_proxy)
            .field("extra_roots", &self.extra_roots.len())
            .finish()
    }
}

/// Settings from which no guard can be made. The operator has to correct them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The DNS client cannot be set up.
    #[error("DNS client cannot be set up: {0}; check dns in the configuration")]
    Dns(String),
    /// The proxy's settings are wrong.
    #[error(transparent)]
    Proxy(#[from] ProxyConfigError),
    /// An entry of `extra_roots` is not a certificate.
    #[error("entry {index} of ca_file is not a usable certificate ({why}); give a PEM bundle or a DER certificate")]
    Root {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A connection on which HTTP can be spoken.
#[derive(Debug)]
pub struct Connected {
    /// The bytes: wrap it in `hyper_util::rt::TokioIo`.
    pub io: Stream,
    /// Whether the receiver chose HTTP/2 (ALPN `h2`); otherwise speak HTTP/1.1. Never without TLS.
    pub http2: bool,
    /// The address of the receiver that was judged and connected to; through a proxy, the one the proxy was told.
    pub peer: SocketAddr,
    /// Whether the connection goes through the proxy.
    pub proxied: bool,
}

/// Opens connections to receivers, and refuses to. Made once and shared; all methods take `&self`.
pub struct Guard {
    policy: AddressPolicy,
    resolver: Resolver,
    connect_timeout: Duration,
    tls_timeout: Duration,
    tls: Connectors,
    proxy: Option<ProxyConfig>,
    exceptions: Exceptions,
    extra_roots: Vec<Vec<u8>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// Sets up the DNS client and the TLS settings, once. Reads the system's DNS settings and hosts file now, and
    /// not again. Errors: settings that cannot work.
    pub fn new(config: GuardConfig) -> Result<Self, GuardError> {
        if let Some(proxy) = &config.proxy {
            proxy.check()?;
        }
        Ok(Self {
            resolver: Resolver::new(&config)?,
            tls: Connectors::new(&config.extra_roots)?,
            extra_roots: config.extra_roots.clone(),
            exceptions: Exceptions::parse(&config.no_proxy)?,
            policy: config.policy,
            connect_timeout: config.connect_timeout,
            tls_timeout: config.tls_timeout,
            proxy: config.proxy,
        })
    }

    /// The policy that this guard enforces.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// The addresses that [`connect`](Self::connect) would try now, all of them judged; at least one.
    ///
    /// Errors: a refused target or answer, or a failed look-up. Connects to nothing but the DNS servers.
    pub async fn resolve(&self, target: &Target) -> Result<Vec<IpAddr>, ConnectError> {
        check_target(target, &self.policy)?;
        self.addresses(target.host()).await
    }

    /// The judged addresses of a judged host.
    async fn addresses(&self, host: &TargetHost) -> Result<Vec<IpAddr>, ConnectError> {
        match host {
            TargetHost::Ip(ip) => Ok(vec![ip.to_canonical()]),
            TargetHost::Domain(name) => {
                let answer = self.resolver.lookup(name, self.policy.allows_private()).await?;
                check_resolved(&answer, &self.policy).map_err(|error| match error {
                    AddressError::NotFound => ConnectError::DnsNotFound { name: name.clone() },
                    refused => refused.into(),
                })
            }
        }
    }

    /// Opens a connection to `target`: look-up, judgement, TCP (or the proxy), TLS. Each has its own timeout.
    ///
    /// Errors: the first thing that failed, with a stable [`reason`](ConnectError::reason). Cancel-safe: dropping the
    /// future closes what was opened.
    pub async fn connect(&self, target: &Target) -> Result<Connected, ConnectError> {
        let ips = self.resolve(target).await?;
        let (tcp, peer, proxied) = self.dial(target.host(), target.port(), &ips).await?;
        match target.scheme() {
            Scheme::Http => Ok(Connected {
                io: Stream::plain(tcp),
                http2: false,
                peer,
                proxied,
            }),
            Scheme::Https => {
                let (stream, http2) =
                    tls::handshake(&self.tls.http, tcp, peer, target.host(), self.tls_timeout).await?;
                Ok(Connected {
                    io: Stream::tls(stream),
                    http2,
                    peer,
                    proxied,
                })
            }
        }
    }
}
