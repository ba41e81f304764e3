//! What changed settings would have done to the last messages, before they are saved.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use super::{
    endpoint::Key,
    settings::{self, Filled},
};
use crate::{
    answer::Answer,
    frame::{Frame, Section},
    read::{audit::Backtest, endpoint::Endpoint},
    visit::Posted,
};

#[derive(Template)]
#[template(path = "backtest.html")]
struct BacktestPage {
    frame: Frame,
    key: Key,
    endpoint: Endpoint,
    filled: Filled,
    test: Backtest,
    changed: bool,
}

pub(crate) async fn show(Path((app, name)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let key = Key::new(&app, &name);
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let filled = Filled::sent(&form);
    let change = match settings::change(&endpoint, &form) {
        Ok(change) => change,
        Err(wrong) => return settings::page(&visit, key, endpoint, filled, Some(wrong)).await,
    };
    let changed = !change.is_empty();
    let last: u64 = form.get("last").parse().unwrap_or(200);
    let body = json!({ "change": Value::Object(change), "last": last, "bodies": 5 });
    match visit
        .send::<Backtest>(Method::POST, &key.api("/backtest"), Some(&body))
        .await
    {
        Ok(test) => visit.page(&BacktestPage {
            frame: visit.frame(Section::Applications, "Backtest"),
            key,
            endpoint,
            filled,
            test,
            changed,
        }),
        Err(failure) if failure.status.as_u16() == 422 => {
            settings::page(&visit, key, endpoint, filled, Some(failure.words)).await
        }
        Err(failure) => Err(visit.refuse(&failure)),
    }
}
