//! What people changed.

use askama::Template;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::query,
    read::{List, audit::Entry},
    visit::Visit,
};

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    entries: Option<List<Entry>>,
    about: String,
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let about = visit.asks("about").to_owned();
    let asked = query([
        ("limit", "50"),
        ("about", about.as_str()),
        ("app", visit.asks("app")),
        ("iterator", visit.asks("iterator")),
    ]);
    let entries = visit.find(&format!("/api/v1/audit{asked}")).await?;
    visit.page(&Audit {
        frame: visit.frame(Section::Audit, "Audit log"),
        entries,
        about,
    })
}
