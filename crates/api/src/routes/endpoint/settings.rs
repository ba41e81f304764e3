//! What an endpoint is to be: the bodies that create, replace and change one, and the rules they keep.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    address::check_url,
    app::App,
    endpoint::{Disabled, DisabledReason, Endpoint, LiveKey},
    headers::{HeaderError, check_headers},
    order::OrderSettings,
    secret::{KeyKind, SigningKey},
    sign::{SCHEMES, Scheme},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blank_of,
    flow::{BatchIn, Exhausted, Flow, OrderingMode},
};
use crate::{
    auth::random,
    error::{ApiError, URL_REFUSED},
    field::{
        AtOnce, ChannelName, Description, EndpointUid, EventTypeFilter, Ignored, Metadata, Patch, PerSecond, Set,
        SpanText,
    },
    problem::Problem,
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
    /// Where its messages are posted.
    pub url: String,
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
    /// Where its messages are posted.
    pub url: String,
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
    /// Sent by some clients; ignored.
    #[serde(default, rename = "version")]
    #[schemars(skip)]
    _version: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "featureFlags")]
    #[schemars(skip)]
    _feature_flags: Ignored,
}

fn checked_url(state: &ApiState, url: String) -> Result<String, ApiError> {
    match check_url(&url, &state.address_policy) {
        Ok(_) => Ok(url),
        Err(error) => Err(ApiError::problems(
            &URL_REFUSED,
            vec![Problem::body(["url"], error.to_string())],
        )),
    }
}

/// Checks headers that are given as a whole.
///
/// # Errors
/// `validation_failed`.
pub(in crate::routes) fn checked_headers(
    headers: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let problem = |error: HeaderError| Problem::body(["headers"], error.to_string());
    check_headers(&headers).map_err(|error| ApiError::invalid(problem(error)))?;
    Ok(headers)
}

/// Reads a secret that was given, or makes one.
///
/// # Errors
/// `validation_failed`, never with the secret in it.
pub(in crate::routes) fn key_of(
    given: Option<&str>,
    member: &str,
    signature: Option<Signature>,
    default: &'static Scheme,
) -> Result<SigningKey, ApiError> {
    let Some(text) = given else {
        let kind = signature.map_or(default.key_kind, Signature::kind);
        let scheme = SCHEMES.iter().find(|scheme| scheme.key_kind == kind).unwrap_or(default);
        let entropy = random().ok_or_else(|| ApiError::internal("the machine gives no randomness"))?;
        return scheme.generate(entropy).map_err(ApiError::internal);
    };
    let refuse = |msg: String| ApiError::invalid(Problem::body([member], msg));
    let key = SigningKey::parse(text).map_err(|error| refuse(error.to_string()))?;
    if signature.is_some_and(|signature| signature.kind() != key.kind()) {
        return Err(refuse(format!(
            "the secret is of the kind {}, which `signature` contradicts",
            key.kind()
        )));
    }
    Ok(key)
}

const RETRIES_MAX: usize = 100;
const RETRY_WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);

fn checked_schedule(schedule: Vec<SpanText>) -> Result<Vec<Duration>, ApiError> {
    if schedule.len() > RETRIES_MAX {
        let msg = format!("there are {} entries; give at most {RETRIES_MAX}", schedule.len());
        return Err(ApiError::invalid(Problem::body(["retrySchedule"], msg)));
    }
    let checked = schedule.into_iter().enumerate().map(|(at, SpanText(span))| {
        if span <= RETRY_WAIT_MAX {
            return Ok(span);
        }
        let place = at.to_string();
        Err(ApiError::invalid(Problem::body(
            ["retrySchedule", place.as_str()],
            "a wait is at most 7d",
        )))
    });
    checked.collect()
}

fn checked_timeout(state: &ApiState, millis: u64) -> Result<Duration, ApiError> {
    let max = state.limits.timeout_max;
    let timeout = Duration::from_millis(millis);
    if timeout >= Duration::from_millis(100) && timeout <= max {
        return Ok(timeout);
    }
    let msg = format!("{millis} is out of bounds; give 100 to {}", max.as_millis());
    Err(ApiError::invalid(Problem::body(["timeoutMs"], msg)))
}

/// Why it is disabled from now on: an endpoint that is disabled already keeps since when and why.
fn disabled(was: Option<Disabled>, asked: bool, now: Timestamp) -> Option<Disabled> {
    asked.then(|| {
        was.unwrap_or(Disabled {
            since: now,
            reason: DisabledReason::Requested,
        })
    })
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
        let mut endpoint = Endpoint {
            id: state.directory.new_id(),
            app: app.id,
            uid: self.uid.map(Into::into),
            url: checked_url(state, self.url)?,
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
        endpoint.url = checked_url(state, self.url)?;
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
        self.flow.apply(endpoint)
    }
}

impl EndpointPatch {
    /// Makes the change.
    ///
    /// # Errors
    /// `validation_failed`, `url_refused`.
    pub fn apply(self, state: &ApiState, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        endpoint.updated_at = state.directory.now();
        if let Some(url) = self.url {
            endpoint.url = checked_url(state, url)?;
        }
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
