//! The configuration: all or nothing, each name once.

use bellwire_core::{
    decide::Health,
    id::AppId,
    source::Source,
    task::{Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::{Change, StoreError, StoredAnswer, query::Configuration};

use super::state::State;

impl State {
    pub fn configuration(&self) -> Configuration {
        Configuration {
            largest_number: self.largest_put,
            version: 0,
            environments: self.environments.values().cloned().collect(),
            apps: self.apps.values().cloned().collect(),
            endpoints: self.endpoints.values().cloned().collect(),
            event_types: self.event_types.values().cloned().collect(),
            tokens: self.tokens.values().cloned().collect(),
            sources: self.sources.values().cloned().collect(),
            health: self
                .health
                .iter()
                .filter(|(_, health)| **health != Health::default())
                .map(|(id, health)| (*id, *health))
                .collect(),
        }
    }

    pub fn apply(&mut self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<(), StoreError> {
        let largest = changes.iter().filter_map(Change::number).max().unwrap_or(0);
        let mut after = Configured::of(self);
        for change in changes {
            after.make(change)?;
        }
        after.put_into(self);
        self.forget_numbers_of_the_gone();
        let sources = &self.sources;
        self.refused.retain(|source, _| sources.contains_key(source));
        self.largest_put = self.largest_put.max(largest);
        if let Some(answer) = answer {
            self.answers.insert(answer.key, answer);
        }
        Ok(())
    }

    pub fn answer(&self, key: [u8; 32], now: Timestamp) -> Option<StoredAnswer> {
        self.answers.get(&key).filter(|answer| now < answer.expires_at).cloned()
    }
}

/// A copy of what changes can change, made before and put back after all went well.
struct Configured(Box<State>);

impl Configured {
    fn of(state: &State) -> Self {
        Self(Box::new(State {
            environments: state.environments.clone(),
            apps: state.apps.clone(),
            endpoints: state.endpoints.clone(),
            health: state.health.clone(),
            event_types: state.event_types.clone(),
            tokens: state.tokens.clone(),
            sources: state.sources.clone(),
            tasks: state.tasks.clone(),
            ..State::default()
        }))
    }

    fn put_into(self, state: &mut State) {
        let State {
            environments,
            apps,
            endpoints,
            health,
            event_types,
            tokens,
            sources,
            tasks,
            ..
        } = *self.0;
        state.environments = environments;
        state.apps = apps;
        state.endpoints = endpoints;
        state.health = health;
        state.event_types = event_types;
        state.tokens = tokens;
        state.sources = sources;
        state.tasks = tasks;
    }

    fn make(&mut self, change: Change) -> Result<(), StoreError> {
        let all = &mut *self.0;
        match change {
            Change::PutEnvironment(new) => drop(all.environments.insert(new.id, new)),
            Change::PutApp(new) => {
                let same =
                    |other: &&bellwire_core::app::App| other.environment == new.environment && other.id != new.id;
                let taken = new.uid.is_some() && all.apps.values().filter(same).any(|other| other.uid == new.uid);
                free_if(!taken, "application uid", new.uid.as_deref())?;
                all.apps.insert(new.id, new);
            }
            Change::DeleteApp(id) => self.remove_app(id),
            Change::PutEndpoint(new) => {
                let same = |other: &&bellwire_core::endpoint::Endpoint| other.app == new.app && other.id != new.id;
                let taken = new.uid.is_some() && all.endpoints.values().filter(same).any(|other| other.uid == new.uid);
                free_if(!taken, "endpoint uid", new.uid.as_deref())?;
                let was_disabled = all.endpoints.get(&new.id).is_some_and(|old| old.disabled.is_some());
                if was_disabled && new.disabled.is_none() {
                    // Enabled again: what was before no longer counts.
                    all.health.remove(&new.id);
                }
                all.endpoints.insert(new.id, *new);
            }
            Change::DeleteEndpoint(id) => {
                all.endpoints.remove(&id);
                all.health.remove(&id);
            }
            Change::PutEventType(new) => drop(all.event_types.insert((new.environment, new.name.clone()), *new)),
            Change::DeleteEventType { environment, name } => drop(all.event_types.remove(&(environment, name))),
            Change::PutToken(new) => drop(all.tokens.insert(new.id, *new)),
            Change::DeleteToken(id) => drop(all.tokens.remove(&id)),
            Change::PutSource(new) => {
                let same = |other: &&Source| other.environment == new.environment && other.id != new.id;
                let taken = new.uid.is_some() && all.sources.values().filter(same).any(|other| other.uid == new.uid);
                free_if(!taken, "source uid", new.uid.as_deref())?;
                all.sources.insert(new.id, *new);
            }
            Change::DeleteSource(id) => drop(all.sources.remove(&id)),
            Change::PutTask(new) => {
                let ended = |old: &Task| old.status != TaskStatus::Running;
                if !all.tasks.get(&new.id).is_some_and(ended) {
                    all.tasks.insert(new.id, *new);
                }
            }
        }
        Ok(())
    }

    fn remove_app(&mut self, id: AppId) {
        let all = &mut *self.0;
        all.apps.remove(&id);
        all.tokens.retain(|_, token| token.app != Some(id));
        let gone: Vec<_> = all
            .endpoints
            .values()
            .filter(|endpoint| endpoint.app == id)
            .map(|e| e.id)
            .collect();
        for endpoint in gone {
            all.endpoints.remove(&endpoint);
            all.health.remove(&endpoint);
        }
    }
}

fn free_if(free: bool, what: &'static str, value: Option<&str>) -> Result<(), StoreError> {
    if free {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            what,
            value: value.unwrap_or_default().to_owned(),
        })
    }
}
