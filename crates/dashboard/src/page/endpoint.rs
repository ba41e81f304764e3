//! One endpoint: how it stands, its attempts, and what can be done with it. Making a new one.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use super::overview::{Choice, span_of};
use crate::{
    answer::Answer,
    chart::{self, Charts, Sparkline},
    form::Form,
    frame::{Frame, Section},
    link::{query, segment},
    read::{
        List,
        attempt::Attempt,
        endpoint::{Endpoint, Lane, Stats},
        name::{Application, EventType},
        series::Series,
    },
    visit::{Posted, Visit},
};

/// An endpoint in a list.
pub(crate) struct Row {
    pub endpoint: Endpoint,
    pub spark: Option<Sparkline>,
}

/// The endpoint that a path names.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    app: String,
    endpoint: String,
}

impl Key {
    pub fn new(app: &str, endpoint: &str) -> Self {
        Self {
            app: segment(app),
            endpoint: segment(endpoint),
        }
    }

    /// Its path in the API.
    pub fn api(&self, rest: &str) -> String {
        format!("/api/v1/app/{}/endpoint/{}{rest}", self.app, self.endpoint)
    }

    /// The path of its page.
    pub fn page(&self, rest: &str) -> String {
        format!("/app/{}/endpoint/{}{rest}", self.app, self.endpoint)
    }

    pub fn app(&self) -> &str {
        &self.app
    }
}

#[derive(Template)]
#[template(path = "endpoint.html")]
struct EndpointPage {
    frame: Frame,
    key: Key,
    app: Application,
    endpoint: Endpoint,
    lane: Option<Lane>,
    stats: Option<Stats>,
    choices: Vec<Choice>,
    series: Option<Series>,
    charts: Option<Charts>,
    attempts: List<Attempt>,
    only: String,
    event_types: Vec<EventType>,
}

pub(crate) async fn show(visit: Visit, Path((app, name)): Path<(String, String)>) -> Answer {
    let key = Key::new(&app, &name);
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let application: Application = visit.get(&format!("/api/v1/app/{}", key.app)).await?;
    let lane: Option<Lane> = visit.find(&key.api("/status")).await?;
    let stats: Option<Stats> = visit.find(&key.api("/stats")).await?;
    let (span, choices) = span_of(&visit);
    let since = visit.now().minus(std::time::Duration::from_secs(span)).to_string();
    let asked = query([
        ("app", app.as_str()),
        ("endpoint", endpoint.id.as_str()),
        ("since", since.as_str()),
        ("points", "96"),
    ]);
    let series: Option<Series> = visit.find(&format!("/api/v1/stats/series{asked}")).await?;
    let only = visit.asks("only").to_owned();
    let status = match only.as_str() {
        "failed" => "2",
        "succeeded" => "0",
        _ => "",
    };
    let asked = query([
        ("limit", "25"),
        ("status", status),
        ("iterator", visit.asks("iterator")),
        ("with_content", "true"),
    ]);
    let attempts: List<Attempt> = visit
        .get(&format!(
            "/api/v1/app/{}/attempt/endpoint/{}{asked}",
            key.app, key.endpoint
        ))
        .await?;
    let event_types: Option<List<EventType>> = visit.find("/api/v1/event-type?limit=100").await?;
    let title = endpoint.label().to_owned();
    let charts = series.as_ref().map(chart::charts);
    visit.page(&EndpointPage {
        frame: visit.frame(Section::Applications, title),
        key,
        app: application,
        endpoint,
        lane,
        stats,
        choices,
        series,
        charts,
        attempts,
        only,
        event_types: event_types.unwrap_or_default().data,
    })
}

/// What the buttons of the page do.
pub(crate) async fn act(Path((app, name)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let key = Key::new(&app, &name);
    let (method, rest, body, said) = match form.get("do") {
        "pause" => (Method::POST, "/pause", None, "paused"),
        "resume" => (Method::POST, "/resume", None, "resumed"),
        "enable" => (Method::PATCH, "", Some(json!({ "disabled": false })), "enabled"),
        "disable" => (Method::PATCH, "", Some(json!({ "disabled": true })), "disabled"),
        "example" => (
            Method::POST,
            "/send-example",
            Some(json!({ "eventType": form.get("event_type") })),
            "sent",
        ),
        "delete" => (Method::DELETE, "", None, "deleted"),
        _ => return visit.see(&key.page("")),
    };
    let done = visit.send::<Value>(method, &key.api(rest), body.as_ref()).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    match said {
        "deleted" => visit.see(&format!("/app/{}?said=deleted", key.app)),
        said => visit.see(&key.page(&format!("?said={said}"))),
    }
}

#[derive(Template)]
#[template(path = "endpoint_new.html")]
struct New {
    frame: Frame,
    app: Application,
    key: String,
    event_types: Vec<EventType>,
    form: Form,
    wrong: Option<String>,
}

async fn form(visit: &Visit, app: &str, form: Form, wrong: Option<String>) -> Answer {
    let application: Application = visit.get(&format!("/api/v1/app/{}", segment(app))).await?;
    let event_types: Option<List<EventType>> = visit.find("/api/v1/event-type?limit=100").await?;
    visit.page(&New {
        frame: visit.frame(Section::Applications, "New endpoint"),
        app: application,
        key: segment(app),
        event_types: event_types.unwrap_or_default().data,
        form,
        wrong,
    })
}

pub(crate) async fn new(visit: Visit, Path(app): Path<String>) -> Answer {
    form(&visit, &app, Form::default(), None).await
}

pub(crate) async fn make(Path(app): Path<String>, Posted { visit, form: sent }: Posted) -> Answer {
    let mut body = json!({ "url": sent.get("url"), "description": sent.get("description") });
    if let Some(uid) = sent.some("uid") {
        body["uid"] = uid.into();
    }
    let types = sent.list("event_types");
    if !types.is_empty() {
        body["eventTypes"] = json!(types);
    }
    let path = format!("/api/v1/app/{}/endpoint", segment(&app));
    match visit.send::<Endpoint>(Method::POST, &path, Some(&body)).await {
        Ok(made) => visit.see(&Key::new(&app, &made.id).page("?said=made")),
        Err(failure) if failure.status.as_u16() == 422 => form(&visit, &app, sent, Some(failure.words)).await,
        Err(failure) => Err(visit.refuse(&failure)),
    }
}
