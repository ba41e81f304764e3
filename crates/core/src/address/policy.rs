//! What the operator decides about outgoing calls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Cidr;

/// The operator's rules for where we may call. No tenant can change them.
///
/// The default is the strict one: public addresses only, https and http, ports 80, 443 and 1024–65535.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressPolicy {
    /// Ranges that may be called although they are not public. When there is at least one, host names without a dot
    /// and private name suffixes (`.internal`, `.local` …) are let through to be resolved and judged by address.
    pub allow_private: Vec<Cidr>,
    /// Refuse `http`.
    pub https_only: bool,
    /// Further ranges that are never called, for example the operator's own public ones. Where a range of
    /// `allow_private` and one of `extra_denied` both hold an address, the narrower decides; a tie refuses.
    pub extra_denied: Vec<Cidr>,
    /// Ports below 1024 that may be called besides 80 and 443.
    pub ports: Vec<u16>,
}

impl AddressPolicy {
    /// Allows whatever can be named: for what the operator wrote himself, and to judge the form of a URL alone.
    pub fn open() -> Self {
        Self {
            allow_private: vec![
                Cidr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                Cidr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            ],
            ports: (1..1024).collect(),
            ..Self::default()
        }
    }

    /// Whether private addresses, and so names without a dot, can be reached at all.
    pub fn allows_private(&self) -> bool {
        !self.allow_private.is_empty()
    }

    /// Whether `port` may be called: 80, 443, 1024–65535 and what [`ports`](Self::ports) adds. Port 0 never.
    pub fn allows_port(&self, port: u16) -> bool {
        port != 0 && (port == 80 || port == 443 || port >= 1024 || self.ports.contains(&port))
    }
}
