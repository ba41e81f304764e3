//! Who is to be named for what an operation changes.
//!
//! Every operation that commits changes is noted with them, in the same transaction: [`Context::commit`] asks here. What is done
//! to deliveries by hand, and a look at a secret, is noted by its handler ([`Context::note`]).

use std::net::SocketAddr;

use bellwire_core::{
    endpoint::Endpoint,
    id::{AppId, MessageId},
    source::Source,
};
use bellwire_store::{
    Change,
    audit::{Actor, ActorKind, AuditEntry, Changed, Subject, told},
};

use crate::{call::Context, error::ApiError};

/// Who connected: put into a request's extensions by whoever listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Context {
    /// The entry that goes with changes; `None` when there is nobody's doing in them.
    pub(crate) fn note_of(&self, changes: &[Change]) -> Option<Change> {
        let directory = &self.server.directory;
        let told: Vec<_> = changes.iter().filter_map(|change| told(directory, change)).collect();
        let told: Vec<_> = told.into_iter().filter(|told| !told.changes.is_empty()).collect();
        let first = told.first()?;
        let app = first.app;
        let (about, changed): (Vec<Subject>, Vec<Vec<Changed>>) =
            told.into_iter().map(|told| (told.about, told.changes)).unzip();
        let entry = self.entry(app, about, changed.concat()).ok()?;
        Some(Change::Note(Box::new(entry)))
    }

    /// An entry about what this request does.
    ///
    /// # Errors
    /// Never where the operation asks for a token.
    pub(crate) fn entry(
        &self,
        app: Option<AppId>,
        about: Vec<Subject>,
        changes: Vec<Changed>,
    ) -> Result<AuditEntry, ApiError> {
        let caller = self.caller()?;
        let directory = &self.server.directory;
        let token = caller.token.and_then(|id| directory.token(id));
        let kind = match caller.token {
            Some(_) => ActorKind::Token,
            None => ActorKind::Operator,
        };
        Ok(AuditEntry {
            id: directory.new_id(),
            at: directory.now(),
            environment: caller.environment,
            app,
            actor: Actor {
                kind,
                token: caller.token,
                name: token.map_or_else(String::new, |token| token.name.clone()),
                scope: caller.scope.as_str().to_owned(),
            },
            peer: self.peer.map(|Peer(address)| address.to_string()),
            operation: self.operation.to_owned(),
            about,
            changes,
        })
    }
}

/// An endpoint as the audit log names it.
pub(crate) fn endpoint(endpoint: &Endpoint) -> Subject {
    Subject {
        kind: "endpoint".to_owned(),
        id: endpoint.id.to_string(),
        name: endpoint.uid.clone().unwrap_or_else(|| endpoint.url.clone()),
    }
}

/// A message as the audit log names it.
pub(crate) fn message(id: MessageId) -> Subject {
    Subject {
        kind: "message".to_owned(),
        id: id.to_string(),
        name: String::new(),
    }
}

/// A source as the audit log names it.
pub(crate) fn source(source: &Source) -> Subject {
    Subject {
        kind: "source".to_owned(),
        id: source.id.to_string(),
        name: source.uid.clone().unwrap_or_else(|| source.name.clone()),
    }
}
