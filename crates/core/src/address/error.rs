//! Why a URL or an address is refused, in words for the person who gave it.

use std::net::IpAddr;

use thiserror::Error;

use super::SpecialRange;

/// Why we do not call a URL or an address. The texts name what failed, with which value, and what to do; they never
/// repeat a URL's user-info, path or query, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The URL is longer than [`URL_BYTES_MAX`](super::URL_BYTES_MAX).
    #[error("endpoint URL has {bytes} bytes; shorten it to {max} or fewer")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A control character, a space, an invisible character or a backslash. URL parsers disagree about them, and
    /// some drop them silently.
    #[error("endpoint URL contains {} at byte {at}; percent-encode or remove it", describe(*.character))]
    Character {
        /// The character.
        character: char,
        /// Its place in the text, in bytes.
        at: usize,
    },
    /// Not `https://…` or `http://…`.
    #[error("endpoint URL does not start with https:// or http://; write it in full, like https://example.com/hook")]
    Scheme,
    /// `http` while the policy asks for `https`.
    #[error("endpoint URL uses http, and this server calls https only; use https")]
    HttpsOnly,
    /// A user name or password in the URL.
    #[error("endpoint URL contains a user name or password; put credentials into an endpoint header")]
    UserInfo,
    /// No host at all.
    #[error("endpoint URL has no host; write it in full, like https://example.com/hook")]
    NoHost,
    /// The URL cannot be read.
    #[error("endpoint URL cannot be read ({why}); check the host and the port")]
    Malformed {
        /// What the parser says.
        why: String,
    },
    /// The host is not a DNS name.
    #[error("endpoint host `{host}` is not a valid DNS name ({why}); correct it")]
    HostName {
        /// The host.
        host: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A name without a dot, while no private range is allowed.
    #[error("endpoint host `{host}` has no dot; use a full domain name, or allow its range in allow_private")]
    NoDot {
        /// The host.
        host: String,
    },
    /// A name that only exists inside private networks, while no private range is allowed.
    #[error(
        "endpoint host `{host}` is a private name (.{suffix}); use a public one, or allow its range in allow_private"
    )]
    PrivateName {
        /// The host.
        host: String,
        /// The suffix that makes it private.
        suffix: &'static str,
    },
    /// A port that is not 80, 443 or 1024–65535, nor configured.
    #[error("endpoint URL uses port {port}; use 80, 443 or 1024-65535, or allow the port in allow_ports")]
    Port {
        /// The port.
        port: u16,
    },
    /// The URL's host is an address that may not be called.
    #[error("endpoint URL names {} address {ip}; {}", .range.what(), .range.advice())]
    Names {
        /// The address.
        ip: IpAddr,
        /// The range it is in.
        range: SpecialRange,
    },
    /// The URL's host resolves to an address that may not be called.
    #[error("endpoint URL resolves to {} address {ip}; {}", .range.what(), .range.advice())]
    Resolves {
        /// The address.
        ip: IpAddr,
        /// The range it is in.
        range: SpecialRange,
    },
    /// The name exists but has no address.
    #[error("endpoint host name has no address; check its DNS records (A, AAAA)")]
    NotFound,
}

/// A name for a character that may not be printable.
fn describe(character: char) -> String {
    match character {
        ' ' => "a space".to_owned(),
        '\\' => "a backslash".to_owned(),
        '\r' | '\n' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        other => format!("the character U+{:04X}", u32::from(other)),
    }
}
