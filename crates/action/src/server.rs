//! Where a server is and how to log in to it: `scheme://user:password@host:port/path?name=value`.
//!
//! Read by the kinds whose servers do not speak HTTP. It judges no address: the deliverer's guard does, at each connection.

use crate::{settings::HIDDEN, text::Secret};

/// A server's URL, taken apart and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// In lower case.
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// A name or an address, IPv6 without its brackets; empty where the URL names none.
    pub host: String,
    pub port: Option<u16>,
    /// Without its first slash.
    pub path: String,
    pub query: Vec<(String, String)>,
}

impl ServerUrl {
    /// Takes a URL apart. User, password, path and values may be percent-encoded, and must be where they hold `/`, `?`, `#` or `%`.
    ///
    /// # Errors
    /// What is wrong, without repeating the URL: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("has a space or a control character in it; percent-encode or remove it".to_owned());
        }
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("is not written as scheme://user:password@host:port")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') {
            return Err("has an `@` behind a slash; a slash in a password is written %2F".to_owned());
        }
        let (login, place) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(login, place)| (Some(login), place));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (text(user)?, text(password)?),
            None => (None, None),
        };
        let (host, port) = host_and_port(place)?;
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok::<_, String>((decoded(name)?, decoded(value)?))
        };
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password: password.map(Secret::new),
            host,
            port,
            path: decoded(path)?,
            query: query
                .split('&')
                .filter(|text| !text.is_empty())
                .map(pair)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The URL with its password hidden, for people; whatever stands before the last `@` when it cannot be read.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        None => url.to_owned(),
        Some((login, place)) => match login.split_once(':') {
            None => url.to_owned(),
            Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}@{place}"),
        },
    }
}

/// Whether a host is this machine, by its name or address alone.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has a `[` without its `]`")?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            // Not repeated: a password with a colon and without its `@` looks like a port.
            "has a port that is none; give a number from 1 to 65535".to_owned()
        })?),
    };
    Ok((decoded(host)?, port))
}

/// A part that may be left out: empty is absent.
fn text(encoded: &str) -> Result<Option<String>, String> {
    Ok(Some(decoded(encoded)?).filter(|text| !text.is_empty()))
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(
                "has a `%` that is not followed by two hexadecimal digits; a percent sign is written %25".to_owned(),
            );
        };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    let decoded = String::from_utf8(bytes).map_err(|_| "has percent-encoded bytes that are not UTF-8")?;
    if decoded.chars().any(char::is_control) {
        return Err("has a percent-encoded control character in it; remove it".to_owned());
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_and_decoded() {
        let url = ServerUrl::parse("SMTPS://me@example.com:p%40ss:w%2Frd@[2001:db8::1]:4650/a%20b?tls=none&x").unwrap();
        assert_eq!(url.scheme, "smtps");
        assert_eq!(url.user.as_deref(), Some("me@example.com"));
        assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss:w/rd"));
        assert_eq!((url.host.as_str(), url.port), ("2001:db8::1", Some(4650)));
        assert_eq!(url.path, "a b");
        assert_eq!(
            url.query,
            [("tls".to_owned(), "none".to_owned()), ("x".to_owned(), String::new())]
        );
        let bare = ServerUrl::parse("postgres://db").unwrap();
        assert_eq!((bare.user, bare.password, bare.port), (None, None, None));
        assert_eq!(ServerUrl::parse("mysql://u@/d").unwrap().host, "");
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        for url in [
            "canary",
            "smtp://u:canary@h:port",
            "smtp://u:canary@h:0",
            "smtp://u:canary%zz@h",
            "smtp://u:canary%0d%0a@h",
            "smtp://u:can ary@h",
            "smtp://u:canary@h\r\nX: y",
            "smtp://u:can/ary@h",
            "smtp://[::1",
            "smtp://u:%ff@canary",
        ] {
            let error = ServerUrl::parse(url).unwrap_err();
            assert!(!error.contains("canary") && !error.contains("ary"), "{error}");
        }
    }

    #[test]
    fn passwords_are_shown_nowhere() {
        let url = ServerUrl::parse("smtp://u:canary@h").unwrap();
        assert!(!format!("{url:?}").contains("canary"));
        assert_eq!(without_password("smtp://u:can/a@ry@h:1/x"), "smtp://u:[redacted]@h:1/x");
        assert_eq!(without_password("smtp://u@h"), "smtp://u@h");
        assert_eq!(without_password("sqlite:x.db"), "sqlite:x.db");
    }

    #[test]
    fn loopback_is_known_by_its_names() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "", "mail"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
