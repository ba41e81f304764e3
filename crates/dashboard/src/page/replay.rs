//! Recover and replay: how many it would be, first; then the task that does it.

use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use bellwire_core::time::Timestamp;
use http::Method;
use serde_json::{Value, json};

use super::endpoint::Key;
use crate::{
    answer::{Answer, Refused},
    form::Form,
    frame::{Frame, Section},
    link::segment,
    read::{
        endpoint::Endpoint,
        name::{Begun, DryRun},
    },
    visit::{Posted, Visit},
};

/// What is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// What failed.
    Recover,
    /// What was never tried.
    Missing,
    /// Everything, whatever became of it.
    All,
}

impl Verb {
    fn of(text: &str) -> Self {
        match text {
            "missing" => Self::Missing,
            "all" => Self::All,
            _ => Self::Recover,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Missing => "missing",
            Self::All => "all",
        }
    }

    const fn operation(self) -> &'static str {
        match self {
            Self::Recover => "/recover",
            Self::Missing => "/replay-missing",
            Self::All => "/bulk-replay",
        }
    }
}

/// What was asked.
struct Asked {
    verb: Verb,
    since: String,
    until: String,
    failure: String,
}

impl Asked {
    fn of(form: &Form, now: Timestamp) -> Self {
        // The fields of browsers leave seconds and the zone out.
        let time = |text: &str| match text.len() {
            16 => format!("{text}:00Z"),
            19 => format!("{text}Z"),
            _ => text.to_owned(),
        };
        let day = || now.minus(Duration::from_secs(86_400)).to_string();
        Self {
            verb: Verb::of(form.get("verb")),
            since: form.some("since").map_or_else(day, time),
            until: form.some("until").map(time).unwrap_or_default(),
            failure: form.get("failure").to_owned(),
        }
    }

    fn body(&self, dry: bool) -> Value {
        let mut body = json!({ "since": self.since });
        if !self.until.is_empty() {
            body["until"] = self.until.as_str().into();
        }
        if !self.failure.is_empty() && self.verb != Verb::Missing {
            body["failure"] = self.failure.as_str().into();
        }
        if dry {
            body["dryRun"] = true.into();
        }
        body
    }

    fn verb(&self) -> &'static str {
        self.verb.as_str()
    }

    /// A time as a field of a browser takes it.
    fn field(text: &str) -> &str {
        text.get(..16).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage {
    frame: Frame,
    key: Key,
    endpoint: Endpoint,
    asked: Asked,
    /// What it would be.
    dry: Option<DryRun>,
    wrong: Option<String>,
}

async fn page(visit: &Visit, key: Key, asked: Asked, dry: Option<DryRun>, wrong: Option<String>) -> Answer {
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    visit.page(&ReplayPage {
        frame: visit.frame(Section::Applications, "Recover and replay"),
        key,
        endpoint,
        asked,
        dry,
        wrong,
    })
}

pub(crate) async fn ask(visit: Visit, Path((app, name)): Path<(String, String)>) -> Answer {
    let asked = Asked::of(&visit.guest.query, visit.now());
    page(&visit, Key::new(&app, &name), asked, None, None).await
}

pub(crate) async fn begin(Path((app, name)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let key = Key::new(&app, &name);
    let asked = Asked::of(&form, visit.now());
    let path = key.api(asked.verb.operation());
    if !form.has("begin") {
        let dry = visit.send::<DryRun>(Method::POST, &path, Some(&asked.body(true))).await;
        return match dry {
            Ok(dry) => page(&visit, key, asked, Some(dry), None).await,
            Err(failure) if failure.status.as_u16() == 422 => page(&visit, key, asked, None, Some(failure.words)).await,
            Err(failure) => Err(visit.refuse(&failure)),
        };
    }
    let begun = visit.send::<Begun>(Method::POST, &path, Some(&asked.body(false))).await;
    let begun = begun.map_err(|failure| -> Refused { visit.refuse(&failure) })?;
    visit.see(&format!("/task/{}", segment(&begun.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[test]
    fn a_browsers_times_become_the_apis() {
        let form = Form::read(b"verb=all&since=2026-01-31T09:30&until=2026-01-31T10:30:05&failure=dns_failed");
        let asked = Asked::of(&form, NOON);
        let expected = json!({
            "since": "2026-01-31T09:30:00Z", "until": "2026-01-31T10:30:05Z", "failure": "dns_failed", "dryRun": true,
        });
        assert_eq!((asked.body(true), asked.verb), (expected, Verb::All));
    }

    #[test]
    fn without_a_beginning_it_is_the_last_day() {
        let asked = Asked::of(&Form::default(), NOON);
        assert_eq!(asked.body(false), json!({ "since": "2025-12-16T19:33:20.000000Z" }));
        assert_eq!(Asked::field(&asked.since), "2025-12-16T19:33");
    }
}
