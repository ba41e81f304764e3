//! Event types: their schemas, examples, and who listens.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use crate::{
    answer::{Answer, Refused},
    frame::{Frame, Section},
    link::{query, segment},
    read::{
        List,
        endpoint::Endpoint,
        name::{Application, EventType},
    },
    visit::{Posted, Visit},
};

/// Applications in which listeners are looked for.
const APPLICATIONS: &str = "50";

#[derive(Template)]
#[template(path = "event_types.html")]
struct EventTypes {
    frame: Frame,
    types: List<EventType>,
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let path = format!(
        "/api/v1/event-type{}",
        query([
            ("limit", "100"),
            ("with_content", "false"),
            ("iterator", visit.asks("iterator"))
        ])
    );
    let types = visit.get(&path).await?;
    visit.page(&EventTypes {
        frame: visit.frame(Section::EventTypes, "Event types"),
        types,
    })
}

/// Somebody who gets messages of the type.
struct Listener {
    app: Application,
    endpoint: Endpoint,
    /// Whether it asks for this type, rather than for all.
    named: bool,
}

#[derive(Template)]
#[template(path = "event_type.html")]
struct EventTypePage {
    frame: Frame,
    kind: EventType,
    listeners: Vec<Listener>,
    /// Whether there are applications that were not looked into.
    more: bool,
}

/// Whether an endpoint gets messages of a type, and if so, whether it asks for the type by name.
fn listens(endpoint: &Endpoint, name: &str) -> Option<bool> {
    match endpoint.event_types.as_deref() {
        None | Some([]) => Some(false),
        Some(types) => types.iter().any(|wanted| wanted == name).then_some(true),
    }
}

pub(crate) async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let kind: EventType = visit.get(&format!("/api/v1/event-type/{}", segment(&name))).await?;
    let apps: List<Application> = match visit.guest.session.app() {
        Some(app) => {
            let app: Application = visit.get(&format!("/api/v1/app/{}", segment(app))).await?;
            List {
                data: vec![app],
                ..List::default()
            }
        }
        None => visit.get(&format!("/api/v1/app?limit={APPLICATIONS}")).await?,
    };
    let more = apps.next().is_some();
    let mut listeners = Vec::new();
    for app in apps.data {
        let path = format!("/api/v1/app/{}/endpoint?limit=250", segment(&app.id));
        let endpoints: List<Endpoint> = visit.get(&path).await?;
        for endpoint in endpoints.data {
            if let Some(named) = listens(&endpoint, &name) {
                listeners.push(Listener {
                    app: app.clone(),
                    endpoint,
                    named,
                });
            }
        }
    }
    visit.page(&EventTypePage {
        frame: visit.frame(Section::EventTypes, name),
        kind,
        listeners,
        more,
    })
}

/// Takes it out of lists; its messages are accepted as before.
pub(crate) async fn archive(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let name = segment(&name);
    remove(&visit, &format!("/api/v1/event-type/{name}")).await?;
    visit.see(&format!("/event-type/{name}?said=archived"))
}

pub(crate) async fn delete(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    remove(&visit, &format!("/api/v1/event-type/{}?expunge=true", segment(&name))).await?;
    visit.see("/event-type?said=deleted")
}

async fn remove(visit: &Visit, path: &str) -> Result<(), Refused> {
    let done = visit.send::<Value>(Method::DELETE, path, None).await;
    done.map(drop).map_err(|failure| visit.refuse(&failure))
}
