//! The settings in force. For administrators: they say where things are.

use askama::Template;
use serde_json::Value;

use crate::{
    InForce,
    answer::Answer,
    frame::{Frame, Section},
    visit::Visit,
};

#[derive(Template)]
#[template(path = "setting.html")]
struct Settings {
    frame: Frame,
    settings: Vec<InForce>,
}

pub(crate) async fn show(visit: Visit) -> Answer {
    // Whoever may see who has tokens may see this.
    visit.get::<Value>("/api/v1/token?limit=1").await?;
    visit.page(&Settings {
        settings: visit.guest.shell.settings.clone(),
        frame: visit.frame(Section::Settings, "Settings in force"),
    })
}
