//! Messages: an application's latest, and one with everything that happened to it.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use bellwire_core::time::Timestamp;
use http::Method;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::{query, segment},
    read::{
        List,
        attempt::Attempt,
        endpoint::Endpoint,
        explanation::Explanation,
        message::{Message, Raw, laid_out},
        name::Application,
        source,
    },
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "messages.html")]
struct Messages {
    frame: Frame,
    app: Application,
    key: String,
    messages: List<Message>,
    event_type: String,
}

pub(crate) async fn list(visit: Visit, Path(key): Path<String>) -> Answer {
    let app: Application = visit.get(&format!("/api/v1/app/{}", segment(&key))).await?;
    let event_type = visit.asks("event_type").to_owned();
    let asked = query([
        ("limit", "50"),
        ("with_content", "false"),
        ("event_types", event_type.as_str()),
        ("iterator", visit.asks("iterator")),
    ]);
    let messages = visit.get(&format!("/api/v1/app/{}/msg{asked}", segment(&key))).await?;
    visit.page(&Messages {
        frame: visit.frame(Section::Applications, "Messages"),
        key: segment(&key),
        app,
        messages,
        event_type,
    })
}

/// Something that happened to a message.
struct Event {
    at: Timestamp,
    class: &'static str,
    word: String,
    words: String,
    /// The attempt, where it was one.
    attempt: Option<Attempt>,
    /// Which endpoint it is about.
    about: Option<String>,
}

/// One endpoint and what the message has to do with it.
struct Destination {
    explanation: Explanation,
    label: String,
    /// Whether it still exists.
    exists: bool,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    frame: Frame,
    app: Application,
    key: String,
    message: Message,
    destinations: Vec<Destination>,
    more: bool,
    events: Vec<Event>,
    attempts_more: bool,
    payload: Option<String>,
    payload_encoding: Option<String>,
    curl: Option<String>,
    inbound_headers: String,
}

pub(crate) async fn show(visit: Visit, Path((app, msg)): Path<(String, String)>) -> Answer {
    let (key, msg) = (segment(&app), segment(&msg));
    let base = format!("/api/v1/app/{key}/msg/{msg}");
    let message: Message = visit.get(&format!("{base}?with_content=false")).await?;
    let application: Application = visit.get(&format!("/api/v1/app/{key}")).await?;
    let asked = query([("limit", "100"), ("iterator", visit.asks("iterator"))]);
    let explanations: List<Explanation> = visit.get(&format!("{base}/explain{asked}")).await?;
    let attempts: List<Attempt> = visit
        .get(&format!("/api/v1/app/{key}/attempt/msg/{msg}?limit=100"))
        .await?;
    let endpoints: List<Endpoint> = visit.get(&format!("/api/v1/app/{key}/endpoint?limit=250")).await?;
    let raw: Option<Raw> = visit.find(&format!("{base}/raw")).await?;
    let labels: HashMap<String, String> = endpoints
        .data
        .iter()
        .map(|endpoint| (endpoint.id.clone(), endpoint.label().to_owned()))
        .collect();
    let events = timeline(&message, &attempts.data, &explanations.data);
    let destinations = explanations.data.iter().map(|explanation| Destination {
        label: labels
            .get(&explanation.endpoint_id)
            .unwrap_or(&explanation.endpoint_id)
            .clone(),
        exists: labels.contains_key(&explanation.endpoint_id),
        explanation: explanation.clone(),
    });
    let mut destinations: Vec<_> = destinations.collect();
    // What went wrong first, what was not sent last.
    destinations.sort_by_key(|destination| match destination.explanation.state().class {
        "bad" => 0,
        "busy" | "wait" => 1,
        "good" => 2,
        _ => 3,
    });
    let inbound = message.inbound.as_ref();
    let title = format!("{} {}", message.event_type, message.id);
    visit.page(&MessagePage {
        frame: visit.frame(Section::Applications, title),
        app: application,
        destinations,
        more: explanations.next().is_some(),
        events,
        attempts_more: attempts.next().is_some(),
        curl: raw.as_ref().and_then(|raw| again(&visit, &key, &message, raw)),
        payload_encoding: raw.as_ref().and_then(|raw| raw.encoding.clone()),
        payload: raw.map(|raw| laid_out(&raw.payload)),
        inbound_headers: inbound
            .map(|inbound| source::lines(&inbound.headers))
            .unwrap_or_default(),
        key,
        message,
    })
}

/// What happened, in order.
fn timeline(message: &Message, attempts: &[Attempt], explanations: &[Explanation]) -> Vec<Event> {
    let event = |at, class, word: &str, words: String| Event {
        at,
        class,
        word: word.to_owned(),
        words,
        attempt: None,
        about: None,
    };
    let mut events = Vec::new();
    match &message.inbound {
        Some(inbound) => {
            let from = inbound
                .peer
                .as_deref()
                .map(|peer| format!(" from {peer}"))
                .unwrap_or_default();
            let came = format!("{} {}{from}", inbound.method, inbound.target);
            events.push(event(message.timestamp, "good", "received", came));
            events.push(event(message.timestamp, "good", "verified", inbound.verdict.clone()));
            if let Some(note) = &inbound.note {
                events.push(event(message.timestamp, "wait", "noted", note.clone()));
            }
        }
        None => {
            let words = "published by the API, and durable before it was answered".to_owned();
            events.push(event(message.timestamp, "good", "received", words));
        }
    }
    let unique = match &message.event_id {
        Some(id) => format!("event id {id}: accepted once, a repetition is answered with this message"),
        None => "no event id was given: only an idempotency key is recognised".to_owned(),
    };
    events.push(event(message.timestamp, "good", "deduplicated", unique));
    let given = explanations
        .iter()
        .filter(|explanation| explanation.was_given())
        .count();
    let matched = format!("{given} of {} endpoints shown below got it", explanations.len());
    let class = if given == 0 { "off" } else { "good" };
    events.push(event(message.timestamp, class, "matched", matched));
    for attempt in attempts.iter().rev() {
        let state = attempt.state();
        let manual = if attempt.is_manual() { ", by hand" } else { "" };
        let words = format!(
            "attempt {}{manual}: {} after {}",
            attempt.attempt_number,
            attempt.answered(),
            crate::words::millis(f64::from(
                i32::try_from(attempt.response_duration_ms).unwrap_or(i32::MAX)
            )),
        );
        events.push(Event {
            attempt: Some(attempt.clone()),
            about: Some(attempt.endpoint_id.clone()),
            ..event(attempt.timestamp, state.class, state.word, words)
        });
    }
    for explanation in explanations {
        if let Some(next) = explanation.next_attempt {
            let words = format!("next try: {}", explanation.summary);
            events.push(Event {
                about: Some(explanation.endpoint_id.clone()),
                ..event(next, "wait", "planned", words)
            });
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// The command that publishes the same once more.
fn again(visit: &Visit, app: &str, message: &Message, raw: &Raw) -> Option<String> {
    if raw.encoding.is_some() {
        return None;
    }
    let payload: Box<serde_json::value::RawValue> = serde_json::from_str(&raw.payload).ok()?;
    let server = &visit.guest.shell.public_url;
    let url = crate::words::quoted(&format!("{server}/api/v1/app/{app}/msg"));
    let event_type = Value::from(message.event_type.as_str());
    let body = crate::words::quoted(&format!("{{\"eventType\":{event_type},\"payload\":{payload}}}"));
    Some(format!(
        "curl -H \"Authorization: Bearer $BELLWIRE_TOKEN\" -H 'Content-Type: application/json' \\\n  -d {body} \\\n  {url}"
    ))
}

pub(crate) async fn resend(Path((app, msg)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let (app, msg) = (segment(&app), segment(&msg));
    let endpoint = segment(form.get("endpoint"));
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{endpoint}/resend");
    let done = visit.send::<Value>(Method::POST, &path, Some(&json!({}))).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&format!("/app/{app}/msg/{msg}?said=resent"))
}
