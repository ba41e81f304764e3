//! What the server shows besides the API: the dashboard, the portal, and the metrics.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bellwire_core::{address::Cidr, seal::Keyring};
use bellwire_dashboard::{Brand, Logo, Parts};
use bellwire_intake::Peer;
use bellwire_store::Directory;

use super::ServeError;
use crate::{config::Config, telemetry::MetricsPage};

/// What the pages are made with.
pub(super) struct Pages<'a> {
    pub config: &'a Config,
    /// The API's router.
    pub api: Router,
    pub directory: Arc<Directory>,
    pub keyring: Keyring,
    /// What people reach the server by.
    pub public_url: &'a str,
}

/// The dashboard at `/` and the portal at `/portal`.
///
/// # Errors
/// When the logo cannot be read.
pub(super) fn pages(pages: Pages<'_>) -> Result<Router, ServeError> {
    let dashboard = &pages.config.dashboard;
    let logo = dashboard.logo.as_deref().map(logo).transpose()?;
    let directory = pages.directory;
    // What somebody does on a page is noted as theirs.
    let api = pages.api.layer(middleware::from_fn(|mut request: Request, next: Next| {
        if let Some(bellwire_dashboard::Peer(sender)) = request.extensions().get().copied() {
            request.extensions_mut().insert(bellwire_api::Peer(sender));
        }
        next.run(request)
    }));
    let parts = Parts {
        api,
        keyring: pages.keyring,
        now: Arc::new(move || directory.now()),
        public_url: pages.public_url.trim_end_matches('/').to_owned(),
        brand: Brand {
            name: dashboard.name.clone(),
            logo,
            accent: dashboard.accent,
            accent_dark: dashboard.accent_dark,
        },
        frame_origins: dashboard.frame_origins.clone(),
        settings: pages.config.in_force.clone(),
    };
    let proxies: Arc<[Cidr]> = pages.config.http.trusted_proxies.clone().into();
    let named = middleware::from_fn(move |mut request: Request, next: Next| {
        let peer = request.extensions().get::<Peer>().copied();
        if let Some((sender, Peer(connected))) = bellwire_intake::sender(peer, request.headers(), &proxies).zip(peer) {
            // Behind a proxy the sender's own port is not known.
            let port = if connected.ip().to_canonical() == sender {
                connected.port()
            } else {
                0
            };
            let sender = SocketAddr::new(sender, port);
            request.extensions_mut().insert(bellwire_dashboard::Peer(sender));
        }
        next.run(request)
    });
    Ok(bellwire_dashboard::router(parts).layer(named))
}

fn logo(file: &Path) -> Result<Logo, ServeError> {
    let wrong = |error| ServeError::File {
        what: "cannot use the logo",
        file: file.to_owned(),
        error,
    };
    let bytes = fs::read(file).map_err(wrong)?;
    let media_type = file.to_str().and_then(Logo::media_type);
    match media_type.filter(|_| bytes.len() <= Logo::BYTES_MAX) {
        Some(media_type) => Ok(Logo {
            media_type,
            bytes: bytes.into(),
        }),
        None => Err(wrong(std::io::Error::other("it is no picture of at most 256 KiB"))),
    }
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
