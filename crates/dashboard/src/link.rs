//! Paths of ours, with whatever a name holds.

use std::fmt::Write as _;

/// A name as one segment of a path (RFC 3986, section 3.3): everything but unreserved characters is escaped.
pub(crate) fn segment(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            // Writing to a string does not fail.
            byte => drop(write!(path, "%{byte:02X}")),
        }
    }
    match path.as_str() {
        // Browsers would climb.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => path,
    }
}

/// A query of these pairs, with its `?`; those without a value are left out.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut any = false;
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
        any = true;
    }
    match any {
        true => format!("?{}", query.finish()),
        false => String::new(),
    }
}

/// A path that a form or query names, when it is one of ours: `//host`, backslashes and control characters lead elsewhere.
pub(crate) fn ours(path: &str) -> Option<&str> {
    let inner = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/api/");
    let clean = |c: char| c.is_ascii_graphic() && c != '\\';
    (inner && path.len() <= 2_048 && path.chars().all(clean)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_whatever_it_holds() {
        assert_eq!(segment("app_2x/../y?z#\"<é"), "app_2x%2F..%2Fy%3Fz%23%22%3C%C3%A9");
        assert_eq!((segment("."), segment("..")), ("%2E".to_owned(), "%2E%2E".to_owned()));
    }

    #[test]
    fn only_a_path_of_ours_is_gone_back_to() {
        assert_eq!(ours("/app/x?y=1"), Some("/app/x?y=1"));
        for other in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "",
            "/a\nb",
            "/api/v1/app",
        ] {
            assert_eq!(ours(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_query_leaves_out_what_is_not_asked() {
        assert_eq!(query([("a", ""), ("b", "x&y"), ("c", "")]), "?b=x%26y");
        assert_eq!(query([("a", "")]), "");
    }
}
