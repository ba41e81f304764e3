//! The client, and an application of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use svix::Svix;
use svix::api::SvixOptions;
use svix::models::{ApplicationIn, ApplicationOut, EndpointIn, EventTypeIn, MessageIn, MessageOut};

use crate::{Receiver, bare};

fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start `bellwire serve --dev` and export it"))
}

pub(crate) fn server_url() -> String {
    required("BELLWIRE_URL").trim_end_matches('/').to_owned()
}

pub(crate) fn token() -> String {
    required("BELLWIRE_TOKEN")
}

pub fn client() -> Svix {
    client_with(token())
}

pub fn client_with(token: String) -> Svix {
    Svix::new(
        token,
        Some(SvixOptions {
            server_url: Some(server_url()),
            ..SvixOptions::default()
        }),
    )
}

/// Usable as a uid and as the start of an event type's name.
pub fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    format!(
        "rs{}x{nanos:x}x{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

pub fn hour_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

pub fn hour_ahead() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// An application that only this test uses. Names keep tests apart, so nothing needs cleaning up for the next one.
pub struct World {
    pub svix: Svix,
    pub name: String,
    pub app: ApplicationOut,
}

impl World {
    pub async fn new() -> Self {
        let (svix, name) = (client(), unique_name());
        let wanted = ApplicationIn {
            uid: Some(format!("{name}-app")),
            ..ApplicationIn::new(format!("suite {name}"))
        };
        let app = svix
            .application()
            .create(wanted, None)
            .await
            .expect("the application is created");
        Self { svix, name, app }
    }

    pub fn app_id(&self) -> String {
        self.app.id.clone()
    }

    /// Registers `<unique>.<suffix>` and gives its full name back.
    pub async fn event_type(&self, suffix: &str) -> String {
        let full = format!("{}.{suffix}", self.name);
        let wanted = EventTypeIn::new(full.clone(), format!("{suffix} of a test"));
        self.svix
            .event_type()
            .create(wanted, None)
            .await
            .expect("the event type is created");
        full
    }

    /// Creates an endpoint at `receiver`, changed by `change`, and makes the receiver trust its secret.
    pub async fn connect(&self, receiver: &Receiver, change: impl FnOnce(&mut EndpointIn)) -> String {
        let mut wanted = EndpointIn::new(receiver.url());
        change(&mut wanted);
        let made = self
            .svix
            .endpoint()
            .create(self.app_id(), wanted, None)
            .await
            .expect("the endpoint is created");
        self.trust(receiver, made.id).await
    }

    /// The same with Bellwire's additive `retrySchedule`, which the client cannot send.
    pub async fn connect_retrying(&self, receiver: &Receiver, waits: &[&str]) -> String {
        let body = json!({ "url": receiver.url(), "retrySchedule": waits }).to_string();
        let (status, text) = bare("POST", &format!("/api/v1/app/{}/endpoint", self.app.id), &body);
        assert_eq!(status, 201, "{text}");
        let made: Value = serde_json::from_str(&text).expect("JSON");
        self.trust(receiver, made["id"].as_str().expect("an id").to_owned())
            .await
    }

    async fn trust(&self, receiver: &Receiver, endpoint_id: String) -> String {
        receiver.trust(&self.secret(&endpoint_id).await);
        endpoint_id
    }

    pub async fn secret(&self, endpoint_id: &str) -> String {
        let shown = self
            .svix
            .endpoint()
            .get_secret(self.app_id(), endpoint_id.to_owned())
            .await;
        shown.expect("the secret is shown").key
    }

    pub async fn publish(&self, event_type: &str, payload: Value) -> MessageOut {
        let wanted = MessageIn::new(event_type.to_owned(), payload);
        self.svix
            .message()
            .create(self.app_id(), wanted, None)
            .await
            .expect("the message is accepted")
    }
}
