//! The view itself: maps, the rules that changes must keep, and how a change changes it.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use bellwire_core::{
    app::{App, AppKind, Environment, Token},
    decide::Health,
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, EndpointId, EnvironmentId, Id as _, SourceId, TokenId},
    source::Source,
};

use super::{entry::EndpointEntry, lane::LaneGauge};
use crate::{contract::Change, error::StoreError, query::Configuration};

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
            version: _,
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

    /// What is here and is not put by any of these changes, as changes that remove it.
    pub fn missing_in(&self, changes: &[Change]) -> Vec<Change> {
        let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
        for change in changes {
            numbers.extend(change.number());
            if let Change::PutEventType(put) = change {
                names.insert((put.environment, put.name.as_str()));
            }
        }
        let is_gone = |number: u64| !numbers.contains(&number);
        let endpoints = self.endpoints.keys().filter(|id| is_gone(id.number()));
        let mut gone: Vec<Change> = endpoints.map(|id| Change::DeleteEndpoint(*id)).collect();
        let sources = self.sources.keys().filter(|id| is_gone(id.number()));
        gone.extend(sources.map(|id| Change::DeleteSource(*id)));
        let tokens = self.tokens.keys().filter(|id| is_gone(id.number()));
        gone.extend(tokens.map(|id| Change::DeleteToken(*id)));
        let apps = self.apps.keys().filter(|id| is_gone(id.number()));
        gone.extend(apps.map(|id| Change::DeleteApp(*id)));
        let named = |(environment, name): &&(EnvironmentId, String)| !names.contains(&(*environment, name.as_str()));
        let event_types = self.event_types.keys().filter(named);
        gone.extend(event_types.map(|(environment, name)| Change::DeleteEventType {
            environment: *environment,
            name: name.clone(),
        }));
        gone
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
                    free(&mut self.app_uids, (new.environment, uid), new.id);
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
                let tokens = new.tokens().map(|token| (token.to_owned(), new.id));
                self.source_tokens.extend(tokens);
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
        let lane = old.as_ref().map_or_else(
            || Arc::new(LaneGauge::new(Health::default())),
            |old| Arc::clone(&old.lane),
        );
        if was_disabled && new.disabled.is_none() {
            // Enabled again: how it did before no longer counts.
            lane.set_health(Health::default());
        }
        let (id, app) = (new.id, new.app);
        let entry = EndpointEntry::new(new, environment, lane);
        let entry = Arc::new(match old {
            Some(old) => entry.remembering(&old),
            None => entry,
        });
        self.endpoints.insert(id, Arc::clone(&entry));
        self.endpoints_of.entry(app).or_default().insert(id, entry);
    }

    fn remove_endpoint(&mut self, id: EndpointId) {
        let Some(old) = self.endpoints.remove(&id) else { return };
        if let Some(siblings) = self.endpoints_of.get_mut(&old.endpoint.app) {
            siblings.remove(&id);
        }
        if let Some(uid) = &old.endpoint.uid {
            free(&mut self.endpoint_uids, (old.endpoint.app, uid.clone()), id);
        }
    }

    fn remove_source(&mut self, id: SourceId) {
        let Some(old) = self.sources.remove(&id) else { return };
        if let Some(uid) = &old.uid {
            free(&mut self.source_uids, (old.environment, uid.clone()), id);
        }
        for token in old.tokens() {
            self.source_tokens.remove(token);
        }
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
                free(&mut self.app_uids, (old.environment, uid.clone()), id);
            }
            if old.kind == AppKind::Operational {
                self.operational.remove(&old.environment);
            }
        }
        endpoints
    }
}

/// A name is no longer this one's; another one may have it already.
fn free<K: Eq + std::hash::Hash, V: PartialEq>(names: &mut HashMap<K, V>, name: K, of: V) {
    if let Entry::Occupied(owner) = names.entry(name)
        && *owner.get() == of
    {
        owner.remove();
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
