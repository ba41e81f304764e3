//! In and out: signing in with a token, signing out; light and dark; the keys.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use http::{Method, StatusCode, header};

use crate::{
    answer::{Answer, Refused, see},
    ask::{self, Failure, Question},
    form::Form,
    frame::{Frame, Section, Theme},
    link,
    read::name::Application,
    session::{Session, cookie},
    shell::Kind,
    visit::{Guest, GuestForm, Visit, forget, keep},
    words,
};

/// The sign-in.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    back: String,
    wrong: Option<String>,
}

/// The keys.
#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    frame: Frame,
}

pub(crate) async fn ask(guest: Guest) -> Response {
    form(&guest, guest.query.get("back"), StatusCode::OK, None)
}

pub(crate) async fn help(visit: Visit) -> Answer {
    visit.page(&Help {
        frame: visit.frame(Section::None, "Help"),
    })
}

fn form(guest: &Guest, back: &str, status: StatusCode, wrong: Option<String>) -> Response {
    let page = SignIn {
        frame: guest.frame(Section::None, "Sign in"),
        back: link::ours(back).unwrap_or_default().to_owned(),
        wrong,
    };
    guest.page(status, &page)
}

/// What somebody showed to come in.
struct Shown<'a> {
    token: &'a str,
    /// The application that a portal link names.
    app: Option<&'a str>,
}

/// Reads the form: a token, or a whole link that holds one.
fn shown(form: &Form) -> Shown<'_> {
    let text = form.get("token");
    let (_, fragment) = text.split_once('#').unwrap_or(("", text));
    let of = |name: &str| {
        let mut pairs = fragment.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    Shown {
        token: of("token").unwrap_or(text),
        app: of("app").or(form.some("app")),
    }
}

pub(crate) async fn enter(GuestForm { guest, form: sent }: GuestForm) -> Answer {
    let shell = &guest.shell;
    let back = sent.get("back");
    let wrong = |status, words: String| Ok(form(&guest, back, status, Some(words)));
    if let Err(wait) = shell.limiter.admit(guest.peer.map(|peer| peer.0.ip()), shell.now()) {
        let wait = words::span(wait.max(Duration::from_secs(1)));
        return wrong(
            StatusCode::TOO_MANY_REQUESTS,
            format!("too many tries from your address; try again in {wait}"),
        );
    }
    let shown = shown(&sent);
    if shown.token.is_empty() {
        return wrong(
            StatusCode::UNPROCESSABLE_ENTITY,
            "paste a token, or the link you were given".to_owned(),
        );
    }
    let app = match admitted(&guest, &shown).await {
        Ok(app) => app,
        Err(failure) => return wrong(failure.status, failure.words),
    };
    let session = Session::signed_in(shell.now(), shown.token.to_owned(), app);
    let session = session.ok_or_else(|| Refused::from(see(&guest.path("/sign-in"))))?;
    let home = guest.path("/");
    let to = link::ours(back).unwrap_or(&home);
    Ok(keep(shell, guest.kind, &session, see(to)))
}

/// Whether the token opens this side, and which application it is about in the portal.
async fn admitted(guest: &Guest, shown: &Shown<'_>) -> Result<Option<String>, Failure> {
    let get = async |path: &str| {
        let question = Question {
            method: Method::GET,
            path,
            body: None,
            token: shown.token,
            peer: guest.peer,
        };
        ask::ask(&guest.shell.api, question).await
    };
    let refused = |words: &str| Failure {
        status: StatusCode::FORBIDDEN,
        code: String::new(),
        words: words.to_owned(),
        members: Vec::new(),
    };
    let all = get("/api/v1/app?limit=1").await;
    match (guest.kind, all, shown.app) {
        (Kind::Operator, Ok(_), _) => Ok(None),
        (Kind::Operator, Err(failure), _) if failure.status == StatusCode::FORBIDDEN => Err(refused(
            "this token is for one application, or only for publishing; a customer opens the portal by its link, and here it takes a \
             token of scope `admin` or `read`",
        )),
        (_, Err(failure), _) if failure.status != StatusCode::FORBIDDEN => Err(failure),
        (_, Ok(_), _) => Err(refused(
            "this token opens more than one application: sign in at / with it, not in the portal",
        )),
        (_, Err(_), None) => Err(refused(
            "paste the whole link you were given: it names the application, too",
        )),
        (_, Err(_), Some(app)) => {
            let path = format!("/api/v1/app/{}", link::segment(app));
            let app: Application = ask::read(&path, get(&path).await?).await?;
            Ok(Some(app.id))
        }
    }
}

pub(crate) async fn leave(GuestForm { guest, .. }: GuestForm) -> Response {
    let to = format!("{}?said=signed_out", guest.path("/sign-in"));
    forget(&guest.shell, guest.kind, see(&to))
}

pub(crate) async fn theme(GuestForm { guest, form }: GuestForm) -> Response {
    let home = guest.path("/");
    let mut response = see(link::ours(form.get("back")).unwrap_or(&home));
    let theme = Theme::of(Some(form.get("theme")));
    if let Some(line) = cookie::theme(&guest.shell, theme.as_str()) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
    guest.with_cookie(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_itself_or_from_the_link_that_holds_it() {
        let read = |text: &str| {
            let form = Form::read(format!("token={}", link::segment(text)).as_bytes());
            let shown = shown(&form);
            (shown.token.to_owned(), shown.app.map(str::to_owned))
        };
        assert_eq!(read(" bw_admin_x "), ("bw_admin_x".to_owned(), None));
        let both = ("bw_app_y".to_owned(), Some("app_1".to_owned()));
        assert_eq!(read("https://h/portal#app=app_1&token=bw_app_y"), both);
        assert_eq!(read("app=app_1&token=bw_app_y"), both);
        assert_eq!(read("http://h/sign-in#token=t"), ("t".to_owned(), None));
    }
}
