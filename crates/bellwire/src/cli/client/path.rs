//! Paths of the API, with ids and names escaped.

use std::fmt::Write as _;

/// `/api/v1/` and the segments, each escaped: an id from the command line cannot name another path.
pub fn path(segments: &[&str]) -> String {
    below("/api/v1", segments)
}

/// `/ingest/api/v1/source/` and the segments, each escaped.
pub fn source_path(segments: &[&str]) -> String {
    below("/ingest/api/v1/source", segments)
}

fn below(base: &str, segments: &[&str]) -> String {
    segments.iter().fold(base.to_owned(), |path, segment| {
        // A segment of dots would be resolved away; the API answers 404 for the escaped form.
        let escaped = if segment.chars().all(|c| c == '.') {
            segment.replace('.', "%2E")
        } else {
            escape(segment)
        };
        path + "/" + &escaped
    })
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(path(&["app", "acme-1.x_y"]), "/api/v1/app/acme-1.x_y");
        assert_eq!(
            path(&["app", "a/../b?c#d é"]),
            "/api/v1/app/a%2F..%2Fb%3Fc%23d%20%C3%A9"
        );
        assert_eq!(path(&["app", ".."]), "/api/v1/app/%2E%2E");
        assert_eq!(source_path(&["a/b", "log"]), "/ingest/api/v1/source/a%2Fb/log");
    }
}
