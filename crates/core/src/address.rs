//! Which addresses may be called: the pure half of the SSRF guard.
//!
//! Called when an endpoint is saved ([`check_url`]) and by `bellwire_deliver::guard` before and after each connect
//! ([`check_ip`], [`check_resolved`]). It is an allow-list: an address is called only when it is known to be public,
//! or when the operator said so in `allow_private`.
//!
//! It deliberately does no I/O: it resolves nothing, connects to nothing and keeps nothing. A URL that passes
//! [`check_url`] is therefore only half judged when its host is a name; the addresses behind the name are judged at
//! each connect, because a name may point somewhere else by then.

mod cidr;
mod error;
mod policy;
mod ranges;
mod target;
mod url;

pub use cidr::{Cidr, CidrError};
pub use error::AddressError;
pub use policy::AddressPolicy;
pub use ranges::{SpecialRange, canonical_ip, check_ip, check_resolved};
pub use target::{Scheme, Target, TargetHost};
pub use url::{URL_BYTES_MAX, check_host, check_target, check_url};

#[cfg(test)]
mod tests;
