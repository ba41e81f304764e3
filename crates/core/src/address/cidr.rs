//! A range of addresses in CIDR notation, small enough to own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A range of IPv4 or IPv6 addresses: `10.0.0.0/8`, `::1/128`; a bare address is a range of one.
///
/// Reads and writes as a string, in serde too. An IPv4-mapped range (`::ffff:10.0.0.0/104`) becomes the IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CidrError {
    /// The part before the slash is not an address.
    #[error("`{0}` is not an address range; write it like 10.0.0.0/8, fd00::/8 or 10.0.0.7")]
    Address(String),
    /// The part after the slash is not a prefix length of the address family.
    #[error("`{text}` has a bad prefix length; it is a number from 0 to {max}")]
    Prefix {
        /// What was read.
        text: String,
        /// 32 for IPv4, 128 for IPv6.
        max: u8,
    },
    /// Bits are set behind the prefix: the range is probably not the one that was meant.
    #[error("`{text}` has bits set behind its prefix; write {base}/{prefix}, or the address alone")]
    HostBits {
        /// What was read.
        text: String,
        /// The first address of the range.
        base: IpAddr,
        /// The prefix length that was read.
        prefix: u8,
    },
}

impl Cidr {
    /// The range of `prefix` bits that holds `ip`. Prefix lengths past the family's width mean the one address.
    pub fn new(ip: IpAddr, prefix: u8) -> Self {
        match ip {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self {
                    base: IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask)),
                    prefix,
                }
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                if prefix >= 96
                    && let Some(v4) = v6.to_ipv4_mapped()
                {
                    return Self::new(IpAddr::V4(v4), prefix - 96);
                }
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self {
                    base: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)),
                    prefix,
                }
            }
        }
    }

    /// Whether `ip` is in the range. IPv4 ranges hold IPv4 addresses only, and IPv6 ranges IPv6 addresses only.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.base.is_ipv4() == ip.is_ipv4() && exact(ip, self.prefix).base == self.base
    }

    /// The first address of the range.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// The prefix length in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How narrow the range is on one scale for both families, where an IPv4 address counts as IPv4-mapped: 0–128.
    pub(super) fn narrowness(&self) -> u8 {
        if self.base.is_ipv4() {
            self.prefix + 96
        } else {
            self.prefix
        }
    }
}

/// Like [`Cidr::new`] for an address that is compared, so an IPv4-mapped one stays IPv6.
fn exact(ip: IpAddr, prefix: u8) -> Cidr {
    match ip {
        IpAddr::V4(_) => Cidr::new(ip, prefix),
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Cidr {
                base: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)),
                prefix,
            }
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| CidrError::Address(text.to_owned()))?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max,
            Some(digits) => digits
                .parse::<u8>()
                .ok()
                .filter(|prefix| *prefix <= max && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| CidrError::Prefix {
                    text: text.to_owned(),
                    max,
                })?,
        };
        let masked = exact(ip, prefix);
        if masked.base != ip {
            return Err(CidrError::HostBits {
                text: text.to_owned(),
                base: masked.base,
                prefix,
            });
        }
        Ok(Self::new(ip, prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl From<IpAddr> for Cidr {
    fn from(ip: IpAddr) -> Self {
        Self::new(ip, 128)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_read_and_write_as_text() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "192.0.2.1/32",
            "::1/128",
            "::/0",
            "fd00::/8",
            "2001:db8::/32",
        ] {
            assert_eq!(cidr(text).to_string(), text);
        }
        assert_eq!(cidr("10.0.0.7").to_string(), "10.0.0.7/32");
        assert_eq!(cidr("::1").to_string(), "::1/128");
        assert_eq!(cidr("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_not_its_neighbours() {
        let range = cidr("172.16.0.0/12");
        assert!(range.contains(ip("172.16.0.0")) && range.contains(ip("172.31.255.255")));
        assert!(!range.contains(ip("172.15.255.255")) && !range.contains(ip("172.32.0.0")));
        let range = cidr("fc00::/7");
        assert!(range.contains(ip("fc00::")) && range.contains(ip("fdff:ffff::1")));
        assert!(!range.contains(ip("fbff::")) && !range.contains(ip("fe00::")));
        assert!(cidr("0.0.0.0/0").contains(ip("255.255.255.255")) && cidr("::/0").contains(ip("ffff::")));
    }

    #[test]
    fn families_do_not_mix() {
        assert!(!cidr("0.0.0.0/0").contains(ip("::1")));
        assert!(!cidr("::/0").contains(ip("10.0.0.1")));
        assert!(!cidr("127.0.0.0/8").contains(ip("::ffff:127.0.0.1")));
        assert!(cidr("::/0").contains(ip("::ffff:127.0.0.1")));
    }

    #[test]
    fn bad_ranges_are_refused_with_what_to_write() {
        for text in [
            "",
            "10",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "a/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in [
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "10.0.0.0 /8",
            "010.0.0.0/8",
            "localhost",
            "10.0.0.0/0x8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        let error = "10.0.0.7/8".parse::<Cidr>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`10.0.0.7/8` has bits set behind its prefix; write 10.0.0.0/8, or the address alone"
        );
    }

    #[test]
    fn serde_is_the_string() {
        let ranges: Vec<Cidr> = serde_json::from_str(r#"["10.0.0.0/8", "::1"]"#).unwrap();
        assert_eq!(serde_json::to_string(&ranges).unwrap(), r#"["10.0.0.0/8","::1/128"]"#);
        assert!(
            serde_json::from_str::<Cidr>(r#""10.0.0.0/40""#)
                .unwrap_err()
                .to_string()
                .contains("from 0 to 32")
        );
    }
}
