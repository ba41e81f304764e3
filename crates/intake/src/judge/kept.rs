//! Which headers of a request are kept with its messages: all that say something, and none that is a credential.

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

/// What one source keeps: all but its own secret headers, in lower case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a>(pub &'a [String]);

impl Kept<'_> {
    /// The headers that are kept, names in lower case, in their order.
    pub fn of(self, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let kept = headers.iter().filter(|(name, _)| self.keeps(name));
        kept.map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()))
            .collect()
    }

    fn keeps(self, name: &str) -> bool {
        let own = self.0.iter().map(String::as_str);
        let mut dropped = HOP_BY_HOP.iter().chain(CREDENTIALS).copied().chain(own);
        !dropped.any(|other| name.eq_ignore_ascii_case(other))
    }
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
        let kept = Kept(&own).of(&headers);
        assert_eq!(kept, [("x-gitlab-event".to_owned(), "Push Hook".to_owned())]);
    }
}
