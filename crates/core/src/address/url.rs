//! From the text of a URL to a judged [`Target`].
//!
//! The text is judged before it is parsed, because the parser repairs what it can (it drops tabs and line breaks,
//! turns backslashes into slashes, adds missing slashes), and two parsers repair differently. What is left is parsed
//! by the rules that browsers follow (WHATWG URL), which know all spellings of an address, and judged again.

use ::url::{Host, Url};
use std::net::{IpAddr, Ipv6Addr};

use super::{AddressError, AddressPolicy, Scheme, Target, TargetHost, check_ip};

/// The longest URL we take, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// Suffixes of names that only mean something inside a private network (RFC 6761, RFC 6762, RFC 8375, ICANN's
/// reservation of `.internal`, and the usual home-made ones that the public DNS does not delegate).
const PRIVATE_SUFFIXES: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "localdomain",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
];

/// Judges a URL as far as that is possible without resolving its name, and takes it apart for sending.
///
/// Rules: no control, space, invisible or backslash characters; at most [`URL_BYTES_MAX`]; `https://`, or `http://`
/// unless `https_only`; no user-info; a DNS name with a dot (one trailing dot is dropped), or an address that
/// [`check_ip`] allows in any spelling; a port that the policy allows.
/// Errors: the first rule that is broken. Never panics, whatever the text.
pub fn check_url(input: &str, policy: &AddressPolicy) -> Result<Target, AddressError> {
    let scheme = check_text(input)?;
    let url = Url::parse(input).map_err(|error| AddressError::Malformed { why: error.to_string() })?;
    // What follows was already true of the text; it is asked again of what the parser made of it.
    if url.scheme() != scheme.as_str() {
        return Err(AddressError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::UserInfo);
    }
    let host = match url.host() {
        None => return Err(AddressError::NoHost),
        Some(Host::Domain(name)) => TargetHost::Domain(bare_name(name)?),
        Some(Host::Ipv4(ip)) => TargetHost::Ip(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => TargetHost::Ip(IpAddr::V6(ip)),
    };
    let port = url.port().unwrap_or(scheme.default_port());
    let path_and_query = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let target = Target::new(scheme, host, port, path_and_query);
    check_target(&target, policy)?;
    Ok(target)
}

/// Judges a target again, under a policy that may be stricter than the one it was made under.
///
/// The connector asks this at each connect. Errors: like [`check_url`].
pub fn check_target(target: &Target, policy: &AddressPolicy) -> Result<(), AddressError> {
    if target.scheme() == Scheme::Http && policy.https_only {
        return Err(AddressError::HttpsOnly);
    }
    match target.host() {
        TargetHost::Domain(name) => check_name(name, policy)?,
        TargetHost::Ip(ip) => check_ip(*ip, policy)?,
    }
    if policy.allows_port(target.port()) {
        Ok(())
    } else {
        Err(AddressError::Port { port: target.port() })
    }
}

/// Judges a host that stands alone, as the settings of a mail server or a database name it, as far as that is possible without
/// resolving it. IPv6 comes without brackets.
///
/// The caller judges the port. Errors: like [`check_url`].
pub fn check_host(input: &str, policy: &AddressPolicy) -> Result<TargetHost, AddressError> {
    if input.len() > URL_BYTES_MAX {
        return Err(AddressError::TooLong {
            bytes: input.len(),
            max: URL_BYTES_MAX,
        });
    }
    if let Some((at, character)) = input.char_indices().find(|(_, character)| is_refused(*character)) {
        return Err(AddressError::Character { character, at });
    }
    if input.is_empty() {
        return Err(AddressError::NoHost);
    }
    let malformed = |why: String| AddressError::Malformed { why };
    let host = match input.parse::<Ipv6Addr>() {
        Ok(ip) => TargetHost::Ip(IpAddr::V6(ip)),
        Err(_) if input.contains('%') => return Err(malformed("percent-encoded host".to_owned())),
        Err(_) => match Host::parse(input).map_err(|error| malformed(error.to_string()))? {
            Host::Domain(name) => TargetHost::Domain(bare_name(&name)?),
            Host::Ipv4(ip) => TargetHost::Ip(IpAddr::V4(ip)),
            Host::Ipv6(ip) => TargetHost::Ip(IpAddr::V6(ip)),
        },
    };
    match &host {
        TargetHost::Domain(name) => check_name(name, policy)?,
        TargetHost::Ip(ip) => check_ip(*ip, policy)?,
    }
    Ok(host)
}

/// What can be said of the text alone: length, characters, scheme, user-info, an empty or encoded host.
fn check_text(input: &str) -> Result<Scheme, AddressError> {
    if input.len() > URL_BYTES_MAX {
        return Err(AddressError::TooLong {
            bytes: input.len(),
            max: URL_BYTES_MAX,
        });
    }
    if let Some((at, character)) = input.char_indices().find(|(_, character)| is_refused(*character)) {
        return Err(AddressError::Character { character, at });
    }
    let (scheme, rest) = input.split_once("://").ok_or(AddressError::Scheme)?;
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else if scheme.eq_ignore_ascii_case("http") {
        Scheme::Http
    } else {
        return Err(AddressError::Scheme);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(AddressError::UserInfo);
    }
    // With three slashes the parser would take the first part of the path for the host.
    if authority.is_empty() || authority.starts_with(':') {
        return Err(AddressError::NoHost);
    }
    if authority.contains('%') {
        return Err(AddressError::Malformed {
            why: "percent-encoded host".to_owned(),
        });
    }
    Ok(scheme)
}

/// Characters that do not belong into the text of a URL and that parsers drop, replace or disagree about: controls,
/// white space, invisible formatting, backslashes.
fn is_refused(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(
            character,
            '\\' | '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFD}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// A DNS name as the parser gives it (ASCII, lower case) without its trailing dot, if it has the form of one.
fn bare_name(name: &str) -> Result<String, AddressError> {
    let bad = |why| {
        Err(AddressError::HostName {
            host: name.to_owned(),
            why,
        })
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err(AddressError::NoHost);
    }
    if bare.len() > 253 {
        return bad("longer than 253 characters");
    }
    for label in bare.split('.') {
        if label.is_empty() {
            return bad("two dots in a row, or a leading dot");
        }
        if label.len() > 63 {
            return bad("a part longer than 63 characters");
        }
        if !label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        {
            return bad("a character other than letters, digits, hyphen and underscore");
        }
    }
    Ok(bare.to_owned())
}

/// Refuses names that only private networks know, unless the policy lets us into one; then the address decides.
fn check_name(name: &str, policy: &AddressPolicy) -> Result<(), AddressError> {
    if policy.allows_private() {
        return Ok(());
    }
    if !name.contains('.') {
        return Err(AddressError::NoDot { host: name.to_owned() });
    }
    match PRIVATE_SUFFIXES.iter().find(|suffix| is_below(name, suffix)) {
        Some(suffix) => Err(AddressError::PrivateName {
            host: name.to_owned(),
            suffix,
        }),
        None => Ok(()),
    }
}

/// Whether `name` is `suffix` or ends in it after a dot.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
