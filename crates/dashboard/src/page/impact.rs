//! What breaks if an application, event type, source or token is rotated, disabled or deleted: said before the button that does it.
//! An endpoint's is with its settings.

use askama::Template;
use axum::extract::Path;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::segment,
    read::audit::Impact,
    visit::Visit,
};

/// Something that may be done to a thing.
struct Choice {
    verb: &'static str,
    title: &'static str,
    /// Where the form goes, below the thing's page; nothing where it is done elsewhere.
    action: Option<&'static str>,
    /// Whether what was there before may stay good for a while.
    has_grace: bool,
}

impl Choice {
    const fn new(verb: &'static str, title: &'static str, action: Option<&'static str>) -> Self {
        Self {
            verb,
            title,
            action,
            has_grace: false,
        }
    }
}

#[derive(Template)]
#[template(path = "impact_of.html")]
struct ImpactOf {
    frame: Frame,
    impact: Impact,
    choice: Choice,
    /// Where its page is, or the list that it stands in.
    back: String,
    back_words: &'static str,
    /// What the forms' paths begin with.
    at: String,
}

/// A thing, and what may be done to it.
struct Of {
    section: Section,
    /// Its path in the API.
    api: String,
    /// Its path here.
    at: String,
    back: String,
    back_words: &'static str,
    /// The last is meant when none is named.
    choices: Vec<Choice>,
}

async fn page(visit: Visit, of: Of) -> Answer {
    let asked = visit.asks("verb").to_owned();
    let mut choices = of.choices;
    let at = choices.iter().position(|choice| choice.verb == asked);
    let choice = match at {
        Some(at) => Some(choices.swap_remove(at)),
        None => choices.pop(),
    };
    let choice = choice.unwrap_or(Choice::new("delete", "Delete", None));
    let impact: Impact = visit.get(&format!("{}/impact?verb={}", of.api, choice.verb)).await?;
    visit.page(&ImpactOf {
        frame: visit.frame(of.section, choice.title),
        impact,
        choice,
        back: of.back,
        at: of.at,
        back_words: of.back_words,
    })
}

pub(crate) async fn application(visit: Visit, Path(key): Path<String>) -> Answer {
    let key = segment(&key);
    let of = Of {
        section: Section::Applications,
        api: format!("/api/v1/app/{key}"),
        at: format!("/app/{key}"),
        back: format!("/app/{key}"),
        back_words: "Application",
        choices: vec![
            Choice::new("rotate", "Expire its tokens", Some("/expire")),
            Choice::new("disable", "Disable all endpoints", None),
            Choice::new("delete", "Delete", Some("/delete")),
        ],
    };
    page(visit, of).await
}

pub(crate) async fn event_type(visit: Visit, Path(name): Path<String>) -> Answer {
    let name = segment(&name);
    let of = Of {
        section: Section::EventTypes,
        api: format!("/api/v1/event-type/{name}"),
        at: format!("/event-type/{name}"),
        back: format!("/event-type/{name}"),
        back_words: "Event type",
        choices: vec![
            Choice::new("disable", "Archive", Some("/archive")),
            Choice::new("delete", "Delete", Some("/delete")),
        ],
    };
    page(visit, of).await
}

pub(crate) async fn source(visit: Visit, Path(name): Path<String>) -> Answer {
    let name = segment(&name);
    let rotate = Choice {
        has_grace: true,
        ..Choice::new("rotate", "Give it a new URL", Some("/rotate"))
    };
    let of = Of {
        section: Section::Sources,
        api: format!("/ingest/api/v1/source/{name}"),
        at: format!("/source/{name}"),
        back: format!("/source/{name}"),
        back_words: "Source",
        choices: vec![rotate, Choice::new("delete", "Delete", Some("/delete"))],
    };
    page(visit, of).await
}

pub(crate) async fn token(visit: Visit, Path(id): Path<String>) -> Answer {
    let id = segment(&id);
    let of = Of {
        section: Section::Tokens,
        api: format!("/api/v1/token/{id}"),
        at: format!("/token/{id}"),
        back: "/token".to_owned(),
        back_words: "Tokens",
        choices: vec![Choice::new("delete", "Delete", Some("/delete"))],
    };
    page(visit, of).await
}
