//! What describes the API, served by the API: the OpenAPI document and a page for each error code.
//!
//! The pages come out of the program itself, so that the link in an error works on the very server that answered it, without
//! a network.

use axum::{Router, body::Body, extract::Path, routing};
use http::{HeaderValue, Response, header};

use crate::{
    DOCS_PATH,
    error::{ApiError, NOT_FOUND, page, with_pages},
};

/// The routes of the documentation. `document` is the OpenAPI document.
pub(crate) fn router(document: &serde_json::Value, docs_url: &str) -> Router {
    let document = document.to_string();
    let document = move || std::future::ready(text("application/json", document.clone()));
    let docs_url = docs_url.to_owned();
    let one = move |Path(code): Path<String>| std::future::ready(error_page(&code, &docs_url));
    Router::new()
        .route("/api/v1/openapi.json", routing::get(document))
        .route(DOCS_PATH, routing::get(|| std::future::ready(text(MARKDOWN, index()))))
        .route(&format!("{DOCS_PATH}/{{code}}"), routing::get(one))
}

/// Browsers show it as the text it is.
const MARKDOWN: &str = "text/plain; charset=utf-8";

fn text(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn error_page(name: &str, docs_url: &str) -> Response<Body> {
    let name = name.strip_suffix(".md").unwrap_or(name);
    match with_pages().find(|code| code.code == name) {
        Some(code) => text(MARKDOWN, page(code)),
        None => {
            let detail = format!("no error has the code `{name}`; {DOCS_PATH} lists them");
            ApiError::new(&NOT_FOUND, detail).into_response(docs_url)
        }
    }
}

fn index() -> String {
    let line = |code: &crate::error::ErrorCode| {
        let crate::error::ErrorCode {
            code, status, title, ..
        } = code;
        format!("* `{code}` ({status}): {title}. {DOCS_PATH}/{code}\n")
    };
    format!("# Error codes\n\n{}", with_pages().map(line).collect::<String>())
}
