//! The first page: is all well, and if not, who and since when.

use askama::Template;

use super::{application, endpoint::Row};
use crate::{
    answer::Answer,
    chart::{self, Charts},
    frame::{Frame, Section},
    link,
    read::{problem::Problems, series::Series, state::State},
    shell::Kind,
    visit::Visit,
    words,
};

/// A span that can be chosen: its name, its words, its seconds.
pub(crate) const SPANS: [(&str, &str, u64); 4] = [
    ("1h", "1 hour", 3_600),
    ("24h", "24 hours", 86_400),
    ("7d", "7 days", 7 * 86_400),
    ("30d", "30 days", 30 * 86_400),
];

/// A choice of a span.
pub(crate) struct Choice {
    pub path: String,
    pub words: &'static str,
    pub current: bool,
}

/// Which span a page is about, and the choices it offers; a day when nothing was asked.
pub(crate) fn span_of(visit: &Visit) -> (u64, Vec<Choice>) {
    let asked = visit.asks("span");
    let at = SPANS.iter().position(|(name, ..)| *name == asked).unwrap_or(1);
    let path = visit.guest.here.split('?').next().unwrap_or_default();
    let choices = SPANS.iter().enumerate().map(|(index, (name, words, _))| Choice {
        path: format!("{path}?span={name}"),
        words,
        current: index == at,
    });
    (SPANS[at].2, choices.collect())
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    headline: String,
    state: State,
    choices: Vec<Choice>,
    series: Option<Series>,
    charts: Option<Charts>,
    problems: Option<Problems>,
    endpoints: Vec<Row>,
    /// The application, in the portal.
    app: Option<String>,
}

pub(crate) async fn show(visit: Visit) -> Answer {
    let (span, choices) = span_of(&visit);
    let since = visit.now().minus(std::time::Duration::from_secs(span)).to_string();
    let series: Option<Series> = visit
        .find(&format!(
            "/api/v1/stats/series{}",
            link::query([("since", since.as_str()), ("points", "96")])
        ))
        .await?;
    let problems: Option<Problems> = visit
        .find(&format!("/api/v1/problems{}", link::query([("since", since.as_str())])))
        .await?;
    let app = visit.guest.session.app().map(str::to_owned);
    let endpoints = match (&app, visit.guest.kind) {
        (Some(app), Kind::Portal) => application::rows(&visit, app).await?.rows,
        _ => Vec::new(),
    };
    let (state, headline) = headline(problems.as_ref(), series.as_ref());
    let charts = series.as_ref().map(chart::charts);
    visit.page(&Overview {
        frame: visit.frame(Section::Overview, "Overview"),
        headline,
        state,
        choices,
        series,
        charts,
        problems,
        endpoints,
        app,
    })
}

/// The answer to 'is all well'.
fn headline(problems: Option<&Problems>, series: Option<&Series>) -> (State, String) {
    let calm = |word| State { class: "wait", word };
    let Some(problems) = problems else {
        return (calm("unknown"), "What fails is not known".to_owned());
    };
    let mut failing: Vec<&str> = problems
        .data
        .iter()
        .filter(|problem| problem.failing_since.is_some() && !problem.disabled)
        .map(|problem| problem.endpoint_id.as_str())
        .collect();
    failing.sort_unstable();
    failing.dedup();
    let bad = |word| State { class: "bad", word };
    match (failing.len() as u64, problems.data.is_empty()) {
        (0, true) if series.is_some_and(|series| series.total.attempts == 0) => {
            (calm("quiet"), "Nothing was sent in this time".to_owned())
        }
        (0, true) => (
            State {
                class: "good",
                word: "all is well",
            },
            "Everything arrives".to_owned(),
        ),
        (0, false) => (
            calm("recovered"),
            "Nothing is failing now; some attempts failed in this time".to_owned(),
        ),
        (1, _) => (bad("failing"), "One endpoint is failing".to_owned()),
        (many, _) => (
            bad("failing"),
            format!("{} are failing", words::count(many, "endpoint")),
        ),
    }
}
