//! One attempt: the exact request that was sent, and the exact answer.

use askama::Template;
use axum::extract::Path;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::segment,
    read::{
        attempt::{Attempt, Headers},
        endpoint::Endpoint,
        message::Raw,
        name::Application,
    },
    visit::Visit,
    words,
};

#[derive(Template)]
#[template(path = "attempt.html")]
struct AttemptPage {
    frame: Frame,
    app: Application,
    key: String,
    attempt: Attempt,
    /// The endpoint, while it exists.
    endpoint: Option<Endpoint>,
    headers: Option<Headers>,
    raw: Option<Raw>,
    curl: Option<String>,
}

impl AttemptPage {
    /// Whether the body was made of the payload by settings of the endpoint.
    fn is_transformed(&self) -> bool {
        let made = |endpoint: &Endpoint| endpoint.transformation.is_some() || endpoint.format != "json";
        self.endpoint.as_ref().is_some_and(made)
    }
}

pub(crate) async fn show(visit: Visit, Path((app, msg, id)): Path<(String, String, String)>) -> Answer {
    let (key, msg) = (segment(&app), segment(&msg));
    let path = format!("/api/v1/app/{key}/msg/{msg}/attempt/{}", segment(&id));
    let attempt: Attempt = visit.get(&path).await?;
    let headers: Option<Headers> = visit.find(&format!("{path}/headers")).await?;
    let raw: Option<Raw> = visit.find(&format!("/api/v1/app/{key}/msg/{msg}/raw")).await?;
    let endpoint = format!("/api/v1/app/{key}/endpoint/{}", segment(&attempt.endpoint_id));
    let endpoint: Option<Endpoint> = visit.find(&endpoint).await?;
    let application: Application = visit.get(&format!("/api/v1/app/{key}")).await?;
    let curl = headers.as_ref().map(|headers| {
        let body = raw.as_ref().filter(|raw| raw.encoding.is_none());
        command(&attempt.url, headers, body.map(|raw| raw.payload.as_str()))
    });
    visit.page(&AttemptPage {
        frame: visit.frame(Section::Applications, format!("Attempt {}", attempt.attempt_number)),
        app: application,
        key,
        curl,
        attempt,
        endpoint,
        headers,
        raw,
    })
}

/// The request as a command; what is secret in it is left to be filled in.
fn command(url: &str, headers: &Headers, body: Option<&str>) -> String {
    let mut command = "curl -X POST".to_owned();
    for (name, value) in &headers.sent_headers {
        command += &format!(" \\\n  -H {}", words::quoted(&format!("{name}: {value}")));
    }
    if let Some(body) = body {
        command += &format!(" \\\n  --data-raw {}", words::quoted(body));
    }
    command + &format!(" \\\n  {}", words::quoted(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_quotes_whatever_was_sent() {
        let headers = Headers {
            sent_headers: [("webhook-id".to_owned(), "msg_1".to_owned())].into(),
            sensitive: Vec::new(),
            response_headers: None,
        };
        assert_eq!(
            command("https://a/?x=1&y", &headers, Some("{\"it's\": 1}")),
            "curl -X POST \\\n  -H 'webhook-id: msg_1' \\\n  --data-raw '{\"it'\\''s\": 1}' \\\n  'https://a/?x=1&y'"
        );
    }
}
