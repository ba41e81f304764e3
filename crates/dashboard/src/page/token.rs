//! Tokens: who may do what. A new one is shown once.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::{query, segment},
    read::{
        List,
        name::{NewToken, Token},
    },
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    tokens: List<Token>,
    made: Option<NewToken>,
}

async fn page(visit: &Visit, made: Option<NewToken>) -> Answer {
    let asked = query([("limit", "100"), ("iterator", visit.asks("iterator"))]);
    let tokens = visit.get(&format!("/api/v1/token{asked}")).await?;
    visit.page(&Tokens {
        frame: visit.frame(Section::Tokens, "Tokens"),
        tokens,
        made,
    })
}

pub(crate) async fn list(visit: Visit) -> Answer {
    page(&visit, None).await
}

pub(crate) async fn make(Posted { visit, form }: Posted) -> Answer {
    let body = json!({ "name": form.get("name"), "scope": form.get("scope") });
    let made = visit.send::<NewToken>(Method::POST, "/api/v1/token", Some(&body)).await;
    let made = made.map_err(|failure| visit.refuse(&failure))?;
    page(&visit, Some(made)).await
}

pub(crate) async fn delete(Path(id): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let path = format!("/api/v1/token/{}", segment(&id));
    let done = visit.send::<Value>(Method::DELETE, &path, None).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see("/token?said=deleted")
}
