//! Custom headers of an endpoint: which may be set, and which values must not be shown.
//!
//! `api` checks them when an endpoint is saved and splits them when it answers. Refused are headers that frame the
//! message, that belong to the connection, that say where a request came from, and those Bellwire itself sets.
//! Deliberately absent: sending them, and the headers of answers.

use std::collections::BTreeMap;

/// Most headers one endpoint may have.
pub const HEADERS_MAX: usize = 64;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;
/// Names and values together, in bytes: receivers commonly refuse more, and endpoints are kept in memory.
pub const HEADERS_BYTES_MAX: usize = 32 * 1024;

/// Refused by their whole name, in lower case.
const FORBIDDEN: &[&str] = &[
    // Frame the message or describe its bytes: request smuggling, and a body other than the one signed.
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-digest",
    "transfer-encoding",
    // An answer is read raw and bounded: a compressed one could not be shown.
    "accept-encoding",
    // Belong to one connection (RFC 9110 section 7.6.1).
    "te",
    "trailer",
    "connection",
    "keep-alive",
    "upgrade",
    "expect",
    // Claims about where a request came from.
    "forwarded",
    // Set from the publisher's trace (W3C Trace Context).
    "traceparent",
];

/// Refused by how their name starts, in lower case.
const FORBIDDEN_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "webhook-", "svix-", "ce-", "signature"];

/// Why custom headers were refused. Values are never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More than [`HEADERS_MAX`].
    #[error("{count} custom headers; at most {HEADERS_MAX} are allowed")]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// More than [`HEADERS_BYTES_MAX`] in all.
    #[error("custom headers take {bytes} bytes together; at most {HEADERS_BYTES_MAX} are allowed")]
    TooLarge {
        /// Names and values together.
        bytes: usize,
    },
    /// An empty or over-long name.
    #[error("header name {name:?} has {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed")]
    NameLength {
        /// The name, shortened.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// A character that no header name has.
    #[error("header name {name:?} may only have letters, digits and !#$%&'*+-.^_`|~ (RFC 9110, token)")]
    NameCharacter {
        /// The name, shortened.
        name: String,
    },
    /// A header that an endpoint may not set.
    #[error("header {name:?} may not be set on an endpoint: it is set by Bellwire or belongs to the connection")]
    Forbidden {
        /// The name as given.
        name: String,
    },
    /// The same name twice, in different case.
    #[error("header {name:?} is given twice; upper and lower case make no difference in header names")]
    Duplicate {
        /// The name as given the second time.
        name: String,
    },
    /// A value that is too long.
    #[error("value of header {name:?} has {bytes} bytes; at most {VALUE_BYTES_MAX} are allowed")]
    ValueLength {
        /// Whose value.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// A control or non-ASCII character in a value.
    #[error(
        "value of header {name:?} has a character at position {position} that is not printable ASCII; \
         line breaks are refused, encode other text"
    )]
    ValueCharacter {
        /// Whose value.
        name: String,
        /// Position in characters, from 1.
        position: usize,
    },
    /// White space at the ends of a value, which receivers drop.
    #[error("value of header {name:?} starts or ends with white space, which receivers would drop; remove it")]
    ValueWhiteSpace {
        /// Whose value.
        name: String,
    },
}

/// Checks the custom headers of an endpoint: names (RFC 9110 section 5.1), values (section 5.5, ASCII only), limits,
/// and that none is forbidden.
///
/// # Errors
/// The first [`HeaderError`], in the map's order.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), HeaderError> {
    if headers.len() > HEADERS_MAX {
        return Err(HeaderError::TooMany { count: headers.len() });
    }
    let mut seen: Vec<String> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let lower = check_name(name)?;
        if seen.contains(&lower) {
            return Err(HeaderError::Duplicate { name: name.clone() });
        }
        seen.push(lower);
        check_value(name, value)?;
    }
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > HEADERS_BYTES_MAX {
        Err(HeaderError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

/// Whether an endpoint may not set this header. The name in any case.
#[must_use]
pub fn is_forbidden(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FORBIDDEN.contains(&name.as_str()) || FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn check_name(name: &str) -> Result<String, HeaderError> {
    let short = || name.chars().take(64).collect::<String>();
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Err(HeaderError::NameLength {
            name: short(),
            bytes: name.len(),
        });
    }
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    {
        return Err(HeaderError::NameCharacter { name: short() });
    }
    if is_forbidden(name) {
        return Err(HeaderError::Forbidden { name: name.to_owned() });
    }
    Ok(name.to_ascii_lowercase())
}

fn check_value(name: &str, value: &str) -> Result<(), HeaderError> {
    let name = || name.to_owned();
    if value.len() > VALUE_BYTES_MAX {
        return Err(HeaderError::ValueLength {
            name: name(),
            bytes: value.len(),
        });
    }
    if let Some(index) = value.chars().position(|c| c != '\t' && !(' '..='~').contains(&c)) {
        return Err(HeaderError::ValueCharacter {
            name: name(),
            position: index + 1,
        });
    }
    if value.trim_matches([' ', '\t']).len() != value.len() {
        return Err(HeaderError::ValueWhiteSpace { name: name() });
    }
    Ok(())
}

/// Words that make a header's value a secret, wherever they stand in its name.
const SENSITIVE: &[&str] = &[
    "authorization",
    "authentication",
    "cookie",
    "token",
    "secret",
    "passw",
    "credential",
    "apikey",
    "bearer",
    "jwt",
];
/// The same, as a whole word of the name only.
const SENSITIVE_WORDS: &[&str] = &[
    "auth", "key", "pwd", "pass", "pin", "session", "sid", "sig", "hmac", "otp",
];
/// Names whose `key` identifies and does not open anything.
const HARMLESS_KEYS: &[&str] = &[
    "idempotency",
    "partition",
    "routing",
    "ordering",
    "sort",
    "cache",
    "surrogate",
];
/// Values that carry credentials whatever the name (RFC 9110 section 11.4).
const CREDENTIAL_SCHEMES: &[&str] = &["bearer ", "basic ", "digest ", "apikey ", "token "];

/// Whether a header's value must not be shown. In doubt it must not: the cost of hiding one is small.
#[must_use]
pub fn is_sensitive(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    if SENSITIVE.iter().any(|part| name.contains(part)) {
        return true;
    }
    let harmless = |word: &str| word == "key" && words().any(|word| HARMLESS_KEYS.contains(&word));
    if words().any(|word| SENSITIVE_WORDS.contains(&word) && !harmless(word)) {
        return true;
    }
    let starts_with = |scheme: &&str| {
        value
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    CREDENTIAL_SCHEMES.iter().any(starts_with)
}

/// Splits headers into those that may be shown and the names, as given, of those that may not (`sensitive` in
/// `EndpointHeadersOut`).
#[must_use]
pub fn split_sensitive(headers: &BTreeMap<String, String>) -> (BTreeMap<String, String>, Vec<String>) {
    let mut shown = BTreeMap::new();
    let mut sensitive = Vec::new();
    for (name, value) in headers {
        if is_sensitive(name, value) {
            sensitive.push(name.clone());
        } else {
            shown.insert(name.clone(), value.clone());
        }
    }
    (shown, sensitive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(name: &str, value: &str) -> Result<(), HeaderError> {
        check_headers(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn every_header_of_the_forbidden_list_is_refused_in_any_case() {
        let names = "Host Content-Length Content-Type Content-Encoding Transfer-Encoding TE Trailer Connection \
            Keep-Alive Upgrade Expect Proxy-Authorization Proxy-Connection Forwarded X-Forwarded-For X-Forwarded-Host \
            webhook-id Webhook-Signature svix-id SVIX-TIMESTAMP ce-id Ce-Type Signature Signature-Input Content-Digest \
            traceparent Accept-Encoding";
        for name in names.split_whitespace() {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(
                    check(&name, "x"),
                    Err(HeaderError::Forbidden { name: name.clone() }),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn ordinary_headers_pass() {
        for (name, value) in [
            ("Authorization", "Bearer abc"),
            ("X-Api-Key", "k"),
            ("User-Agent", "mine/1 (a; b)"),
            ("X-Host", "a\tb"),
            ("Accept", "*/*"),
            ("X-Empty", ""),
            ("Proxy", "name without the hyphen"),
            ("Cell", "starts with ce"),
            ("x-webhook-id", "1"),
            ("!#$%&'*+-.^_`|~9a", "~"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
        assert_eq!(check_headers(&BTreeMap::new()), Ok(()));
    }

    #[test]
    fn names_that_are_not_tokens_are_refused() {
        assert!(matches!(check("", "x"), Err(HeaderError::NameLength { bytes: 0, .. })));
        assert!(matches!(
            check(&"x".repeat(129), "x"),
            Err(HeaderError::NameLength { bytes: 129, .. })
        ));
        assert_eq!(check(&"x".repeat(128), "x"), Ok(()));
        for name in [
            "X A",
            "X:",
            ":path",
            "X\r\nHost",
            "Ünï",
            "X\0",
            "a,b",
            "Host ",
            "X\u{212a}",
        ] {
            assert!(
                matches!(check(name, "x"), Err(HeaderError::NameCharacter { .. })),
                "{name:?}"
            );
        }
    }

    #[test]
    fn values_that_could_break_a_request_are_refused() {
        for (value, position) in [("a\r\nHost: b", 2), ("\n", 1), ("a\0", 2), ("é", 1), ("ab\u{7f}", 3)] {
            assert_eq!(
                check("X-A", value),
                Err(HeaderError::ValueCharacter {
                    name: "X-A".into(),
                    position
                })
            );
        }
        for value in [" a", "a ", "\ta", " "] {
            assert_eq!(
                check("X-A", value),
                Err(HeaderError::ValueWhiteSpace { name: "X-A".into() }),
                "{value:?}"
            );
        }
        assert_eq!(check("X-A", &"a".repeat(4096)), Ok(()));
        assert_eq!(
            check("X-A", &"a".repeat(4097)),
            Err(HeaderError::ValueLength {
                name: "X-A".into(),
                bytes: 4097
            })
        );
    }

    #[test]
    fn number_and_size_of_all_headers_are_bounded() {
        let many = |count: usize, size: usize| -> BTreeMap<String, String> {
            (0..count).map(|i| (format!("x-{i:02}"), "v".repeat(size))).collect()
        };
        assert_eq!(check_headers(&many(64, 10)), Ok(()));
        assert_eq!(check_headers(&many(65, 10)), Err(HeaderError::TooMany { count: 65 }));
        assert_eq!(check_headers(&many(8, 4092)), Ok(()), "32 KiB exactly");
        assert_eq!(
            check_headers(&many(9, 4000)),
            Err(HeaderError::TooLarge { bytes: 9 * 4004 })
        );
    }

    #[test]
    fn the_same_name_in_another_case_is_refused() {
        let headers = BTreeMap::from([("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())]);
        assert_eq!(
            check_headers(&headers),
            Err(HeaderError::Duplicate { name: "x-a".into() })
        );
    }

    #[test]
    fn secrets_are_recognised_by_name_or_value() {
        for name in [
            "Authorization",
            "X-Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "X-ApiKey",
            "x_api_key",
            "Api-Key",
            "X-Auth",
            "X-Auth-Token",
            "X-Access-Token",
            "Private-Token",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "X-Client-Secret",
            "X-Password",
            "X-Session",
            "X-Amz-Security-Token",
            "X-Vault-Token",
            "CF-Access-Client-Secret",
        ] {
            assert!(is_sensitive(name, "x"), "{name}");
        }
        assert!(is_sensitive("X-Custom", "bEARER abc"));
        assert!(is_sensitive("X-Custom", "Basic dXNlcjpwYXNz"));
        for name in [
            "X-Author",
            "Accept",
            "User-Agent",
            "X-Team",
            "Idempotency-Key",
            "X-Partition-Key",
            "X-Monkey",
        ] {
            assert!(!is_sensitive(name, "basically fine"), "{name}");
        }
        assert!(
            !is_sensitive("X-Custom", "é"),
            "a value cut inside a character does not panic"
        );
    }

    #[test]
    fn sensitive_headers_are_named_and_their_values_left_out() {
        let headers = BTreeMap::from([
            ("Authorization".to_owned(), "Bearer canary".to_owned()),
            ("X-Team".to_owned(), "billing".to_owned()),
        ]);
        let (shown, sensitive) = split_sensitive(&headers);
        assert_eq!(sensitive, ["Authorization"]);
        assert_eq!(shown, BTreeMap::from([("X-Team".to_owned(), "billing".to_owned())]));
    }

    #[test]
    fn errors_never_contain_a_value() {
        for value in ["canary\r\n", " canary", &"canary".repeat(1000)] {
            let error = check("X-A", value).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_cannot_break_out_of_its_line(name in ".{0,20}", value in ".{0,40}") {
            if check(&name, &value).is_ok() {
                let safe = |text: &str| text.bytes().all(|b| b == b'\t' || (32..127).contains(&b));
                prop_assert!(safe(&name) && safe(&value));
                prop_assert!(!name.contains([':', ' ']) && !is_forbidden(&name));
            }
        }
    }
}
