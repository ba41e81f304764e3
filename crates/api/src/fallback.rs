//! What is asked for and not there: a JSON 404 for everything under `/api` and `/ingest` that no operation answers.
//!
//! Operations that client libraries know from a hosted product, and that this server does not offer, are told apart from
//! mistyped paths.

use axum::{Router, body::Body, routing};
use http::{Method, Response, Uri};

use crate::error::{ApiError, NOT_OFFERED};

/// Paths of hosted operations, as they are (or, with a star, begin) behind `/api/v1/` or `/ingest/api/v1/`.
const HOSTED: &[(&str, &str)] = &[
    ("connector", "connectors"),
    ("integration", "integrations"),
    ("stream", "streams"),
    ("poller", "polling endpoints"),
    ("transformation-template", "templates of transformations"),
    ("autoconfig", "automatic configuration"),
    ("destination", "destinations"),
    ("events", "reading events"),
    ("whoami", "asking who calls"),
    ("openapi", "importing event types from an OpenAPI document"),
    ("expunge-all-contents", "expunging all contents at once"),
];

/// The routes of what is not there.
pub(crate) fn router(docs_url: &str) -> Router {
    let docs_url = docs_url.to_owned();
    let refuse = move |method: Method, uri: Uri| std::future::ready(refuse(&method, uri.path(), &docs_url));
    Router::new()
        .route("/api", routing::any(refuse.clone()))
        .route("/api/", routing::any(refuse.clone()))
        .route("/api/{*rest}", routing::any(refuse.clone()))
        .route("/ingest/{*rest}", routing::any(refuse))
}

fn refuse(method: &Method, path: &str, docs_url: &str) -> Response<Body> {
    ApiError::new(&NOT_OFFERED, detail(method, path)).into_response(docs_url)
}

fn detail(method: &Method, path: &str) -> String {
    let short: String = path.chars().take(200).collect();
    let hosted = HOSTED
        .iter()
        .find(|(part, _)| path.split('/').any(|segment| segment == *part));
    match hosted {
        Some((_, what)) => format!("{method} {short}: this server does not offer {what}"),
        None => format!("{method} {short}: there is no such operation; /api/v1/openapi.json lists all there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosted_operations_are_told_from_mistyped_ones() {
        let told = detail(&Method::GET, "/api/v1/app/a/poller/p");
        assert!(told.contains("does not offer polling endpoints"), "{told}");
        assert!(detail(&Method::GET, "/api/v1/ap").contains("no such operation"));
    }
}
