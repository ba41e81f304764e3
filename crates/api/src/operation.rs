//! The table of operations: each is declared once, as data and a handler, and both the router and the OpenAPI document are
//! made from that.
//!
//! What every operation goes through is here as well: authorisation, the query, the body, idempotency, the handler, and the
//! one way in which an error becomes an answer.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{FromRequestParts as _, RawPathParams},
    handler::Handler as _,
    routing::{MethodFilter, MethodRouter},
};
use bellwire_core::message::IdempotencyKey;
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, Method, Request, Response, header, request::Parts};
use schemars::{Schema, SchemaGenerator};

use crate::{
    audit::Peer,
    auth::{self, Access, Caller},
    call::{Call, Context, Reply},
    error::{ApiError, METHOD_NOT_ALLOWED, NOT_FOUND},
    extract::{self, Body},
    idempotency,
    metrics::{Answered, Operated},
    pressure::{Pressed, Publishing, RateNow},
    query::{Query, Reader},
    reply::Answer,
    state::Server,
};

/// How repeated requests are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// Answers are remembered (POST only).
    Remembered,
    /// The handler passes the key on to the store, which does it in its own transaction.
    ByStore,
    /// Not at all: asking again changes nothing.
    Harmless,
}

/// Makes a schema.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Option<Schema>;

/// An operation of the API.
pub(crate) struct Operation {
    pub method: Method,
    pub path: &'static str,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// More about it, for the document.
    pub about: &'static str,
    pub access: Access,
    /// Statuses of success, the usual one first.
    pub statuses: &'static [u16],
    pub repetition: Repetition,
    pub shows_secret: bool,
    edits: bool,
    /// Refused while there is too much of that.
    pub publishes: bool,
    pub query: SchemaOf,
    pub body: SchemaOf,
    pub answer: SchemaOf,
    handler: Handler,
}

type Handler = Arc<dyn Fn(Arc<Server>, Arrived) -> BoxFuture<'static, Result<Reply, ApiError>> + Send + Sync>;

/// A request on its way to its handler.
struct Arrived {
    caller: Option<Caller>,
    params: Vec<(String, String)>,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    idempotency: Option<IdempotencyKey>,
    shows_secret: bool,
    edits: bool,
    publishing: Option<Publishing>,
    statuses: &'static [u16],
    operation: &'static str,
    peer: Option<Peer>,
}

/// The beginning of an operation's declaration, until its handler is named.
pub(crate) struct Declared {
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    about: &'static str,
    access: Access,
    statuses: &'static [u16],
    repetition: Repetition,
    shows_secret: bool,
    edits: bool,
    publishes: bool,
}

fn declare(method: Method, path: &'static str, id: &'static str, access: Access) -> Declared {
    let (statuses, repetition): (&[u16], _) = match method {
        Method::POST => (&[201], Repetition::Remembered),
        Method::DELETE => (&[204], Repetition::Harmless),
        _ => (&[200], Repetition::Harmless),
    };
    Declared {
        method,
        path,
        id,
        summary: "",
        about: "",
        access,
        statuses,
        repetition,
        shows_secret: false,
        edits: false,
        publishes: false,
    }
}

/// Declares a GET.
pub(crate) fn get(path: &'static str, id: &'static str, access: Access) -> Declared {
    declare(Method::GET, path, id, access)
}

/// Declares a POST.
pub(crate) fn post(path: &'static str, id: &'static str, access: Access) -> Declared {
    declare(Method::POST, path, id, access)
}

/// Declares a PUT.
pub(crate) fn put(path: &'static str, id: &'static str, access: Access) -> Declared {
    declare(Method::PUT, path, id, access)
}

/// Declares a PATCH.
pub(crate) fn patch(path: &'static str, id: &'static str, access: Access) -> Declared {
    declare(Method::PATCH, path, id, access)
}

/// Declares a DELETE.
pub(crate) fn delete(path: &'static str, id: &'static str, access: Access) -> Declared {
    declare(Method::DELETE, path, id, access)
}

impl Declared {
    /// One line for lists.
    pub fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// What else there is to know.
    pub fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The statuses of success, the usual one first.
    pub fn statuses(self, statuses: &'static [u16]) -> Self {
        Self { statuses, ..self }
    }

    /// How repetitions are recognised.
    pub fn repetition(self, repetition: Repetition) -> Self {
        Self { repetition, ..self }
    }

    /// The answer shows a secret.
    pub fn shows_secret(self) -> Self {
        Self {
            shows_secret: true,
            ..self
        }
    }

    /// It changes what there is: from the handler's first look to its (one) commit, nobody else changes anything.
    pub fn edits(self) -> Self {
        Self { edits: true, ..self }
    }

    /// It publishes a message: refused, before its body is read, while there is too much of that (see [`crate::pressure`]).
    pub fn publishes(self) -> Self {
        Self {
            publishes: true,
            ..self
        }
    }

    /// The handler. Query, body and answer are documented from its types.
    pub fn to<Q, B, O, F, Fut>(self, handler: F) -> Operation
    where
        Q: Query,
        B: Body,
        O: Answer + 'static,
        F: Fn(Call<Q, B>) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Result<Reply<O>, ApiError>> + Send + 'static,
    {
        let reader = Arc::new(Reader::of::<Q>());
        let run = move |server: Arc<Server>, arrived: Arrived| -> BoxFuture<'static, Result<Reply, ApiError>> {
            let read = reader
                .read::<Q>(&arrived.query)
                .and_then(|query| Ok((query, B::read(arrived.body)?)));
            let (query, body) = match read {
                Ok(read) => read,
                Err(error) => return std::future::ready(Err(error)).boxed(),
            };
            let mut cx = Context {
                server,
                caller: arrived.caller,
                headers: arrived.headers,
                idempotency: arrived.idempotency,
                params: arrived.params,
                shows_secret: arrived.shows_secret,
                statuses: arrived.statuses,
                operation: arrived.operation,
                peer: arrived.peer,
                publishing: arrived.publishing,
                edit: Mutex::new(None),
            };
            async move {
                if arrived.edits {
                    cx.edit = Mutex::new(Some(cx.server.directory.edit().await));
                }
                Ok(handler(Call { cx, query, body }).await?.retyped())
            }
            .boxed()
        };
        Operation {
            method: self.method,
            path: self.path,
            id: self.id,
            tag: "",
            summary: self.summary,
            about: self.about,
            access: self.access,
            statuses: self.statuses,
            repetition: self.repetition,
            shows_secret: self.shows_secret,
            edits: self.edits,
            publishes: self.publishes,
            query: |generator| Some(generator.subschema_for::<Q>()),
            body: B::schema,
            answer: O::schema,
            handler: Arc::new(run),
        }
    }
}

/// The operations of a resource.
pub(crate) fn tagged(tag: &'static str, operations: Vec<Operation>) -> Vec<Operation> {
    operations
        .into_iter()
        .map(|operation| Operation { tag, ..operation })
        .collect()
}

/// The router of these operations. Each path is also answered with a slash at its end.
pub(crate) fn router(server: &Arc<Server>, operations: Vec<Operation>) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for operation in operations {
        let method = MethodFilter::try_from(operation.method.clone()).unwrap_or(MethodFilter::GET);
        let (server, operation) = (Arc::clone(server), Arc::new(operation));
        let path = operation.path;
        let handler = move |request: Request<HttpBody>| answer(Arc::clone(&server), Arc::clone(&operation), request);
        let methods = paths.remove(path).unwrap_or_default();
        paths.insert(path, methods.on(method, handler));
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        let docs_url = server.docs_url.clone();
        let refuse = move |method: Method| {
            let detail = format!("{method} is not possible here; the `Allow` header says what is");
            let refused = ApiError::new(&METHOD_NOT_ALLOWED, detail).into_response(&docs_url);
            std::future::ready(refused)
        };
        let methods = methods.fallback_service(refuse.with_state(()));
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    router
}

/// Answers a request, whatever happens.
async fn answer(server: Arc<Server>, operation: Arc<Operation>, request: Request<HttpBody>) -> Response<HttpBody> {
    let started = tokio::time::Instant::now();
    let mut rate = None;
    let done = AssertUnwindSafe(perform(Arc::clone(&server), &operation, request, &mut rate))
        .catch_unwind()
        .await;
    let done = done.unwrap_or_else(|_| Err(ApiError::internal(format_args!("a panic in {}", operation.id))));
    let mut response = match done {
        Ok(reply) => reply.into_response(operation.statuses),
        Err(error) => error.into_response(&server.docs_url),
    };
    if let Some(rate) = rate {
        rate.put(response.headers_mut());
    }
    let metrics = &server.metrics;
    let answered = Answered {
        operation: operation.id,
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&answered).inc();
    metrics
        .request_seconds
        .get_or_create(&Operated {
            operation: operation.id,
        })
        .observe(started.elapsed().as_secs_f64());
    response
}

/// A request of which all but the body has been looked at.
struct Admitted {
    caller: Option<Caller>,
    params: Vec<(String, String)>,
}

/// Looks at everything but the body: whether there is room, who asks, about what, and whether they may.
async fn admit(
    server: &Server,
    operation: &Operation,
    parts: &mut Parts,
    rate: &mut Option<RateNow>,
) -> Result<Admitted, ApiError> {
    if operation.publishes {
        server.pressure.has_room(&server.directory).map_err(Pressed::error)?;
    }
    let caller = auth::authorize(server, operation.access, &parts.headers)?;
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let unreadable = |_| ApiError::new(&NOT_FOUND, "the path is not percent-encoded UTF-8");
    let params = params.map_err(unreadable)?;
    let params: Vec<_> = params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let named = params.iter().find(|(name, _)| name == "app_id");
    if let (true, Some(caller), Some((_, name))) = (operation.publishes, caller, named)
        && let Some(app) = server.find_app(caller, name)
    {
        server.pressure.judge(&app, &server.directory, rate)?;
    }
    Ok(Admitted { caller, params })
}

async fn perform(
    server: Arc<Server>,
    operation: &Operation,
    request: Request<HttpBody>,
    rate: &mut Option<RateNow>,
) -> Result<Reply, ApiError> {
    let (mut parts, body) = request.into_parts();
    let asked_first = parts.headers.contains_key(header::EXPECT);
    let most = server.limits.body_bytes_max;
    let Admitted { caller, params } = match admit(&server, operation, &mut parts, rate).await {
        Ok(admitted) => admitted,
        Err(error) => {
            if operation.publishes {
                extract::leave(body, most, asked_first);
            }
            return Err(error);
        }
    };
    let mut counted = server.pressure.body();
    let body = match parts.method {
        Method::GET | Method::HEAD | Method::DELETE => Bytes::new(),
        _ => extract::collect(body, most, asked_first, &mut counted).await?,
    };
    let publishing = match operation.publishes {
        true => Some(server.pressure.begin().await?),
        false => None,
    };
    let idempotency = match caller {
        Some(caller) if parts.method == Method::POST && operation.repetition != Repetition::Harmless => {
            idempotency::read(&parts.headers, caller.environment, parts.uri.path(), &body)?
        }
        _ => None,
    };
    let arrived = Arrived {
        caller,
        params,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        idempotency,
        shows_secret: operation.shows_secret,
        edits: operation.edits,
        publishing,
        statuses: operation.statuses,
        operation: operation.id,
        peer: parts.extensions.get::<Peer>().copied(),
    };
    match idempotency.filter(|_| operation.repetition == Repetition::Remembered) {
        None => (operation.handler)(server, arrived).await,
        Some(key) => once(server, operation, key, arrived).await,
    }
}

/// Performs a request that a client may repeat.
async fn once(
    server: Arc<Server>,
    operation: &Operation,
    key: IdempotencyKey,
    arrived: Arrived,
) -> Result<Reply, ApiError> {
    let _turn = server.in_flight.turn(key.key).await?;
    if let Some(reply) = server.remembered(key, operation.shows_secret).await? {
        return Ok(reply);
    }
    let reply = (operation.handler)(Arc::clone(&server), arrived).await?;
    if let Some(body) = reply.unstored() {
        let answer = server.remember(key, reply.status(operation.statuses), body, operation.shows_secret)?;
        server.commit(Vec::new(), Some(answer)).await?;
    }
    Ok(reply)
}
