//! Failures by endpoint and reason, with what to do, and a way to retry all of them.

use askama::Template;

use super::overview::{Choice, span_of};
use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::query,
    read::problem::Problems,
    visit::Visit,
};

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    frame: Frame,
    choices: Vec<Choice>,
    problems: Option<Problems>,
}

pub(crate) async fn show(visit: Visit) -> Answer {
    let (span, choices) = span_of(&visit);
    let since = visit.now().minus(std::time::Duration::from_secs(span)).to_string();
    let asked = query([
        ("since", since.as_str()),
        ("app", visit.asks("app")),
        ("endpoint", visit.asks("endpoint")),
        ("reason", visit.asks("reason")),
    ]);
    let problems = visit.find(&format!("/api/v1/problems{asked}")).await?;
    visit.page(&ProblemsPage {
        frame: visit.frame(Section::Problems, "Problems"),
        choices,
        problems,
    })
}
