//! The door: publications that are refused before they are routed, in the cheapest way there is.
//!
//! Under overload most requests are refused, and what that costs is taken from deliveries. So it is decided from method and path
//! alone, and the answers were written when the server started. Whoever owns the connections asks; [`crate::operation`] asks
//! [`crate::pressure`] again, for those who came in just before.

use std::{ops::ControlFlow, sync::Arc};

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use http::{Method, Request, Response, header};

use crate::{extract, metrics::Answered, operation::Operation, pressure::Pressed, state::Server};

/// See the module.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    server: Arc<Server>,
    publications: Vec<Publication>,
    busy: Response<Bytes>,
    full: Response<Bytes>,
}

/// An operation that publishes.
struct Publication {
    method: Method,
    path: &'static str,
    id: &'static str,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    pub(crate) fn new(server: &Arc<Server>, operations: &[Operation]) -> Self {
        let publish = operations.iter().filter(|operation| operation.publishes);
        let publication = |operation: &Operation| Publication {
            method: operation.method.clone(),
            path: operation.path,
            id: operation.id,
        };
        let answer = |pressed: Pressed| pressed.error().into_answer(&server.docs_url).map(Bytes::from);
        Self(Arc::new(Inner {
            server: Arc::clone(server),
            publications: publish.map(publication).collect(),
            busy: answer(Pressed::Busy),
            full: answer(Pressed::Full),
        }))
    }

    /// Lets a request through, to be routed; or breaks off with the answer to a publication while the server takes on none.
    pub fn pass<B>(&self, request: Request<B>) -> ControlFlow<Response<Body>, Request<B>>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Inner {
            server, publications, ..
        } = &*self.0;
        let named = |publication: &&Publication| {
            publication.method == request.method() && is_at(request.uri().path(), publication.path)
        };
        let Some(publication) = publications.iter().find(named) else {
            return ControlFlow::Continue(request);
        };
        let Err(pressed) = server.pressure.has_room(&server.directory) else {
            return ControlFlow::Continue(request);
        };
        let answer = match pressed {
            Pressed::Busy => &self.0.busy,
            Pressed::Full => &self.0.full,
        };
        let answered = Answered {
            operation: publication.id,
            status: answer.status().as_u16(),
        };
        server.metrics.requests.get_or_create(&answered).inc();
        let asked_first = request.headers().contains_key(header::EXPECT);
        extract::leave(
            Body::new(request.into_body()),
            server.limits.body_bytes_max,
            asked_first,
        );
        ControlFlow::Break(answer.clone().map(Body::from))
    }
}

/// Whether a path is one of those that a template with parameters (`/app/{app_id}/msg`) stands for. Both may end with a slash.
fn is_at(path: &str, template: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut parts = path.split('/');
    let fits = template.split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| part == wanted || (wanted.starts_with('{') && !part.is_empty()))
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_recognised_by_its_template() {
        let template = "/api/v1/app/{app_id}/msg";
        for path in ["/api/v1/app/acme/msg", "/api/v1/app/acme/msg/", "/api/v1/app/%20/msg"] {
            assert!(is_at(path, template), "{path}");
        }
        for path in [
            "/api/v1/app//msg",
            "/api/v1/app/msg",
            "/api/v1/app/acme/msg/msg_1",
            "/api/v1/app/acme/msgs",
            "/api/v1/app/acme/msg//",
            "",
        ] {
            assert!(!is_at(path, template), "{path}");
        }
    }
}
