//! What has to change so that what is in force is what the file asks for, and nothing else.
//!
//! A source or an endpoint that is as the file says is not touched, so that its lane, its queue and its connections stay as they
//! are. A hook that is gone loses its source and its endpoints; its application stays, with its messages and what became of
//! them, and the hook has it again when it comes back.

mod action;
mod line;
mod source;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bellwire_core::{
    app::{App, AppKind},
    id::{AppId, EnvironmentId},
    source::Source,
    time::Timestamp,
};
use bellwire_store::{
    Change, Directory,
    query::{Order, Page, Start},
};

pub use self::line::{Line, What};
use crate::{Desired, Finding, Hook};

/// The metadata by which the application of a hook is found again.
const HOOK: &str = "hook";

/// Why nothing can be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// What the file asks for stands against what is there.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Findings(Vec<Finding>),
    /// The machine gives no randomness for keys and tokens.
    #[error("the machine gives no random bytes; no keys can be made")]
    NoRandomness,
}

/// What is to be done, all or nothing.
#[derive(Debug, Default)]
pub struct Changes {
    /// For [`Directory::commit`].
    pub changes: Vec<Change>,
    /// The same in words, in the order of the file.
    pub lines: Vec<Line>,
}

/// What changes are made from.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// What is in force.
    pub directory: &'a Directory,
    /// Whose hooks they are.
    pub environment: EnvironmentId,
    /// Random bytes; `None` when the machine gives none.
    pub random: &'a dyn Fn() -> Option<[u8; 32]>,
}

const ALL: Page = Page {
    limit: usize::MAX,
    start: Start::First,
    order: Order::Ascending,
};

impl Desired {
    /// What has to change. Nobody else may change anything before it is committed: hold [`Directory::edit`].
    ///
    /// # Errors
    /// [`ChangesError`].
    pub fn changes(&self, standing: Standing<'_>) -> Result<Changes, ChangesError> {
        let mut made = Changes::default();
        let now = standing.directory.now();
        let retired = standing.retired();
        let mut findings = Vec::new();
        for hook in &self.hooks {
            match standing.directory.source(standing.environment, &hook.name) {
                Some(known) if !known.managed => findings.push(taken(hook)),
                known => made.hook(hook, known, &retired, standing, now)?,
            }
        }
        if !findings.is_empty() {
            return Err(ChangesError::Findings(findings));
        }
        let wanted: BTreeSet<&str> = self.hooks.iter().map(|hook| hook.name.as_str()).collect();
        for source in standing.managed() {
            if !source.uid.as_deref().is_some_and(|uid| wanted.contains(uid)) {
                made.remove(&source, standing);
            }
        }
        // Names that are free again must be free before somebody takes them.
        made.changes
            .sort_by_key(|change| !matches!(change, Change::DeleteSource(_) | Change::DeleteEndpoint(_)));
        Ok(made)
    }
}

impl Standing<'_> {
    /// The sources that a hooks file made.
    fn managed(&self) -> Vec<Arc<Source>> {
        let mut sources = self.directory.sources(self.environment, ALL).items;
        sources.retain(|source| source.managed);
        sources
    }

    /// The applications of hooks that are gone, by the hook's name.
    fn retired(&self) -> HashMap<String, Arc<App>> {
        let apps = self.directory.source_apps(self.environment);
        let without_source = apps
            .into_iter()
            .filter(|app| self.directory.source_of(app.id).is_none());
        without_source
            .filter_map(|app| Some((app.metadata.get(HOOK)?.clone(), app)))
            .collect()
    }
}

fn taken(hook: &Hook) -> Finding {
    Finding {
        at: hook.at,
        path: format!("hooks.{}", hook.name),
        what: "a source that was made through the API has this name already".to_owned(),
        advice: "name the hook otherwise, or delete that source".to_owned(),
    }
}

impl Changes {
    fn hook(
        &mut self,
        hook: &Hook,
        known: Option<Arc<Source>>,
        retired: &HashMap<String, Arc<App>>,
        standing: Standing<'_>,
        now: Timestamp,
    ) -> Result<(), ChangesError> {
        let app = match (&known, retired.get(&hook.name)) {
            (Some(source), _) if standing.directory.app_by_id(source.app).is_some() => source.app,
            (None, Some(app)) => app.id,
            _ => self.app(hook, standing, now),
        };
        match &known {
            Some(source) => {
                if let Some((changed, names)) = source::changed(source, hook, app, now) {
                    self.say(What::Changed, format!("source {}: {}", hook.name, names.join(", ")));
                    self.changes.push(Change::PutSource(Box::new(changed)));
                }
            }
            None => {
                let token = (standing.random)().ok_or(ChangesError::NoRandomness)?;
                let source = source::new(hook, app, token, standing, now);
                self.say(What::Added, format!("source {}", source::named(hook)));
                self.changes.push(Change::PutSource(Box::new(source)));
            }
        }
        self.actions(hook, app, standing, now)
    }

    fn app(&mut self, hook: &Hook, standing: Standing<'_>, now: Timestamp) -> AppId {
        let app = App {
            id: standing.directory.new_id(),
            environment: standing.environment,
            uid: None,
            name: hook.name.clone(),
            throttle_rate: None,
            publish_rate: None,
            metadata: [(HOOK.to_owned(), hook.name.clone())].into(),
            kind: AppKind::Source,
            validate_payloads: None,
            created_at: now,
            updated_at: now,
        };
        let id = app.id;
        self.changes.push(Change::PutApp(app));
        id
    }

    fn actions(&mut self, hook: &Hook, app: AppId, standing: Standing<'_>, now: Timestamp) -> Result<(), ChangesError> {
        for wanted in &hook.actions {
            let named = format!("endpoint {}/{}", hook.name, wanted.uid);
            let Some(known) = standing.directory.endpoint(app, &wanted.uid) else {
                let random = (standing.random)().ok_or(ChangesError::NoRandomness)?;
                let new = action::new(wanted, app, standing.directory.new_id(), random, now)
                    .ok_or(ChangesError::NoRandomness)?;
                self.say(What::Added, format!("{named} ({})", wanted.url));
                self.changes.push(Change::PutEndpoint(Box::new(new)));
                continue;
            };
            if let Some((changed, names)) = action::changed(&known.endpoint, wanted, now) {
                self.say(What::Changed, format!("{named}: {}", names.join(", ")));
                self.changes.push(Change::PutEndpoint(Box::new(changed)));
            }
        }
        let uids: BTreeSet<&str> = hook.actions.iter().map(|action| action.uid.as_str()).collect();
        for entry in standing.directory.endpoints(app, ALL).items {
            let endpoint = &entry.endpoint;
            if endpoint.uid.as_deref().is_some_and(|uid| uids.contains(uid)) {
                continue;
            }
            let name = endpoint.uid.clone().unwrap_or_else(|| endpoint.id.to_string());
            self.say(What::Removed, format!("endpoint {}/{name}", hook.name));
            self.changes.push(Change::DeleteEndpoint(endpoint.id));
        }
        Ok(())
    }

    fn remove(&mut self, source: &Source, standing: Standing<'_>) {
        let name = source.uid.clone().unwrap_or_else(|| source.id.to_string());
        self.say(
            What::Removed,
            format!("source {name} (its messages stay in {})", source.app),
        );
        for entry in standing.directory.endpoints(source.app, ALL).items {
            self.changes.push(Change::DeleteEndpoint(entry.endpoint.id));
        }
        self.changes.push(Change::DeleteSource(source.id));
    }

    fn say(&mut self, what: What, text: String) {
        self.lines.push(Line { what, text });
    }
}

#[cfg(test)]
mod tests;
