//! The hooks file of a running server: in force before anything is accepted, read again when it changes, all or nothing.
//!
//! [`Hooks`] reads and applies it; [`watching`] notices changes; [`route`] lets an operator ask for a reading, or for what one would
//! change. A file that cannot be used changes nothing: what was in force stays, and the log, the metrics and the API say what
//! is wrong where. Only the start fails with it, as with any other configuration.

mod reading;
mod route;
mod watching;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bellwire_core::{id::EnvironmentId, time::Timestamp};
use bellwire_hooks::{ChangesError, Finding, Line, Standing};
use bellwire_store::{
    Change, Directory, StoreError,
    audit::{self, Actor, ActorKind, AuditEntry},
    query::{Order, Page, Start},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{Notify, watch};

use self::reading::State;
pub use self::reading::read;
pub use self::route::PATH;
pub(super) use self::{route::routes, watching::watch};
use crate::{cli::Failure, config::Config};

/// Why a hooks file is not in force.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// It cannot be read.
    #[error("cannot read the hooks file {file}: {error}", file = .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// It cannot be used.
    #[error("{}", located(.file, .findings))]
    Findings {
        /// Which file.
        file: PathBuf,
        /// Everything that is wrong with it.
        findings: Vec<Finding>,
    },
    /// The machine gives no randomness for keys and tokens.
    #[error("the machine gives no random bytes; no keys can be made")]
    NoRandomness,
    /// It cannot be written down what it asks for.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HooksError {
    /// What is wrong with the file, where that is the reason.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Findings { findings, .. } => findings,
            _ => &[],
        }
    }
}

impl From<HooksError> for Failure {
    /// As a command says it.
    fn from(error: HooksError) -> Self {
        match error {
            HooksError::Findings { .. } => Self::Located(error.to_string()),
            other => Self::usage(other),
        }
    }
}

/// Findings one a line, as compilers write them: `hooks.yaml:3:7: …`.
pub fn located(file: &Path, findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| format!("{}:{finding}", file.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// A reading of the file.
#[derive(Debug)]
pub struct Applied {
    /// What changed, or would.
    pub lines: Vec<Line>,
    /// How many hooks there are.
    pub hooks: usize,
}

/// What is told about it.
#[derive(Debug, Clone, Default)]
struct Told {
    /// When it was last found in force, as it is or after a change.
    applied_at: Option<Timestamp>,
    /// The hooks in force.
    hooks: usize,
    /// Why the file as it is now is not in force.
    refused: Option<Refused>,
    /// The files that were looked at when it was last read to be applied, as they were just before.
    seen: BTreeMap<PathBuf, State>,
}

#[derive(Debug, Clone)]
struct Refused {
    at: Timestamp,
    words: String,
    findings: Vec<Finding>,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// The hooks in force.
    pub hooks: usize,
    /// Whether the file as it is is in force.
    pub is_in_force: bool,
    /// Readings that were applied.
    pub applied: u64,
    /// Readings that were refused.
    pub refused: u64,
}

/// The hooks file of one server.
pub struct Hooks {
    file: PathBuf,
    directory: Arc<Directory>,
    environment: EnvironmentId,
    told: Mutex<Told>,
    figures: watch::Sender<Figures>,
    /// One reading at a time.
    reading: tokio::sync::Mutex<()>,
    asked: Notify,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Reads the configured file and puts it in force; nothing when none is configured.
///
/// # Errors
/// [`HooksError`]; nothing was changed then.
pub(super) async fn open(
    config: &Config,
    directory: &Arc<Directory>,
    environment: EnvironmentId,
) -> Result<Option<Arc<Hooks>>, HooksError> {
    let Some(file) = &config.listener.hooks else {
        warn_of_orphans(directory, environment);
        return Ok(None);
    };
    let hooks = Hooks {
        file: std::path::absolute(file).unwrap_or_else(|_| file.clone()),
        directory: Arc::clone(directory),
        environment,
        told: Mutex::default(),
        figures: watch::Sender::default(),
        reading: tokio::sync::Mutex::default(),
        asked: Notify::new(),
    };
    let applied = hooks.apply_in_silence().await?;
    tracing::info!(file = %hooks.file.display(), hooks = applied.hooks, changes = applied.lines.len(), "hooks file in force");
    Ok(Some(Arc::new(hooks)))
}

/// Somebody who forgot the setting shall not lose what waits; somebody who meant it shall know what stays.
fn warn_of_orphans(directory: &Directory, environment: EnvironmentId) {
    let all = Page {
        limit: usize::MAX,
        start: Start::First,
        order: Order::Ascending,
    };
    let sources = directory.sources(environment, all).items;
    let managed = sources.iter().filter(|source| source.managed).count();
    if managed > 0 {
        tracing::warn!(
            hooks = managed,
            "no hooks file is configured, and what an earlier one made stays as it is; to remove it, configure a file that \
             says `hooks: {{}}`"
        );
    }
}

impl Hooks {
    /// Has the file read again soon, whether it changed or not.
    pub fn reload(&self) {
        self.asked.notify_one();
    }

    /// Numbers for metrics.
    pub fn figures(&self) -> Figures {
        *self.figures.borrow()
    }

    /// Tells of each reading when it is over.
    #[cfg(test)]
    pub fn readings(&self) -> watch::Receiver<Figures> {
        self.figures.subscribe()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file and puts it in force, whoever asked. What came of it is logged.
    async fn apply(&self) -> Result<Applied, HooksError> {
        let done = self.apply_in_silence().await;
        self.log(&done);
        done
    }

    fn log(&self, done: &Result<Applied, HooksError>) {
        let file = self.file.display();
        match done {
            Ok(applied) => {
                for line in &applied.lines {
                    tracing::info!(%file, "hooks: {line}");
                }
                tracing::info!(%file, hooks = applied.hooks, changes = applied.lines.len(), "hooks file read again; it is in force");
            }
            Err(HooksError::Findings { findings, .. }) => {
                for finding in findings {
                    let (line, column) = (finding.at.line, finding.at.column);
                    tracing::error!(%file, line, column, "hooks: {finding}");
                }
                tracing::error!(%file, findings = findings.len(), "the hooks file cannot be used; what was in force before stays in force");
            }
            Err(error @ (HooksError::Unreadable { .. } | HooksError::NoRandomness)) => {
                tracing::error!(%file, %error, "the hooks file cannot be read; what was in force before stays in force");
            }
            Err(HooksError::Store(error)) => {
                tracing::error!(%file, %error, "the hooks file cannot be put in force; it is tried again");
                // It counts as not looked at: whoever watches reads it again.
                self.told().seen.clear();
            }
        }
    }

    /// Reads the file and puts it in force.
    async fn apply_in_silence(&self) -> Result<Applied, HooksError> {
        let done = self.take(false).await;
        let now = self.directory.now();
        let mut told = self.told();
        match &done {
            Ok(applied) => {
                told.applied_at = Some(now);
                told.hooks = applied.hooks;
                told.refused = None;
            }
            Err(error) => {
                told.refused = Some(Refused {
                    at: now,
                    words: error.to_string(),
                    findings: error.findings().to_vec(),
                });
            }
        }
        let hooks = told.hooks;
        drop(told);
        self.figures.send_modify(|figures| {
            figures.hooks = hooks;
            figures.is_in_force = done.is_ok();
            figures.applied += u64::from(done.is_ok());
            figures.refused += u64::from(done.is_err());
        });
        done
    }

    /// What the audit log is told of changes that the file makes.
    fn note_of(&self, changes: &[Change]) -> Option<Change> {
        let told = changes.iter().filter_map(|change| audit::told(&self.directory, change));
        let told: Vec<_> = told.filter(|told| !told.changes.is_empty()).collect();
        if told.is_empty() {
            return None;
        }
        let changes = told.iter().flat_map(|told| told.changes.clone()).collect();
        Some(Change::Note(Box::new(AuditEntry {
            id: self.directory.new_id(),
            at: self.directory.now(),
            environment: self.environment,
            app: None,
            actor: Actor {
                kind: ActorKind::HooksFile,
                token: None,
                name: self.file.display().to_string(),
                scope: String::new(),
            },
            peer: None,
            operation: "hooks.apply".to_owned(),
            about: told.into_iter().map(|told| told.about).collect(),
            changes,
        })))
    }

    /// What the file would change now.
    async fn plan(&self) -> Result<Applied, HooksError> {
        self.take(true).await
    }

    async fn take(&self, is_dry: bool) -> Result<Applied, HooksError> {
        let _one_at_a_time = self.reading.lock().await;
        let reading = reading::in_background(self.file.clone()).await;
        if !is_dry {
            self.told().seen = reading.seen;
        }
        let desired = reading.desired?;
        let edit = self.directory.edit().await;
        let changes = desired.changes(Standing {
            directory: &self.directory,
            environment: self.environment,
            random: &random,
        });
        let changes = changes.map_err(|error| match error {
            ChangesError::Findings(findings) => HooksError::Findings {
                file: self.file.clone(),
                findings,
            },
            ChangesError::NoRandomness => HooksError::NoRandomness,
        })?;
        if !is_dry && !changes.changes.is_empty() {
            let note = self.note_of(&changes.changes);
            let all = changes.changes.into_iter().chain(note).collect();
            self.directory.commit_edit(edit, all, None).await?;
        }
        Ok(Applied {
            lines: changes.lines,
            hooks: desired.hooks.len(),
        })
    }
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}
