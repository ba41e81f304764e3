//! The view itself: maps, the rules that changes must keep, and how a change changes it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bellwire_core::{
    app::{App, AppKind, Environment, Token},
    decide::Health,
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, EndpointId, EnvironmentId, SourceId, TokenId},
    order::{Line, Ordering},
    source::Source,
};
use bellwire_template::{KeyExpression, MessageScope};

use super::lane::LaneGauge;
use crate::{contract::Change, error::StoreError, query::Configuration};

/// An endpoint and its lane's gauge. Replaced as a whole when the endpoint changes; the gauge stays.
#[derive(Debug, Clone)]
pub struct EndpointEntry {
    /// Its settings.
    pub endpoint: Endpoint,
    /// The environment of its application.
    pub environment: EnvironmentId,
    /// What its lane is doing.
    pub lane: Arc<LaneGauge>,
    /// The compiled `order.key_expression`; `None` also when it does not compile.
    key: Option<Arc<KeyExpression>>,
}

/// What routing has to know about a message.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// What kind of event it is.
    pub event_type: &'a str,
    /// Its channels.
    pub channels: &'a [String],
    /// The publisher's ordering key.
    pub ordering_key: Option<&'a str>,
    /// The publisher's JSON value.
    pub payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// What expressions see of it. Nothing is read before one of them looks.
    pub(super) fn scope(&self) -> MessageScope<'a> {
        MessageScope::new(self.event_type, self.channels, self.payload)
    }
}

impl EndpointEntry {
    /// An entry; its key expression is compiled here, once.
    pub fn new(endpoint: Endpoint, environment: EnvironmentId, lane: Arc<LaneGauge>) -> Self {
        let key = compile_key(&endpoint);
        Self {
            endpoint,
            environment,
            lane,
            key,
        }
    }

    /// The line that a message joins here, where order is kept. `scope` is the message's, the same for all endpoints.
    pub(super) fn line(&self, message: &Incoming<'_>, scope: &MessageScope<'_>) -> Option<Line> {
        let order = &self.endpoint.order;
        let key: Arc<str> = match order.ordering {
            Ordering::None => return None,
            Ordering::Key if order.key_expression.is_some() => self.key.as_ref()?.key(scope)?.into(),
            Ordering::Key => message.ordering_key?.into(),
            Ordering::Endpoint => "".into(),
        };
        Some(Line { key, era: order.era })
    }
}

/// The endpoint's key expression, where it is needed. One that an older version accepted may not compile any more.
fn compile_key(endpoint: &Endpoint) -> Option<Arc<KeyExpression>> {
    if endpoint.order.ordering != Ordering::Key {
        return None;
    }
    let text = endpoint.order.key_expression.as_ref()?;
    match KeyExpression::compile(text) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            tracing::error!(
                endpoint = %endpoint.id,
                %error,
                "the ordering key expression does not compile: messages to this endpoint are not ordered; change it"
            );
            None
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct View {
    pub environments: BTreeMap<EnvironmentId, Arc<Environment>>,
    pub tokens: BTreeMap<TokenId, Arc<Token>>,
    pub apps: BTreeMap<AppId, Arc<App>>,
    pub app_uids: HashMap<(EnvironmentId, String), AppId>,
    pub operational: HashMap<EnvironmentId, AppId>,
    pub endpoints: HashMap<EndpointId, Arc<EndpointEntry>>,
    pub endpoints_of: HashMap<AppId, BTreeMap<EndpointId, Arc<EndpointEntry>>>,
    pub endpoint_uids: HashMap<(AppId, String), EndpointId>,
    pub event_types: BTreeMap<(EnvironmentId, String), Arc<EventType>>,
    pub sources: BTreeMap<SourceId, Arc<Source>>,
    pub source_uids: HashMap<(EnvironmentId, String), SourceId>,
    pub source_tokens: HashMap<String, SourceId>,
    pub source_apps: HashMap<AppId, SourceId>,
}

impl View {
    pub fn new(configuration: Configuration) -> Self {
        let mut view = Self::default();
        let Configuration {
            environments,
            apps,
            endpoints,
            event_types,
            tokens,
            sources,
            largest_number: _,
            health,
        } = configuration;
        let health: HashMap<EndpointId, Health> = health.into_iter().collect();
        for environment in environments {
            view.make(Change::PutEnvironment(environment));
        }
        for app in apps {
            view.make(Change::PutApp(app));
        }
        for endpoint in endpoints {
            let id = endpoint.id;
            view.make(Change::PutEndpoint(Box::new(endpoint)));
            if let (Some(entry), Some(health)) = (view.endpoints.get(&id), health.get(&id)) {
                entry.lane.set_health(*health);
            }
        }
        for event_type in event_types {
            view.make(Change::PutEventType(Box::new(event_type)));
        }
        for token in tokens {
            view.make(Change::PutToken(Box::new(token)));
        }
        for source in sources {
            view.make(Change::PutSource(Box::new(source)));
        }
        view
    }

    /// Whether the changes may be made, one after the other.
    pub fn judge(&self, changes: &[Change]) -> Result<(), StoreError> {
        changes
            .iter()
            .enumerate()
            .try_for_each(|(at, change)| self.judge_one(change, &changes[..at]))
    }

    fn judge_one(&self, change: &Change, earlier: &[Change]) -> Result<(), StoreError> {
        let made_earlier = |app: AppId| {
            earlier
                .iter()
                .any(|c| matches!(c, Change::PutApp(made) if made.id == app))
        };
        match change {
            Change::PutEnvironment(new) => {
                let clash = self.environments.values().any(|e| e.id != new.id && e.name == new.name);
                conflict_if(clash, "environment name", &new.name)
            }
            Change::PutApp(new) => {
                let Some(uid) = &new.uid else { return Ok(()) };
                let owner = self.app_uids.get(&(new.environment, uid.clone()));
                let clash_earlier = earlier.iter().any(|c| {
                    matches!(c, Change::PutApp(made)
                        if made.id != new.id && made.environment == new.environment && made.uid == new.uid)
                });
                conflict_if(
                    clash_earlier || owner.is_some_and(|id| *id != new.id),
                    "application uid",
                    uid,
                )
            }
            Change::PutEndpoint(new) => {
                if !self.apps.contains_key(&new.app) && !made_earlier(new.app) {
                    return Err(StoreError::NotFound("the application"));
                }
                let Some(uid) = &new.uid else { return Ok(()) };
                let owner = self.endpoint_uids.get(&(new.app, uid.clone()));
                let clash_earlier = earlier.iter().any(|c| {
                    matches!(c, Change::PutEndpoint(made)
                        if made.id != new.id && made.app == new.app && made.uid == new.uid)
                });
                conflict_if(
                    clash_earlier || owner.is_some_and(|id| *id != new.id),
                    "endpoint uid",
                    uid,
                )
            }
            Change::DeleteApp(id) => found_if(self.apps.contains_key(id), "the application"),
            Change::DeleteEndpoint(id) => found_if(self.endpoints.contains_key(id), "the endpoint"),
            Change::DeleteToken(id) => found_if(self.tokens.contains_key(id), "the token"),
            Change::DeleteEventType { environment, name } => found_if(
                self.event_types.contains_key(&(*environment, name.clone())),
                "the event type",
            ),
            Change::PutSource(new) => {
                if !self.apps.contains_key(&new.app) && !made_earlier(new.app) {
                    return Err(StoreError::NotFound("the source's application"));
                }
                let Some(uid) = &new.uid else { return Ok(()) };
                let owner = self.source_uids.get(&(new.environment, uid.clone()));
                let leaves = |id: &SourceId| {
                    let left = |c: &Change| match c {
                        Change::DeleteSource(gone) => gone == id,
                        Change::PutSource(made) => made.id == *id && made.uid != new.uid,
                        _ => false,
                    };
                    earlier.iter().any(left)
                };
                let clash_earlier = earlier.iter().any(|c| {
                    matches!(c, Change::PutSource(made)
                        if made.id != new.id && made.environment == new.environment && made.uid == new.uid)
                });
                let taken = owner.is_some_and(|id| *id != new.id && !leaves(id));
                conflict_if(clash_earlier || taken, "source uid", uid)
            }
            Change::DeleteSource(id) => found_if(self.sources.contains_key(id), "the source"),
            Change::PutEventType(_) | Change::PutToken(_) | Change::PutTask(_) => Ok(()),
        }
    }

    /// The lanes of the endpoints that changes remove.
    pub fn lanes_removed_by(&self, changes: &[Change]) -> Vec<Arc<LaneGauge>> {
        let mut lanes = Vec::new();
        for change in changes {
            match change {
                Change::DeleteEndpoint(id) => lanes.extend(self.endpoints.get(id).map(|gone| Arc::clone(&gone.lane))),
                Change::DeleteApp(id) => {
                    let endpoints = self.endpoints_of.get(id).into_iter().flat_map(BTreeMap::values);
                    lanes.extend(endpoints.map(|gone| Arc::clone(&gone.lane)));
                }
                _ => {}
            }
        }
        lanes
    }

    /// Makes a change; answers the endpoints it touched.
    pub fn make(&mut self, change: Change) -> Vec<EndpointId> {
        match change {
            Change::PutEnvironment(new) => {
                self.environments.insert(new.id, Arc::new(new));
            }
            Change::PutApp(new) => {
                let old_uid = self.apps.get(&new.id).and_then(|old| old.uid.clone());
                if let Some(uid) = old_uid {
                    self.app_uids.remove(&(new.environment, uid));
                }
                if let Some(uid) = &new.uid {
                    self.app_uids.insert((new.environment, uid.clone()), new.id);
                }
                if new.kind == AppKind::Operational {
                    self.operational.insert(new.environment, new.id);
                }
                self.apps.insert(new.id, Arc::new(new));
            }
            Change::DeleteApp(id) => return self.remove_app(id),
            Change::PutEndpoint(new) => {
                let id = new.id;
                self.put_endpoint(*new);
                return vec![id];
            }
            Change::DeleteEndpoint(id) => {
                self.remove_endpoint(id);
                return vec![id];
            }
            Change::PutEventType(new) => {
                self.event_types
                    .insert((new.environment, new.name.clone()), Arc::new(*new));
            }
            Change::DeleteEventType { environment, name } => {
                self.event_types.remove(&(environment, name));
            }
            Change::PutToken(new) => {
                self.tokens.insert(new.id, Arc::new(*new));
            }
            Change::DeleteToken(id) => {
                self.tokens.remove(&id);
            }
            Change::PutSource(new) => {
                self.remove_source(new.id);
                if let Some(uid) = &new.uid {
                    self.source_uids.insert((new.environment, uid.clone()), new.id);
                }
                self.source_tokens.insert(new.token.clone(), new.id);
                self.source_apps.insert(new.app, new.id);
                self.sources.insert(new.id, Arc::new(*new));
            }
            Change::DeleteSource(id) => self.remove_source(id),
            Change::PutTask(_) => {}
        }
        Vec::new()
    }

    fn put_endpoint(&mut self, new: Endpoint) {
        let Some(environment) = self.apps.get(&new.app).map(|app| app.environment) else {
            return;
        };
        let old = self.endpoints.get(&new.id).cloned();
        if let Some(uid) = old.as_ref().and_then(|old| old.endpoint.uid.clone()) {
            self.endpoint_uids.remove(&(new.app, uid));
        }
        if let Some(uid) = &new.uid {
            self.endpoint_uids.insert((new.app, uid.clone()), new.id);
        }
        let was_disabled = old.as_ref().is_some_and(|old| old.endpoint.disabled.is_some());
        let lane = old.map_or_else(
            || Arc::new(LaneGauge::new(Health::default())),
            |old| Arc::clone(&old.lane),
        );
        if was_disabled && new.disabled.is_none() {
            // Enabled again: how it did before no longer counts.
            lane.set_health(Health::default());
        }
        let (id, app) = (new.id, new.app);
        let entry = Arc::new(EndpointEntry::new(new, environment, lane));
        self.endpoints.insert(id, Arc::clone(&entry));
        self.endpoints_of.entry(app).or_default().insert(id, entry);
    }

    fn remove_endpoint(&mut self, id: EndpointId) {
        let Some(old) = self.endpoints.remove(&id) else { return };
        if let Some(siblings) = self.endpoints_of.get_mut(&old.endpoint.app) {
            siblings.remove(&id);
        }
        if let Some(uid) = &old.endpoint.uid {
            self.endpoint_uids.remove(&(old.endpoint.app, uid.clone()));
        }
    }

    fn remove_source(&mut self, id: SourceId) {
        let Some(old) = self.sources.remove(&id) else { return };
        if let Some(uid) = &old.uid {
            self.source_uids.remove(&(old.environment, uid.clone()));
        }
        self.source_tokens.remove(&old.token);
        self.source_apps.remove(&old.app);
    }

    fn remove_app(&mut self, id: AppId) -> Vec<EndpointId> {
        let endpoints: Vec<_> = self
            .endpoints_of
            .get(&id)
            .into_iter()
            .flat_map(|all| all.keys().copied())
            .collect();
        for endpoint in &endpoints {
            self.remove_endpoint(*endpoint);
        }
        self.endpoints_of.remove(&id);
        self.tokens.retain(|_, token| token.app != Some(id));
        if let Some(old) = self.apps.remove(&id) {
            if let Some(uid) = &old.uid {
                self.app_uids.remove(&(old.environment, uid.clone()));
            }
            if old.kind == AppKind::Operational {
                self.operational.remove(&old.environment);
            }
        }
        endpoints
    }
}

fn conflict_if(clash: bool, what: &'static str, value: &str) -> Result<(), StoreError> {
    if clash {
        Err(StoreError::Conflict {
            what,
            value: value.to_owned(),
        })
    } else {
        Ok(())
    }
}

fn found_if(found: bool, what: &'static str) -> Result<(), StoreError> {
    if found { Ok(()) } else { Err(StoreError::NotFound(what)) }
}

#[cfg(test)]
mod tests {
    use bellwire_core::{id::Id as _, order::OrderSettings, time::Timestamp};

    use super::*;

    fn entry(ordering: Ordering, key_expression: Option<&str>) -> EndpointEntry {
        let endpoint = Endpoint {
            id: EndpointId::from_number(7),
            app: AppId::from_number(1),
            uid: None,
            url: "https://example.com/".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: None,
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::new(),
            headers: BTreeMap::new(),
            keys: Vec::new(),
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: OrderSettings {
                ordering,
                key_expression: key_expression.map(str::to_owned),
                era: 3,
                ..OrderSettings::default()
            },
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(1),
        };
        let lane = Arc::new(LaneGauge::new(Health::default()));
        EndpointEntry::new(endpoint, EnvironmentId::from_number(1), lane)
    }

    /// The key of the line that a message joins, whose publisher's key is `mine`.
    fn key(entry: &EndpointEntry, payload: &[u8]) -> Option<String> {
        let message = Incoming {
            event_type: "invoice.paid",
            channels: &[],
            ordering_key: Some("mine"),
            payload,
        };
        let line = entry.line(&message, &message.scope())?;
        assert_eq!(line.era, 3);
        Some(line.key.to_string())
    }

    #[test]
    fn an_endpoint_without_an_expression_goes_by_the_publishers_key_and_reads_no_payload() {
        let payload = b"not even JSON";
        assert_eq!(key(&entry(Ordering::None, Some("body.id")), payload), None);
        assert_eq!(
            key(&entry(Ordering::Endpoint, Some("body.id")), payload).as_deref(),
            Some("")
        );
        assert_eq!(key(&entry(Ordering::Key, None), payload).as_deref(), Some("mine"));
    }

    #[test]
    fn an_expression_takes_the_place_of_the_publishers_key() {
        let payload = br#"{"customer": {"id": 12345678901234567890}}"#;
        let by_customer = entry(Ordering::Key, Some("body.customer.id"));
        assert_eq!(key(&by_customer, payload).as_deref(), Some("12345678901234567890"));
        let by_both = entry(Ordering::Key, Some("type ~ \"/\" ~ customer.id"));
        assert_eq!(
            key(&by_both, payload).as_deref(),
            Some("invoice.paid/12345678901234567890")
        );
        // No value, no order: the publisher's key means something else.
        assert_eq!(key(&by_customer, br#"{"customer": {}}"#), None);
    }

    #[test]
    fn an_expression_that_does_not_compile_any_more_gives_no_key() {
        assert_eq!(key(&entry(Ordering::Key, Some("body.|")), b"{}"), None);
    }
}
