//! What the server shows besides the API: a page that says what this is, and the metrics.

use axum::{
    Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};

use crate::telemetry::MetricsPage;

/// The page at `/`.
pub(super) fn root() -> Router {
    Router::new().route("/", get(async || Html(include_str!("root.html"))))
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
