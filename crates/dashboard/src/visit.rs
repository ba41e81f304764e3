//! One request of somebody who is signed in: who, on which side, and what the page asked the API.

use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request},
    response::Response,
};
use bellwire_core::time::Timestamp;
use http::{Method, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Peer,
    answer::{Answer, Refused, html, see},
    ask::{self, Failure, Question},
    form::Form,
    frame::{Frame, Section, Theme},
    link,
    page::error::ErrorPage,
    session::{Session, Standing, cookie, same},
    shell::{Kind, Shell, Side},
};

/// The longest form, in bytes: an event's payload and some.
const FORM_MAX: usize = 2 << 20;

/// Somebody who looks at a page, signed in or not.
pub(crate) struct Guest {
    pub shell: Arc<Shell>,
    pub kind: Kind,
    /// Theirs, or a new one that guards the sign-in form.
    pub session: Session,
    /// Whether the cookie has to be written.
    write: bool,
    pub theme: Theme,
    pub peer: Option<Peer>,
    /// Path and query as they were asked.
    pub here: String,
    pub query: Form,
}

impl Guest {
    fn of(side: &Side, parts: &Parts) -> Result<Self, Refused> {
        let shell = Arc::clone(&side.shell);
        let now = shell.now();
        let kept = cookie::value(&parts.headers, &cookie::name(&shell, side.kind));
        let kept = kept.and_then(|text| Session::open(text, &shell.keyring, side.kind));
        let kept = kept.map(|session| (session.standing(now), session));
        let (session, write) = match kept {
            Some((Standing::Fresh, session)) => (session, false),
            Some((Standing::Good, session)) => (session.seen(now), true),
            Some((Standing::Over, _)) | None => {
                let begun = Session::begin(now);
                (begun.ok_or_else(|| Refused::from(no_randomness()))?, true)
            }
        };
        let uri = parts
            .extensions
            .get::<OriginalUri>()
            .map_or(&parts.uri, |original| &original.0);
        Ok(Self {
            theme: Theme::of(cookie::value(&parts.headers, cookie::THEME)),
            peer: parts.extensions.get::<Peer>().copied(),
            here: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            query: Form::read(uri.query().unwrap_or_default().as_bytes()),
            kind: side.kind,
            shell,
            session,
            write,
        })
    }

    /// A path of this side.
    pub fn path(&self, path: &str) -> String {
        match (self.kind.base(), path) {
            ("", path) => path.to_owned(),
            (base, "/") => base.to_owned(),
            (base, path) => format!("{base}{path}"),
        }
    }

    /// The frame of a page.
    pub fn frame(&self, section: Section, title: impl Into<String>) -> Frame {
        Frame::new(self, section, title.into())
    }

    /// A page, with the cookie where it has to be written.
    pub fn page(&self, status: StatusCode, page: &impl Template) -> Response {
        let text = page.render().unwrap_or_else(|error| {
            tracing::error!(%error, "a page cannot be made");
            "this page cannot be made".to_owned()
        });
        self.with_cookie(html(status, text))
    }

    /// An answer, with the cookie where it has to be written.
    pub fn with_cookie(&self, response: Response) -> Response {
        match self.write {
            true => keep(&self.shell, self.kind, &self.session, response),
            false => response,
        }
    }
}

/// Writes a session's cookie.
pub(crate) fn keep(shell: &Shell, kind: Kind, session: &Session, mut response: Response) -> Response {
    let sealed = session.seal(&shell.keyring, kind);
    if let Some(line) = sealed.and_then(|value| cookie::session(shell, kind, &value)) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
    response
}

/// Forgets a session's cookie.
pub(crate) fn forget(shell: &Shell, kind: Kind, mut response: Response) -> Response {
    if let Some(line) = cookie::session(shell, kind, "") {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
    response
}

fn no_randomness() -> Response {
    html(
        StatusCode::SERVICE_UNAVAILABLE,
        "the machine gives no random bytes; no session can be made".to_owned(),
    )
}

impl FromRequestParts<Side> for Guest {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, side: &Side) -> Result<Self, Refused> {
        Self::of(side, parts)
    }
}

/// Somebody who is signed in.
pub(crate) struct Visit {
    pub guest: Guest,
    token: String,
    asked: Mutex<Vec<String>>,
}

impl FromRequestParts<Side> for Visit {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, side: &Side) -> Result<Self, Refused> {
        let guest = Guest::of(side, parts)?;
        Self::of(guest, parts.method == Method::GET)
    }
}

impl Visit {
    fn of(guest: Guest, back: bool) -> Result<Self, Refused> {
        match guest.session.token() {
            Some(token) => Ok(Self {
                token: token.to_owned(),
                asked: Mutex::default(),
                guest,
            }),
            None => Err(sign_in(&guest, back).into()),
        }
    }

    /// The frame of a page, with what was asked for it so far.
    pub fn frame(&self, section: Section, title: impl Into<String>) -> Frame {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.guest.frame(section, title).asked(&self.guest, asked)
    }

    /// A page that says what was asked.
    pub fn page(&self, page: &impl Template) -> Answer {
        Ok(self.guest.page(StatusCode::OK, page))
    }

    /// On to another page of this side.
    pub fn see(&self, path: &str) -> Answer {
        Ok(self.guest.with_cookie(see(&self.guest.path(path))))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.guest.shell.now()
    }

    /// A value of the page's query.
    pub fn asks(&self, name: &str) -> &str {
        self.guest.query.get(name)
    }

    /// Asks the API.
    ///
    /// # Errors
    /// A page that says what was refused, or the way to the sign-in.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        self.try_get(path).await.map_err(|failure| self.refuse(&failure))
    }

    /// Asks the API for what a page can do without: nothing, when it is refused or not there.
    ///
    /// # Errors
    /// The way to the sign-in, when the token is no longer good; and what went wrong inside.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Refused> {
        match self.try_get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(self.refuse(&failure)),
        }
    }

    /// Asks the API, and leaves what is refused to the caller.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path.to_owned());
        let response = self.ask(Method::GET, path, None).await?;
        ask::read(path, response).await
    }

    /// Has the API do something.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let response = self.ask(method, path, body).await?;
        ask::read(path, response).await
    }

    /// The API's own answer, as it comes.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, Failure> {
        let question = Question {
            method,
            path,
            body,
            token: &self.token,
            peer: self.guest.peer,
        };
        ask::ask(&self.guest.shell.api, question).await
    }

    /// The page that says what was refused; to the sign-in, when the token is no longer good.
    pub fn refuse(&self, failure: &Failure) -> Refused {
        if failure.status == StatusCode::UNAUTHORIZED {
            return forget(&self.guest.shell, self.guest.kind, sign_in(&self.guest, true)).into();
        }
        let page = ErrorPage {
            frame: self.frame(Section::None, "Not possible"),
            failure,
        };
        self.guest.page(failure.status, &page).into()
    }
}

/// The way to the sign-in, and from there back.
fn sign_in(guest: &Guest, back: bool) -> Response {
    let back = if back {
        link::ours(&guest.here).unwrap_or_default()
    } else {
        ""
    };
    let back = if back == guest.path("/") { "" } else { back };
    see(&format!("{}{}", guest.path("/sign-in"), link::query([("back", back)])))
}

/// A form that was sent, from a page of this very session.
pub(crate) struct Posted {
    pub visit: Visit,
    pub form: Form,
}

impl FromRequest<Side> for Posted {
    type Rejection = Refused;

    async fn from_request(request: Request, side: &Side) -> Result<Self, Refused> {
        let (guest, form) = own_form(request, side).await?;
        let visit = Visit::of(guest, false)?;
        Ok(Self { visit, form })
    }
}

/// A form of somebody who may not be signed in.
pub(crate) struct GuestForm {
    pub guest: Guest,
    pub form: Form,
}

impl FromRequest<Side> for GuestForm {
    type Rejection = Refused;

    async fn from_request(request: Request, side: &Side) -> Result<Self, Refused> {
        let (guest, form) = own_form(request, side).await?;
        Ok(Self { guest, form })
    }
}

/// Reads a form and sees that a page of this session sent it.
async fn own_form(request: Request, side: &Side) -> Result<(Guest, Form), Refused> {
    let (parts, body) = request.into_parts();
    let guest = Guest::of(side, &parts)?;
    let refuse = |status, code: &str, words: &str| {
        let failure = Failure {
            status,
            code: code.to_owned(),
            words: words.to_owned(),
            members: Vec::new(),
        };
        let page = ErrorPage {
            frame: guest.frame(Section::None, "Not possible"),
            failure: &failure,
        };
        Refused::from(guest.page(status, &page))
    };
    if same::is_foreign(&parts, &guest.shell.public_url) {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "foreign_form",
            "this form was sent from another site, and nothing was done",
        ));
    }
    let body = to_bytes(body, FORM_MAX).await.map_err(|_| {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the form is too long, or did not arrive whole; nothing was done",
        )
    })?;
    let form = Form::read(&body);
    if !guest.session.is_own(form.get("csrf")) {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "foreign_form",
            "this form is not of this session, and nothing was done; open the page again and repeat it",
        ));
    }
    Ok((guest, form))
}
