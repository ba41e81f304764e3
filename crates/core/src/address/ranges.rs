//! The address ranges and the verdict on one address.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190), the IPv4 multicast block
//! (RFC 5771), the IPv6 global unicast block 2000::/3 (RFC 4291 section 2.4), and one cloud platform's own address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AddressError, AddressPolicy, Cidr};

/// A range that is not called, and how to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialRange {
    what: &'static str,
    advice: &'static str,
}

impl SpecialRange {
    const DENIED: Self = Self {
        what: "denied",
        advice: "it is in extra_denied; use another address",
    };

    const fn new(what: &'static str) -> Self {
        Self {
            what,
            advice: "allow the range in allow_private",
        }
    }

    /// The kind of range as an adjective: `private`, `loopback`, `link-local` …
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// What the operator can do about it.
    pub fn advice(&self) -> &'static str {
        self.advice
    }
}

/// IPv4 ranges that are not public. Everything else is.
const V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "local network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared (carrier-grade NAT)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // The platform address of Azure: metadata, DNS and health probes, in public space.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud platform"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignment"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "AMT relay"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The only IPv6 block that is public…
const V6_GLOBAL: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// … minus these.
const V6_NOT_GLOBAL: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignment"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Names for what lies outside the global block; it is refused with or without a name.
const V6_NAMED: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "local NAT64"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// Judges one address. `Ok` means that it may be called now.
///
/// IPv4-mapped, IPv4-compatible and NAT64 (64:ff9b::/96, RFC 6052) addresses are judged by the IPv4 address inside.
/// `allow_private` overrides what the registries say, `extra_denied` what is public; the narrower of two ranges
/// decides. Errors: [`AddressError::Names`].
pub fn check_ip(ip: IpAddr, policy: &AddressPolicy) -> Result<(), AddressError> {
    match refusal(ip, policy) {
        None => Ok(()),
        Some(range) => Err(AddressError::Names { ip, range }),
    }
}

/// Judges a whole DNS answer: one bad address refuses all of it, since an attacker who mixes one in hopes that we
/// come to it.
///
/// Returns the addresses to try, in the order of the answer, in [canonical](canonical_ip) form and each once.
/// Errors: [`AddressError::Resolves`] for the first bad address, [`AddressError::NotFound`] for an empty answer.
pub fn check_resolved(ips: &[IpAddr], policy: &AddressPolicy) -> Result<Vec<IpAddr>, AddressError> {
    let mut checked = Vec::with_capacity(ips.len());
    for &ip in ips {
        if let Some(range) = refusal(ip, policy) {
            return Err(AddressError::Resolves { ip, range });
        }
        let ip = canonical_ip(ip);
        if !checked.contains(&ip) {
            checked.push(ip);
        }
    }
    if checked.is_empty() {
        Err(AddressError::NotFound)
    } else {
        Ok(checked)
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address that the network would see; any other address unchanged.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The range for which `ip` is refused, if it is.
fn refusal(ip: IpAddr, policy: &AddressPolicy) -> Option<SpecialRange> {
    let inner = embedded_v4(ip).map(IpAddr::V4);
    let judged = inner.unwrap_or(ip);
    // A denial meets an address in any spelling; a permission only what is really reached.
    let denied = narrowest(&policy.extra_denied, ip).max(narrowest(&policy.extra_denied, judged));
    let allowed = narrowest(&policy.allow_private, judged);
    match (denied, allowed) {
        (Some(denied), Some(allowed)) if allowed > denied => None,
        (Some(_), _) => Some(SpecialRange::DENIED),
        (None, Some(_)) => None,
        (None, None) => match judged {
            IpAddr::V4(v4) => special_v4(v4),
            IpAddr::V6(v6) => special_v6(v6),
        },
    }
}

fn narrowest(ranges: &[Cidr], ip: IpAddr) -> Option<u8> {
    ranges
        .iter()
        .filter(|range| range.contains(ip))
        .map(Cidr::narrowness)
        .max()
}

/// The IPv4 address that a packet to `ip` would reach: mapped (RFC 4291 section 2.5.5.2), compatible (2.5.5.1,
/// which `::` and `::1` are not), NAT64 (RFC 6052 section 2.1).
fn embedded_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let last = Ipv4Addr::from_bits((v6.to_bits() & u128::from(u32::MAX)) as u32);
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(last),
        [0, 0, 0, 0, 0, 0, _, _] if last.to_bits() > 1 => Some(last),
        _ => None,
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<SpecialRange> {
    let found = V4
        .iter()
        .find(|(base, prefix, _)| Cidr::new(IpAddr::V4(*base), *prefix).contains(IpAddr::V4(ip)));
    found.map(|(_, _, what)| SpecialRange::new(what))
}

fn special_v6(ip: Ipv6Addr) -> Option<SpecialRange> {
    let ip = IpAddr::V6(ip);
    let is_in = |base: Ipv6Addr, prefix: u8| Cidr::new(IpAddr::V6(base), prefix).contains(ip);
    let name_in = |table: &[(Ipv6Addr, u8, &'static str)]| {
        table
            .iter()
            .find(|(base, prefix, _)| is_in(*base, *prefix))
            .map(|(_, _, what)| SpecialRange::new(what))
    };
    if is_in(V6_GLOBAL.0, V6_GLOBAL.1) {
        name_in(V6_NOT_GLOBAL)
    } else {
        Some(name_in(V6_NAMED).unwrap_or(SpecialRange::new("non-global")))
    }
}
