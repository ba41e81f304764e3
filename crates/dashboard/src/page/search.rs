//! One box that takes an id, an endpoint, a URL, a text, a status or a time.

use askama::Template;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::query,
    read::{
        List,
        name::Application,
        search::{Found, Hit},
    },
    visit::Visit,
};

/// What can be asked besides the words.
const FILTERS: [&str; 6] = ["app", "endpoint", "event_types", "status", "since", "until"];

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    asked: Asked,
    found: Option<Found>,
    wrong: Option<String>,
    apps: Vec<Application>,
    /// The next stretch, further back.
    further: Option<String>,
}

/// What stands in the form.
struct Asked {
    q: String,
    app: String,
    endpoint: String,
    event_types: String,
    status: String,
    since: String,
    until: String,
}

impl SearchPage {
    /// Where a find leads.
    fn path(&self, hit: &Hit) -> String {
        let base = self.frame.base;
        let app = hit.app_id.as_deref().unwrap_or_default();
        let name = hit.name.as_deref().unwrap_or_default();
        match hit.kind.as_str() {
            "message" => {
                let id = hit.message.as_ref().map_or("", |message| message.id.as_str());
                format!("{base}/app/{app}/msg/{id}")
            }
            "attempt" => match &hit.attempt {
                Some(attempt) => format!("{base}/app/{app}/msg/{}/attempt/{}", attempt.msg_id, attempt.id),
                None => base.to_owned(),
            },
            "endpoint" => {
                let id = hit.endpoint_id.as_deref().unwrap_or_default();
                format!("{base}/app/{app}/endpoint/{id}")
            }
            "source" => format!("{base}/source/{}", hit.source_id.as_deref().unwrap_or_default()),
            "task" => format!("{base}/task/{}", hit.task_id.as_deref().unwrap_or_default()),
            "event_type" => format!("{base}/event-type/{}", crate::link::segment(name)),
            _ => format!("{base}/app/{app}"),
        }
    }

    /// What it is called.
    fn title(&self, hit: &Hit) -> String {
        let text = match hit.kind.as_str() {
            "message" => hit.message.as_ref().map(|message| message.event_type.as_str()),
            "attempt" => hit.attempt.as_ref().map(|attempt| attempt.url.as_str()),
            "endpoint" => hit.url.as_deref(),
            "task" => hit.task_id.as_deref(),
            _ => hit.name.as_deref(),
        };
        text.unwrap_or_default().to_owned()
    }

    fn kind(&self, hit: &Hit) -> String {
        hit.kind.replace('_', " ")
    }
}

pub(crate) async fn show(visit: Visit) -> Answer {
    let of = |name: &str| visit.asks(name).to_owned();
    let asked = Asked {
        q: of("q"),
        app: of("app"),
        endpoint: of("endpoint"),
        event_types: of("event_types"),
        status: of("status"),
        since: of("since"),
        until: of("until"),
    };
    let time = |text: &str| match text.len() {
        16 => format!("{text}:00Z"),
        _ => text.to_owned(),
    };
    let (since, until) = (time(&asked.since), time(&asked.until));
    let pairs = |iterator: &str| {
        let pairs = [
            ("q", asked.q.as_str()),
            ("app", asked.app.as_str()),
            ("endpoint", asked.endpoint.as_str()),
            ("event_types", asked.event_types.as_str()),
            ("status", asked.status.as_str()),
            ("since", since.as_str()),
            ("until", until.as_str()),
            ("iterator", iterator),
        ];
        query(pairs)
    };
    let is_asked = !asked.q.is_empty() || FILTERS.iter().any(|name| !visit.asks(name).is_empty());
    let (mut found, mut wrong) = (None, None);
    if is_asked {
        let path = format!("/api/v1/search{}", pairs(visit.asks("iterator")));
        match visit.try_get::<Found>(&path).await {
            Ok(answer) => found = Some(answer),
            Err(failure) if failure.status.as_u16() == 401 => return Err(visit.refuse(&failure)),
            Err(failure) => wrong = Some(failure.words),
        }
    }
    let further = found.as_ref().filter(|found| !found.done);
    let further = further.and_then(|found| found.iterator.as_deref());
    let further = further.map(|iterator| visit.guest.path(&format!("/search{}", pairs(iterator))));
    let apps: Option<List<Application>> = visit.find("/api/v1/app?limit=250").await?;
    visit.page(&SearchPage {
        frame: visit.frame(Section::Search, "Search"),
        asked,
        found,
        wrong,
        apps: apps.unwrap_or_default().data,
        further,
    })
}
