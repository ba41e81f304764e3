//! Where the database is, from a store's URL.
//!
//! What libpq knows stays as libpq means it (hosts, several of them, `sslmode`, `application_name`, `connect_timeout`…). Added
//! are `sslmode=verify-full`, `sslrootcert`, and what only a store has: `schema`, `password_file`, `connections`.

use std::{path::PathBuf, str::FromStr as _};

use tokio_postgres::{Config, config::SslMode};

/// Connections a node opens at most, unless the URL says otherwise.
const CONNECTIONS: usize = 8;
/// Fewer than these cannot serve everybody who may need one: the writer, the keeper, claims and reads.
const CONNECTIONS_MIN: usize = 4;
/// The schema that holds the tables, unless the URL says otherwise.
const SCHEMA: &str = "bellwire";

/// How TLS is spoken to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Not at all, or as the server likes, or in any case, with whatever certificate it shows.
    Any,
    /// With a certificate for its name that a known authority signed.
    Verified,
}

/// A store's URL, taken apart.
#[derive(Clone)]
pub(super) struct Address {
    /// Hosts, user, password, database.
    pub config: Config,
    pub trust: Trust,
    /// Authorities besides the public ones: a file with PEM certificates.
    pub root_certificates: Option<PathBuf>,
    pub schema: String,
    /// Connections this node opens at most.
    pub connections: usize,
    /// The URL as it may be shown.
    pub shown: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// Takes a URL apart that begins with `postgres:` or `postgresql:`. A password file is read here.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut passed_on = Vec::new();
        let mut address = Self {
            config: Config::new(),
            trust: Trust::Any,
            root_certificates: None,
            schema: SCHEMA.to_owned(),
            connections: CONNECTIONS,
            shown: crate::backends::without_password(place),
        };
        let mut password_file = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(raw).ok_or_else(|| format!("`{name}` is not percent-encoded UTF-8"))?;
            match (name, value.as_str()) {
                ("sslmode", "verify-full") => {
                    address.trust = Trust::Verified;
                    passed_on.push("sslmode=require".to_owned());
                }
                ("sslmode", "verify-ca" | "allow") => {
                    return Err(format!(
                        "sslmode={value} is not known; use disable, prefer, require or verify-full"
                    ));
                }
                ("sslrootcert", path) => address.root_certificates = Some(PathBuf::from(path)),
                ("password_file", path) => password_file = Some(PathBuf::from(path)),
                ("schema", schema) => address.schema = checked_schema(schema)?,
                ("connections", text) => address.connections = checked_connections(text)?,
                // What a process that only stood by was started with: every process takes part.
                ("standby", "true" | "false") => {}
                ("standby", other) => return Err(format!("standby={other} is neither true nor false")),
                _ => passed_on.push(pair.to_owned()),
            }
        }
        let passed_on = format!("{place}?{}", passed_on.join("&"));
        address.config = Config::from_str(&passed_on).map_err(|error| with_causes(&error))?;
        if address.config.get_hosts().is_empty() {
            return Err("no host is named; write postgres://user@host/database".to_owned());
        }
        if address.config.get_application_name().is_none() {
            address.config.application_name("bellwire");
        }
        if let Some(path) = password_file {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read the password file {}: {error}", path.display()))?;
            address.config.password(text.trim_end_matches(['\r', '\n']));
        }
        if address.trust == Trust::Verified && address.config.get_ssl_mode() != SslMode::Require {
            return Err("sslmode is given twice".to_owned());
        }
        Ok(address)
    }
}

/// A schema is named in statements, so it is a plain word.
fn checked_schema(schema: &str) -> Result<String, String> {
    let is_plain = !schema.is_empty()
        && schema.len() <= 60
        && !schema.starts_with(|first: char| first.is_ascii_digit())
        && schema
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        Ok(schema.to_owned())
    } else {
        Err(format!(
            "schema `{schema}` is no plain word; use small letters, digits and `_`"
        ))
    }
}

fn checked_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(connections) if (CONNECTIONS_MIN..=1_000).contains(&connections) => Ok(connections),
        _ => Err(format!(
            "connections={text} is not a number from {CONNECTIONS_MIN} to 1000"
        )),
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let digits = [*rest.next()?, *rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// An error and what caused it, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_database_is_and_what_the_store_may_use() {
        let url = "postgres://me:pw@db1,db2:6432/shop?sslmode=verify-full&schema=hooks_2&connections=20&connect_timeout=3&standby=true";
        let address = Address::parse(url).unwrap();
        assert_eq!((address.trust, address.connections), (Trust::Verified, 20));
        assert_eq!(address.schema, "hooks_2");
        assert_eq!(address.config.get_hosts().len(), 2);
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.shown, "postgres://…@db1,db2:6432/shop");
    }

    #[test]
    fn a_password_may_be_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "pass word\n").unwrap();
        let url = format!("postgresql://me@db/shop?password_file={}", file.path().display());
        let address = Address::parse(&url).unwrap();
        assert_eq!(address.config.get_password(), Some(&b"pass word"[..]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (url, word) in [
            ("postgres://me@db/x?schema=a;b", "schema"),
            ("postgres://me@db/x?connections=1", "connections"),
            ("postgres://me@db/x?standby=yes", "standby"),
            ("postgres://me@db/x?sslmode=verify-ca", "verify-full"),
            ("postgres://me@db/x?password_file=/no/such", "password file"),
            ("postgres:///x", "host"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
