//! Sources: where messages come in, what came, and which requests were refused and why.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::{query, segment},
    read::{
        List,
        endpoint::Endpoint,
        message::Message,
        source::{Refusal, Source},
    },
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "sources.html")]
struct Sources {
    frame: Frame,
    sources: List<Source>,
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let path = format!(
        "/ingest/api/v1/source{}",
        query([("limit", "50"), ("iterator", visit.asks("iterator"))])
    );
    let sources = visit.get(&path).await?;
    visit.page(&Sources {
        frame: visit.frame(Section::Sources, "Sources"),
        sources,
    })
}

#[derive(Template)]
#[template(path = "source.html")]
struct SourcePage {
    frame: Frame,
    source: Source,
    key: String,
    endpoints: Vec<Endpoint>,
    messages: Vec<Message>,
    refused: List<Refusal>,
}

pub(crate) async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let path = format!("/ingest/api/v1/source/{}", segment(&name));
    let source: Source = visit.get(&path).await?;
    let asked = query([
        ("limit", "20"),
        ("order", "descending"),
        ("iterator", visit.asks("iterator")),
    ]);
    let refused: List<Refusal> = visit.get(&format!("{path}/log{asked}")).await?;
    let endpoints: List<Endpoint> = visit.get(&format!("{path}/endpoint?limit=50")).await?;
    let key = segment(&format!("source:{}", source.uid.as_deref().unwrap_or(&source.id)));
    let messages: Option<List<Message>> = visit
        .find(&format!("/api/v1/app/{key}/msg?limit=10&with_content=false"))
        .await?;
    let title = source.name.clone();
    visit.page(&SourcePage {
        frame: visit.frame(Section::Sources, title),
        source,
        key,
        endpoints: endpoints.data,
        messages: messages.unwrap_or_default().data,
        refused,
    })
}

/// A new URL; the old one stays good for a while.
pub(crate) async fn rotate(Path(name): Path<String>, Posted { visit, form }: Posted) -> Answer {
    let name = segment(&name);
    let asked = query([("gracePeriodSeconds", form.get("grace"))]);
    let path = format!("/ingest/api/v1/source/{name}/token/rotate{asked}");
    let done = visit.send::<Value>(Method::POST, &path, None).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&format!("/source/{name}?said=moved"))
}

pub(crate) async fn delete(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let path = format!("/ingest/api/v1/source/{}", segment(&name));
    let done = visit.send::<Value>(Method::DELETE, &path, None).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see("/source?said=deleted")
}
