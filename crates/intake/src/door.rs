//! The door: one request to a source, from its head to its answer.
//!
//! The order of things is the promise: bounds, raw bytes, handshake, proof, only then reading; durable, only then 2xx. What
//! the sender did wrong is never answered 5xx, which senders repeat.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, Uri, request},
};
use bellwire_core::{
    hops::{self, HOPS_MAX},
    id::{Id as _, MessageId, SourceId},
    source::Source,
    time::Timestamp,
};
use bellwire_listen::{ARMED, Answer, Fetched, is_armed};
use bellwire_store::{Change, Directory, StoreError, query::RefusedRequest};
use bytes::Bytes;

use crate::{
    accept::Origin,
    answer,
    body::{self, NoBody},
    confirm::Visit,
    fetch::FetchError,
    intake::Intake,
    judge::{self, Events, Refusal, Taken},
    peer::{self, Peer},
    refusals::{BODY_BYTES_MAX, Head},
    room::Full,
    sources::{NotReady, Ready},
};

/// When to come back to a server whose store cannot be used, and to a source that somebody has to mend.
const STORE_AGAIN: Duration = Duration::from_secs(1);
const MENDED: Duration = Duration::from_secs(60);
/// Secrets that handshakes brought and that are kept, the newest.
const SECRETS_MAX: usize = 10;
/// Certificates that one request may need.
const FETCHES_MAX: usize = 2;

/// What is known of a request besides its body.
struct Came<'a> {
    method: &'a str,
    url: String,
    /// Path and query, without what is secret in the path.
    target: String,
    headers: Vec<(&'a str, &'a str)>,
    peer: Option<IpAddr>,
    at: Timestamp,
}

impl<'a> Came<'a> {
    fn new(intake: &Intake, head: &'a request::Parts, name: &str, source: &Source) -> Self {
        let url = peer::called(intake.public_url.as_deref(), &head.uri, &head.headers);
        Self {
            method: head.method.as_str(),
            target: target(&head.uri, name, source),
            url,
            headers: pairs(&head.headers),
            peer: peer::sender(
                head.extensions.get::<Peer>().copied(),
                &head.headers,
                &intake.trusted_proxies,
            ),
            at: intake.directory.now(),
        }
    }

    fn request<'r>(&'r self, body: &Bytes, fetched: Option<Fetched<'r>>) -> judge::Request<'r> {
        judge::Request {
            method: self.method,
            url: &self.url,
            headers: &self.headers,
            body: body.clone(),
            peer: self.peer,
            fetched,
        }
    }
}

/// Path and query without a token: where one was called, however it was written, the source's name stands.
fn target(uri: &Uri, name: &str, source: &Source) -> String {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let query = judge::without_tokens(&query, source.tokens());
    if !source.tokens().any(|token| token == name) {
        return format!("{}{query}", uri.path());
    }
    let shown = source.uid.clone().unwrap_or_else(|| source.id.to_string());
    let slash = if uri.path().ends_with('/') { "/" } else { "" };
    format!("/in/{shown}{slash}{query}")
}

/// Headers as text; what is no text is no header of any provider's.
fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let text = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)));
    text.collect()
}

/// Answers a request to `/in/{name}`.
pub(crate) async fn enter(intake: Arc<Intake>, name: String, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let ready = match intake.sources.find(&name) {
        Ok(ready) => ready,
        Err(NotReady::Unknown) => {
            intake.metrics.refused("unknown");
            return answer::error(404, "not_found", "there is no source at this URL");
        }
        Err(NotReady::Unusable(source)) => {
            let mut came = Came::new(&intake, &head, &name, &source);
            // Which of them are secret is not known.
            came.headers.clear();
            let detail = "the source's settings or rules cannot be used; the server's log says why";
            let refusal = Refusal::new(503, "settings", detail);
            let kept = judge::Kept {
                secret_headers: &[],
                tokens: &[],
            };
            return intake.refuse(&source, &came, kept, &Bytes::new(), refusal);
        }
    };
    let mut counted = match intake.room.enter(&intake.directory) {
        Ok(counted) => counted,
        Err(full) => return intake.full(full),
    };
    let came = Came::new(&intake, &head, &name, &ready.source);
    let kept = ready.prepared.kept();
    let max = intake.room.limits.body_bytes_max;
    let body = match body::read(body, max, &mut counted).await {
        Ok(body) => body,
        Err(NoBody::Full(full)) => return intake.full(full),
        Err(NoBody::TooLarge) => {
            let detail = format!("the body is larger than {max} bytes; send less, or raise max_body");
            let refusal = Refusal::new(413, "too-large", detail);
            return intake.refuse(&ready.source, &came, kept, &Bytes::new(), refusal);
        }
        Err(NoBody::Cut) => {
            intake.metrics.refused("cut");
            return answer::error(408, "request_timeout", "the body did not arrive; send it again");
        }
    };
    if let Err(full) = counted.begin() {
        return intake.full(full);
    }
    match judged(&intake, &ready, &came, &body).await {
        Ok(Taken::Handshake(answer)) => handshake(&intake, &ready, &came, &body, answer).await,
        Ok(Taken::Events(events)) => match circle(&came) {
            Some(refusal) => intake.refuse(&ready.source, &came, kept, &body, refusal),
            None => intake.take(&ready, &came, &body, *events).await,
        },
        Err(refusal) => {
            let refusal = intake.explained(&ready, &came, &body, refusal);
            intake.refuse(&ready.source, &came, kept, &body, refusal)
        }
    }
}

/// What an action sent on too often: its URL leads back to its own source.
fn circle(came: &Came<'_>) -> Option<Refusal> {
    let hops = hops::of_headers(came.headers.iter().copied());
    let detail = || {
        format!(
            "it was sent on {hops} times by actions on its way here, so it goes round in a circle: look which action or endpoint \
             calls the URL of a source that leads back to it"
        )
    };
    (hops > HOPS_MAX).then(|| Refusal::new(400, "circle", detail()))
}

/// The verdict; certificates that it needs are fetched.
async fn judged(intake: &Intake, ready: &Ready, came: &Came<'_>, body: &Bytes) -> Result<Taken, Refusal> {
    let mut refusal = match ready.prepared.take(&came.request(body, None), came.at) {
        Err(refusal) if refusal.fetch.is_some() => refusal,
        taken => return taken,
    };
    for _ in 0..FETCHES_MAX {
        let Some(url) = refusal.fetch.take() else { break };
        let certificate = match intake.certificates.get(ready.source.id, &url, came.at).await {
            Ok(certificate) => certificate,
            Err(FetchError::Refused(why)) => {
                let detail = format!("the certificate that the request names cannot be had: {why}");
                return Err(Refusal::new(401, "certificate", detail));
            }
            Err(FetchError::Unreachable(why)) => {
                let detail = format!("the provider's certificate cannot be had now: {why}");
                return Err(Refusal::new(503, "fetch", detail));
            }
        };
        let fetched = Fetched {
            url: &url,
            body: &certificate,
        };
        match ready.prepared.take(&came.request(body, Some(fetched)), came.at) {
            Err(next) if next.fetch.is_some() => refusal = next,
            taken => {
                if taken.is_ok() {
                    intake.certificates.proved(&url);
                }
                return taken;
            }
        }
    }
    Err(refusal)
}

/// Answers a handshake; a secret that it brings is kept first, while the source is armed.
async fn handshake(
    intake: &Intake,
    ready: &Ready,
    came: &Came<'_>,
    body: &Bytes,
    mut answer: Answer,
) -> Response<Body> {
    if let Some((setting, secret)) = answer.keep.take() {
        match intake.arm(&ready.source, setting, secret).await {
            Ok(true) => {}
            Ok(false) => {
                let refusal = Refusal::new(403, "handshake", "this source is not armed for a handshake any more");
                return intake.refuse(&ready.source, came, ready.prepared.kept(), body, refusal);
            }
            Err(error) => return intake.unavailable(&error),
        }
    }
    if answer.status >= 400 {
        let detail = String::from_utf8_lossy(&answer.body).into_owned();
        let refusal = Refusal::new(answer.status, "handshake", detail);
        return intake.refuse(&ready.source, came, ready.prepared.kept(), body, refusal);
    }
    intake.metrics.handshakes.inc();
    answer::of(answer)
}

impl Intake {
    /// Makes a request's messages durable, and answers then.
    async fn take(&self, ready: &Ready, came: &Came<'_>, body: &Bytes, events: Events) -> Response<Body> {
        let source = &ready.source;
        if let Some(nothing) = events.nothing {
            self.note(
                source,
                came,
                &events.headers,
                body,
                Refusal::new(200, "no-items", nothing),
            );
        }
        let origin = Origin {
            method: came.method.to_owned(),
            target: came.target.clone(),
            headers: events.headers,
            peer: came.peer.map(|peer| peer.to_string()),
            verdict: events.verdict,
        };
        // To the end, also when the client goes away meanwhile: whoever is held is released in time, and what failed runs again.
        let (acceptance, of, messages) = (Arc::clone(&self.acceptance), Arc::clone(source), events.messages);
        let accepted = self
            .tasks
            .spawn(async move { acceptance.all(&of, origin, messages).await });
        let accepted = accepted
            .await
            .unwrap_or_else(|error| Err(StoreError::Corrupt(format!("accepting ended unexpectedly: {error}"))));
        if let Err(error) = accepted {
            return self.unavailable(&error);
        }
        if let Some(url) = events.confirm {
            self.confirmations.want(Visit { source: source.id, url });
        }
        answer::of(events.acknowledgement)
    }

    /// The refusal with the better reason, where there may be one.
    fn explained(&self, ready: &Ready, came: &Came<'_>, body: &Bytes, refusal: Refusal) -> Refusal {
        if refusal.status != 401 || !self.explanations.allow(ready.source.id, came.at) {
            return refusal;
        }
        let request = came.request(body, None);
        match ready.prepared.reason(&request, came.at, &ready.old_secrets) {
            Some((reason, detail)) if reason != "fetch" => Refusal {
                reason,
                detail,
                ..refusal
            },
            _ => refusal,
        }
    }

    /// Answers a refusal, and keeps the request for a look.
    fn refuse(
        &self,
        source: &Source,
        came: &Came<'_>,
        kept: judge::Kept<'_>,
        body: &Bytes,
        mut refusal: Refusal,
    ) -> Response<Body> {
        self.metrics.refused(refusal.reason);
        // The words may name the URL that was signed.
        refusal.detail = judge::without_tokens(&refusal.detail, source.tokens()).into_owned();
        let answer = match refusal.status {
            503 => answer::later(code(&refusal), &refusal.detail, MENDED),
            status => answer::error(status, code(&refusal), &refusal.detail),
        };
        if self.refusals.has_room(source.id, refusal.reason) {
            self.keep(source, came, kept.of(&came.headers), body, refusal);
        }
        answer
    }

    /// Keeps a request for a look that was answered otherwise.
    fn note(&self, source: &Source, came: &Came<'_>, headers: &[(String, String)], body: &Bytes, refusal: Refusal) {
        if self.refusals.has_room(source.id, refusal.reason) {
            self.keep(source, came, headers.to_vec(), body, refusal);
        }
    }

    fn keep(&self, source: &Source, came: &Came<'_>, headers: Vec<(String, String)>, body: &Bytes, refusal: Refusal) {
        let id: MessageId = self.directory.new_id();
        let excerpt = &body[..body.len().min(BODY_BYTES_MAX)];
        let head = Head::of(came.method, &came.target, headers);
        self.refusals.keep(RefusedRequest {
            number: id.number(),
            source: source.id,
            at: came.at,
            status: refusal.status,
            reason: refusal.reason.to_owned(),
            detail: head.and_what_was_cut(refusal.detail),
            method: head.method,
            target: head.target,
            headers: head.headers,
            peer: came.peer.map(|peer| peer.to_string()),
            body: String::from_utf8_lossy(excerpt).into_owned(),
            skipped: 0,
        });
    }

    /// A subscription could not be confirmed: people find it in the list.
    pub(crate) fn unconfirmed(&self, visit: &Visit, why: String) {
        if !self.refusals.has_room(visit.source, "unconfirmed") {
            return;
        }
        let id: MessageId = self.directory.new_id();
        self.refusals.keep(RefusedRequest {
            number: id.number(),
            source: visit.source,
            at: self.directory.now(),
            status: 200,
            reason: "unconfirmed".to_owned(),
            detail: format!(
                "the subscription was not confirmed: {why}; ask the provider to send the confirmation again"
            ),
            method: String::new(),
            target: String::new(),
            headers: Vec::new(),
            peer: None,
            body: String::new(),
            skipped: 0,
        });
    }

    fn full(&self, full: Full) -> Response<Body> {
        self.metrics.refused("overloaded");
        self.release.turned_away();
        answer::later("server_overloaded", full.why, full.again)
    }

    fn unavailable(&self, error: &StoreError) -> Response<Body> {
        self.metrics.refused("store");
        self.release.turned_away();
        if let StoreError::Corrupt(_) = error {
            tracing::error!(%error, "a request to a source failed because of a defect");
        }
        let detail = "the server cannot write right now; send the request again later";
        answer::later("store_unavailable", detail, STORE_AGAIN)
    }

    /// Keeps a secret that a handshake brought, also when the client goes away meanwhile; false when the source is not armed any
    /// more.
    async fn arm(&self, source: &Source, setting: &'static str, secret: String) -> Result<bool, StoreError> {
        let (directory, id) = (Arc::clone(&self.directory), source.id);
        let kept = self
            .tasks
            .spawn(async move { keep_secret(&directory, id, setting, secret).await });
        kept.await.unwrap_or_else(|error| {
            Err(StoreError::Corrupt(format!(
                "keeping a secret ended unexpectedly: {error}"
            )))
        })
    }
}

/// Keeps a secret before those that are there: each subscription may have its own. `true` arms for one handshake only.
async fn keep_secret(
    directory: &Directory,
    id: SourceId,
    setting: &'static str,
    secret: String,
) -> Result<bool, StoreError> {
    let mut armed = false;
    let build = || {
        let Some(source) = directory.source_by_id(id) else {
            return Err(StoreError::NotFound("the source"));
        };
        let now = directory.now();
        let setting_of = |name: &str| source.settings.get(name)?.first().map(String::as_str);
        armed = is_armed(setting_of(ARMED), now);
        if !armed {
            return Ok(Vec::new());
        }
        let mut changed = Source::clone(&source);
        if setting_of(ARMED) == Some("true") {
            changed.settings.remove(ARMED);
        }
        let kept = changed.settings.entry(setting.to_owned()).or_default();
        kept.retain(|other| *other != secret);
        kept.insert(0, secret);
        kept.truncate(SECRETS_MAX);
        changed.updated_at = now;
        Ok(vec![Change::PutSource(Box::new(changed))])
    };
    directory.commit_with(None, build).await?;
    if armed {
        tracing::info!(source = %id, setting, "a handshake brought a secret, which is kept now");
    }
    Ok(armed)
}

/// The code of a refusal, for programs of senders.
fn code(refusal: &Refusal) -> &'static str {
    match (refusal.status, refusal.reason) {
        (400, "circle") => "sent_in_circle",
        (400, _) => "body_malformed",
        (401, _) => "not_verified",
        (403, _) => "handshake_refused",
        (405, _) => "method_not_allowed",
        (413, _) => "body_too_large",
        (_, "fetch") => "certificate_unavailable",
        _ => "source_unusable",
    }
}
