//! The rules for names that people give: uids, event types, channels, tags.

/// Longest uid or event id, in characters.
pub const UID_MAX: usize = 256;
/// Longest event type name, in characters.
pub const EVENT_TYPE_MAX: usize = 256;
/// Longest channel or tag, in characters.
pub const CHANNEL_MAX: usize = 128;

/// Letters, digits, `-`, `_` and `.`, at least one and at most `max`.
pub fn is_name(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A channel: a name in which `:` and `+` may stand as well.
pub fn is_channel(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CHANNEL_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b))
}

/// A tag: a name in which `/`, `\` and `#` may stand as well.
pub fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CHANNEL_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./\\#".contains(&b))
}

/// A uid: a name that cannot be mistaken for an id, so it must not start with the kind's prefix.
pub fn is_uid(text: &str, prefix: &str) -> bool {
    is_name(text, UID_MAX) && !text.starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_name_that_is_not_like_an_id() {
        assert!(is_uid("cust-1_a.b", "app_") && is_uid(&"a".repeat(256), "app_"));
        assert!(!is_uid("", "app_") && !is_uid("app_1", "app_") && !is_uid("a b", "app_") && !is_uid("ü", "app_"));
        assert!(!is_uid(&"a".repeat(257), "app_"));
    }
}
