//! Applications: all of them, and one with its endpoints and latest messages.

use askama::Template;
use axum::extract::Path;
use futures_util::future::join_all;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Row;
use crate::{
    answer::{Answer, Refused},
    chart,
    frame::{Frame, Section},
    link::{query, segment},
    read::{List, audit::Impact, endpoint::Endpoint, message::Message, name::Application, series::Series},
    shell::Kind,
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "applications.html")]
struct Applications {
    frame: Frame,
    apps: List<Application>,
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let path = format!(
        "/api/v1/app{}",
        query([("limit", "50"), ("iterator", visit.asks("iterator"))])
    );
    let apps = visit.get(&path).await?;
    visit.page(&Applications {
        frame: visit.frame(Section::Applications, "Applications"),
        apps,
    })
}

pub(crate) async fn make(Posted { visit, form }: Posted) -> Answer {
    let mut body = json!({ "name": form.get("name") });
    if let Some(uid) = form.some("uid") {
        body["uid"] = uid.into();
    }
    let made = visit
        .send::<Application>(Method::POST, "/api/v1/app", Some(&body))
        .await;
    let made = made.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&format!("/app/{}?said=made", segment(&made.id)))
}

/// Some endpoints of an application.
pub(crate) struct Rows {
    pub rows: Vec<Row>,
    pub next: Option<String>,
}

/// A page of an application's endpoints, each with how it fared in the last day.
pub(crate) async fn rows(visit: &Visit, app: &str) -> Result<Rows, Refused> {
    let asked = query([("limit", "25"), ("iterator", visit.asks("iterator"))]);
    let endpoints: List<Endpoint> = visit
        .get(&format!("/api/v1/app/{}/endpoint{asked}", segment(app)))
        .await?;
    let next = endpoints.next().map(str::to_owned);
    let row = async |endpoint: Endpoint| {
        let asked = query([("app", app), ("endpoint", endpoint.id.as_str()), ("points", "32")]);
        let series: Option<Series> = visit.find(&format!("/api/v1/stats/series{asked}")).await?;
        let spark = series.as_ref().map(chart::spark);
        Ok::<_, Refused>(Row { endpoint, spark })
    };
    let rows = join_all(endpoints.data.into_iter().map(row)).await;
    Ok(Rows {
        rows: rows.into_iter().collect::<Result<_, _>>()?,
        next,
    })
}

#[derive(Template)]
#[template(path = "application.html")]
struct OneApplication {
    frame: Frame,
    app: Application,
    key: String,
    endpoints: Rows,
    messages: Vec<Message>,
    /// A portal link that was made just now.
    link: Option<String>,
    /// Whether it is deleted by itself, and not with its source.
    is_tenant: bool,
}

async fn page(visit: &Visit, key: &str, link: Option<String>) -> Answer {
    let app: Application = visit.get(&format!("/api/v1/app/{}", segment(key))).await?;
    let endpoints = rows(visit, key).await?;
    let messages: List<Message> = visit
        .get(&format!("/api/v1/app/{}/msg?limit=10&with_content=false", segment(key)))
        .await?;
    let title = app.name.clone();
    let asked = format!("/api/v1/app/{}/impact?verb=disable", segment(key));
    let is_tenant = visit.guest.kind == Kind::Operator && visit.try_get::<Impact>(&asked).await.is_ok();
    visit.page(&OneApplication {
        frame: visit.frame(Section::Applications, title),
        key: segment(key),
        app,
        endpoints,
        messages: messages.data,
        link,
        is_tenant,
    })
}

pub(crate) async fn show(visit: Visit, Path(key): Path<String>) -> Answer {
    page(&visit, &key, None).await
}

/// Where a portal can be opened.
#[derive(Deserialize)]
struct Access {
    url: String,
}

pub(crate) async fn portal(Path(key): Path<String>, Posted { visit, form }: Posted) -> Answer {
    let body = json!({ "readOnly": form.has("read_only"), "expiry": 3_600 });
    let path = format!("/api/v1/auth/app-portal-access/{}", segment(&key));
    let access = visit.send::<Access>(Method::POST, &path, Some(&body)).await;
    let access = access.map_err(|failure| visit.refuse(&failure))?;
    page(&visit, &key, Some(access.url)).await
}

/// Ends the tokens of one application, with which its portal is open.
pub(crate) async fn expire(Path(key): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let key = segment(&key);
    let path = format!("/api/v1/auth/app/{key}/expire-all");
    let done = visit.send::<Value>(Method::POST, &path, Some(&json!({}))).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&format!("/app/{key}?said=expired"))
}

pub(crate) async fn delete(Path(key): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let path = format!("/api/v1/app/{}", segment(&key));
    let done = visit.send::<Value>(Method::DELETE, &path, None).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see("/app?said=deleted")
}
