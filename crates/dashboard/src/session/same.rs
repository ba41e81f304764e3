//! Whether a form was sent by a page of ours: what the browser itself says about it.
//!
//! Beside the text that every form carries. A client that is no browser says nothing, and then the text decides alone.

use http::{HeaderMap, header, request::Parts};

/// Whether the browser says that the request came from another site.
pub(crate) fn is_foreign(request: &Parts, public_url: &str) -> bool {
    // HTTP/2 says the host in the request's target.
    let authority = request.uri.authority().map_or("", |authority| authority.as_str());
    says_foreign(&request.headers, authority, public_url)
}

fn says_foreign(headers: &HeaderMap, authority: &str, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // Fetch Metadata: `none` is a person's own doing, such as a bookmark.
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return true;
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else {
        return false;
    };
    if public_url.eq_ignore_ascii_case(origin) {
        return false;
    }
    let host = text(header::HOST.as_str()).unwrap_or(authority);
    let from = origin.split_once("://").map_or("", |(_, host)| host);
    host.is_empty() || !host.eq_ignore_ascii_case(from)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn foreign(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        says_foreign(&headers, "", "https://hooks.example.com")
    }

    #[test]
    fn a_form_of_our_own_page_is_not_foreign() {
        assert!(!foreign(&[
            ("host", "h:1"),
            ("origin", "http://h:1"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!foreign(&[("host", "inner"), ("origin", "https://hooks.example.com")]));
        assert!(!foreign(&[("host", "h:1")]));
    }

    #[test]
    fn a_form_of_any_other_page_is() {
        assert!(foreign(&[("host", "h:1"), ("origin", "http://evil.example")]));
        assert!(foreign(&[("host", "h:1"), ("origin", "http://h:2")]));
        assert!(foreign(&[("host", "h:1"), ("origin", "null")]));
        assert!(foreign(&[("host", "h:1"), ("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("host", "h:1"), ("sec-fetch-site", "same-site")]));
        assert!(foreign(&[("origin", "http://")]));
    }
}
