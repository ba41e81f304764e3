//! What of a request's head is kept with its messages: all that says something, and nothing that is a credential.

use std::borrow::Cow;

/// Headers of one connection, which say nothing to those behind it (RFC 9110, section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Credentials, whoever sends them.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];

/// How often a URL is decoded: one in another's query is encoded twice.
const DECODED_MAX: usize = 3;
/// What stands for a token.
const HIDDEN: &str = "…";

/// What one source keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// Its own secret headers, in lower case.
    pub secret_headers: &'a [String],
    /// What its URLs are secret by: proxies and browsers write URLs into headers.
    pub tokens: &'a [String],
}

impl Kept<'_> {
    /// The headers that are kept, names in lower case, in their order.
    pub fn of(self, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let kept = headers.iter().filter(|(name, _)| self.keeps(name));
        let tokens = || self.tokens.iter().map(String::as_str);
        kept.map(|(name, value)| (name.to_ascii_lowercase(), without_tokens(value, tokens()).into_owned()))
            .collect()
    }

    fn keeps(self, name: &str) -> bool {
        let own = self.secret_headers.iter().map(String::as_str);
        let mut dropped = HOP_BY_HOP.iter().chain(CREDENTIALS).copied().chain(own);
        !dropped.any(|other| name.eq_ignore_ascii_case(other))
    }
}

/// A text without tokens, however they are written in it: a URL may write any character as `%` and its code.
pub(crate) fn without_tokens<'t>(text: &'t str, tokens: impl Iterator<Item = &'t str>) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    let mut decoded = None;
    for token in tokens.filter(|token| !token.is_empty()) {
        if text.contains(token) {
            text = Cow::Owned(text.replace(token, HIDDEN));
            decoded = None;
        }
        if !text.contains('%') {
            continue;
        }
        let plain = decoded.get_or_insert_with(|| percent_decoded(&text));
        if plain.contains(token) {
            text = Cow::Owned(plain.replace(token, HIDDEN));
            decoded = None;
        }
    }
    text
}

/// RFC 3986, section 2.1, until nothing is left to decode: what was encoded twice as well.
fn percent_decoded(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..DECODED_MAX {
        let (mut rest, mut decoded) = (bytes.as_slice(), Vec::with_capacity(bytes.len()));
        while let Some((first, behind)) = rest.split_first() {
            let code = behind
                .get(..2)
                .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
            let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
            decoded.push(code.unwrap_or(*first));
            rest = if code.is_some() { &behind[2..] } else { behind };
        }
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_kept_and_names_are_in_lower_case() {
        let own = ["x-gitlab-token".to_owned()];
        let headers = [
            ("X-Gitlab-Token", "canary"),
            ("Authorization", "canary"),
            ("Cookie", "canary"),
            ("Connection", "close"),
            ("X-Gitlab-Event", "Push Hook"),
        ];
        let kept = Kept {
            secret_headers: &own,
            tokens: &[],
        };
        assert_eq!(
            kept.of(&headers),
            [("x-gitlab-event".to_owned(), "Push Hook".to_owned())]
        );
    }

    #[test]
    fn a_token_is_hidden_however_it_is_written() {
        for (text, without) in [
            ("https://h/in/abc?x=1", "https://h/in/…?x=1"),
            ("https://h/in/%61b%63?x=%31", "https://h/in/…?x=1"),
            (
                "https://g/?to=https%3A%2F%2Fh%2Fin%2F%2561bc",
                "https://g/?to=https://h/in/…",
            ),
            ("abc, old", "…, …"),
            ("100%, %zz %6", "100%, %zz %6"),
        ] {
            assert_eq!(without_tokens(text, ["abc", "old"].into_iter()), without);
        }
    }
}
