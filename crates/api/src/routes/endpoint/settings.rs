//! What an endpoint is to be: the bodies that create, replace and change one, and the rules they keep.

mod check;

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    app::App,
    endpoint::{Endpoint, LiveKey},
    order::OrderSettings,
    secret::KeyKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(in crate::routes) use self::check::{checked_headers, key_of};
use self::check::{checked_schedule, checked_timeout, disabled};
use super::{
    blank_of,
    doing::Doing,
    flow::{BatchIn, Exhausted, Flow, OrderingMode},
    shape::{FormatName, Shape, ThrottleIn, fits_together},
};
use crate::{
    error::ApiError,
    field::{
        AtOnce, ChannelName, Description, EndpointUid, EventTypeFilter, Ignored, Metadata, Patch, PerSecond, Set,
        SpanText,
    },
    state::ApiState,
};

type EventTypes = Set<EventTypeFilter, 1, 1_000>;
type Channels = Set<ChannelName, 1, 10>;
/// In a PATCH an empty list clears, as null does.
type EventTypesPatch = Patch<Set<EventTypeFilter, 0, 1_000>>;
type ChannelsPatch = Patch<Set<ChannelName, 0, 10>>;

/// How the requests to an endpoint are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::routes) enum Signature {
    /// HMAC-SHA256 with a shared secret (`whsec_`).
    #[serde(rename = "v1")]
    V1,
    /// Ed25519 with a key pair (`whsk_`, `whpk_`).
    #[serde(rename = "v1a")]
    V1a,
}

impl Signature {
    /// The kind of key it takes.
    pub fn kind(self) -> KeyKind {
        match self {
            Self::V1 => KeyKind::Symmetric,
            Self::V1a => KeyKind::Asymmetric,
        }
    }

    /// The one that this kind of key makes.
    pub fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Symmetric => Self::V1,
            KeyKind::Asymmetric => Self::V1a,
        }
    }
}

/// What an endpoint is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EndpointIn {
    /// Where its messages are posted. Required, unless `action` says something else to do with them.
    pub url: Option<String>,
    /// Your own name for it, unique in the application; usable wherever its id is.
    pub uid: Option<EndpointUid>,
    /// For people.
    pub description: Option<Description>,
    /// Nothing is sent to it.
    pub disabled: Option<bool>,
    /// Only these event types; a beginning and a star (`invoice.*`) covers what lies below.
    #[serde(alias = "filterTypes")]
    pub event_types: Option<EventTypes>,
    /// Only messages on one of these channels.
    pub channels: Option<Channels>,
    /// Messages per second at most.
    #[serde(alias = "rateLimit")]
    pub throttle_rate: Option<PerSecond>,
    /// Your notes.
    pub metadata: Option<Metadata>,
    /// The signing secret; one is made when it is left out.
    pub secret: Option<String>,
    /// Headers added to every request.
    pub headers: Option<BTreeMap<String, String>>,
    /// Which kind of secret to make when none is given.
    pub signature: Option<Signature>,
    /// Deliveries wait until it is resumed.
    pub paused: Option<bool>,
    /// The wait before each retry: n entries make n + 1 attempts. Otherwise the server's schedule.
    pub retry_schedule: Option<Vec<SpanText>>,
    /// How long one attempt may take, in milliseconds.
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: Option<u64>,
    /// How many attempts may run at once.
    pub max_in_flight: Option<AtOnce>,
    /// Which deliveries wait for each other; `none` when left out.
    pub ordering: Option<OrderingMode>,
    /// What a line does when its first delivery is given up; `skip` when left out.
    pub on_exhausted: Option<Exhausted>,
    /// What gives a message its ordering key, from the message; left out: the publisher's `orderingKey`.
    pub ordering_key_expression: Option<String>,
    /// Several messages in one request; left out: one each.
    pub batch: Option<BatchIn>,
    /// Requests carry HTTP message signatures (RFC 9421) and a content digest (RFC 9530) as well.
    pub http_signatures: Option<bool>,
    /// What is done with a message: one of the kinds of action; `http` when left out.
    pub kind: Option<String>,
    /// The settings of that kind. An endpoint of the kind `http` without them posts signed messages to `url`.
    #[serde(default)]
    pub action: Patch<Map<String, Value>>,
    /// An expression: only messages for which it holds come here.
    #[serde(default)]
    pub filter: Patch<String>,
    /// A template of JSON: what it makes is sent in the place of the payload.
    #[serde(default)]
    pub transformation: Patch<String>,
    /// What the payload is written as; `json` when left out.
    pub format: Option<FormatName>,
    /// At most one message of a kind in a span of time.
    #[serde(default)]
    pub throttle: Patch<ThrottleIn>,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "version")]
    #[schemars(skip)]
    pub _version: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "featureFlags")]
    #[schemars(skip)]
    pub _feature_flags: Ignored,
}

/// What an endpoint is to be from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EndpointUpdate {
    /// Where its messages are posted. Required, unless `action` says something else to do with them.
    pub url: Option<String>,
    /// Your own name for it, unique in the application.
    pub uid: Option<EndpointUid>,
    /// For people.
    pub description: Option<Description>,
    /// Nothing is sent to it.
    pub disabled: Option<bool>,
    /// Only these event types.
    #[serde(alias = "filterTypes")]
    pub event_types: Option<EventTypes>,
    /// Only messages on one of these channels.
    pub channels: Option<Channels>,
    /// Messages per second at most.
    #[serde(alias = "rateLimit")]
    pub throttle_rate: Option<PerSecond>,
    /// Your notes.
    pub metadata: Option<Metadata>,
    /// Deliveries wait until it is resumed; kept when left out.
    pub paused: Option<bool>,
    /// The wait before each retry; kept when left out, null is the server's.
    #[serde(default)]
    pub retry_schedule: Patch<Vec<SpanText>>,
    /// How long one attempt may take, in milliseconds; kept when left out, null is the server's.
    #[serde(default)]
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: Patch<u64>,
    /// How many attempts may run at once; kept when left out, null is the server's.
    #[serde(default)]
    pub max_in_flight: Patch<AtOnce>,
    /// Which deliveries wait for each other; kept when left out.
    pub ordering: Option<OrderingMode>,
    /// What a line does when its first delivery is given up; kept when left out.
    pub on_exhausted: Option<Exhausted>,
    /// What gives a message its ordering key; kept when left out, null is the publisher's `orderingKey`.
    #[serde(default)]
    pub ordering_key_expression: Patch<String>,
    /// Several messages in one request; kept when left out, null is one each.
    #[serde(default)]
    pub batch: Patch<BatchIn>,
    /// Requests carry HTTP message signatures (RFC 9421) and a content digest (RFC 9530) as well; kept when left out.
    pub http_signatures: Option<bool>,
    /// What is done with a message: one of the kinds of action; kept when left out.
    pub kind: Option<String>,
    /// The settings of that kind, all of them; kept when left out, null is none.
    #[serde(default)]
    pub action: Patch<Map<String, Value>>,
    /// An expression: only messages for which it holds come here; kept when left out, null is all.
    #[serde(default)]
    pub filter: Patch<String>,
    /// A template of JSON: what it makes is sent in the place of the payload; kept when left out, null is none.
    #[serde(default)]
    pub transformation: Patch<String>,
    /// What the payload is written as; kept when left out.
    pub format: Option<FormatName>,
    /// At most one message of a kind in a span of time; kept when left out, null is all.
    #[serde(default)]
    pub throttle: Patch<ThrottleIn>,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "version")]
    #[schemars(skip)]
    pub _version: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "featureFlags")]
    #[schemars(skip)]
    pub _feature_flags: Ignored,
}

/// What is to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EndpointPatch {
    /// Where its messages are posted.
    url: Option<String>,
    /// Your own name for it; null removes it.
    #[serde(default)]
    uid: Patch<EndpointUid>,
    /// For people.
    description: Option<Description>,
    /// Nothing is sent to it.
    disabled: Option<bool>,
    /// Only these event types; null or an empty list is all.
    #[serde(default, alias = "filterTypes")]
    event_types: EventTypesPatch,
    /// Only messages on one of these channels; null or an empty list is all.
    #[serde(default)]
    channels: ChannelsPatch,
    /// Messages per second at most; null is unlimited.
    #[serde(default, alias = "rateLimit")]
    throttle_rate: Patch<u16>,
    /// Your notes.
    metadata: Option<Metadata>,
    /// Deliveries wait until it is resumed.
    paused: Option<bool>,
    /// The wait before each retry; null is the server's.
    #[serde(default)]
    retry_schedule: Patch<Vec<SpanText>>,
    /// How long one attempt may take, in milliseconds; null is the server's.
    #[serde(default)]
    #[schemars(range(min = 100, max = 30_000))]
    timeout_ms: Patch<u64>,
    /// How many attempts may run at once; null is the server's.
    #[serde(default)]
    max_in_flight: Patch<AtOnce>,
    /// Which deliveries wait for each other; kept when left out.
    ordering: Option<OrderingMode>,
    /// What a line does when its first delivery is given up; kept when left out.
    on_exhausted: Option<Exhausted>,
    /// What gives a message its ordering key; kept when left out, null is the publisher's `orderingKey`.
    #[serde(default)]
    ordering_key_expression: Patch<String>,
    /// Several messages in one request; kept when left out, null is one each.
    #[serde(default)]
    batch: Patch<BatchIn>,
    /// Requests carry HTTP message signatures (RFC 9421) and a content digest (RFC 9530) as well; kept when left out.
    http_signatures: Option<bool>,
    /// What is done with a message: one of the kinds of action; kept when left out.
    kind: Option<String>,
    /// The settings of that kind, all of them; kept when left out, null is none.
    #[serde(default)]
    action: Patch<Map<String, Value>>,
    /// An expression: only messages for which it holds come here; kept when left out, null is all.
    #[serde(default)]
    filter: Patch<String>,
    /// A template of JSON: what it makes is sent in the place of the payload; kept when left out, null is none.
    #[serde(default)]
    transformation: Patch<String>,
    /// What the payload is written as; kept when left out.
    format: Option<FormatName>,
    /// At most one message of a kind in a span of time; kept when left out, null is all.
    #[serde(default)]
    throttle: Patch<ThrottleIn>,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "version")]
    #[schemars(skip)]
    _version: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "featureFlags")]
    #[schemars(skip)]
    _feature_flags: Ignored,
}

impl EndpointIn {
    /// The endpoint it asks for.
    ///
    /// # Errors
    /// `validation_failed`, `url_refused`.
    pub fn build(self, state: &ApiState, app: &App) -> Result<Endpoint, ApiError> {
        let now = state.directory.now();
        let key = key_of(
            self.secret.as_deref(),
            "secret",
            self.signature,
            state.default_signature,
        )?;
        let flow = Flow {
            ordering: self.ordering,
            on_exhausted: self.on_exhausted,
            key_expression: self.ordering_key_expression.map_or(Patch::Keep, Patch::Set),
            batch: self.batch.map_or(Patch::Keep, Patch::Set),
            http_signatures: self.http_signatures,
        };
        let doing = Doing {
            url: self.url,
            kind: self.kind,
            action: self.action,
        };
        let shape = Shape {
            filter: self.filter,
            transformation: self.transformation,
            format: self.format,
            throttle: self.throttle,
        };
        let mut endpoint = Endpoint {
            id: state.directory.new_id(),
            app: app.id,
            uid: self.uid.map(Into::into),
            url: String::new(),
            description: self.description.unwrap_or_default().0,
            disabled: disabled(None, self.disabled == Some(true), now),
            paused: self.paused == Some(true),
            event_types: self.event_types.map(Set::into_texts),
            channels: self.channels.map(Set::into_texts),
            throttle_rate: self.throttle_rate.map(PerSecond::get),
            metadata: self.metadata.unwrap_or_default().0,
            headers: checked_headers(self.headers.unwrap_or_default())?,
            keys: vec![LiveKey { key, expires_at: None }],
            retry_schedule: self.retry_schedule.map(checked_schedule).transpose()?,
            timeout: self
                .timeout_ms
                .map(|millis| checked_timeout(state, millis))
                .transpose()?,
            max_in_flight: self.max_in_flight.map(AtOnce::get),
            order: OrderSettings::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: now,
            updated_at: now,
        };
        flow.apply(&mut endpoint)?;
        doing.apply(state, &mut endpoint)?;
        shape.apply(&mut endpoint)?;
        fits_together(&endpoint)?;
        Ok(endpoint)
    }
}

impl EndpointUpdate {
    /// Puts it in the place of what there is.
    ///
    /// # Errors
    /// `validation_failed`, `url_refused`.
    pub fn replace(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        endpoint.updated_at = state.directory.now();
        endpoint.uid = self.uid.map(Into::into);
        endpoint.description = self.description.unwrap_or_default().0;
        endpoint.disabled = disabled(endpoint.disabled, self.disabled == Some(true), endpoint.updated_at);
        endpoint.event_types = self.event_types.map(Set::into_texts);
        endpoint.channels = self.channels.map(Set::into_texts);
        endpoint.throttle_rate = self.throttle_rate.map(PerSecond::get);
        endpoint.metadata = self.metadata.unwrap_or_default().0;
        endpoint.paused = self.paused.unwrap_or(endpoint.paused);
        let ours = Ours {
            retry_schedule: self.retry_schedule,
            timeout_ms: self.timeout_ms,
            max_in_flight: self.max_in_flight,
            flow: Flow {
                ordering: self.ordering,
                on_exhausted: self.on_exhausted,
                key_expression: self.ordering_key_expression,
                batch: self.batch,
                http_signatures: self.http_signatures,
            },
            doing: Doing {
                url: self.url,
                kind: self.kind,
                action: self.action,
            },
            shape: Shape {
                filter: self.filter,
                transformation: self.transformation,
                format: self.format,
                throttle: self.throttle,
            },
        };
        ours.apply(state, endpoint)
    }
}

/// Settings that other servers do not know.
struct Ours {
    retry_schedule: Patch<Vec<SpanText>>,
    timeout_ms: Patch<u64>,
    max_in_flight: Patch<AtOnce>,
    flow: Flow,
    doing: Doing,
    shape: Shape,
}

impl Ours {
    fn apply(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        let schedule = match self.retry_schedule {
            Patch::Set(schedule) => Patch::Set(checked_schedule(schedule)?),
            other => other.map(|_| Vec::new()),
        };
        schedule.apply(&mut endpoint.retry_schedule);
        let timeout = match self.timeout_ms {
            Patch::Set(millis) => Patch::Set(checked_timeout(state, millis)?),
            other => other.map(Duration::from_millis),
        };
        timeout.apply(&mut endpoint.timeout);
        self.max_in_flight.map(AtOnce::get).apply(&mut endpoint.max_in_flight);
        self.flow.apply(endpoint)?;
        self.doing.apply(state, endpoint)?;
        self.shape.apply(endpoint)?;
        fits_together(endpoint)
    }
}

impl EndpointPatch {
    /// Makes the change.
    ///
    /// # Errors
    /// `validation_failed`, `url_refused`.
    pub fn apply(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        endpoint.updated_at = state.directory.now();
        self.uid.map(String::from).apply(&mut endpoint.uid);
        if let Some(Description(description)) = self.description {
            endpoint.description = description;
        }
        if let Some(asked) = self.disabled {
            endpoint.disabled = disabled(endpoint.disabled, asked, endpoint.updated_at);
        }
        self.event_types.map(Set::into_texts).apply(&mut endpoint.event_types);
        endpoint.event_types = endpoint.event_types.take().filter(|types| !types.is_empty());
        self.channels.map(Set::into_texts).apply(&mut endpoint.channels);
        endpoint.channels = endpoint.channels.take().filter(|channels| !channels.is_empty());
        self.throttle_rate.apply(&mut endpoint.throttle_rate);
        endpoint.throttle_rate = endpoint.throttle_rate.filter(|rate| *rate > 0);
        if let Some(Metadata(metadata)) = self.metadata {
            endpoint.metadata = metadata;
        }
        endpoint.paused = self.paused.unwrap_or(endpoint.paused);
        let ours = Ours {
            retry_schedule: self.retry_schedule,
            timeout_ms: self.timeout_ms,
            max_in_flight: self.max_in_flight,
            flow: Flow {
                ordering: self.ordering,
                on_exhausted: self.on_exhausted,
                key_expression: self.ordering_key_expression,
                batch: self.batch,
                http_signatures: self.http_signatures,
            },
            doing: Doing {
                url: self.url,
                kind: self.kind,
                action: self.action,
            },
            shape: Shape {
                filter: self.filter,
                transformation: self.transformation,
                format: self.format,
                throttle: self.throttle,
            },
        };
        ours.apply(state, endpoint)
    }
}

/// An endpoint with a secret and nothing else.
///
/// # Errors
/// A machine without randomness.
pub(super) fn blank(state: &ApiState, app: &App) -> Result<Endpoint, ApiError> {
    let now = state.directory.now();
    let key = key_of(None, "secret", None, state.default_signature)?;
    Ok(Endpoint {
        keys: vec![LiveKey { key, expires_at: None }],
        created_at: now,
        updated_at: now,
        ..blank_of(app.id, state.directory.new_id())
    })
}
