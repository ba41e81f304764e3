//! What the server shows besides the API: a page that says what this is, one for whoever opens a portal link, and the metrics.
//!
//! The pages are static: they carry no script, ask nobody for anything, and a browser is told to see to that.

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

use crate::telemetry::MetricsPage;

/// Where links for the owners of applications lead; the API hands them out with a token behind `#`, which browsers keep.
const PORTAL: &str = "/portal";

/// The pages at `/` and [`PORTAL`]. `public_url` is what people reach the server by.
pub(super) fn pages(public_url: &str) -> Router {
    let server = escaped(public_url.trim_end_matches('/'));
    let root = html(include_str!("root.html").to_owned());
    let portal = html(include_str!("portal.html").replace("{server}", &server));
    Router::new()
        .route("/", get(move || std::future::ready(root.answer())))
        .route(PORTAL, get(move || std::future::ready(portal.answer())))
}

/// The page at `/metrics`.
pub(super) fn metrics(page: MetricsPage) -> Router {
    Router::new().route("/metrics", get(move || rendered(page.clone())))
}

async fn rendered(page: MetricsPage) -> Response {
    match page.render().await {
        Ok(text) => ([(header::CONTENT_TYPE, MetricsPage::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A page and what a browser may do with it.
#[derive(Clone)]
struct Page {
    text: String,
    policy: HeaderValue,
}

impl Page {
    fn answer(&self) -> Response {
        let fixed = |text| HeaderValue::from_static(text);
        let headers = [
            (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::CACHE_CONTROL, fixed("no-store")),
        ];
        (headers, self.text.clone()).into_response()
    }
}

/// A page that may use its own style sheet and nothing else (Content Security Policy Level 3).
fn html(text: String) -> Page {
    let style = text
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map_or("", |(style, _)| style);
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Letters, digits and punctuation: always a header's value.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    Page { text, policy }
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_allows_its_own_style_sheet_and_nothing_else() {
        for text in [include_str!("root.html"), include_str!("portal.html")] {
            assert!(!text.contains("<script") && !text.contains("style=\""), "{text}");
            assert_eq!(text.matches("<style>").count(), 1);
            let policy = html(text.to_owned()).policy;
            let policy = policy.to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_style_sheet() {
        // echo -n 'a{}' | openssl dgst -sha256 -binary | base64
        let policy = html("<style>a{}</style>".to_owned()).policy;
        assert!(
            policy
                .to_str()
                .unwrap()
                .contains("'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk='"),
            "{policy:?}"
        );
    }

    #[test]
    fn the_address_of_the_server_cannot_break_out() {
        assert_eq!(
            escaped("https://h/?a=<b>&c='\""),
            "https://h/?a=&lt;b&gt;&amp;c=&#39;&quot;"
        );
    }
}
