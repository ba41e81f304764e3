//! Which source a URL means, and what is compiled of it: kept until the source changes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bellwire_core::{
    id::{EnvironmentId, SourceId},
    source::Source,
};
use bellwire_store::Directory;

use crate::judge::{self, PrepareError, Prepared};

/// Secrets of before that are remembered, to say so when something is signed with one.
const OLD_SECRETS_MAX: usize = 4;
/// What is kept for less sources than that is not worth looking through.
const FEW: usize = 64;

/// A source, ready.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub source: Arc<Source>,
    pub prepared: Arc<Prepared>,
    /// Secrets that it had since the server started and has no more.
    pub old_secrets: Arc<[String]>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NotReady {
    Unknown,
    /// It is there and cannot verify anything.
    Unusable(Arc<Source>),
}

#[derive(Debug)]
enum Entry {
    Ready(Ready),
    Unusable(Arc<Source>),
}

impl Entry {
    fn source(&self) -> &Arc<Source> {
        match self {
            Self::Ready(ready) => &ready.source,
            Self::Unusable(source) => source,
        }
    }
}

/// Sources by their URL.
#[derive(Debug)]
pub(crate) struct Sources {
    directory: Arc<Directory>,
    /// The one whose sources may be called by their uid.
    environment: EnvironmentId,
    known: RwLock<HashMap<SourceId, Entry>>,
}

impl Sources {
    pub fn new(directory: Arc<Directory>, environment: EnvironmentId) -> Self {
        Self {
            directory,
            environment,
            known: RwLock::default(),
        }
    }

    /// The source that `/in/{name}` means: by its token; or by its uid, where a guessed name opens nothing because the
    /// provider proves itself, or where the operator chose the name.
    pub fn find(&self, name: &str) -> Result<Ready, NotReady> {
        if let Some(source) = self.directory.source_by_token(name) {
            return self.ready(source);
        }
        let source = self.directory.source(self.environment, name);
        let source = source
            .filter(|source| source.uid.as_deref() == Some(name))
            .ok_or(NotReady::Unknown)?;
        let managed = source.managed;
        match self.ready(source) {
            Ok(ready) if managed || ready.prepared.proves() => Ok(ready),
            Err(NotReady::Unusable(source)) => Err(NotReady::Unusable(source)),
            _ => Err(NotReady::Unknown),
        }
    }

    fn ready(&self, source: Arc<Source>) -> Result<Ready, NotReady> {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            match known
                .get(&source.id)
                .filter(|entry| Arc::ptr_eq(entry.source(), &source))
            {
                Some(Entry::Ready(ready)) => return Ok(ready.clone()),
                Some(Entry::Unusable(_)) => return Err(NotReady::Unusable(source)),
                None => {}
            }
        }
        let prepared = match judge::prepare(&source) {
            Ok(prepared) => Some(Arc::new(prepared)),
            Err(PrepareError::NoRequests(_)) => return Err(NotReady::Unknown),
            Err(error) => {
                tracing::error!(source = %source.id, kind = source.kind, %error, "a source cannot take requests; change its settings");
                None
            }
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FEW.max(2 * self.directory.all_sources().len()) {
            known.retain(|id, _| self.directory.source_by_id(*id).is_some());
        }
        let Some(prepared) = prepared else {
            known.insert(source.id, Entry::Unusable(Arc::clone(&source)));
            return Err(NotReady::Unusable(source));
        };
        let old_secrets = known
            .get(&source.id)
            .map_or_else(Arc::default, |before| old_secrets(before, &source));
        let ready = Ready {
            source,
            prepared,
            old_secrets,
        };
        known.insert(ready.source.id, Entry::Ready(ready.clone()));
        Ok(ready)
    }
}

/// The secrets of before that are not among those of now, the latest first.
fn old_secrets(before: &Entry, now: &Source) -> Arc<[String]> {
    let live = |text: &&String| now.settings.values().flatten().any(|live| live == *text);
    let earlier: &[String] = match before {
        Entry::Ready(ready) => &ready.old_secrets,
        Entry::Unusable(_) => &[],
    };
    let secrets = before.source().settings.get("secret").into_iter().flatten();
    let old = secrets.chain(earlier).filter(|text| !live(text));
    old.take(OLD_SECRETS_MAX).cloned().collect()
}
