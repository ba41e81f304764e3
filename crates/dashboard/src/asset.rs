//! What pages bring along: one style sheet, small modules, pictures. Embedded, and named by what they hold, so that browsers keep them
//! for ever and never show an old one.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Path,
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ring::digest::{SHA256, digest};

use crate::{brand::Brand, shell::Shell};

/// The folder of paths.
const FOLDER: &str = "/assets/";

/// Where each is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// The style sheet.
    pub style: String,
    /// The operator's colours, when there are any.
    pub colours: Option<String>,
    /// The operator's logo.
    pub logo: Option<String>,
    /// The icon.
    pub icon: String,
    /// The modules of every page.
    pub modules: Vec<String>,
    /// The module of the live page.
    pub live: String,
    /// The module that signs in by a link.
    pub door: String,
}

/// All of them.
pub(crate) struct Assets {
    files: Vec<File>,
    pub places: Places,
}

struct File {
    /// What stands behind the folder.
    name: String,
    tag: HeaderValue,
    media_type: &'static str,
    bytes: Bytes,
}

impl Assets {
    /// Ours, and what the operator configured.
    pub fn new(brand: &Brand) -> Self {
        let mut files = Vec::new();
        let mut add = |stem: &str, end: &str, media_type, bytes: Bytes| {
            let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, &bytes));
            let hash = hash.get(..16).unwrap_or(&hash);
            let name = format!("{stem}-{hash}{end}");
            let place = format!("{FOLDER}{name}");
            let tag = HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"-\""));
            files.push(File {
                name,
                tag,
                media_type,
                bytes,
            });
            place
        };
        let css = "text/css; charset=utf-8";
        let js = "text/javascript; charset=utf-8";
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let style = add("style", ".css", css, text(include_str!("../assets/style.css")));
        let icon = add(
            "icon",
            ".svg",
            "image/svg+xml",
            text(include_str!("../assets/icon.svg")),
        );
        let modules = vec![
            add("keys", ".js", js, text(include_str!("../assets/keys.js"))),
            add("page", ".js", js, text(include_str!("../assets/page.js"))),
        ];
        let live = add("live", ".js", js, text(include_str!("../assets/live.js")));
        let door = add("door", ".js", js, text(include_str!("../assets/door.js")));
        let colours = Some(brand.style()).filter(|style| !style.is_empty());
        let colours = colours.map(|style| add("colours", ".css", css, Bytes::from(style)));
        let logo = brand.logo.as_ref();
        let logo = logo.map(|logo| add("logo", "", logo.media_type, logo.bytes.clone()));
        let places = Places {
            style,
            colours,
            logo,
            icon,
            modules,
            live,
            door,
        };
        Self { files, places }
    }
}

/// The paths.
pub(crate) fn router(shell: &Arc<Shell>) -> Router {
    let shell = Arc::clone(shell);
    let show = move |Path(name): Path<String>, headers: HeaderMap| std::future::ready(answer(&shell, &name, &headers));
    Router::new().route("/assets/{name}", get(show))
}

fn answer(shell: &Shell, name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = shell.assets.files.iter().find(|file| file.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == file.tag);
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Response::new(Body::from(file.bytes.clone())),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::ETAG, file.tag.clone());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    // A picture of the operator's may be a document of its own (SVG): it may do nothing but look as it does.
    if file.media_type.starts_with("image/") {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}
