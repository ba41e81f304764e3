//! Secrets: shown only when somebody asks for it with a form, which the API notes; and made anew.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use super::endpoint::Key;
use crate::{
    answer::Answer,
    frame::{Frame, Section},
    read::endpoint::{Endpoint, Secret},
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "secret.html")]
struct SecretPage {
    frame: Frame,
    key: Key,
    endpoint: Endpoint,
    secret: Secret,
}

async fn page(visit: &Visit, key: Key) -> Answer {
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let secret: Secret = visit.get(&key.api("/secret")).await?;
    visit.page(&SecretPage {
        frame: visit.frame(Section::Applications, "Secret"),
        key,
        endpoint,
        secret,
    })
}

pub(crate) async fn reveal(Path((app, name)): Path<(String, String)>, Posted { visit, .. }: Posted) -> Answer {
    page(&visit, Key::new(&app, &name)).await
}

pub(crate) async fn rotate(Path((app, name)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let key = Key::new(&app, &name);
    let grace: u64 = form.get("grace").parse().unwrap_or(86_400);
    let body = json!({ "gracePeriodSeconds": grace });
    let done = visit
        .send::<Value>(Method::POST, &key.api("/secret/rotate"), Some(&body))
        .await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&key.page("/setting?said=rotated"))
}
