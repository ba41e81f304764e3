//! The signature doctor: paste headers, body and secret, and be told what is wrong.

use askama::Template;
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    form::Form,
    frame::{Frame, Section},
    read::source::Verdict,
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "doctor.html")]
struct Doctor {
    frame: Frame,
    /// What was pasted, but for the secret, which never is in a page.
    headers: String,
    body: String,
    provider: String,
    source: String,
    url: String,
    any_age: bool,
    verdict: Option<Verdict>,
    wrong: Option<String>,
}

fn page(visit: &Visit, form: &Form, verdict: Option<Verdict>, wrong: Option<String>) -> Answer {
    visit.page(&Doctor {
        frame: visit.frame(Section::Sources, "Signature doctor"),
        headers: form.raw("headers").to_owned(),
        body: form.raw("body").to_owned(),
        provider: form.get("provider").to_owned(),
        source: form.get("source").to_owned(),
        url: form.get("url").to_owned(),
        any_age: form.has("any_age"),
        verdict,
        wrong,
    })
}

pub(crate) async fn ask(visit: Visit) -> Answer {
    page(&visit, &visit.guest.query, None, None)
}

/// Headers as people paste them: `Name: value`, a line each.
fn headers(text: &str) -> Map<String, Value> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let named = lines.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().into()));
    named.filter(|(name, _)| !name.is_empty()).collect()
}

pub(crate) async fn judge(Posted { visit, form }: Posted) -> Answer {
    // A form writes ends of lines as CRLF (WHATWG HTML, section 4.10.21.4); bodies are signed as they were sent.
    let body = form.raw("body").replace("\r\n", "\n");
    let mut asked = json!({ "headers": headers(form.raw("headers")), "body": body });
    if let Some(secret) = form.some("secret") {
        asked["secrets"] = json!([secret]);
    }
    for name in ["provider", "source", "url"] {
        if let Some(value) = form.some(name) {
            asked[name] = value.into();
        }
    }
    if form.has("any_age") {
        asked["anyAge"] = true.into();
    }
    match visit
        .send::<Verdict>(Method::POST, "/api/v1/verify", Some(&asked))
        .await
    {
        Ok(verdict) => page(&visit, &form, Some(verdict), None),
        Err(failure) if failure.status.as_u16() == 401 => Err(visit.refuse(&failure)),
        Err(failure) => page(&visit, &form, None, Some(failure.words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_headers_are_read_line_by_line() {
        let read = headers("POST /hook HTTP/1.1\r\nWebhook-Id: msg_1\r\n\r\n: nothing\r\nX-T:  a:b \r\n");
        assert_eq!(Value::Object(read), json!({ "webhook-id": "msg_1", "x-t": "a:b" }));
    }
}
