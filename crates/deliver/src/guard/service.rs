//! Connections to servers that do not speak HTTP: mail servers and databases.
//!
//! They often begin in the clear and turn to TLS later, so the two steps are apart here. The rules are those of the receivers.

use std::net::{IpAddr, SocketAddr};

use bellwire_core::address::{AddressError, TargetHost, check_host};
use tokio::net::TcpStream;

use super::{ConnectError, Guard, Stream, connect::host_text, tls};

/// A server, by its host and port.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// A name or an address, IPv6 without brackets.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Ports that servers of its sort have, and that may be called besides those of the policy.
    pub usual: &'a [u16],
}

/// Whether a server has to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Its certificate has to be the host's, by an authority that we trust.
    Verified,
    /// Any will do: nobody can listen, but whoever stands in between can pretend to be the server.
    Any,
}

/// A connection without TLS, and where it leads.
#[derive(Debug)]
pub struct Opened {
    /// The bytes.
    pub tcp: TcpStream,
    /// The judged address.
    pub peer: SocketAddr,
    host: TargetHost,
}

impl Opened {
    /// The connection as it is, for those who do without TLS.
    pub fn plain(self) -> Stream {
        Stream::plain(self.tcp)
    }
}

impl Guard {
    /// Opens a connection without TLS: judgement, look-up, judgement, TCP (or the proxy).
    ///
    /// Errors and cancellation: like [`connect`](Self::connect).
    pub async fn open(&self, service: Service<'_>) -> Result<Opened, ConnectError> {
        let (host, ips) = self.look_up(service).await?;
        let (tcp, peer, _) = self.dial(&host, service.port, &ips).await?;
        Ok(Opened { tcp, peer, host })
    }

    /// The addresses that a client which connects by itself may try now, all of them judged; at least one.
    ///
    /// Errors: a refused host, port or answer, a failed look-up, or a proxy in between, which such a client knows nothing of.
    pub async fn judge(&self, service: Service<'_>) -> Result<Vec<IpAddr>, ConnectError> {
        let (host, mut ips) = self.look_up(service).await?;
        if let Some(proxy) = &self.proxy {
            ips.retain(|ip| self.exceptions.cover(&host, *ip));
            if ips.is_empty() {
                return Err(ConnectError::NotThroughProxy {
                    host: host_text(&host),
                    proxy: proxy.to_string(),
                });
            }
        }
        Ok(ips)
    }

    /// Speaks TLS on an opened connection, with the host's own name.
    ///
    /// Errors: of the handshake and of the certificate.
    pub async fn secure(&self, opened: Opened, certificate: Certificate) -> Result<Stream, ConnectError> {
        let connector = match certificate {
            Certificate::Verified => &self.tls.other,
            Certificate::Any => &self.tls.unverified,
        };
        let (stream, _) = tls::handshake(connector, opened.tcp, opened.peer, &opened.host, self.tls_timeout).await?;
        Ok(Stream::tls(stream))
    }

    /// The certificates that are trusted besides the public roots, for the library that speaks TLS itself.
    pub fn extra_roots(&self) -> &[Vec<u8>] {
        &self.extra_roots
    }

    async fn look_up(&self, service: Service<'_>) -> Result<(TargetHost, Vec<IpAddr>), ConnectError> {
        let host = check_host(service.host, &self.policy)?;
        if !service.usual.contains(&service.port) && !self.policy.allows_port(service.port) {
            return Err(AddressError::Port { port: service.port }.into());
        }
        let ips = self.addresses(&host).await?;
        Ok((host, ips))
    }
}
