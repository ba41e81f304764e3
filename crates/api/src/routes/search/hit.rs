//! What was found, as it is answered.

use bellwire_core::{
    app::App,
    attempt::Attempt,
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, AttemptId, EndpointId, SourceId, TaskId},
    message::Message,
    source::Source,
};
use bellwire_store::scan::{Excerpt, Found, Hit};
use schemars::JsonSchema;
use serde::Serialize;

use crate::routes::{attempt::AttemptOut, message::MessageOut};

/// Something that was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[schemars(rename = "SearchHit")]
pub(super) enum HitOut {
    /// A message, without its payload.
    Message {
        #[schemars(with = "String")]
        app_id: AppId,
        message: MessageOut<'static>,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// An attempt.
    Attempt {
        #[schemars(with = "String")]
        app_id: AppId,
        attempt: AttemptOut,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// An endpoint.
    Endpoint {
        #[schemars(with = "String")]
        app_id: AppId,
        #[schemars(with = "String")]
        endpoint_id: EndpointId,
        uid: Option<String>,
        url: String,
        description: String,
        disabled: bool,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// An application.
    Application {
        #[schemars(with = "String")]
        app_id: AppId,
        uid: Option<String>,
        name: String,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// A source.
    Source {
        #[schemars(with = "String")]
        app_id: AppId,
        #[schemars(with = "String")]
        source_id: SourceId,
        uid: Option<String>,
        name: String,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// An event type.
    EventType {
        name: String,
        description: String,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
    /// A background task.
    Task {
        #[schemars(with = "String")]
        task_id: TaskId,
        #[serde(rename = "where")]
        places: Vec<PlaceOut>,
    },
}

/// Where it was found.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SearchPlace")]
pub(super) struct PlaceOut {
    /// `id`, `event_id`, `uid`, `name`, `url`, `description`, `payload`, `answer`, `time`, `status` or `filter`.
    #[serde(rename = "in")]
    pub place: &'static str,
    /// A piece of the text, as text: it may contain anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
    /// Where in the piece it begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<usize>,
    /// Where in the piece it ends, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<usize>,
    /// Of which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    attempt_id: Option<AttemptId>,
    /// At which endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    endpoint_id: Option<EndpointId>,
}

impl PlaceOut {
    /// Without an excerpt.
    pub fn at(place: &'static str) -> Self {
        Self {
            place,
            ..Self::default()
        }
    }

    fn excerpt(self, excerpt: Excerpt) -> Self {
        Self {
            excerpt: Some(excerpt.text),
            from: Some(excerpt.from),
            to: Some(excerpt.to),
            ..self
        }
    }
}

impl HitOut {
    /// What a scan found; `place` is where when it is the message itself.
    pub fn of(hit: Hit, place: &'static str) -> Self {
        let place = match hit.found {
            Found::Message => PlaceOut::at(place),
            Found::Payload(excerpt) => PlaceOut::at("payload").excerpt(excerpt),
            Found::Answer { attempt, excerpt } => {
                let place = PlaceOut {
                    attempt_id: Some(attempt.id),
                    endpoint_id: Some(attempt.endpoint),
                    ..PlaceOut::at(if excerpt.is_some() { "answer" } else { "status" })
                };
                match excerpt {
                    Some(excerpt) => place.excerpt(excerpt),
                    None => place,
                }
            }
        };
        Self::Message {
            app_id: hit.message.app,
            message: MessageOut::of(hit.message, false),
            places: vec![place],
        }
    }

    pub fn message(message: Message, place: &'static str) -> Self {
        let hit = Hit {
            message,
            found: Found::Message,
        };
        Self::of(hit, place)
    }

    pub fn attempt(attempt: Attempt, place: &'static str) -> Self {
        Self::Attempt {
            app_id: attempt.app,
            attempt: AttemptOut::of(attempt, true),
            places: vec![PlaceOut::at(place)],
        }
    }

    pub fn endpoint(endpoint: &Endpoint, place: &'static str) -> Self {
        Self::Endpoint {
            app_id: endpoint.app,
            endpoint_id: endpoint.id,
            uid: endpoint.uid.clone(),
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            disabled: endpoint.disabled.is_some(),
            places: vec![PlaceOut::at(place)],
        }
    }

    pub fn app(app: &App, place: &'static str) -> Self {
        Self::Application {
            app_id: app.id,
            uid: app.uid.clone(),
            name: app.name.clone(),
            places: vec![PlaceOut::at(place)],
        }
    }

    pub fn source(source: &Source, place: &'static str) -> Self {
        Self::Source {
            app_id: source.app,
            source_id: source.id,
            uid: source.uid.clone(),
            name: source.name.clone(),
            places: vec![PlaceOut::at(place)],
        }
    }

    pub fn event_type(event_type: &EventType) -> Self {
        Self::EventType {
            name: event_type.name.clone(),
            description: event_type.description.clone(),
            places: vec![PlaceOut::at("name")],
        }
    }

    pub fn task(task: TaskId) -> Self {
        Self::Task {
            task_id: task,
            places: vec![PlaceOut::at("id")],
        }
    }

    /// Whether both are the same message.
    pub fn is_message(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Message { message: one, .. }, Self::Message { message: two, .. }) => one.id == two.id,
            _ => false,
        }
    }
}
