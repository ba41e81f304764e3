//! Outgoing proxies: HTTP CONNECT (RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).
//!
//! A proxy gets the judged address, never the name: resolving is ours, and so is the judgement. What the proxy answers
//! is bounded, and it may not say more than its answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bellwire_core::address::{Cidr, TargetHost};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ConnectError;
use super::resolve::Resolver;

/// The longest answer of an HTTP proxy to CONNECT, in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// How to speak to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT, without TLS to the proxy itself.
    Http,
    /// SOCKS version 5.
    Socks5,
}

/// User name and password for the proxy. [`fmt::Debug`] shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCredentials(…)")
    }
}

/// A proxy. Reads from text: `http://proxy.example:3128`, `socks5://user:password@10.0.0.9:1080`.
/// [`fmt::Display`] is host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// How to speak to it.
    pub kind: ProxyKind,
    /// Its name or address (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password, if it asks for them.
    pub credentials: Option<ProxyCredentials>,
}

/// Why proxy settings are refused. Never repeats what may be a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyConfigError {
    /// Not a proxy URL.
    #[error(
        "proxy in the configuration is not a proxy URL ({why}); write it like http://proxy.example:3128 or socks5://10.0.0.9:1080"
    )]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// A user name or password that the protocol cannot carry.
    #[error("user name or password of the proxy cannot be sent ({why}); change them at the proxy")]
    Credentials {
        /// What is wrong with them.
        why: &'static str,
    },
    /// An entry of `no_proxy` that is neither name, address nor range.
    #[error("no_proxy entry `{entry}` is not a host name, an address or a range; correct it")]
    Exception {
        /// The entry.
        entry: String,
    },
}

impl FromStr for ProxyConfig {
    type Err = ProxyConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why: &str| ProxyConfigError::Url { why: why.to_owned() };
        let url = url::Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            other => return Err(bad(&format!("scheme {other}"))),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("something after the port"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| bad("no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let credentials = if url.username().is_empty() && url.password().is_none() {
            None
        } else {
            let user = decode(url.username()).ok_or_else(|| bad("a broken percent-encoding"))?;
            let password =
                decode(url.password().unwrap_or_default()).ok_or_else(|| bad("a broken percent-encoding"))?;
            Some(ProxyCredentials { user, password })
        };
        let proxy = Self {
            kind,
            host,
            port: url.port().unwrap_or(default_port),
            credentials,
        };
        proxy.check()?;
        Ok(proxy)
    }
}

/// Percent-decoding into UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(digits[0])? * 16 + digit(digits[1])?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ProxyConfig {
    /// Whether the credentials can be sent at all.
    pub(super) fn check(&self) -> Result<(), ProxyConfigError> {
        let Some(ProxyCredentials { user, password }) = &self.credentials else {
            return Ok(());
        };
        let bad = |why| Err(ProxyConfigError::Credentials { why });
        match self.kind {
            ProxyKind::Http if user.contains(':') => bad("a colon in the user name"),
            ProxyKind::Socks5 if user.is_empty() || user.len() > 255 => bad("a user name of 0 or more than 255 bytes"),
            ProxyKind::Socks5 if password.is_empty() || password.len() > 255 => {
                bad("a password of 0 or more than 255 bytes")
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, why: impl fmt::Display) -> ConnectError {
        ConnectError::ProxyFailed {
            proxy: self.to_string(),
            why: why.to_string(),
        }
    }

    fn auth_required(&self) -> ConnectError {
        ConnectError::ProxyAuthRequired {
            proxy: self.to_string(),
        }
    }
}

/// Where the proxy is not used.
#[derive(Debug)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug)]
enum Exception {
    All,
    Range(Cidr),
    Name(String),
}

impl Exceptions {
    pub(super) fn parse(entries: &[String]) -> Result<Self, ProxyConfigError> {
        let parsed = entries.iter().map(|entry| {
            let text = entry.trim();
            if text == "*" {
                return Ok(Exception::All);
            }
            if let Ok(range) = text.parse() {
                return Ok(Exception::Range(range));
            }
            let name = text
                .strip_prefix("*.")
                .or(text.strip_prefix('.'))
                .unwrap_or(text)
                .trim_end_matches('.');
            let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.is_empty() || !name.bytes().all(in_name) {
                return Err(ProxyConfigError::Exception { entry: entry.clone() });
            }
            Ok(Exception::Name(name.to_ascii_lowercase()))
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Whether to go directly to `ip`, one of the addresses of `host`.
    pub(super) fn cover(&self, host: &TargetHost, ip: IpAddr) -> bool {
        self.0.iter().any(|exception| match (exception, host) {
            (Exception::All, _) => true,
            (Exception::Range(range), _) => range.contains(ip),
            (Exception::Name(name), TargetHost::Domain(host)) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Exception::Name(_), TargetHost::Ip(_)) => false,
        })
    }
}

/// Opens a connection to the judged address `peer` through the proxy. The caller bounds the time.
pub(super) async fn tunnel(
    proxy: &ProxyConfig,
    resolver: &Resolver,
    peer: SocketAddr,
) -> Result<TcpStream, ConnectError> {
    let mut tcp = reach(proxy, resolver).await?;
    match proxy.kind {
        ProxyKind::Http => http_connect(proxy, &mut tcp, peer).await?,
        ProxyKind::Socks5 => socks5(proxy, &mut tcp, peer).await?,
    }
    Ok(tcp)
}

/// Connects to the proxy itself, at the first of its addresses that answers.
async fn reach(proxy: &ProxyConfig, resolver: &Resolver) -> Result<TcpStream, ConnectError> {
    let ips = match proxy.host.parse() {
        Ok(ip) => vec![ip],
        Err(_) => resolver
            .lookup(&proxy.host, true)
            .await
            .map_err(|error| proxy.failed(error))?,
    };
    let mut failure = proxy.failed("its name has no address");
    for ip in ips {
        match TcpStream::connect(SocketAddr::new(ip, proxy.port)).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(|error| proxy.failed(error))?;
                return Ok(tcp);
            }
            Err(error) => failure = proxy.failed(error),
        }
    }
    Err(failure)
}

async fn http_connect(proxy: &ProxyConfig, tcp: &mut TcpStream, peer: SocketAddr) -> Result<(), ConnectError> {
    let mut request = format!("CONNECT {peer} HTTP/1.1\r\nHost: {peer}\r\n");
    if let Some(ProxyCredentials { user, password }) = &proxy.credentials {
        let token = BASE64.encode(format!("{user}:{password}"));
        request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes())
        .await
        .map_err(|error| proxy.failed(error))?;

    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(proxy.failed(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        let mut limited = (&mut *tcp).take((ANSWER_BYTES_MAX - answer.len()) as u64);
        if limited
            .read_buf(&mut answer)
            .await
            .map_err(|error| proxy.failed(error))?
            == 0
        {
            return Err(proxy.failed("it closed the connection without an answer"));
        }
    };
    match status(&answer) {
        // On a tunnel the receiver waits for us to speak first, so nothing may follow the answer.
        Some(200..=299) if answer.len() > end => Err(proxy.failed("it sent more than its answer")),
        Some(200..=299) => Ok(()),
        Some(407) => Err(proxy.auth_required()),
        Some(status) => Err(proxy.failed(format!("it answered CONNECT {peer} with status {status}"))),
        None => Err(proxy.failed("it does not answer in HTTP/1.1")),
    }
}

/// The status of an answer's first line, `HTTP/1.x NNN …`.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or(answer.strip_prefix(b"HTTP/1.0 "))?;
    let digits = rest.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(rest.get(3), Some(b' ' | b'\r')) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

async fn socks5(proxy: &ProxyConfig, tcp: &mut TcpStream, peer: SocketAddr) -> Result<(), ConnectError> {
    const VERSION: u8 = 5;
    const NO_AUTH: u8 = 0;
    const USER_PASSWORD: u8 = 2;
    const NONE_ACCEPTABLE: u8 = 0xff;
    let method = if proxy.credentials.is_some() {
        USER_PASSWORD
    } else {
        NO_AUTH
    };
    send(proxy, tcp, &[VERSION, 1, method]).await?;
    match receive::<2>(proxy, tcp).await? {
        [VERSION, chosen] if chosen == method => {}
        [VERSION, NONE_ACCEPTABLE] => return Err(proxy.auth_required()),
        _ => return Err(proxy.failed("it does not answer in SOCKS5")),
    }
    if let Some(ProxyCredentials { user, password }) = &proxy.credentials {
        let mut login = vec![1];
        for part in [user, password] {
            login.push(u8::try_from(part.len()).map_err(|_| proxy.failed("credentials longer than 255 bytes"))?);
            login.extend_from_slice(part.as_bytes());
        }
        send(proxy, tcp, &login).await?;
        if receive::<2>(proxy, tcp).await?[1] != 0 {
            return Err(proxy.auth_required());
        }
    }

    let mut request = vec![VERSION, 1, 0];
    match peer.ip() {
        IpAddr::V4(v4) => {
            request.push(1);
            request.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            request.push(4);
            request.extend_from_slice(&v6.octets());
        }
    }
    request.extend_from_slice(&peer.port().to_be_bytes());
    send(proxy, tcp, &request).await?;
    let [version, reply, _, bound] = receive::<4>(proxy, tcp).await?;
    if version != VERSION {
        return Err(proxy.failed("it does not answer in SOCKS5"));
    }
    match reply {
        0 => {}
        3 | 4 => {
            return Err(ConnectError::HostUnreachable {
                peer,
                why: format!("says proxy {proxy}"),
            });
        }
        5 => return Err(ConnectError::ConnectionRefused { peer }),
        2 => return Err(proxy.failed(format!("its rules forbid {peer}"))),
        other => return Err(proxy.failed(format!("it answered the request for {peer} with code {other}"))),
    }
    // The address it used is of no interest, but has to be read: 4 or 16 bytes, or a name with its length, and a port.
    let rest = match bound {
        1 => 4 + 2,
        4 => 16 + 2,
        3 => usize::from(receive::<1>(proxy, tcp).await?[0]) + 2,
        _ => return Err(proxy.failed("it does not answer in SOCKS5")),
    };
    let mut ignored = [0; 257];
    tcp.read_exact(&mut ignored[..rest])
        .await
        .map_err(|error| proxy.failed(error))?;
    Ok(())
}

async fn send(proxy: &ProxyConfig, tcp: &mut TcpStream, bytes: &[u8]) -> Result<(), ConnectError> {
    tcp.write_all(bytes).await.map_err(|error| proxy.failed(error))
}

async fn receive<const N: usize>(proxy: &ProxyConfig, tcp: &mut TcpStream) -> Result<[u8; N], ConnectError> {
    let mut bytes = [0; N];
    tcp.read_exact(&mut bytes).await.map_err(|error| proxy.failed(error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> TargetHost {
        TargetHost::Domain(name.to_owned())
    }

    fn exceptions(entries: &[&str]) -> Exceptions {
        Exceptions::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_proxy_reads_from_text() {
        let proxy: ProxyConfig = "http://proxy.example:3128".parse().unwrap();
        assert_eq!(
            (proxy.kind, proxy.to_string().as_str()),
            (ProxyKind::Http, "proxy.example:3128")
        );
        assert_eq!(proxy.credentials, None);
        let proxy: ProxyConfig = "socks5://us%40er:p%3Ass@[fd00::1]".parse().unwrap();
        assert_eq!(
            (proxy.kind, proxy.to_string().as_str()),
            (ProxyKind::Socks5, "[fd00::1]:1080")
        );
        assert_eq!(
            proxy.credentials,
            Some(ProxyCredentials {
                user: "us@er".to_owned(),
                password: "p:ss".to_owned()
            })
        );
        assert_eq!("http://proxy.example".parse::<ProxyConfig>().unwrap().port, 80);
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        let long = format!("socks5://{}:p@h", "u".repeat(256));
        for text in [
            "",
            "proxy",
            "proxy:3128",
            "https://p",
            "ftp://p",
            "http://",
            "http://p/x",
            "http://p?x",
            &long,
        ] {
            assert!(text.parse::<ProxyConfig>().is_err(), "{text}");
        }
        assert!("http://a%3ab:p@h".parse::<ProxyConfig>().is_err());
        assert!("socks5://user@h".parse::<ProxyConfig>().is_err());
    }

    #[test]
    fn nothing_prints_the_credentials() {
        let proxy: ProxyConfig = "http://canary-user:canary-password@proxy.example:3128".parse().unwrap();
        let shown = format!("{proxy} {proxy:?} {}", proxy.failed("x"));
        assert!(!shown.contains("canary"), "{shown}");
        let error = "http://canary:canary@proxy.example:3128/canary"
            .parse::<ProxyConfig>()
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }

    #[test]
    fn exceptions_cover_names_addresses_and_ranges() {
        let exceptions = exceptions(&[
            "example.com",
            ".Corp.example",
            "10.0.0.0/8",
            "8.8.8.8",
            "*.dev.example.",
        ]);
        let public: IpAddr = "1.1.1.1".parse().unwrap();
        for name in [
            "example.com",
            "a.example.com",
            "corp.example",
            "x.y.corp.example",
            "a.dev.example",
        ] {
            assert!(exceptions.cover(&domain(name), public), "{name}");
        }
        for name in ["notexample.com", "example.com.evil.net", "example.org"] {
            assert!(!exceptions.cover(&domain(name), public), "{name}");
        }
        assert!(exceptions.cover(&domain("x.org"), "10.1.2.3".parse().unwrap()));
        assert!(exceptions.cover(&TargetHost::Ip("8.8.8.8".parse().unwrap()), "8.8.8.8".parse().unwrap()));
        assert!(!exceptions.cover(&TargetHost::Ip(public), public));
    }

    #[test]
    fn a_star_covers_everything_and_nonsense_is_refused() {
        assert!(exceptions(&["*"]).cover(&domain("example.com"), "1.1.1.1".parse().unwrap()));
        for entry in ["", " ", "10.0.0.0/33", "http://example.com", "a b", "*."] {
            assert!(Exceptions::parse(&[entry.to_owned()]).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn only_an_http_1_status_line_is_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for answer in [
            &b"HTTP/2 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 2000\r\n\r\n",
            b"HTTP/1.1 2x0 \r\n\r\n",
            b"SSH-2.0\r\n\r\n",
        ] {
            assert_eq!(status(answer), None);
        }
    }
}
